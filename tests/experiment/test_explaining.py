import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit.core.errors import RunError
from fcdd_audit.detectors import build
from fcdd_audit.experiment import explaining
from fcdd_audit.experiment.explaining import (
    DEFECT,
    EVALUATION_BATCH,
    Explained,
    batches,
    check_explanations,
    explain_all,
    spread_out,
)
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explainers.cost import Cost
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.localization import pixel_auroc

CPU = torch.device("cpu")
NAMES = ("native", "gradient", "random", "edges")
ALIKE = ("rank_correlation", "structural_similarity")


def shown(side, images, mask=None):
    """Marked images of a side, called a, b, c, ..."""
    names = tuple("abcdef"[: len(images)])
    return Explained(side, Pairs(side, names, {"clean": images, "marked": images}, mask), "marked")


def only(part, places):
    """Those of its images at these places."""
    return part._replace(pairs=part.pairs.at(torch.tensor(places)))


def defects(images, mask):
    """Clean anomalous images with the masks of their true anomalies."""
    variants = {"clean": images, "marked": 255 - images}
    pairs = Pairs("anomalous", tuple("abcdef"), variants, None, {"clean": mask})
    return Explained(DEFECT, pairs, "clean")


@pytest.fixture
def detector(noise):
    return build("fcdd", noise, 0).eval()


@pytest.fixture
def parts(noise):
    mask = torch.zeros(6, 1, 16, 16, dtype=torch.bool)
    mask[:, :, 10:, :6] = True
    return [shown("nominal", noise[:6], mask), shown("anomalous", noise[6:], mask)]


def explainers(*names):
    return {name: make_explainer(name, {}) for name in names}


def test_explained_images_are_spread_over_all_of_them():
    assert spread_out(10, None, 4).tolist() == [0, 3, 6, 9]
    assert spread_out(6, None, 4).tolist() == [0, 2, 3, 5]
    assert spread_out(3, None, 4).tolist() == spread_out(3, None, None).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("images", "limit"), [(10, 10), (11, 10), (100, 7), (5, 1), (1000, 64)])
def test_places_are_even_rise_and_span_all_images(images, limit):
    places = spread_out(images, None, limit)
    assert len(places) == limit
    steps = places.diff()
    assert limit == 1 or (steps.max() - steps.min() <= 1 and steps.min() > 0)
    assert places[0] == 0
    assert limit == 1 or places[-1] == images - 1


def test_fewer_images_with_a_mask_than_asked_for_are_all_taken():
    mask = torch.zeros(6, 1, 2, 2, dtype=torch.bool)
    mask[[1, 4], :, 0] = True
    assert spread_out(6, mask, 3).tolist() == [1, 4]
    assert spread_out(6, mask, 6).tolist() == spread_out(6, mask, None).tolist() == list(range(6))


def test_batches_are_in_order_between_0_and_1_and_of_limited_size():
    images = torch.arange(2 * EVALUATION_BATCH + 1).remainder(256).to(torch.uint8)[:, None, None, None]
    found = list(batches(images, CPU))
    assert [len(batch) for batch in found] == [EVALUATION_BATCH, EVALUATION_BATCH, 1]
    assert torch.equal(torch.cat(found) * 255, images.float())
    assert found[0].max() == 127 / 255


def test_of_paired_images_one_variant_is_explained_and_compared_with_its_own_mask(noise):
    artifact, truth = (torch.full((3, 1, 16, 16), value) for value in (True, False))
    variants = {"clean": noise[:3], "marked": noise[3:6]}
    pairs = Pairs("anomalous", tuple("abc"), variants, artifact, {"clean": truth})
    marked, clean = (Explained("anomalous", pairs, variant) for variant in ("marked", "clean"))
    assert torch.equal(marked.images, noise[3:6])
    assert torch.equal(clean.images, noise[:3])
    assert marked.mask is artifact
    assert clean.mask is truth


def test_of_images_with_and_without_a_mask_those_with_one_are_explained():
    mask = torch.zeros(6, 1, 2, 2, dtype=torch.bool)
    mask[[1, 4, 5], :, 0] = True
    assert spread_out(6, mask, 2).tolist() == [1, 5]
    assert spread_out(6, mask & False, 2).tolist() == [0, 5]  # none has one


def test_each_image_explainer_and_mask_has_a_row_and_the_right_number(detector, parts):
    found = explain_all(detector, parts, explainers(*NAMES), CPU)
    assert len(found.localization) == len(NAMES) * 2 * 2 * 6
    rows = found.localization.query("explainer == 'native' and part == 'anomalous' and mask == 'exact'")
    with torch.no_grad():
        heat = detector.anomaly_map(parts[1].images.float() / 255)
    np.testing.assert_allclose(rows["pixel_auroc"], pixel_auroc(heat, parts[1].mask), atol=1e-6)
    assert found.untrained.empty
    assert found.heatmaps["native"].shape == (4, 16, 16)


