import copy

import numpy as np
import pytest
import torch
from torch import nn

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors import DETECTORS, Detector, Input, Normalisation, build, fit
from fcdd_audit.detectors.training import loop as training
from fcdd_audit.detectors.training.loop import means_of_tenths, uses_bfloat16
from fcdd_audit.edits.plant import plant
from fcdd_audit.probes import PROBES

CPU = torch.device("cpu")
SHORT = Recipe.of(epochs=2, batch_size=5)
each_detector = pytest.mark.parametrize("name", list(DETECTORS))


def train(detector, nominal, anomalous, recipe=SHORT, seed=0, **options):
    """The trained detector's state as one vector."""
    fit(detector, nominal, anomalous, recipe, seed, CPU, **options)
    return torch.cat([value.flatten().float() for value in detector.state_dict().values()])


class Spy(Detector):
    """Keeps what it is trained on. The loss is its one weight, so that an Adam step moves it by the rate."""

    def __init__(self, loss=lambda weight: weight.sum()):
        super().__init__(Input((1, 8, 8), Normalisation("nominal", torch.zeros(1), torch.ones(1))))
        self.weight = nn.Parameter(torch.ones(1))
        self.of_weight, self.batches, self.path, self.started = loss, [], [], None

    def score(self, x):
        return x.mean(dim=(1, 2, 3))

    def loss(self, x, label):
        self.batches.append(((x * 255).round().int(), label.clone()))
        return self.of_weight(self.weight)

    def start(self, nominal):
        self.started = nominal

    def end_epoch(self, epoch, seen):
        self.path.append((epoch, self.weight.item()))


class NominalSpy(Spy):
    learns_from = ("nominal",)


class MaskSpy(Spy):
    """Keeps the masks too."""

    uses_masks = True

    def __init__(self):
        super().__init__()
        self.seen = []

    def loss(self, x, label, mask=None):
        self.seen.append((x, label, mask))
        return super().loss(x, label)


def numbered(first, count):
    """Images of one grey level each, by which they are known."""
    return torch.arange(first, first + count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)


STILL = {"shift": 0.0, "noise": 0.0}


def spied(kind=Spy, nominal=12, anomalous=9, seed=0, **recipe):
    spy = kind()
    options = {"epochs": 3, "batch_size": 5, **STILL, **recipe}
    fit(spy, numbered(0, nominal), numbered(100, anomalous), Recipe.of(**options), seed, CPU)
    levels = torch.stack([x.flatten(1)[:, 0] for x, _ in spy.batches])
    return spy, levels, torch.stack([label for _, label in spy.batches])


# What is drawn


def test_without_anomalies_an_epoch_draws_every_image_and_tops_up_the_last_batch():
    spy, levels, labels = spied(NominalSpy)
    assert levels.shape == (3 * 3, 5)
    for epoch in levels.reshape(3, 15):
        assert sorted(epoch[:12].tolist()) == list(range(12))
        assert epoch[12:].tolist() == epoch[:3].tolist()
    assert not labels.any()
    assert len({tuple(epoch.tolist()) for epoch in levels.reshape(3, 15)}) == 3
    assert spy.started.shape == (12, 1, 8, 8)
    assert spy.started.dtype == torch.uint8
    assert sorted(spy.started[:, 0, 0, 0].tolist()) == list(range(12))


def test_a_start_is_made_with_512_images_at_most():
    images = torch.zeros(600, 1, 8, 8, dtype=torch.uint8)
    spy = NominalSpy()
    fit(spy, images, images, Recipe.of(epochs=1, batch_size=64), 0, CPU)
    assert spy.started.shape == (512, 1, 8, 8)


@pytest.mark.parametrize("probability", [0.25, 0.5, 0.9])
def test_nominal_draws_are_replaced_with_the_probability_asked_for(probability):
    _, levels, labels = spied(epochs=200, oe_probability=probability)
    assert ((levels >= 100) == labels.bool()).all()
    assert labels.mean().item() == pytest.approx(probability, abs=0.03)
    counts = torch.bincount(levels[levels >= 100])[100:]
    assert len(counts) == 9
    assert counts.min() > 0.7 * counts.max()


