import numpy as np
import pytest
import torch

from fcdd_audit.detectors import build
from fcdd_audit.errors import RunError
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explaining import Part, check_explanations, explain_all, spread_out
from fcdd_audit.measures.localization import pixel_auroc

CPU = torch.device("cpu")
NAMES = ("native", "gradient", "random", "edges")


@pytest.fixture
def detector(noise):
    return build("fcdd", noise, 0).eval()


@pytest.fixture
def parts(noise):
    mask = torch.zeros(6, 1, 16, 16, dtype=torch.bool)
    mask[:, :, 10:, :6] = True
    names = tuple("abcdef")
    return [Part("nominal", names, noise[:6], mask), Part("anomalous", names, noise[6:], mask)]


def explainers(*names):
    return {name: make_explainer(name, {}) for name in names}


def test_explained_images_are_spread_over_all_of_them():
    assert spread_out(10, None, 4).tolist() == [0, 3, 6, 9]
    assert spread_out(3, None, 4).tolist() == spread_out(3, None, None).tolist() == [0, 1, 2]


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
