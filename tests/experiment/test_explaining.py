"""Which images are explained, and how maps are measured."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.errors import RunError
from fcdd_audit.detectors import build
from fcdd_audit.experiment.explaining import (
    DEFECT,
    KEPT,
    Explained,
    at_once,
    batches,
    explain,
    extent,
    in_turn,
    overlap_columns,
    scored_at_once,
)
from fcdd_audit.experiment.kept import maps_file, table_file
from fcdd_audit.explainers import make_explainer
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.localization import pixel_auroc

CPU = torch.device("cpu")
NAMES = ("native", "gradient", "random", "edges")


def shown(side, images, mask=None):
    """Marked images of a side, called a, b, c, ..., all explained in the order of their places."""
    names = tuple("abcdef"[: len(images)]) if len(images) <= 6 else tuple(map(str, range(len(images))))
    pairs = Pairs(side, names, {"clean": images, "marked": images}, mask)
    return Explained(side, pairs, "marked", torch.arange(len(images)))


def many(side, count, seed):
    """So many marked images in turn, each with a square of its own."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    mask = torch.zeros(count, 1, 16, 16, dtype=torch.bool)
    for place in range(count):
        mask[place, :, place % 8 : place % 8 + 6, 4:10] = True
    return shown(side, images, mask)._replace(order=in_turn(mask, count))


def defects(images, mask):
    """Clean anomalous images with the masks of their true anomalies."""
    variants = {"clean": images, "marked": 255 - images}
    pairs = Pairs("anomalous", tuple("abcdef"), variants, None, {"clean": mask})
    return Explained(DEFECT, pairs, "clean", torch.arange(6))


def explained(detector, parts, name="native", first=0, last=16):
    return explain(detector, name, make_explainer(name, {}), parts, CPU, first, last)


def all_images(part):
    return part.images(0, len(part.order))


@pytest.fixture
def detector(noise):
    return build("fcdd", noise, 0).eval()


@pytest.fixture
def parts(noise):
    mask = torch.zeros(6, 1, 16, 16, dtype=torch.bool)
    mask[:, :, 10:, :6] = True
    return [shown("nominal", noise[:6], mask), shown("anomalous", noise[6:], mask)]


class Spy:
    """An explainer that notes how many images it is given at once; its maps are the images' first channel."""

    reference = either_way = signed = False

    def __init__(self):
        self.given = []

    def unavailable(self, detector):
        return None

    def explain(self, detector, x, generator):
        self.given.append(len(x))
        return x[:, :1]


# Which images, and in what order


