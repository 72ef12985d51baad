"""Placebos of an artifact, and the test of a finished detector against them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.designs.finished import measuring, placebos
from fcdd_audit.designs.finished.judging import placebos_needed
from fcdd_audit.designs.finished.placebos import placebo_test
from fcdd_audit.detectors import build, fit
from fcdd_audit.probes import PROBES, mark_all
from fcdd_audit.probes.surrogates import Blend, Placebos, blend_of, surrogate
from fcdd_audit.verdict.thresholds import Thresholds

CPU = torch.device("cpu")
FEW = Thresholds(draws=200)
some_examples = settings(max_examples=25, deadline=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Stamp:
    """Lays a content, (C, h, w), at an opacity in a box that every image has elsewhere, by up to `jitter`."""

    def __init__(self, content, opacity=0.8, at=(4, 4), jitter=0):
        self.content, self.opacity, self.at, self.jitter = content, opacity, at, jitter

    def apply(self, x, generator):
        (top, left), (h, w) = self.at, self.content.shape[1:]
        marked, mask = x.clone(), torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
        moves = torch.randint(-self.jitter, self.jitter + 1, (len(x), 2), generator=generator)
        for image, where, (down, right) in zip(marked, mask, moves.tolist(), strict=True):
            box = ..., slice(top + down, top + down + h), slice(left + right, left + right + w)
            image[box] = image[box] * (1 - self.opacity) + self.content * self.opacity
            where[box] = True
        return marked, mask


class Lines:
    """Opaque lines of several greys, (H, W) where `lines` is over 0, moved by up to 2 px and cut off."""

    def __init__(self, lines):
        self.lines = lines

    def apply(self, x, generator):
        moves = torch.randint(-2, 3, (len(x), 2), generator=generator).tolist()
        moved = torch.stack([self.lines.roll(move, (0, 1)) for move in moves])[:, None]
        return torch.where(moved > 0, moved, x), moved > 0


def frame(side, width, seed=0):
    lines = torch.rand(side, side, generator=generator(seed)).clamp_min(0.01)
    lines[width:-width, width:-width] = 0
    return lines


def grid(side, period, seed=0):
    lines = torch.rand(side, side, generator=generator(seed)).clamp_min(0.01)
    lines[(torch.arange(side) % period > 0)[:, None] & (torch.arange(side) % period > 0)] = 0
    return lines


def blended(probe, side=32, channels=1, count=3, seed=0):
    return blend_of(probe, torch.Size((count, channels, side, side)), generator(seed), CPU)


def contents(blend):
    """Per image: the sorted (alpha, paint) of the pixels in its mask, (C, P, 2) as lists."""
    pairs = torch.stack([blend.alpha, blend.paint], dim=-1).movedim(1, 3)  # (N, H, W, C, 2)
    return [sorted(pairs[i][mask[0]].flatten(1).tolist()) for i, mask in enumerate(blend.mask)]


def boxes(blend, values):
    """The values, (N, C, H, W), in the box of each image's mask."""
    for image, mask in zip(values, blend.mask[:, 0], strict=True):
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        yield image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def check_placebos(blend, seed=0, count=3):
    for placebo in Placebos(count, seed).of(blend):
        assert contents(placebo) == contents(blend)
        assert torch.equal(placebo.mask, blend.mask)
        outside = ~blend.mask.expand_as(blend.alpha)
        assert torch.equal(placebo.alpha[outside], blend.alpha[outside])
        assert torch.equal(placebo.paint[outside], blend.paint[outside])


# Taking the stamp off


def test_alpha_and_paint_are_what_was_laid_on():
    content = torch.tensor([[[0.0, 1.0], [0.5, 0.25]]])
    blend = blended(Stamp(content, opacity=0.8), side=8, count=1)
    box = blend.alpha[0, 0, 4:6, 4:6], blend.paint[0, 0, 4:6, 4:6], blend.shade[0, 4:6, 4:6]
    torch.testing.assert_close(box[0], torch.full((2, 2), 0.8))
    torch.testing.assert_close(box[1], torch.tensor([[0.0, 0.8], [0.4, 0.2]]))
    torch.testing.assert_close(box[2], torch.tensor([[-0.4, 0.4], [0.0, -0.2]]))
    assert blend.alpha.sum() == pytest.approx(4 * 0.8)
    assert blend.mask.sum() == 4


