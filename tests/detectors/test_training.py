import copy

import numpy as np
import pytest
import torch
from torch import nn

from fcdd_audit.detectors import DETECTORS, Detector, Recipe, build, fit
from fcdd_audit.detectors.training import deterministic, shifted, training_steps
from fcdd_audit.errors import InputError, RunError
from fcdd_audit.probes import PROBES, plant
from fcdd_audit.seeding import torch_generator

CPU = torch.device("cpu")
SHORT = Recipe(epochs=2, batch_size=5)
each_detector = pytest.mark.parametrize("name", list(DETECTORS))


def train(detector, nominal, anomalous, recipe=SHORT, seed=0, **options):
    """The trained detector's state as one vector."""
    fit(detector, nominal, anomalous, recipe, seed, CPU, **options)
    return torch.cat([value.flatten().float() for value in detector.state_dict().values()])


class Spy(Detector):
    """Keeps what it is trained on. The loss is its one weight, so that an Adam step moves it by the rate."""

    def __init__(self, loss=lambda weight: weight.sum()):
        super().__init__((1, 8, 8), torch.zeros(1), torch.ones(1))
        self.weight = nn.Parameter(torch.ones(1))
        self.of_weight, self.batches, self.path, self.started = loss, [], [], None

    def score(self, x):
        return x.mean(dim=(1, 2, 3))

    def loss(self, x, label):
        self.batches.append(((x * 255).round().int(), label.clone()))
        return self.of_weight(self.weight)

    def start(self, nominal):
        self.started = nominal

    def end_epoch(self, epoch):
        self.path.append((epoch, self.weight.item()))


class NominalSpy(Spy):
    learns_from = ("nominal",)


def numbered(first, count):
    """Images of one grey level each, by which they are known."""
    return torch.arange(first, first + count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)


STILL = {"shift": 0.0, "noise": 0.0}


def spied(kind=Spy, nominal=12, anomalous=9, seed=0, **recipe):
    spy = kind()
    options = {"epochs": 3, "batch_size": 5, **STILL, **recipe}
    fit(spy, numbered(0, nominal), numbered(100, anomalous), Recipe(**options), seed, CPU)
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
    assert spy.started.max() == pytest.approx(11 / 255)


@pytest.mark.parametrize("probability", [0.25, 0.5, 0.9])
def test_nominal_draws_are_replaced_with_the_probability_asked_for(probability):
    _, levels, labels = spied(epochs=200, oe_probability=probability)
    assert ((levels >= 100) == labels.bool()).all()
    assert labels.mean().item() == pytest.approx(probability, abs=0.03)
    counts = torch.bincount(levels[levels >= 100])[100:]
    assert len(counts) == 9
    assert counts.min() > 0.7 * counts.max()


def test_a_batch_is_never_larger_than_the_nominal_images():
    assert spied(nominal=3, batch_size=64, epochs=2)[1].shape == (2, 3)
    steps = [training_steps(images, Recipe(batch_size=5)) for images in (4, 5, 6, 10, 11)]
    assert steps == [(1, 4), (1, 5), (2, 5), (2, 5), (3, 5)]


def test_twins_see_the_same_images_except_for_what_was_planted():
    recipe = Recipe(epochs=2, batch_size=5, shift=0.3, noise=0.01)
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
    fit(still, images, images, Recipe(epochs=20, batch_size=6, **STILL), 0, CPU)
    fit(moved, images, images, Recipe(epochs=20, batch_size=6, shift=0.26, noise=0.0), 0, CPU)
    fit(noisy, images, images, Recipe(epochs=20, batch_size=6, shift=0.0, noise=0.1), 0, CPU)

    def places(spy):
        return {tuple(place.tolist()) for x, _ in spy.batches for place in (x[:, 0] == 255).nonzero()[:, 1:]}

    assert places(still) == {(4, 4)}
    assert places(moved) == {(row, column) for row in range(2, 7) for column in range(2, 7)}  # 0.26 * 8 -> 2
    dark = torch.cat([x[:, 0, 0].flatten() for x, _ in noisy.batches]).double()
    assert dark.std().item() == pytest.approx(0.1 * 255, rel=0.05)
    assert abs(dark.mean().item()) < 2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("reach", [0, 1, 3])