def test_rows_are_by_explainer_part_and_mask_with_the_images_in_order(detector, parts):
    found = explain_all(detector, parts, explainers("native", "random"), CPU).localization
    cases = found.groupby(["explainer", "part", "mask"], sort=False)["image"].agg("".join)
    assert cases.index.tolist() == [
        (name, part, mask)
        for name in ("native", "random")
        for part in ("nominal", "anomalous")
        for mask in ("exact", "dilated")
    ]
    assert set(cases) == {"abcdef"}
    areas = found.groupby("mask")["area"].unique()
    assert areas["exact"] == pytest.approx([36 / 256])
    assert areas["dilated"] > 36 / 256


def test_the_place_of_the_defect_is_measured_exactly_only_and_shows_no_examples(detector, parts):
    defect = defects(parts[1].images, parts[1].mask)
    found = explain_all(detector, [*parts, defect], explainers("native"), CPU, untrained=detector)
    own = found.localization[found.localization["part"] == DEFECT]
    assert own["mask"].tolist() == ["exact"] * 6
    assert found.heatmaps["native"].shape == (4, 16, 16)
    assert set(found.untrained["part"]) == {"nominal", "anomalous"}


def test_an_image_without_the_artifact_has_no_row(detector, parts):
    mask = parts[0].mask.clone()
    mask[[0, 3]] = False
    part = shown("nominal", parts[0].images, mask)
    found = explain_all(detector, [part], explainers("native"), CPU).localization
    assert found["image"].tolist() == list("bcef") * 2


def test_without_a_place_there_are_maps_and_no_rows(detector, parts):
    bare = [shown(part.part, part.images) for part in parts]
    found = explain_all(detector, bare, explainers("native", "random"), CPU, untrained=detector)
    assert found.localization.empty
    assert found.untrained.empty
    assert set(found.heatmaps) == set(found.levels) == {"native", "random"}


def test_examples_are_the_first_of_each_side_and_levels_rise(detector, parts):
    found = explain_all(detector, parts, explainers("native"), CPU)
    with torch.no_grad():
        heat = [detector.anomaly_map(part.images.float() / 255)[:, 0] for part in parts]
    expected = torch.cat([one[:2] for one in heat])
    np.testing.assert_allclose(found.heatmaps["native"], expected, atol=1e-6)
    levels, whole = found.levels["native"], torch.cat(heat)
    assert levels.shape == (1001,)
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_allclose(
        levels[[0, 500, -1]], [whole.min(), whole.quantile(0.5), whole.max()], rtol=1e-4
    )


def test_what_cant_work_on_the_detector_is_left_out(parts, noise):
    detector = build("dsvdd", noise, 0).eval()
    usable = explainers("native", "gradient")
    assert usable["native"].unavailable(detector)
    found = explain_all(detector, parts, usable, CPU)
    checks, costs = check_explanations(detector, parts, usable, CPU, 1, 1.0)
    for names in (found.localization["explainer"], found.heatmaps, checks["explainer"], costs):
        assert set(names) == {"gradient"}


def test_twins_are_explained_with_the_same_random_draws_and_runs_repeat_themselves(detector, parts, noise):
    first, again = (explain_all(detector, parts, explainers(*NAMES), CPU) for _ in range(2))
    pd.testing.assert_frame_equal(first.localization, again.localization)
    other = explain_all(build("fcdd", noise, 1).eval(), parts, explainers("random"), CPU)
    assert np.array_equal(first.heatmaps["random"], other.heatmaps["random"])


def test_the_untrained_network_is_measured_with_every_explainer_but_reference_maps(detector, parts, noise):
    other = build("fcdd", noise, 1).eval()
    found = explain_all(detector, parts, explainers(*NAMES), CPU, untrained=other).untrained
    assert set(found["explainer"]) == {"native", "gradient"}
    own = explain_all(other, parts, explainers("native", "gradient"), CPU).localization
    assert found["pixel_auroc"].tolist() == own["pixel_auroc"].tolist()


def test_a_map_that_isnt_finite_ends_the_cell(detector, parts, monkeypatch):
    monkeypatch.setattr(type(detector), "anomaly_map", lambda self, x: x[:, :1] * torch.nan)
    with pytest.raises(RunError, match="native gives heatmaps of FCDD that aren't finite"):
        explain_all(detector, parts, explainers("native"), CPU)