def test_marked_images_are_rounded_as_stored_ones():
    blend = blended(Stamp(torch.full((1, 1, 1), 0.5), opacity=0.5), side=8, count=1)
    x = torch.full((1, 1, 8, 8), 100 / 255)
    marked = blend.on(x) * 255
    assert marked[0, 0, 4, 4].item() == pytest.approx(round(100 * 0.5 + 255 * 0.25))
    assert marked[0, 0, 0, 0].item() == pytest.approx(100)


@pytest.mark.parametrize("name", ["watermark", "logo", "date", "frame", "grid", "line", "patch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_blend_is_the_probe(name, channels):
    x = torch.rand(4, channels, 64, 64, generator=generator(1))
    expected, mask = PROBES[name]().apply(x, generator(5))
    drawn = generator(5)
    blend = blend_of(PROBES[name](), x.shape, drawn, CPU)
    assert (blend.on(x) - expected).abs().max() < 0.51 / 255
    assert torch.equal(blend.mask, mask)
    once = generator(5)
    PROBES[name]().apply(x, once)
    assert torch.equal(drawn.get_state(), once.get_state()), "as after one application"


# Placebos


@some_examples
@given(
    corner=st.sampled_from(["upper-left", "lower-right"]),
    text=st.sampled_from(["© PHOTO", "ACME", "i"]),
    opacity=st.floats(0.1, 1),
    size=st.floats(0.3, 0.9),
    jitter=st.floats(0, 0.1),
    side=st.integers(48, 90),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**63 - 1),
)
def test_placebos_of_watermarks_keep_every_value(side, channels, seed, **options):
    try:
        blend = blended(PROBES["watermark"](**options), side, channels, seed=seed)
    except InputError:
        assume(False)  # doesn't fit
    check_placebos(blend, seed)


@some_examples
@given(side=st.integers(12, 40), width=st.integers(1, 4), seed=st.integers(0, 2**63 - 1))
def test_placebos_of_frames_and_grids_keep_every_value(side, width, seed):
    for lines in (frame(side, width, seed), grid(side, 3 * width, seed)):
        check_placebos(blended(Lines(lines), side, seed=seed), seed)


@some_examples
@given(
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**63 - 1),
)
def test_placebos_of_jittered_stamps_keep_every_value_and_are_one_mark(height, width, channels, seed):
    probe = Stamp(torch.rand(channels, height, width, generator=generator(seed)), at=(8, 8), jitter=5)
    blend = blended(probe, 24, channels, count=6, seed=seed)
    check_placebos(blend, seed)
    for placebo in Placebos(2, seed).of(blend):
        first, *others = boxes(blend, placebo.paint)
        assert all(torch.allclose(first, other, atol=1e-6) for other in others)


def test_placebos_differ_from_the_artifact_and_each_other_and_repeat_with_the_seed():
    blend = blended(PROBES["watermark"](), side=64)
    made = [[placebo.paint for placebo in Placebos(5, seed).of(blend)] for seed in (0, 0, 1)]
    assert all(torch.equal(one, again) for one, again in zip(made[0], made[1], strict=True))
    different = [blend.paint, *made[0], *made[2]]
    assert len({tuple(paint.flatten().tolist()) for paint in different}) == 11


def test_placebos_are_the_same_in_every_batch():
    marks, probe = Placebos(3, 0), Stamp(torch.rand(1, 4, 6), jitter=3)
    one, other = (list(marks.of(blended(probe, count=2, seed=seed))) for seed in (0, 1))
    for before, after in zip(one, other, strict=True):
        first, second = (next(boxes(blend, blend.paint)) for blend in (before, after))
        assert torch.allclose(first, second, atol=1e-6)


def test_a_content_drawn_anew_for_every_image_stays_so():
    blend = blended(PROBES["patch"](pattern="noise"), side=64)
    placebo = next(Placebos(1, 0).of(blend))
    first, second, _ = boxes(blend, placebo.paint)
    assert not torch.allclose(first, second)


