"""Checks of explanations: sanity, faithfulness, costs."""

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit.detectors import build
from fcdd_audit.experiment import explaining
from fcdd_audit.experiment.explaining import DEFECT, Explained, check_explainer
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explainers.cost import Cost
from fcdd_audit.images.pairs import Pairs

CPU = torch.device("cpu")
NAMES = ("native", "gradient", "random", "edges")
ALIKE = ("rank_correlation", "structural_similarity")


def shown(side, images):
    """Six marked images of a side."""
    pairs = Pairs(side, tuple("abcdef"), {"clean": images, "marked": images})
    return Explained(side, pairs, "marked", torch.arange(6))


@pytest.fixture
def detector(noise):
    return build("fcdd", noise, 0).eval()


@pytest.fixture
def parts(noise):
    return [shown("nominal", noise[:6]), shown("anomalous", noise[6:])]


def checked(detector, parts, name="native", count=2, unit=1.0):
    return check_explainer(detector, name, make_explainer(name, {}), parts, CPU, count, unit)


@pytest.mark.parametrize("name", NAMES)
def test_checks_repeat_themselves_and_tell_of_costs(detector, parts, name):
    first, costs = checked(detector, parts, name)
    again, _ = checked(detector, parts, name)
    assert first.equals(again)
    assert set(costs) == {"seconds", "megabytes", "seconds_to_score"}
    assert all(value > 0 for value in costs.values())


def test_faithfulness_is_in_the_unit_that_is_given(detector, parts):
    one, two = (checked(detector, parts, unit=unit)[0].set_index("metric")["value"] for unit in (1.0, 2.0))
    for metric in ("mean_fall", "mean_rise"):
        assert two[metric] == pytest.approx(one[metric] / 2)


@pytest.fixture(scope="module")
def checks(noise):
    """All that the checks can say: by explainer, split and metric."""
    detector = build("fcdd", noise, 0).eval()
    parts = [shown("nominal", noise[:6]), shown("anomalous", noise[6:])]
    tables = [checked(detector, parts, name)[0].assign(explainer=name) for name in NAMES]
    return pd.concat(tables).set_index(["explainer", "split", "metric"])["value"].sort_index()


def test_each_explainer_has_the_same_checks_with_a_number_for_each_layer(checks):
    """Three convolutions and the head."""
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
    assert not checks.index.duplicated().any()
    for name in NAMES:
        assert set(checks[name].index) == wanted, name
    assert np.isfinite(checks).all()


@pytest.mark.parametrize("name", ["random", "edges"])
def test_reference_maps_stay_as_they_are_whatever_is_redrawn(checks, name):
    rows = checks[name][checks[name].index.get_level_values("split").str.match("cascade|layer")]
    assert rows.tolist() == pytest.approx([1] * 16)


def test_noise_changes_what_is_seen_in_the_image_only(checks):
    for metric in ALIKE:
        assert checks["random", "noise", metric] == pytest.approx(1)  # knows nothing of the image
        for name in ("native", "gradient", "edges"):
            assert 0.2 < checks[name, "noise", metric] < 1, name
        assert checks["native", "noise", metric] > checks["native", "cascade-4", metric]


def test_a_cascade_ends_unlike_the_map_and_a_single_layer_is_no_cascade(checks):
    for name in ("native", "gradient"):
        assert checks[name, "cascade-4", "rank_correlation"] < 0.9
        assert checks[name, "cascade-4", "rank_correlation"] != checks[name, "layer-4", "rank_correlation"]
        assert checks[name, "cascade-1", "rank_correlation"] == checks[name, "layer-1", "rank_correlation"]


def test_only_the_first_marked_images_of_each_side_are_checked_and_no_defects(detector, parts, noise):
    turned = [part._replace(order=torch.tensor([5, 0, 3, 1])) for part in parts]
    few = [part._replace(order=torch.tensor([5, 0])) for part in parts]
    pd.testing.assert_frame_equal(checked(detector, turned)[0], checked(detector, few)[0])
    defect = shown("anomalous", 255 - noise[:6])._replace(part=DEFECT)
    pd.testing.assert_frame_equal(checked(detector, parts)[0], checked(detector, [*parts, defect])[0])
    assert not checked(detector, parts)[0].equals(checked(detector, parts[1:])[0])
    assert not checked(detector, parts)[0].equals(checked(detector, turned)[0])


def test_checks_leave_the_detector_and_torchs_own_stream_alone(detector, parts):
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    state = torch.get_rng_state()
    for name in ("native", "random"):
        checked(detector, parts, name, count=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_costs_are_for_each_map_and_beside_the_score(detector, parts, monkeypatch):
    monkeypatch.setattr(explaining, "cost", lambda call, device: (call(), Cost(2.0, 8.0))[1])
    _, costs = checked(detector, parts)
    assert costs == {"seconds": 0.5, "megabytes": 2.0, "seconds_to_score": 0.5}  # of 4 images
    _, costs = checked(detector, parts, count=1)
    assert costs["seconds"] == 1.0  # of 2