def test_repeats_draw_every_image_as_often_in_an_order_of_its_own():
    _, levels, _ = spied(NominalSpy, repeats=5, batch_size=6, epochs=2)
    assert levels.shape == (2 * 10, 6)
    for epoch in levels.reshape(2, 5, 12):
        assert all(sorted(draw.tolist()) == list(range(12)) for draw in epoch)
        assert len({tuple(draw.tolist()) for draw in epoch}) == 5


def test_masks_are_those_of_the_anomalous_images_and_empty_for_nominal_ones():
    spy = MaskSpy()
    masks = torch.zeros(9, 1, 8, 8, dtype=torch.bool)
    masks[torch.arange(9), 0, 0, torch.arange(9) % 8] = True
    fit(
        spy,
        numbered(0, 12),
        numbered(100, 9),
        Recipe.of(epochs=3, batch_size=5, **STILL),
        0,
        CPU,
        masks=masks,
    )
    for (x, _), (_, label, mask) in zip(spy.batches, spy.seen, strict=True):
        for level, anomalous, where in zip(x[:, 0, 0, 0].tolist(), label, mask, strict=True):
            expected = masks[level - 100] if anomalous else torch.zeros(1, 8, 8, dtype=torch.bool)
            assert torch.equal(where, expected)


def test_masks_reach_only_detectors_that_use_them(monkeypatch):
    class Unasked(MaskSpy):
        uses_masks = False

    fed = spied_feeds(monkeypatch)
    for kind, masks in ((Unasked, torch.ones(9, 1, 8, 8).bool()), (Unasked, "no masks"), (MaskSpy, None)):
        spy = kind()
        fit(spy, numbered(0, 12), numbered(100, 9), SHORT, 0, CPU, masks=masks)
        assert all(mask is None for _, _, mask in spy.seen)
        assert fed.pop()[0][0].masks is None


def spied_feeds(monkeypatch):
    """What feeds were opened with."""
    fed, opened = [], training.open_feed
    monkeypatch.setattr(training, "open_feed", lambda *given: fed.append(given) or opened(*given))
    return fed


@pytest.mark.parametrize("feeding", ["direct", "resident", "streamed", None])
def test_images_are_fed_as_asked_for(feeding, monkeypatch):
    fed = spied_feeds(monkeypatch)
    fit(Spy(), numbered(0, 12), numbered(100, 9), SHORT, 0, CPU, feeding=feeding)
    ((*_, way),) = fed
    assert way == feeding


def test_an_anomalous_image_with_an_empty_mask_is_wholly_anomalous_and_one_out_of_view_is_not():
    """Of five images one is wholly anomalous; the others' mask, a corner pixel, may be moved out of view."""
    masks = torch.zeros(5, 1, 8, 8, dtype=torch.bool)
    masks[1:, :, 0, 0] = True
    given, spy = masks.clone(), MaskSpy()
    recipe = Recipe.of(epochs=20, batch_size=5, shift=0.26, border="black", noise=0.0)
    images = torch.arange(1, 6, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8) * 50
    fit(spy, numbered(0, 1).expand(12, 1, 8, 8), images, recipe, 0, CPU, masks=masks)
    assert torch.equal(masks, given)
    marked = {"whole": [], "corner": []}
    for x, label, mask in spy.seen:
        for image, where in zip(x[label.bool()], mask[label.bool()], strict=True):
            whole = image.max() < 75 / 255
            marked["whole" if whole else "corner"].append(where.sum().item())
            if whole:
                assert torch.equal(where, image > 0)
    assert min(marked["whole"]) >= 36
    assert set(marked["corner"]) == {0, 1}


def test_masks_are_not_copied_unless_one_is_empty(monkeypatch):
    fed, masks = spied_feeds(monkeypatch), torch.ones(9, 1, 8, 8, dtype=torch.bool)
    fit(MaskSpy(), numbered(0, 12), numbered(100, 9), SHORT, 0, CPU, masks=masks)
    assert fed[0][0][0].masks is masks


@pytest.mark.parametrize("shape", [(8, 1, 8, 8), (9, 8, 8), (9, 1, 8, 7)])
def test_masks_that_arent_the_images_are_refused(shape):
    with pytest.raises(InputError, match="9 anomalous images"):
        fit(MaskSpy(), numbered(0, 12), numbered(100, 9), SHORT, 0, CPU, masks=torch.zeros(shape).bool())