def test_images_without_a_mask_stay_clean():
    blend = blended(Stamp(torch.rand(1, 4, 4)))
    mask = blend.mask.clone()
    mask[1] = False
    placebo = next(Placebos(1, 0).of(Blend(blend.alpha, blend.paint, mask)))
    assert torch.equal(placebo.paint[1], blend.paint[1])


def rough(shade, mask):
    """Root mean square difference of neighbours inside the mask."""
    down = (shade[1:] - shade[:-1])[mask[1:] & mask[:-1]]
    right = (shade[:, 1:] - shade[:, :-1])[mask[:, 1:] & mask[:, :-1]]
    return np.sqrt(np.square(np.concatenate([down, right])).mean())


@pytest.mark.parametrize("side", [64, 128, 224])
@pytest.mark.parametrize("name", ["watermark", "logo", "date"])
def test_placebos_are_as_busy_as_the_artifact_and_unlike_it(name, side):
    blend = blended(PROBES[name](), side, count=1)
    mask, shade = blend.mask[0, 0].numpy(), blend.shade[0].numpy()
    for placebo in Placebos(5, 0).of(blend):
        other = placebo.shade[0].numpy()
        assert 0.85 < rough(other, mask) / rough(shade, mask) < 1.2
        assert abs(np.corrcoef(shade[mask], other[mask])[0, 1]) < 0.35


@pytest.mark.parametrize("name", ["frame", "bars", "grid", "ruler", "line"])
def test_lines_and_frames_have_placebos_too(name):
    blend = blended(PROBES[name](), 64, count=1)
    mask, shade = blend.mask[0, 0].numpy(), blend.shade[0].numpy()
    made = [placebo.shade[0].numpy() for placebo in Placebos(20, 0).of(blend)]
    alike = [abs(np.corrcoef(shade[mask], other[mask])[0, 1]) for other in made]
    assert np.median(alike) < placebos.ALIKE
    assert np.mean([rough(other, mask) for other in made]) < 1.4 * rough(shade, mask)


def test_a_surrogate_is_a_permutation_of_the_pixels_in_the_mask():
    mask = np.array([[True, True, False], [True, True, True]])
    order = surrogate(mask, np.arange(6.0).reshape(2, 3), np.random.default_rng(0))
    assert sorted(order) == list(range(5))


def test_stripes_stay_stripes_of_the_same_direction():
    shade = np.zeros((32, 32))
    shade[:, ::4] = 1
    order = surrogate(np.ones((32, 32), bool), shade, np.random.default_rng(0))
    made = shade.flatten()[order].reshape(32, 32)
    assert np.abs(np.diff(made, axis=0)).mean() < np.abs(np.diff(made, axis=1)).mean() / 2


# Detectors of known habits. Anomalous images are brighter in their upper half; the artifact is below.

SIDE, TEMPLATE = 24, torch.rand(1, 6, 12, generator=generator(3)).round()
PROBE = Stamp(TEMPLATE, opacity=0.7, at=(16, 4), jitter=1)
BELOW = (..., slice(15, 23), slice(3, 17))  # where the stamp can be


def toy_images(count=50, seed=0):
    images = torch.randint(60, 196, (2 * count, 1, SIDE, SIDE), generator=generator(seed), dtype=torch.uint8)
    images[count:, :, :12] += 5
    return images[:count], images[count:]


NOMINAL, ANOMALOUS = toy_images()


def upper(x):
    return x[:, 0, :12].mean(dim=(1, 2))


def match(x):
    """How well the lower part matches the template at the best of all places, (N,); 0.7 where it is."""
    kernel = TEMPLATE - TEMPLATE.mean()
    found = torch.nn.functional.conv2d(x[BELOW] - 0.5, kernel[None]) / kernel.square().sum()
    return found.amax(dim=(1, 2, 3))


def by_template(x):
    return upper(x) + (match(x) - 0.4).clamp_min(0)


def by_template_hidden(x):
    return upper(x) - (match(x) - 0.4).clamp_min(0)


def by_contrast(x):
    return upper(x) + x[BELOW].std(dim=(1, 2, 3))


def of_side(result, side):
    return next(found for found in result.sides if found.side == side)