def test_checks_have_a_number_for_each_layer_and_repeat_themselves(detector, parts):
    first, costs = check_explanations(detector, parts, explainers(*NAMES), CPU, 2, 1.0)
    again, _ = check_explanations(detector, parts, explainers(*NAMES), CPU, 2, 1.0)
    assert first.equals(again)
    table = first.set_index(["explainer", "split", "metric"])["value"]
    layers = [split for split in table["native", :, "rank_correlation"].index if split.startswith("cascade")]
    assert layers == [f"cascade-{depth}" for depth in range(1, 5)]  # three convolutions and the head
    for metric in ("rank_correlation", "structural_similarity"):
        assert table["native", "layer-1", metric] == table["native", "cascade-1", metric]
        assert table["edges", "cascade-4", metric] == pytest.approx(1)
        assert table["native", "noise", metric] > table["native", "cascade-4", metric]
    assert set(costs) == set(NAMES)
    assert all(one["seconds"] > 0 and one["megabytes"] > 0 for one in costs.values())


def test_faithfulness_is_in_the_unit_that_is_given(detector, parts):
    one, two = (
        check_explanations(detector, parts, explainers("native"), CPU, 1, unit)[0].set_index("metric")[
            "value"
        ]
        for unit in (1.0, 2.0)
    )
    for metric in ("mean_fall", "mean_rise"):
        assert two[metric] == pytest.approx(one[metric] / 2)


@pytest.fixture(scope="module")
def checks(noise):
    """Of all that the checks can say: by explainer, split and metric."""
    detector = build("fcdd", noise, 0).eval()
    parts = [shown(side, noise[i : i + 6]) for side, i in (("nominal", 0), ("anomalous", 6))]
    return check_explanations(detector, parts, explainers(*NAMES), CPU, 2, 1.0)[0]


def test_each_explainer_has_the_same_checks(checks):
    wanted = {
        *(
            (f"{kind}-{place}", metric)
            for kind in ("cascade", "layer")
            for place in range(1, 5)
            for metric in ALIKE
        ),
        *(("noise", metric) for metric in ALIKE),
        ("deletion", "mean_fall"),
        ("insertion", "mean_rise"),
    }
    assert not checks.duplicated(["explainer", "split", "metric"]).any()
    for name, rows in checks.groupby("explainer"):
        assert set(zip(rows["split"], rows["metric"], strict=True)) == wanted, name
    assert np.isfinite(checks["value"]).all()


@pytest.mark.parametrize("name", ["random", "edges"])
def test_reference_maps_stay_as_they_are_whatever_is_redrawn(checks, name):
    rows = checks[(checks["explainer"] == name) & checks["split"].str.match("cascade|layer")]
    assert len(rows) == 2 * 8
    assert rows["value"].tolist() == pytest.approx([1] * 16)


def test_noise_changes_what_is_seen_in_the_image_only(checks):
    table = checks.set_index(["explainer", "split", "metric"])["value"]
    for metric in ALIKE:
        assert table["random", "noise", metric] == pytest.approx(1)  # knows nothing of the image
        for name in ("native", "gradient", "edges"):
            assert 0.2 < table[name, "noise", metric] < 1, name


def test_a_cascade_ends_unlike_the_map_and_a_single_layer_is_no_cascade(checks):
    table = checks.set_index(["explainer", "split", "metric"])["value"]
    for name in ("native", "gradient"):
        assert table[name, "cascade-4", "rank_correlation"] < 0.9
        assert table[name, "cascade-4", "rank_correlation"] != table[name, "layer-4", "rank_correlation"]


def test_only_so_many_marked_images_of_each_side_are_checked_and_no_defects(detector, parts, noise):
    def checked(*parts):
        return check_explanations(detector, list(parts), explainers("native"), CPU, 2, 1.0)[0]

    few = [only(part, [0, 1]) for part in parts]
    pd.testing.assert_frame_equal(checked(*parts), checked(*few))
    defect = defects(255 - noise[:6], parts[0].mask)
    pd.testing.assert_frame_equal(checked(*parts), checked(*parts, defect))
    assert not checked(*parts).equals(checked(parts[1]))


def test_checks_leave_the_detector_and_torchs_own_stream_alone(detector, parts):
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    state = torch.get_rng_state()
    check_explanations(detector, parts, explainers(*NAMES), CPU, 1, 1.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_costs_are_for_each_map_and_beside_the_score(detector, parts, monkeypatch):
    monkeypatch.setattr(explaining, "cost", lambda call, device: (call(), Cost(2.0, 8.0))[1])
    _, costs = check_explanations(detector, parts, explainers("native"), CPU, 2, 1.0)
    assert costs == {"native": {"seconds": 0.5, "megabytes": 2.0, "seconds_to_score": 0.5}}  # of 4 images
    _, costs = check_explanations(detector, parts, explainers("native"), CPU, 1, 1.0)
    assert costs["native"]["seconds"] == 1.0  # of 2