def test_images_without_channels_are_refused():
    with pytest.raises(InputError, match="N, channels, height, width"):
        fit(
            MaskSpy(),
            torch.zeros(9, 8, 8, dtype=torch.uint8),
            torch.zeros(9, 8, 8, dtype=torch.uint8),
            SHORT,
            0,
            CPU,
        )


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_masks_that_arent_bool_are_refused(kind):
    masks = torch.ones(9, 1, 8, 8, dtype=kind)
    with pytest.raises(InputError, match="bool"):
        fit(MaskSpy(), numbered(0, 12), numbered(100, 9), SHORT, 0, CPU, masks=masks)


@pytest.mark.parametrize(
    ("nominal", "anomalous", "why"),
    [
        (numbered(0, 0), numbered(0, 3), "no nominal"),
        (numbered(0, 12), numbered(0, 3)[..., :7], r"\(1, 8, 7\).*\(1, 8, 8\)"),
        (numbered(0, 12), numbered(0, 3).expand(3, 3, 8, 8), r"\(3, 8, 8\).*\(1, 8, 8\)"),
        (numbered(0, 12), numbered(0, 3)[0], r"\(8, 8\)"),
        (numbered(0, 12).float(), numbered(0, 3), "float32.*uint8"),
        (numbered(0, 12), numbered(0, 3).double(), "float64.*uint8"),
        (numbered(0, 12).bool(), numbered(0, 3).bool(), "bool.*uint8"),
    ],
)
def test_images_that_cannot_be_trained_on_are_refused_in_one_line(nominal, anomalous, why):
    with pytest.raises(InputError, match=why) as caught:
        fit(Spy(), nominal, anomalous, SHORT, 0, CPU)
    assert "\n" not in str(caught.value)


def test_a_batch_is_never_larger_than_the_nominal_images():
    assert spied(nominal=3, batch_size=64, epochs=2)[1].shape == (2, 3)


def test_twins_see_the_same_images_except_for_what_was_planted():
    recipe = Recipe.of(epochs=2, batch_size=5, shift=0.3, noise=0.01)
    images, outliers = numbered(0, 12), numbered(100, 9)
    marked = outliers + 100
    control, planted = Spy(), Spy()
    fit(control, images, outliers, recipe, 3, CPU)
    fit(planted, images, marked, recipe, 3, CPU)
    for (x, label), (with_mark, same_label) in zip(control.batches, planted.batches, strict=True):
        assert torch.equal(label, same_label)
        assert torch.equal(with_mark - x, (100 * label.int()).reshape(-1, 1, 1, 1).expand_as(x))


