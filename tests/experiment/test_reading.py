"""Finished cells as they are read back: those of the images that are asked for."""

import json
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit import RunError
from fcdd_audit.experiment import explaining, reading
from fcdd_audit.experiment.cells import Cell, score
from fcdd_audit.experiment.explaining import KEPT, overlap_columns
from fcdd_audit.experiment.identity import checked_place, explained_place, scored_place, trained_place
from fcdd_audit.experiment.kept import maps_file
from fcdd_audit.experiment.reading import read_cell, read_heat
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import load
from fcdd_audit.experiment.work import Work
from tests.experiment.one import finish

CELL = Cell("fcdd", 0, AS_IS)
WORK = Work(CELL, ("native", "gradient"), checks=True)
BEFORE = Work(replace(CELL, trained=False), ("native",))


@pytest.fixture(scope="module")
def setup(exposed_config):
    return prepare(exposed_config.having(explainers=("native", "gradient"), sanity=2))


@pytest.fixture(scope="module")
def made(setup, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("made"))
    with store.opened():
        for one in (WORK, BEFORE):
            finish(one, setup, store)
    return store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


# What was measured


def test_a_cell_is_read_as_it_was_measured(setup, made):
    record = read_cell(WORK, setup, made, BEFORE)
    assert record.cell == CELL
    scores = score(load(CELL, setup, made), setup, torch.device("cpu"))
    np.testing.assert_array_equal(record.scores.validation, scores.validation)
    for part, values in scores.of.items():
        np.testing.assert_array_equal(record.scores.of[part], values)
    columns = ["explainer", "part", "mask", "turn", "image", "area"]
    assert list(record.localization)[:6] == columns
    assert list(record.untrained) == list(record.localization)
    of = record.localization.groupby(["explainer", "part", "mask"], sort=False)["image"].agg(list).to_dict()
    names = {side: list(pairs.names) for side, pairs in setup.pairs.items()}
    assert list(of.items()) == [
        ((explainer, side, mask), names[side])
        for explainer in WORK.explainers
        for side in ("nominal", "anomalous")
        for mask in ("exact", "dilated")
    ]
    assert set(record.untrained["explainer"]) == {"native"}
    assert len(record.untrained) == 2 * (5 + 4)
    assert not record.untrained["pixel_auroc"].equals(record.localization["pixel_auroc"][:18])
    assert list(record.checks) == ["explainer", "split", "metric", "value"]
    assert list(dict.fromkeys(record.checks["explainer"])) == list(WORK.explainers)
    assert {"cascade-1", "noise", "deletion", "insertion"} <= set(record.checks["split"])
    assert record.costs.keys() == set(WORK.explainers)
    assert all(one["seconds"] > 0 for one in record.costs.values())
    assert record.torch == {version("torch")}


def test_what_was_not_asked_for_is_empty_with_its_columns(setup, made):
    record = read_cell(Work(CELL, ("native",)), setup, made)
    assert set(record.localization["explainer"]) == {"native"}
    assert record.checks.empty
    assert list(record.checks) == ["explainer", "split", "metric", "value"]
    assert record.costs == {}
    assert record.untrained.empty
    assert list(record.untrained) == list(record.localization)
    assert read_cell(Work(CELL), setup, made).localization.empty


def test_heat_is_that_of_the_examples_and_its_levels(setup, made):
    found = read_heat(WORK, setup, made)
    assert list(found) == list(WORK.explainers)
    for examples, levels in found.values():
        kept = sum(min(KEPT, len(part.order)) for part in setup.marked)
        assert examples.shape == (kept, 32, 32)
        assert examples.dtype == np.float32
        assert levels.shape == (1001,)
        assert (np.diff(levels) >= 0).all()
        assert levels[0] >= 0


@pytest.mark.parametrize("explained", [1, 2, 3, 4, 5, None])
def test_of_more_images_than_are_asked_for_the_first_are_read_as_if_no_others_were(
    setup, store, tmp_path, monkeypatch, explained
):
    """Images are explained in passes of two; five and four there are."""
    monkeypatch.setattr(explaining, "at_once", lambda device: 2)
    fewer = Work(CELL, ("gradient",), explained=explained)
    finish(replace(fewer, explained=None), setup, store)
    fresh = Store(tmp_path / "fresh")
    with fresh.opened():
        finish(fewer, setup, fresh)
    found, alone = (read_cell(fewer, setup, one) for one in (store, fresh))
    pd.testing.assert_frame_equal(found.localization, alone.localization, check_exact=True)
    count = {side: min(explained or 5, len(pairs)) for side, pairs in setup.pairs.items()}
    assert len(found.localization) == 2 * sum(count.values())
    for one in (store, fresh):
        np.testing.assert_array_equal(read_heat(fewer, setup, one)["gradient"][0].shape, (4, 32, 32))
    if explained is None or explained > 4:  # else the heat that sets the scale is of fewer images
        for kept, other in zip(
            *(read_heat(fewer, setup, one)["gradient"] for one in (store, fresh)), strict=True
        ):
            np.testing.assert_array_equal(kept, other)