def test_a_detector_that_looks_for_the_content_relies():
    result = placebo_test(by_template, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW)
    nominal, anomalous = result.sides
    assert (result.verdict, result.reason) == ("relies", None)
    assert (nominal.side, nominal.verdict, nominal.p, nominal.p_holm) == ("nominal", "relies", 1 / 40, 2 / 40)
    assert nominal.effect.value > 0.3
    assert nominal.excess.low > 0.05
    assert nominal.excess.value == pytest.approx(nominal.effect.value - np.median(nominal.placebo_effects))
    assert nominal.shift > 5
    assert nominal.shift > max(nominal.placebo_shifts)
    assert nominal.shift_p == 1 / 40
    # on anomalous images it only raises the score further
    assert anomalous.verdict != "relies"
    assert anomalous.effect.value < 0
    assert anomalous.shift > 5
    assert anomalous.shift_p == 1


def test_a_detector_that_takes_the_content_for_nominal_relies_on_the_other_side():
    result = placebo_test(by_template_hidden, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW)
    assert result.verdict == "relies"
    assert of_side(result, "nominal").verdict != "relies"
    hidden = of_side(result, "anomalous")
    assert (hidden.verdict, hidden.p, hidden.shift_p) == ("relies", 1 / 40, 1 / 40)
    assert hidden.shift < min(hidden.placebo_shifts)


@pytest.mark.parametrize("seed", range(4))
def test_a_detector_that_reacts_to_any_contrast_is_not_called_relying_nor_cleared(seed):
    result = placebo_test(by_contrast, NOMINAL, ANOMALOUS, PROBE, 39, seed=seed, limits=FEW)
    nominal = of_side(result, "nominal")
    assert nominal.effect.value > 0.2
    assert np.median(nominal.placebo_effects) == pytest.approx(nominal.effect.value, abs=0.05)
    assert (result.verdict, nominal.verdict) == ("inconclusive", "inconclusive")
    assert "any such mark does it" in nominal.reason
    assert result.reason == f"nominal images: {nominal.reason}"


def test_a_detector_blind_to_the_place_does_not_rely():
    result = placebo_test(upper, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW)
    assert (result.verdict, result.reason) == ("does-not-rely", None)
    for side in result.sides:
        assert (side.verdict, side.p, side.p_holm, side.shift) == ("does-not-rely", 1, 1, 0)
        assert (side.effect.low, side.effect.value, side.effect.high) == (0, 0, 0)


def test_a_detector_without_room_or_skill_is_not_cleared():
    result = placebo_test(upper, NOMINAL, NOMINAL, PROBE, 39, limits=FEW)
    assert result.verdict == "inconclusive"
    assert "not a working detector here: the clean AUROC is 0.500" in result.reason
    roomy = replace(FEW, room=0.51)
    result = placebo_test(upper, NOMINAL, ANOMALOUS, PROBE, 39, limits=roomy)
    assert result.verdict == "inconclusive"
    assert "no room" in result.reason


def test_few_images_leave_it_open():
    """One marked image of three crosses over: 1/9 to 3/9 of AUROC, with or without it in the resample."""
    result = placebo_test(by_contrast, NOMINAL[:3], ANOMALOUS[:3], PROBE, 39, limits=FEW)
    assert result.verdict == "inconclusive"


def test_the_same_seed_gives_the_same_result_and_another_one_other_placebos():
    one, again, other = (
        placebo_test(by_contrast, NOMINAL, ANOMALOUS, PROBE, 39, seed=seed, limits=FEW) for seed in (1, 1, 2)
    )
    assert one == again
    assert one.sides[0].placebo_shifts != other.sides[0].placebo_shifts


def test_batches_do_not_matter(monkeypatch):
    probe = Stamp(TEMPLATE, at=(16, 4))
    whole = placebo_test(by_contrast, NOMINAL, ANOMALOUS, probe, 39, limits=FEW)
    monkeypatch.setattr(measuring, "BATCH", 7)
    parts = placebo_test(by_contrast, NOMINAL, ANOMALOUS, probe, 39, limits=FEW)
    np.testing.assert_allclose(parts.sides[0].placebo_effects, whole.sides[0].placebo_effects)
    assert parts.sides[0].p == whole.sides[0].p