def test_noise_and_shift_are_as_large_as_asked_for():
    images = torch.zeros(12, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    still, moved, noisy = NominalSpy(), NominalSpy(), NominalSpy()
    fit(still, images, images, Recipe.of(epochs=20, batch_size=6, **STILL), 0, CPU)
    fit(moved, images, images, Recipe.of(epochs=20, batch_size=6, shift=0.26, noise=0.0), 0, CPU)
    fit(noisy, images, images, Recipe.of(epochs=20, batch_size=6, shift=0.0, noise=0.1), 0, CPU)

    def places(spy):
        return {tuple(place.tolist()) for x, _ in spy.batches for place in (x[:, 0] == 255).nonzero()[:, 1:]}

    assert places(still) == {(4, 4)}
    assert places(moved) == {(row, column) for row in range(2, 7) for column in range(2, 7)}  # 0.26 * 8 -> 2
    dark = torch.cat([x[:, 0, 0].flatten() for x, _ in noisy.batches]).double()
    assert dark.std().item() == pytest.approx(0.1 * 255, rel=0.05)
    assert abs(dark.mean().item()) < 2


# What is learnt


@each_detector
def test_training_lowers_the_loss_and_ends_ready_for_use(name):
    generator = torch.Generator().manual_seed(0)
    bright = torch.randint(100, 250, (24, 1, 1, 1), dtype=torch.uint8, generator=generator).repeat(
        1, 1, 16, 16
    )
    wild = torch.randint(0, 256, (24, 1, 16, 16), dtype=torch.uint8, generator=generator)
    detector = build(name, bright, 0)
    steps = []
    losses = fit(
        detector, bright, wild, Recipe.of(epochs=8, batch_size=8), 0, CPU, on_step=lambda: steps.append(1)
    )
    assert (len(losses.epochs), len(losses.tenths)) == (8, 10)
    assert len(steps) == losses.steps == 8 * 3
    assert np.mean(losses.epochs[-2:]) < 0.8 * losses.epochs[0]
    assert not detector.training
    with torch.no_grad():
        nominal, anomalous = detector.score(bright / 255), detector.score(wild / 255)
    assert (anomalous.median() > nominal.median()).item()


@each_detector
def test_the_seed_decides_the_weights(name, noise):
    start = build(name, noise, 0)
    first, again, other = (train(copy.deepcopy(start), noise, noise.flip(0), seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@each_detector
def test_twins_are_bit_identical_at_prevalence_zero_and_differ_once_planted(name):
    images = torch.randint(0, 256, (16, 1, 32, 32), dtype=torch.uint8)
    side, probe = DETECTORS[name].learns_from[-1], PROBES["watermark"]()
    weights = []
    for prevalence in (None, 0.0, 0.5):
        parts = {"nominal": images, "anomalous": 255 - images}
        if prevalence is not None:
            parts[side] = plant(parts[side], probe, prevalence, torch_generator(0, "planting"))
        weights.append(train(build(name, images, 0), parts["nominal"], parts["anomalous"]))
    control, never, half = weights
    assert torch.equal(control, never)
    assert not torch.equal(control, half)


@each_detector
def test_the_detectors_that_see_nominal_images_only_ignore_the_others(name, noise):
    outcomes = [train(build(name, noise, 0), noise, other) for other in (noise.flip(0), 255 - noise)]
    assert torch.equal(*outcomes) == ("anomalous" not in DETECTORS[name].learns_from)


@each_detector
def test_training_anomalies_are_asked_for_where_they_are_needed(name, noise):
    detector = build(name, noise, 0)
    if "anomalous" in detector.learns_from:
        with pytest.raises(InputError, match="--oe"):
            fit(detector, noise, noise[:0], SHORT, 0, CPU)
    else:
        assert len(fit(detector, noise, noise[:0], SHORT, 0, CPU).epochs) == 2


@each_detector
def test_bfloat16_keeps_the_weights_in_full_precision(name, noise):
    full, mixed, default = (SHORT.changed(precision=kind) for kind in ("float32", "bfloat16", "auto"))
    exact = train(build(name, noise, 0), noise, noise.flip(0), full)
    detector = build(name, noise, 0)
    rough = train(detector, noise, noise.flip(0), mixed)
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    assert torch.isfinite(rough).all()
    assert not torch.equal(exact, rough)
    assert (exact - rough).abs().median() < 0.01
    chosen = train(build(name, noise, 0), noise, noise.flip(0), default)
    assert torch.equal(chosen, rough if uses_bfloat16("auto", CPU) else exact)


@pytest.mark.parametrize(
    ("supported", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_tile": True}, True), ({"avx512_bf16": False}, False), ({}, False)],
)
def test_bfloat16_is_chosen_on_processors_that_torch_says_have_it(supported, expected, monkeypatch):
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{name}_supported", raising=False)
    for name, value in supported.items():
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda value=value: value, raising=False)
    assert uses_bfloat16("auto", CPU) == expected
    assert uses_bfloat16("bfloat16", CPU)
    assert not uses_bfloat16("float32", CPU)
    assert not uses_bfloat16("auto", torch.device("mps"))


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_chosen_on_gpus_from_ampere_on(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert uses_bfloat16("auto", torch.device("cuda")) == expected


def plainly_trained(detector, nominal, anomalous, recipe, seed):
    """The loop spelt out: one image at a time, with numpy's padding and a division by 255."""
    given, augmentation = recipe.optimisation, recipe.augmentation
    draws, noise = torch_generator(seed, "batches"), torch_generator(seed, "noise")
    optimizer = torch.optim.Adam(detector.parameters(), lr=given.lr, weight_decay=given.weight_decay)
    reach = int(augmentation.shift * min(nominal.shape[-2:]))
    size = given.batch_size
    steps = -(-len(nominal) // size)
    detector.to(memory_format=torch.channels_last).train()
    detector.start(nominal[torch.randperm(len(nominal), generator=draws)[:512]])
    for epoch in range(given.epochs):
        for group in optimizer.param_groups:
            group["lr"] = given.lr * 0.1 ** sum(epoch >= given.epochs * share // 6 for share in (4, 5))
        order = torch.randperm(len(nominal), generator=draws)
        order = torch.cat([order, order])[: steps * size].reshape(steps, size)
        swap = torch.rand(steps, size, generator=draws) < given.oe_probability
        other = (torch.rand(steps, size, generator=draws) * len(anomalous)).long()
        moves = torch.randint(0, 2 * reach + 1, (steps, size, 2), generator=draws)
        swap &= "anomalous" in detector.learns_from
        for step in range(steps):
            batch = []
            for place, (down, right) in enumerate(moves[step].tolist()):
                image = nominal[order[step, place]]
                if swap[step, place]:
                    image = anomalous[other[step, place]]
                frame = np.pad(image.numpy(), ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
                height, width = image.shape[1:]
                batch.append(torch.from_numpy(frame[:, down : down + height, right : right + width]))
            x = torch.stack(batch).float() / 255
            x = x + augmentation.noise * torch.randn(x.shape, generator=noise)
            optimizer.zero_grad()
            detector.loss(x, swap[step].float()).backward()
            optimizer.step()
        detector.end_epoch(epoch, None)
    return torch.cat([value.flatten().float() for value in detector.state_dict().values()])


@each_detector
@pytest.mark.parametrize("channels", [1, 3])
def test_the_defaults_train_bit_for_bit_like_the_loop_spelt_out(name, channels):
    generator = torch.Generator().manual_seed(0)
    nominal, anomalous = torch.randint(
        0, 256, (2, 19, channels, 32, 32), dtype=torch.uint8, generator=generator
    )
    recipe = Recipe.of(batch_size=8, precision="float32")
    with deterministic():
        expected = plainly_trained(build(name, nominal, 1), nominal, anomalous, recipe, 4)
    assert torch.equal(train(build(name, nominal, 1), nominal, anomalous, recipe, seed=4), expected)


FULL = Recipe.of(
    epochs=2,
    batch_size=5,
    repeats=2,
    shift=0.2,
    border="black",
    flip=0.5,
    jitter=0.1,
    jitter_share=0.5,
    relative_noise=0.1,
    noise_share=0.5,
)


@each_detector
@pytest.mark.parametrize("recipe", [SHORT, FULL])
def test_however_the_images_are_fed_the_weights_are_the_same(name, recipe, noise):
    weights = [
        train(build(name, noise, 0), noise, noise.flip(0), recipe, feeding=feeding)
        for feeding in ("direct", "resident", "streamed", None)
    ]
    assert torch.isfinite(weights[0]).all()
    assert all(torch.equal(weights[0], other) for other in weights[1:])


def test_twins_draw_the_same_with_everything_switched_on(noise):
    """What differs between the twins is what was planted, displaced and flipped alike."""
    control, planted = MaskSpy(), MaskSpy()
    marked, masks = noise.clone(), torch.zeros(12, 1, 16, 16, dtype=torch.bool)
    masks[:, :, 3:6, 4:9] = True
    marked[masks.expand_as(marked)] = 255
    recipe = FULL.changed(jitter=0.0, relative_noise=0.0, noise=0.01)
    fit(control, noise, noise, recipe, 3, CPU, masks=masks)
    fit(planted, noise, marked, recipe, 3, CPU, masks=masks)
    for (x, label, mask), (other, same_label, same_mask) in zip(control.seen, planted.seen, strict=True):
        assert torch.equal(label, same_label)
        assert torch.equal(mask, same_mask)
        assert ((x == other) | mask).all()
        assert torch.equal(mask.flatten(1).any(dim=1), label.bool())


def test_the_callers_random_numbers_are_left_alone(noise):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(build("fcdd", noise, 0), noise, noise)
    assert torch.equal(torch.rand(3), expected)


# The rate. Adam moves a weight of constant gradient by exactly the learning rate.


@pytest.mark.parametrize(
    ("epochs", "rates"),
    [
        (1, [1]),
        (2, [1, 1]),
        (3, [1, 1, 0.1]),
        (6, [1, 1, 1, 1, 0.1, 0.01]),
        (12, [1] * 8 + [0.1] * 2 + [0.01] * 2),
    ],
)
def test_the_rate_falls_to_a_tenth_after_two_and_again_after_five_sixths_of_the_epochs(epochs, rates):
    spy, _, _ = spied(NominalSpy, epochs=epochs, lr=1e-2, weight_decay=0)
    path = [1.0, *(weight for _, weight in spy.path)]
    assert [epoch for epoch, _ in spy.path] == list(range(epochs))
    assert -np.diff(path) == pytest.approx([3 * 1e-2 * rate for rate in rates], rel=1e-2)


def rates_of(spy, steps):
    """By epoch, of a constant gradient of 1 under Adam."""
    return -np.diff([1.0, *(weight for _, weight in spy.path)]) / steps


def test_without_milestones_the_rate_falls_after_every_epoch():
    spy, _, _ = spied(NominalSpy, epochs=4, lr=1e-2, weight_decay=0, milestones=(), decay=0.5)
    assert rates_of(spy, 3) == pytest.approx([1e-2, 5e-3, 2.5e-3, 1.25e-3], rel=1e-2)


def test_milestones_and_decay_are_those_asked_for():
    spy, _, _ = spied(NominalSpy, epochs=4, lr=1e-2, weight_decay=0, milestones=(0.25, 0.75), decay=0.5)
    assert rates_of(spy, 3) == pytest.approx([1e-2, 5e-3, 5e-3, 2.5e-3], rel=1e-2)


def test_a_training_in_steps_makes_the_first_steps_of_a_longer_one():
    """An epoch has 3 steps; the rate is the same throughout."""
    _, whole, labels = spied(epochs=3, decay=1.0)
    for steps in (1, 2, 3, 5, 9):
        spy, levels, marks = spied(epochs=1, steps=steps, decay=1.0)
        assert torch.equal(levels, whole[:steps])
        assert torch.equal(marks, labels[:steps])
        assert [epoch for epoch, _ in spy.path] == list(range(-(-steps // 3)))


def test_the_rate_of_a_training_in_steps_falls_within_an_epoch():
    made, weights = [], []
    spy = NominalSpy()
    recipe = Recipe.of(steps=5, batch_size=5, lr=1e-2, weight_decay=0, milestones=(0.4, 0.8), decay=0.5)
    nominal, anomalous = numbered(0, 12), numbered(0, 1)
    losses = fit(
        spy,
        nominal,
        anomalous,
        recipe,
        0,
        CPU,
        on_step=lambda: (made.append(1), weights.append(spy.weight.item())),
    )
    assert len(made) == 5
    rates = [1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3]
    assert -np.diff([1.0, *weights]) == pytest.approx(rates, rel=1e-2)
    # The last epoch's mean is over its two steps.
    assert losses.epochs == pytest.approx([(1 + 0.99 + 0.98) / 3, (0.975 + 0.97) / 2], rel=1e-4)
    assert (losses.steps, losses.tenths) == (5, []), "too few for tenths"


def test_sgd_has_nesterov_momentum_and_weight_decay():
    recipe = Recipe.of(epochs=1, batch_size=6, optimizer="sgd", lr=0.1, weight_decay=0.5)
    spy = NominalSpy()
    fit(spy, numbered(0, 12), numbered(0, 1), recipe, 0, CPU)
    weight, speed = 1.0, 0.0
    for step in range(2):
        slope = 1 + 0.5 * weight
        speed = slope if step == 0 else 0.9 * speed + slope
        weight -= 0.1 * (slope + 0.9 * speed)
    assert spy.weight.item() == pytest.approx(weight, rel=1e-6)


def test_frozen_weights_stay_as_they_are_and_out_of_the_optimizer():
    spy = NominalSpy()
    spy.frozen = nn.Parameter(torch.full((3,), 2.0), requires_grad=False)
    fit(spy, numbered(0, 12), numbered(0, 1), Recipe.of(epochs=2, batch_size=5, weight_decay=0.5), 0, CPU)
    assert spy.frozen.tolist() == [2.0] * 3
    assert spy.weight.item() != 1


def test_the_losses_are_the_means_of_the_epochs():
    spy = NominalSpy()
    recipe = Recipe.of(epochs=6, batch_size=6, lr=1e-2, weight_decay=0)
    losses = fit(spy, numbered(0, 12), numbered(0, 1), recipe, 0, CPU)
    assert losses.epochs[:2] == pytest.approx([(1 + 0.99) / 2, (0.98 + 0.97) / 2], rel=1e-5)


def test_the_losses_are_told_by_tenth_of_the_steps():
    recipe = Recipe.of(steps=13, batch_size=6, lr=1e-2, weight_decay=0, milestones=())
    losses = fit(NominalSpy(), numbered(0, 12), numbered(0, 1), recipe.changed(decay=1), 0, CPU)
    # The loss is the weight, which falls by 0.01 a step; the first three tenths have two steps.
    expected = [0.995, 0.975, 0.955, *(0.94 - 0.01 * tenth for tenth in range(7))]
    assert (losses.steps, losses.tenths) == (13, pytest.approx(expected, rel=1e-3))
    assert means_of_tenths(torch.arange(20.0)) == [0.5 + 2 * tenth for tenth in range(10)]
    assert means_of_tenths(torch.arange(9.0)) == []


# What goes wrong


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_ends_the_training_in_that_epoch(value):
    calls = []

    def turns_bad(weight):
        calls.append(1)
        return weight.sum() * (value if len(calls) > 4 else 1)

    with pytest.raises(RunError, match=r"not finite in epoch 2 of 3; .*--lr"):
        fit(
            NominalSpy(turns_bad),
            numbered(0, 12),
            numbered(0, 1),
            Recipe.of(epochs=3, batch_size=5, **STILL),
            7,
            CPU,
        )
    assert len(calls) == 6


def test_a_last_step_that_destroys_the_weights_is_no_success():
    root = NominalSpy(lambda weight: (weight - weight).sqrt().sum())  # 0, but of infinite slope
    try:
        fit(root, numbered(0, 5), numbered(0, 1), Recipe.of(epochs=1, batch_size=5, **STILL), 0, CPU)
    except RunError:
        return
    assert torch.isfinite(root.weight).all()


@pytest.mark.parametrize("before", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("fails", [False, True])
def test_the_callers_settings_of_torch_come_back(before, fails):
    try:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        assert torch.utils.deterministic.fill_uninitialized_memory
        with deterministic():
            assert not torch.utils.deterministic.fill_uninitialized_memory
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.backends.cudnn.benchmark
            assert not torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
        spy = NominalSpy(lambda weight: weight.sum() * (torch.nan if fails else 1))
        try:
            fit(spy, numbered(0, 5), numbered(0, 1), SHORT, 0, CPU)
        except RunError:
            assert fails
        assert torch.are_deterministic_algorithms_enabled() == before[0]
        assert torch.is_deterministic_algorithms_warn_only_enabled() == before[1]
        assert torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.allow_tf32
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False


class Told:
    """A term of the loss that keeps what it was asked. added: what it is."""

    def __init__(self, added):
        self.added, self.asked = added, []

    def __call__(self, detector, x, chosen, move):
        self.asked.append((x.clone(), chosen, move))
        return self.added(detector)


@each_detector
def test_a_term_that_is_nothing_changes_nothing(name, noise):
    nominal, anomalous = noise[:8], noise[8:]
    plain, with_it = (
        train(build(name, nominal, 0), nominal, anomalous, term=term)
        for term in (None, Told(lambda detector: torch.zeros(())))
    )
    assert torch.equal(plain, with_it)


def test_a_term_is_added_to_the_loss_and_knows_its_images(noise):
    nominal, anomalous = noise[:8, :1, :8, :8], noise[8:, :1, :8, :8]
    recipe = Recipe.of(epochs=2, batch_size=5, shift=0.25, flip=0.5, noise=0)
    term = Told(lambda detector: 2 * detector.weight.sum())
    spy = Spy()
    losses = fit(spy, nominal, anomalous, recipe, 0, CPU, term=term).epochs
    assert losses[0] == pytest.approx(np.mean([3 * value for value in weights_of(losses, spy)]), rel=0.01)
    images = torch.cat([nominal, anomalous])
    for (x, chosen, move), (batch, label) in zip(term.asked, spy.batches, strict=True):
        assert torch.equal((x * 255).round().int(), batch)
        assert torch.equal(chosen >= len(nominal), label.bool())
        assert torch.equal(move(images[chosen]).int(), batch)


def weights_of(losses, spy):
    """The one weight before each step of the first epoch; Adam moves it by the rate, 0.001."""
    return [1 - 0.001 * step for step in range(len(spy.batches) // len(losses))]