def test_the_order_is_that_of_places_with_their_bits_reversed():
    assert in_turn(None, 8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert in_turn(None, 6).tolist() == [0, 4, 2, 1, 5, 3]
    assert in_turn(None, 2).tolist() == [0, 1]
    assert in_turn(None, 1).tolist() == [0]
    assert in_turn(None, 0).tolist() == []
    assert in_turn(None, 5).dtype == torch.int64


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_all_images_that_bear_the_artifact_have_a_turn_and_others_where_none_does(bears):
    mask = torch.tensor(bears)[:, None, None, None].expand(-1, 1, 2, 2)
    expected = [place for place, one in enumerate(bears) if one] or list(range(len(bears)))
    assert sorted(in_turn(mask, len(bears)).tolist()) == expected
    places = torch.tensor(expected)
    assert in_turn(mask, len(bears)).tolist() == places[in_turn(None, len(places))].tolist()


@given(st.data())
def test_any_first_images_are_spread_over_all_of_them(data):
    images = data.draw(st.integers(2, 2000))
    count = data.draw(st.integers(2, images))
    first = in_turn(None, images)[:count].sort().values
    gaps = torch.cat([first, torch.tensor([images])]).diff()
    assert first[0] == 0
    assert gaps.max() < 2 * images / (count - 1)
    assert gaps.max() < images or images == 2, "some are in the second half"


def test_of_paired_images_one_variant_is_explained_in_turn_and_compared_with_its_own_mask(noise):
    artifact, truth = torch.zeros(2, 3, 1, 16, 16, dtype=torch.bool)
    artifact[0, :, 0] = truth[2, :, 0] = True
    variants = {"clean": noise[:3], "marked": noise[3:6]}
    pairs = Pairs("anomalous", tuple("abc"), variants, artifact, {"clean": truth})
    order = torch.tensor([2, 0, 1])
    marked, clean = (Explained("anomalous", pairs, variant, order) for variant in ("marked", "clean"))
    assert torch.equal(marked.images(0, 2), noise[[5, 3]])
    assert torch.equal(clean.images(1, 3), noise[[0, 1]])
    assert torch.equal(marked.masks(0, 3), artifact[order])
    assert torch.equal(clean.masks(0, 1), truth[[2]])
    assert marked.measured
    bare = Explained("anomalous", Pairs("anomalous", tuple("abc"), variants), "marked", order)
    with pytest.raises(ValueError, match="have no masks"):
        bare.masks(0, 3)
    assert not bare.measured


@pytest.mark.parametrize(
    ("counts", "asked", "device", "expected"),
    [
        ((5, 4), None, "cpu", 16),
        ((5, 4), 3, "cpu", 16),
        ((16, 4), 16, "cpu", 16),
        ((17, 4), None, "cpu", 32),
        ((40, 4), 17, "cpu", 32),
        ((40, 4), 1000, "cpu", 48),
        ((4, 40), None, "cpu", 48),
        ((4, 40), None, "cuda", 64),
        ((4, 300), 200, "cuda", 224),
        ((), None, "cpu", 0),
    ],
)
def test_as_many_are_explained_as_asked_for_to_a_whole_pass(counts, asked, device, expected):
    parts = [shown("nominal", torch.zeros(count, 1, 8, 8, dtype=torch.uint8)) for count in counts]
    assert extent(parts, asked, torch.device(device)) == expected


def test_batches_are_in_order_between_0_and_1_and_of_limited_size():
    size = scored_at_once(CPU)
    images = torch.arange(255, 255 - 2 * size - 1, -1).to(torch.uint8)[:, None, None, None]
    found = list(batches(images, CPU))
    assert [len(batch) for batch in found] == [size, size, 1]
    assert torch.equal(torch.cat(found) * 255, images.float())
    assert found[0].max() == 1


# Always in the same company


@pytest.mark.parametrize("name", ["native", "gradient", "smooth-grad", "occlusion", "random", "edges"])
def test_maps_made_at_once_or_later_are_the_same_to_the_last_byte(detector, name):
    parts = [many("nominal", 40, 1), many("anomalous", 21, 2)]
    whole = explained(detector, parts, name, 0, 48)
    few, more, rest = (explained(detector, parts, name, first, first + 16) for first in (0, 16, 32))
    together = pd.concat([few.overlaps, more.overlaps, rest.overlaps], ignore_index=True)
    by = ["part", "mask", "turn"]
    assert table_file(together.sort_values(by)) == table_file(whole.overlaps.sort_values(by))
    assert len(together) == 2 * (40 + 21)
    assert maps_file(few.examples, few.levels) == maps_file(whole.examples, whole.levels)
    for later in (more, rest):
        assert later.examples is later.levels is None, "those shown are among the first"


@pytest.mark.parametrize("name", ["native", "smooth-grad", "random"])
def test_whether_there_are_more_images_does_not_change_the_first_ones(detector, name):
    parts = [many("nominal", 40, 1), many("anomalous", 40, 2)]
    few = [part._replace(order=part.order[:16]) for part in parts]
    whole, first = (explained(detector, some, name, 0, 48) for some in (parts, few))
    kept = whole.overlaps[whole.overlaps["turn"] < 16]
    assert table_file(kept) == table_file(first.overlaps)
    assert maps_file(first.examples, first.levels) == maps_file(whole.examples, whole.levels)
    alone = explained(detector, parts[1:], name, 0, 48).overlaps
    assert table_file(whole.overlaps.query("part == 'anomalous'")) == table_file(alone)


def test_images_are_explained_in_passes_of_one_size_wherever_one_begins(detector):
    spy = Spy()
    parts = [many("nominal", 40, 1), many("anomalous", 20, 2)]
    explain(detector, "spy", spy, parts, CPU, 0, 48)
    assert spy.given == [16, 16, 8, 16, 4]
    spy.given.clear()
    explain(detector, "spy", spy, parts, CPU, 16, 32)
    assert spy.given == [16, 4]
    assert at_once(CPU) == 16


def test_each_pass_and_part_has_its_own_random_draws_and_twins_the_same(detector, noise):
    mask = torch.zeros(32, 1, 16, 16, dtype=torch.bool)
    mask[:, :, :8, :8] = True
    images = torch.zeros(32, 3, 16, 16, dtype=torch.uint8)
    parts = [shown(side, images, mask) for side in ("nominal", "anomalous")]
    found = explained(detector, parts, "random", 0, 32)
    values = found.overlaps.query("mask == 'exact'").set_index(["part", "turn"])["relevance_mass"]
    assert values["nominal"].iloc[:16].tolist() != values["nominal"].iloc[16:].tolist()
    assert values["nominal"].tolist() != values["anomalous"].tolist()
    other = explained(build("fcdd", noise, 1).eval(), parts, "random", 0, 32)
    pd.testing.assert_frame_equal(found.overlaps, other.overlaps)
    assert np.array_equal(found.examples, other.examples)


# What is measured


@pytest.mark.parametrize("name", NAMES)
def test_each_image_and_mask_has_a_row(detector, parts, name):
    found = explained(detector, parts, name)
    assert list(found.overlaps) == overlap_columns()
    assert len(found.overlaps) == 2 * 2 * 6
    assert found.examples.shape == (12, 16, 16)
    pd.testing.assert_frame_equal(found.overlaps, explained(detector, parts, name).overlaps)


def test_a_row_has_the_right_number(detector, parts):
    rows = explained(detector, parts).overlaps.query("part == 'anomalous' and mask == 'exact'")
    with torch.no_grad():
        heat = detector.anomaly_map(all_images(parts[1]).float() / 255)
    np.testing.assert_allclose(rows["pixel_auroc"], pixel_auroc(heat, parts[1].masks(0, 6)), atol=1e-6)


def test_rows_are_by_part_and_mask_with_the_images_in_turn(detector, parts):
    turned = [part._replace(order=torch.tensor([5, 0, 3, 1])) for part in parts]
    found = explained(detector, turned, "random").overlaps
    cases = found.groupby(["part", "mask"], sort=False)["image"].agg("".join)
    expected = [(part, mask) for part in ("nominal", "anomalous") for mask in ("exact", "dilated")]
    assert cases.index.tolist() == expected
    assert set(cases) == {"fadb"}
    assert found["place"].tolist() == [5, 0, 3, 1] * 4
    assert found["turn"].tolist() == [0, 1, 2, 3] * 4
    areas = found.groupby("mask")["area"].unique()
    assert areas["exact"] == pytest.approx([36 / 256])
    assert areas["dilated"] > 36 / 256


def test_the_place_of_the_defect_is_measured_exactly_only_and_shows_no_examples(detector, parts):
    defect = defects(all_images(parts[1]), parts[1].masks(0, 6))
    found, without = explained(detector, [*parts, defect]), explained(detector, parts)
    own = found.overlaps[found.overlaps["part"] == DEFECT]
    assert own["mask"].tolist() == ["exact"] * 6
    assert maps_file(found.examples, found.levels) == maps_file(without.examples, without.levels)
    same_images = found.overlaps.query("part == 'anomalous' and mask == 'exact'")
    assert own["pixel_auroc"].tolist() == same_images["pixel_auroc"].tolist()
    nothing_shown = explained(detector, [defect])
    assert nothing_shown.examples is nothing_shown.levels is None


def test_an_image_without_the_artifact_has_no_row(detector, parts):
    mask = parts[0].masks(0, 6).clone()
    mask[[0, 3]] = False
    found = explained(detector, [shown("nominal", all_images(parts[0]), mask)]).overlaps
    assert found["image"].tolist() == list("bcef") * 2
    assert found["turn"].tolist() == [1, 2, 4, 5] * 2


def test_without_a_place_only_what_is_shown_is_explained_and_nothing_is_measured(detector):
    spy = Spy()
    bare = [shown(side, many(side, 40, 1).pairs.variants["marked"]) for side in ("nominal", "anomalous")]
    found = explain(detector, "spy", spy, bare, CPU, 0, 48)
    assert spy.given == [16, 16]
    assert found.overlaps.empty
    assert list(found.overlaps) == overlap_columns()
    assert found.examples.shape == (2 * KEPT, 16, 16)
    later = explain(detector, "spy", spy, bare, CPU, 16, 48)
    assert spy.given == [16, 16], "nothing more"
    assert later.examples is later.levels is None


def test_examples_are_the_first_of_each_side_and_levels_rise(detector, parts):
    turned = [part._replace(order=torch.tensor([5, 0, 3, 1])) for part in parts]
    found = explained(detector, turned)
    with torch.no_grad():
        heat = [detector.anomaly_map(part.images(0, 4).float() / 255)[:, 0] for part in turned]
    np.testing.assert_allclose(found.examples, torch.cat(heat), atol=1e-6)
    levels, whole = found.levels, torch.cat(heat)
    assert levels.shape == (1001,)
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_allclose(
        levels[[0, 500, -1]], [whole.min(), whole.quantile(0.5), whole.max()], rtol=1e-4
    )


def test_levels_are_of_as_many_images_of_each_side(detector):
    bright = many("nominal", 12, 1)
    dark = shown("anomalous", torch.zeros(3, 3, 16, 16, dtype=torch.uint8))
    found = explain(detector, "spy", Spy(), [bright, dark], CPU, 0, 16)
    assert (found.levels[:500] == 0).all()
    assert found.levels[-1] == bright.images(0, 3)[:, 0].max() / 255


def test_only_what_raises_the_score_is_measured(detector, parts):
    class Falling(Spy):
        def explain(self, detector, x, generator):
            return x[:, :1] - 0.5

    found = explain(detector, "falling", Falling(), parts, CPU, 0, 16)
    expected = (parts[0].images(0, 2)[:, 0].float() / 255 - 0.5).clamp_min(0)
    np.testing.assert_allclose(found.examples[:2], expected, atol=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_map_that_isnt_finite_ends_the_run(detector, parts, monkeypatch, value):
    monkeypatch.setattr(type(detector), "anomaly_map", lambda self, x: x[:, :1] * value)
    with pytest.raises(RunError, match="native gives heatmaps of FCDD that aren't finite"):
        explained(detector, parts)