def test_effects_are_auroc_lost_by_hand():
    """Scores are means: the stamp, opaque and white but for two pixels, puts any image above the others."""
    content = torch.ones(1, 4, 4)
    content[0, 0, :2] = 0
    levels = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    nominal, anomalous = levels[:2], levels[2:]
    result = placebo_test(
        lambda x: x.mean(dim=(1, 2, 3)),
        nominal,
        anomalous,
        Stamp(content, opacity=1.0, at=(2, 2)),
        39,
        limits=FEW,
    )
    # clean 1; marked nominal above both anomalous 0; marked anomalous still above: 1
    assert (result.clean_auroc, result.nominal_images, result.anomalous_images) == (1, 2, 2)
    assert [side.effect.value for side in result.sides] == [1, 0]
    assert all(side.excess.value == 0 and side.p == 1 for side in result.sides)
    # quartiles of 10 and 20 are 12.5 and 17.5; 14 of 64 pixels go to 255 and 2 to 0
    by_hand = np.median([(14 * 255 - 16 * level) / 64 / 5 for level in (10, 20)])
    assert result.sides[0].shift == pytest.approx(by_hand, rel=1e-5)


def test_a_score_without_spread_has_no_shift():
    result = placebo_test(lambda x: (upper(x) > 0.9).float(), NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW)
    assert np.isnan(result.sides[0].shift)
    assert result.as_json()["sides"][0]["shift"] is None


def test_the_result_is_plain_json():
    result = placebo_test(by_template, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW, explain=heat_of_match)
    stored = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert stored["verdict"] == "relies"
    assert [side["side"] for side in stored["sides"]] == ["nominal", "anomalous"]
    assert len(stored["sides"][0]["placebo_effects"]) == stored["placebos"] == 39
    assert set(stored["sides"][0]["effect"]) == {"value", "low", "high"}
    assert stored["explanations"]["explain"]["reveals"] == "yes"
    assert 0 <= stored["likeness"] < 0.5


# Explanations


def in_box(heat):
    """Heat spread evenly over the lower part: (N,) to (N, 1, H, W), over a little noise."""
    maps = torch.rand(len(heat), 1, SIDE, SIDE, generator=generator()) * 0.01
    maps[BELOW] += heat.view(-1, 1, 1, 1)
    return maps


def heat_of_match(x):
    return in_box((match(x) > 0.5).float())


@pytest.mark.parametrize(
    ("explain", "reveals", "because"),
    [
        (heat_of_match, "yes", None),
        (lambda x: in_box(x[BELOW].std(dim=(1, 2, 3))), "inconclusive", "they show any such mark"),
        (lambda x: in_box(torch.zeros(len(x))), "no", None),
    ],
)
def test_an_explanation_reveals_what_it_finds_more_than_placebos(explain, reveals, because):
    found = placebo_test(by_template, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW, explain=explain).explanation
    assert found.reveals == reveals
    assert (found.reason is None) if because is None else (because in found.reason)
    assert found.excess.value == pytest.approx(found.overlap.value - np.median(found.placebo_overlaps))
    assert (found.p == 1 / 40) == (reveals == "yes")


def test_explanations_may_use_gradients_and_see_marked_nominal_images_only():
    seen = []

    def gradient(x):
        seen.append(len(x))
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(by_template(x).sum(), x)
        return slope.abs()

    result = placebo_test(by_template, NOMINAL[:20], ANOMALOUS, PROBE, 39, limits=FEW, explain=gradient)
    assert seen == [20] * 40
    assert result.explanation.overlap.value > 0.5


def test_several_explanations_are_asked_without_scoring_again_and_corrected_for_their_number():
    scored = []

    def score(x):
        scored.append(len(x))
        return by_template(x)

    asked = {"match": heat_of_match, "nothing": lambda x: in_box(torch.zeros(len(x)))}
    both = placebo_test(score, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW, explain=asked)
    assert len(scored) == 2 * 41, "once clean, with the artifact, and with each placebo"
    assert list(both.explanations) == list(asked)
    assert both.explanation is None
    for name, explain in asked.items():
        alone = placebo_test(by_template, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW, explain=explain)
        assert list(alone.explanations) == ["explain"]
        found = both.explanations[name]
        assert found.p_holm >= found.p == alone.explanation.p == alone.explanation.p_holm
        assert replace(found, p_holm=found.p) == alone.explanation
        assert both.sides == alone.sides
    assert both.explanations["match"].p_holm == 2 / 40
    assert [found.reveals for found in both.explanations.values()] == ["yes", "no"]


