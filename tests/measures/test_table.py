import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.errors import InputError
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.table import (
    FAMILIES,
    MEASURES,
    Measure,
    described_measures,
    family,
    measure_of,
    register,
)

ROOT = Path(__file__).parents[2]
# That few images or pixels differ from many, for which the level is stated.
FEW = {"aupro": 0.01, "iou_at_mask_area": 0.03, "pixel_ap": 0.03, "average_precision": 0.03}
CROSSED = ("donor-0", "donor-1", "placebo-0", "placebo-1", "unseen")
SIDE = 12  # of a map
seeds = st.integers(0, 1 << 30)


def scores(seed, images=40, more=(), crossed=()):
    """Scores of images that nothing tells apart. crossed: variants of transplants."""
    rng = np.random.default_rng(seed)
    variants = ("clean", "marked", *more)
    of = {(side, name): rng.normal(size=images) for side in ("nominal", "anomalous") for name in variants}
    transplants = {
        (side, name): rng.normal(size=images) for side in ("nominal", "anomalous") for name in crossed
    }
    return Scores(rng.normal(size=images), of, transplants)


def maps(seed, count=20):
    generator = torch.Generator().manual_seed(seed)
    heat = torch.rand(count, 1, SIDE, SIDE, generator=generator)
    mask = torch.zeros(heat.shape, dtype=torch.bool)
    mask[..., 7:, :4] = True
    return heat, mask


def detection(measure, seed):
    return [measure.function(*scores(seed).split("clean", "anomalous"))]


def decision(measure, seed):
    return [measure.function(*scores(seed).split("clean", "anomalous"), 0.3)]


def overlap(measure, seed):
    return measure.function(*maps(seed)).tolist()


def similarity(measure, seed):
    return measure.function(maps(seed)[0], maps(seed + 1)[0]).tolist()


def faithfulness(measure, seed):
    return measure.function(
        torch.randn(5, 9, generator=torch.Generator().manual_seed(seed)).double()
    ).tolist()


def effects(measure, seed):
    """Of every direction where it applies."""
    twins = [scores(one, more=("elsewhere", "placebo"), crossed=CROSSED) for one in (seed, seed + 1)]
    found = [measure.function(twins, plant_on, [0.3, -0.2]) for plant_on in DIRECTIONS]
    return [value for one in found if one is not None for value in one.tolist()]


RANDOM = {
    "scores": effects,
    "detection": detection,
    "decision": decision,
    "overlap": overlap,
    "similarity": similarity,
    "faithfulness": faithfulness,
}
RUN = [measure for name in RANDOM for measure in family(name)]
each = pytest.mark.parametrize("measure", [measure for _, measure in MEASURES.items()], ids=list(MEASURES))
run = pytest.mark.parametrize("measure", RUN, ids=[measure.name for measure in RUN])


@pytest.fixture
def table(monkeypatch):
    """The table, which a test may add to."""
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES.items()))


@each
def test_every_measure_says_what_it_is(measure):
    assert measure.label
    assert measure.bounds[0] < measure.bounds[1]
    assert measure.definition
    assert "\n" not in measure.definition
    file, function = measure.where.split(":")
    assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


def test_others_cannot_add_what_nothing_would_compute(table):
    def strange(heatmap, mask):
        """Strange."""

    about = {"name": "strange", "label": "strange", "unit": None, "bounds": (0, 1), "chance": None}
    with pytest.raises(ValueError, match="only this package computes"):
        register(Measure(**about, function=strange, source=None, family="pair", row=None))
    with pytest.raises(ValueError, match="one of these splits: deletion, insertion"):
        Measure(**about, function=strange, source=None, family="faithfulness", row=("marked", "strange"))


def test_names_and_labels_are_told_apart():
    labels = [measure.label for _, measure in MEASURES.items()]
    assert len(labels) == len(set(labels))
    rows = [measure.row for _, measure in MEASURES.items() if measure.row]
    assert len(rows) == len(set(rows))


def test_what_is_described_is_in_plain_values_by_family():
    found = described_measures()
    assert set(found) == set(MEASURES)
    families = [one["family"] for one in found.values()]
    assert list(dict.fromkeys(families)) == list(FAMILIES)
    assert found["score_shift"]["bounds"] == [None, None]
    assert found["pixel_auroc"] == {
        "label": "pixel AUROC",
        "family": "overlap",
        "unit": None,
        "bounds": [0, 1],
        "chance": "0.5",
        "definition": "How often a random pixel of the mask is hotter than a random one outside; "
        "ties count half.",
        "source": None,
        "row": None,
        "where": "fcdd_audit/measures/localization.py:pixel_auroc",
    }


@run
@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_random_data_stays_within_the_bounds(measure, seed):
    values = RANDOM[measure.family](measure, seed)
    assert values
    low, high = measure.bounds
    assert all(low <= value <= high + 1e-12 for value in values), values


@pytest.mark.parametrize("measure", [one for one in RUN if one.chance], ids=lambda one: one.name)
def test_random_data_averages_to_the_level_of_chance(measure):
    share = 20 / SIDE**2 if measure.family == "overlap" else 1 / 2
    values = np.concatenate([RANDOM[measure.family](measure, 2 * seed) for seed in range(40)])
    error = values.std() / math.sqrt(len(values))
    assert values.mean() == pytest.approx(measure.chance_of(share), abs=4 * error + FEW.get(measure.name, 0))


@run
def test_a_measure_is_a_function_of_its_input(measure):
    first, again = (RANDOM[measure.family](measure, 3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def own(**changes):
    given = {
        "name": "own",
        "label": "my own",
        "unit": None,
        "bounds": (0, 1),
        "chance": None,
        "function": lambda heatmap, mask: mask.flatten(1).double().mean(dim=1),
        "source": None,
        "family": "overlap",
        "row": None,
    }
    return Measure(**{**given, **changes})


def test_every_field_is_asked_for():
    with pytest.raises(TypeError, match="source"):
        Measure(name="own", label="my own", unit=None, bounds=(0, 1), chance=None, function=len)


def test_an_unknown_family_and_a_name_that_is_taken_are_refused(table):
    with pytest.raises(ValueError, match="family of own is 'overlaps'"):
        own(family="overlaps")
    register(own())
    with pytest.raises(ValueError, match="measure 'own' is registered already"):
        register(own())


def test_a_measure_is_found_by_its_name_on_a_grown_mask_too(table):
    measure = register(own())
    assert measure_of("own") is measure_of("own_dilated") is measure
    assert family("overlap")[-1] is measure
    with pytest.raises(InputError, match="unknown measure 'pixel_auoc'; did you mean 'pixel_auroc'"):
        measure_of("pixel_auoc")


def test_without_a_row_of_its_own_there_is_none_to_write():
    with pytest.raises(ValueError, match="own has no row of its own"):
        own().own_row  # noqa: B018