# Records written by hand

OVERLAPS = [  # turn, place: the images are explained in another order than they are read
    ("nominal", "exact", 0, 3, "d"),
    ("nominal", "exact", 1, 1, "NA"),
    ("nominal", "exact", 2, 0, "a"),
    ("nominal", "dilated", 0, 3, "d"),
    ("nominal", "dilated", 1, 1, "NA"),
    ("anomalous", "exact", 0, 2, "007"),
    ("defect", "exact", 1, 2, "007"),
]


def by_hand(store, setup, torch=("1", "1", "1", "1"), images=16):
    """Records of a cell with one explainer. torch: with which each was made."""
    overlaps = pd.DataFrame(OVERLAPS, columns=["part", "mask", "turn", "place", "image"])
    overlaps = overlaps.assign(**dict.fromkeys(overlap_columns()[5:], 0.5))
    overlaps["pixel_auroc"] = np.arange(len(overlaps)) / 3
    scores = "part,image,variant,score\nvalidation,v,clean,0.1\nvalidation,w,clean,0.2\n"
    for side in ("nominal", "anomalous"):
        scores += f"{side},a,clean,1\n{side},a,marked,2\n"
    checks = "split,metric,value\nnoise,rank_correlation,0.25\n"
    maps = maps_file(np.array([[[0, 2.0]]], np.float32), np.array([0, 2.0], np.float32))
    costs = {"seconds": 2.0}
    made = [
        (trained_place(CELL, setup), {}, {"detector.safetensors": b""}),
        (scored_place(CELL, setup), {}, {"scores.csv": scores.encode()}),
        (
            explained_place(CELL, setup, "native", images),
            {},
            {"overlaps.csv": overlaps.to_csv(index=False).encode(), "maps.npz": maps},
        ),
        (checked_place(CELL, setup, "native"), {"costs": costs}, {"checks.csv": checks.encode()}),
    ]
    for (place, about, files), release in zip(made, torch, strict=True):
        said = json.dumps({**about, "versions": {"torch": release}}).encode()
        kind = "training.json" if place[0].startswith("trained") else "measuring.json"
        store.write(place, {**files, kind: said})


ONE = Work(CELL, ("native",), checks=True)


@pytest.mark.parametrize(
    ("explained", "rows"),
    [(1, [0, 3, 5]), (2, [1, 0, 4, 3, 5, 6]), (3, [2, 1, 0, 4, 3, 5, 6]), (None, [2, 1, 0, 4, 3, 5, 6])],
)
def test_rows_are_in_the_order_of_the_images(setup, store, explained, rows):
    by_hand(store, setup)
    record = read_cell(replace(ONE, explained=explained), setup, store)
    assert record.localization["pixel_auroc"].tolist() == [row / 3 for row in rows]
    assert record.localization["image"].tolist() == [OVERLAPS[row][4] for row in rows]
    assert set(record.localization["explainer"]) == {"native"}
    assert record.scores.validation.tolist() == [0.1, 0.2]
    assert record.scores.of["anomalous", "marked"].tolist() == [2]
    assert record.checks.values.tolist() == [["native", "noise", "rank_correlation", 0.25]]
    assert record.costs == {"native": {"seconds": 2.0}}
    maps, levels = read_heat(ONE, setup, store)["native"]
    assert (maps.tolist(), levels.tolist()) == ([[[0, 2]]], [0, 2])


@pytest.mark.parametrize("place", range(4))
def test_versions_of_torch_are_collected_from_all_records(setup, store, place):
    releases = ["1"] * 4
    releases[place] = "2"
    by_hand(store, setup, releases)
    assert read_cell(ONE, setup, store).torch == {"1", "2"}


@pytest.mark.parametrize("gone", ["trained", "scored", "explained", "checked"])
def test_what_is_gone_is_said(setup, store, gone):
    by_hand(store, setup)
    place = {
        "trained": trained_place(CELL, setup),
        "scored": scored_place(CELL, setup),
        "explained": explained_place(CELL, setup, "native", 16),
        "checked": checked_place(CELL, setup, "native"),
    }[gone]
    store.remove(place)
    with pytest.raises(RunError) as error:
        read_cell(ONE, setup, store)
    assert str(error.value) == f"'{store.path / place[0]}' was removed meanwhile; run the same command again"


def test_a_network_before_training_of_which_nothing_is_kept_is_said(setup, store):
    by_hand(store, setup)
    with pytest.raises(RunError, match="was removed meanwhile"):
        read_cell(ONE, setup, store, BEFORE)


def test_columns_are_those_of_the_overlaps_without_their_places():
    assert reading._columns() == ["explainer", *(c for c in overlap_columns() if c != "place")]