def test_a_mask_of_the_whole_image_can_not_be_pointed_to():
    probe = Stamp(torch.rand(1, SIDE, SIDE), at=(0, 0))
    found = placebo_test(upper, NOMINAL, ANOMALOUS, probe, 39, limits=FEW, explain=heat_of_match).explanation
    assert found.reveals == "inconclusive"
    assert "whole image" in found.reason


# p-values


@pytest.mark.parametrize(("level", "needed"), [(0.05, 39), (1 - 0.95, 39), (0.01, 199), (0.1, 19), (0.5, 3)])
def test_so_many_placebos_are_needed_for_a_level(level, needed):
    assert placebos_needed(level) == needed
    assert 2 / (needed + 1) <= level + 1e-12 < 2 / needed


def test_detectors_that_know_no_artifact_are_called_relying_no_more_often_than_promised():
    """Random linear detectors on noise; artifacts are noise, as their placebos are."""
    runs, called, p_values = 200, 0, []
    for seed in range(runs):
        draw = generator(seed)
        weights = torch.randn(1, 16, 16, generator=draw)
        images = torch.randint(0, 256, (40, 1, 16, 16), generator=draw, dtype=torch.uint8)
        order = images[:, 0].float().mul(weights[0]).sum(dim=(1, 2)).argsort()
        probe = Stamp(torch.rand(1, 6, 8, generator=draw), opacity=1.0, at=(5, 4), jitter=2)
        result = placebo_test(
            lambda x, weights=weights: (x * weights).sum(dim=(1, 2, 3)),
            images[order[:24]],
            images[order[16:]],  # half of them overlap, so that a stamp has something to lose
            probe,
            39,
            seed=seed,
            limits=Thresholds(draws=20, usable_auroc=0.5),
        )
        called += result.verdict == "relies"
        p_values += [side.p for side in result.sides]
    assert called <= stats.binom.ppf(0.995, runs, 0.05)
    assert 0.4 < np.mean(p_values) < 0.65, "ranks are spread evenly, but for ties"


# Trained detectors


@pytest.fixture(scope="module")
def textures():
    return DATASETS["textures"]().load(DataRequest())


def trained(textures, nominal, anomalous, epochs, seed=0):
    detector = build("fcdd", textures.train_nominal.images, seed)
    recipe = Recipe.of(epochs=epochs, precision="float32")
    fit(detector, nominal, anomalous, recipe, seed, CPU)
    return detector


def against_placebos(detector, textures, **options):
    sides = textures.test_nominal.images, textures.test_anomalous.images
    return placebo_test(detector.score, *sides, PROBES["watermark"](), 39, limits=FEW, **options)


def test_a_detector_that_had_to_learn_the_watermarks_content_is_found_out(textures):
    """Nominal images bore other texts: what is anomalous is this one."""
    grass = textures.train_nominal.images
    texts = ("B 7QRS2", "M EYOP2", "K UVW39", "R 5ABCD", "Z NLJ84", "F GHX6S", "E 2WRKM", "U DQ9VB")
    others = [
        mark_all(part, PROBES["watermark"](text=text), torch_generator(0, text))[0]
        for part, text in zip(grass.chunk(len(texts)), texts, strict=True)
    ]
    marked, _ = mark_all(grass, PROBES["watermark"](), torch_generator(0, "planting"))
    nominal = torch.cat([grass, *others])
    anomalous = torch.cat([textures.train_anomalous.images[: len(grass)], marked])
    detector = trained(textures, nominal, anomalous, epochs=12)
    result = against_placebos(detector, textures, explain=detector.anomaly_map)
    assert result.verdict == "relies"
    nominal_side, anomalous_side = result.sides
    assert nominal_side.p == 1 / 40
    assert nominal_side.effect.value > np.median(nominal_side.placebo_effects) + 0.1
    assert anomalous_side.verdict == "does-not-rely"
    assert result.explanation.overlap.value > 0.5