def test_shifting_is_cutting_each_image_out_of_its_mirrored_frame(dtype, reach):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 2, 5, 7)) if dtype == torch.uint8 else rng.uniform(size=(6, 2, 5, 7))
    images = torch.from_numpy(images).to(dtype)
    moves = rng.integers(0, 2 * reach + 1, (6, 2))
    expected = images.numpy().copy()
    for index, (down, right) in enumerate(moves):
        frame = np.pad(images[index].numpy(), ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
        expected[index] = frame[:, down : down + 5, right : right + 7]
    got = shifted(images, torch.from_numpy(moves), reach)
    assert got.dtype == dtype
    assert np.array_equal(got.numpy(), expected)


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
    losses = fit(detector, bright, wild, Recipe(8, 8), 0, CPU, on_step=lambda: steps.append(1))
    assert len(losses) == 8
    assert len(steps) == 8 * 3
    assert np.mean(losses[-2:]) < 0.8 * losses[0]
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
        assert len(fit(detector, noise, noise[:0], SHORT, 0, CPU)) == 2


@each_detector
def test_autocast_keeps_the_weights_in_full_precision(name, noise):
    full = train(build(name, noise, 0), noise, noise.flip(0), autocast=False)
    detector = build(name, noise, 0)
    mixed = train(detector, noise, noise.flip(0), autocast=True)
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    assert torch.isfinite(mixed).all()
    assert not torch.equal(full, mixed)
    assert (full - mixed).abs().median() < 0.01
    assert torch.equal(full, train(build(name, noise, 0), noise, noise.flip(0)))  # the default on the CPU


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


def test_the_losses_are_the_means_of_the_epochs():
    spy = NominalSpy()
    recipe = Recipe(epochs=6, batch_size=6, lr=1e-2, weight_decay=0)
    losses = fit(spy, numbered(0, 12), numbered(0, 1), recipe, 0, CPU)
    assert losses[:2] == pytest.approx([(1 + 0.99) / 2, (0.98 + 0.97) / 2], rel=1e-5)


# What goes wrong


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_ends_the_training_in_that_epoch(value):
    calls = []

    def turns_bad(weight):
        calls.append(1)
        return weight.sum() * (value if len(calls) > 4 else 1)

    with pytest.raises(RunError, match=r"not finite in epoch 2 of 3 \(seed 7\).*--lr"):
        fit(NominalSpy(turns_bad), numbered(0, 12), numbered(0, 1), Recipe(3, 5, **STILL), 7, CPU)
    assert len(calls) == 6


def test_a_last_step_that_destroys_the_weights_is_no_success():
    root = NominalSpy(lambda weight: (weight - weight).sqrt().sum())  # 0, but of infinite slope
    try:
        fit(root, numbered(0, 5), numbered(0, 1), Recipe(1, 5, **STILL), 0, CPU)
    except RunError:
        return
    assert torch.isfinite(root.weight).all()


@pytest.mark.parametrize("before", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("fails", [False, True])
def test_the_callers_settings_of_torch_come_back(before, fails):
    try:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = True
        with deterministic():
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.backends.cudnn.benchmark
        spy = NominalSpy(lambda weight: weight.sum() * (torch.nan if fails else 1))
        try:
            fit(spy, numbered(0, 5), numbered(0, 1), SHORT, 0, CPU)
        except RunError:
            assert fails
        assert torch.are_deterministic_algorithms_enabled() == before[0]
        assert torch.is_deterministic_algorithms_warn_only_enabled() == before[1]
        assert torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("weight_decay", -1e-9),
        ("oe_probability", 0.0),
        ("oe_probability", 1.0),
        ("shift", -0.1),
        ("shift", 0.5),
        ("noise", -1.0),
    ],
)
def test_an_impossible_recipe_is_refused_by_name(setting, value):
    with pytest.raises(InputError, match=setting.replace("_", " ")):
        Recipe(**{setting: value})