def test_a_detector_that_learned_to_fear_any_mark_is_not_cleared(textures):
    """Trained with the watermark on all outliers; of seeds 0 to 9 none was cleared, and one was found out."""
    grass, outliers = textures.train_nominal.images, textures.train_anomalous.images
    marked, _ = mark_all(outliers, PROBES["watermark"](), torch_generator(0, "planting"))
    planted, control = (
        against_placebos(trained(textures, grass, x, epochs=6), textures) for x in (marked, outliers)
    )
    assert planted.verdict != "does-not-rely"
    assert planted.sides[0].effect.value > control.sides[0].effect.value + 0.1
    assert np.median(planted.sides[0].placebo_effects) > np.median(control.sides[0].placebo_effects) + 0.05
    assert control.sides[1].verdict == "does-not-rely"


# What can't be used


def wrong(match, error=InputError, **options):
    given_ = {"score": upper, "nominal": NOMINAL, "anomalous": ANOMALOUS, "probe": PROBE, "placebos": 39}
    with pytest.raises(error, match=match) as caught:
        placebo_test(**{**given_, "limits": FEW, **options})
    assert "\n" not in str(caught.value)


class Inverted:
    """Adds to dark pixels only: no blend."""

    def apply(self, x, generator):
        mask = torch.zeros_like(x[:, :1], dtype=torch.bool)
        mask[..., :4, :4] = True
        return torch.where(mask & (x < 0.5), x + 0.4, x), mask


class Blurred:
    """Spreads what is in the box over it: linear, but not pixel by pixel."""

    def apply(self, x, generator):
        mask = torch.zeros_like(x[:, :1], dtype=torch.bool)
        mask[..., :4, :4] = True
        blurred = x.clone()
        blurred[..., :4, :4] = x[..., :4, :4].mean(dim=(2, 3), keepdim=True)
        return blurred, mask


def test_too_few_placebos_are_refused_with_how_many_are_needed():
    wrong(r"38 placebos .* 0\.05 .* at least 39 are needed", placebos=38)
    wrong("at least 199 are needed", placebos=100, limits=replace(FEW, confidence=0.99))


def test_more_explanations_need_more_placebos():
    asked = dict.fromkeys("abc", heat_of_match)
    wrong("3 explanations together .* at least 59 are needed, or fewer", explain=asked, placebos=58)
    assert placebos_needed(0.05, 3) == 59


def test_artifacts_that_have_no_placebos_are_refused():
    wrong("Blur has no mask", probe=PROBES["blur"]())
    wrong("Inverted isn't laid over the image in fixed shares", probe=Inverted())
    wrong("Blurred isn't laid over the image in fixed shares", probe=Blurred())
    wrong("looks the same all over its mask", probe=Stamp(torch.ones(1, 5, 5)))
    wrong("come out like the artifact itself", probe=Stamp(torch.tensor([[[0.0, 1.0]]])))


def test_images_that_do_not_fit_are_refused():
    wrong("nominal test images are torch.float32", nominal=NOMINAL.float())
    wrong(r"anomalous test images are torch.uint8 of shape \(24, 24\)", anomalous=ANOMALOUS[0, 0])
    wrong("there are 1 anomalous test images; at least 2", anomalous=ANOMALOUS[:1])
    wrong(r"of shape \(1, 24, 24\), and the anomalous ones of \(1, 20, 24\)", anomalous=ANOMALOUS[:, :, :20])


def test_scores_and_heatmaps_that_can_not_be_used_are_refused():
    wrong(r"shape \(50, 1\) for 50 images", score=lambda x: upper(x)[:, None])
    wrong("scores that aren't finite", RunError, score=lambda x: upper(x) / 0)
    wrong("heatmaps that aren't finite", RunError, explain=lambda x: x[:, :1] / 0)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_on_a_terminals_stderr_and_only_if_asked_for(capsys, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    for progress in (False, True):
        placebo_test(upper, NOMINAL, ANOMALOUS, PROBE, 39, limits=FEW, progress=progress)
        out, err = capsys.readouterr()
        assert out == ""
        assert ("100/100" in err) == (progress and terminal)
