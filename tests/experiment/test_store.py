import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit import InputError, RunError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.as_is import AsIs
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.inpaint import Inpaint
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell, CellResult
from fcdd_audit.experiment.explaining import CHECKED, Explanations
from fcdd_audit.experiment.folder import read_csv
from fcdd_audit.experiment.store import RunStore
from fcdd_audit.measures.reliance import Scores

AWKWARD = ["NA", "nan", "a,b", 'say "x"', "ü\n", "007"]  # file names are data


PARTS = [("nominal", "clean"), ("nominal", "marked"), ("anomalous", "clean"), ("anomalous", "marked")]


def result() -> CellResult:
    rng = np.random.default_rng(0)
    localization = pd.DataFrame(
        {"explainer": "native", "part": "nominal", "mask": "exact", "image": AWKWARD, "area": 0.1}
    ).assign(pixel_auroc=[1 / 3, np.nan, 0.1, 0.2, 5e-324, 1e-17])
    return CellResult(
        cell=Cell("fcdd", "planted", 0, Plant("watermark", ("anomalous",), 0.5)),
        scores=Scores(rng.random(6) / 3, {part: rng.random(6) / 3 for part in PARTS}),
        names=dict.fromkeys(("validation", "nominal", "anomalous"), tuple(AWKWARD)),
        explanations=Explanations(
            localization=localization,
            untrained=localization.assign(pixel_auroc=2 / 3),
            heatmaps={
                "native": np.full((2, 4, 4), 3e-9, np.float32),
                "zero": np.zeros((2, 4, 4), np.float32),
            },
            levels={"native": np.array([0, 3e-9], np.float32), "zero": np.zeros(2, np.float32)},
            checks=pd.DataFrame([("native", "noise", "rank_correlation", 1 / 7)], columns=list(CHECKED)),
            costs={"native": {"seconds": 0.1, "megabytes": 2.0, "seconds_to_score": 0.05}},
        ),
        weights={"w": torch.ones(2)},
        losses=[1.0, 0.5],
        seconds={"training": 1.0, "measuring": 1.0},
    )


@pytest.fixture
def run(tmp_path):
    folder = RunStore(tmp_path / "run")
    with folder.opened():
        yield folder


def test_a_cell_comes_back_to_the_last_bit(run):
    written = result()
    run.write_cell("k", written)
    record = run.read_cell("k")
    assert record.cell == written.cell
    for name in ("localization", "untrained", "checks"):
        wanted = getattr(written.explanations, name)
        pd.testing.assert_frame_equal(getattr(record, name), wanted, check_exact=True, check_dtype=False)
    assert record.costs == written.explanations.costs
    assert (record.scores.validation == written.scores.validation).all()
    assert list(record.scores.of) == PARTS
    for part in PARTS:
        assert (record.scores.of[part] == written.scores.of[part]).all()


def test_the_scores_of_a_cell_are_a_row_each_by_part_image_and_variant(run):
    written = result()
    run.write_cell("k", written)
    table = read_csv(run.cells / "k" / "scores.csv")
    assert list(table) == ["part", "image", "variant", "score"]
    assert table["image"].tolist() == AWKWARD * 5
    assert list(table[["part", "variant"]].drop_duplicates().itertuples(index=False, name=None)) == [
        ("validation", "clean"),
        *PARTS,
    ]
    marked = table[(table["part"] == "anomalous") & (table["variant"] == "marked")]
    assert marked["score"].tolist() == written.scores.of["anomalous", "marked"].tolist()


@pytest.mark.parametrize("edit", [AsIs(), Drop(), Inpaint(), Plant("frame+jpeg", SIDES, 1 / 3)])
def test_a_cell_comes_back_with_its_edit(run, edit):
    cell = Cell("fcdd", "control", 3, edit)
    run.write_cell("k", replace(result(), cell=cell))
    assert run.read_cell("k").cell == cell


@pytest.mark.parametrize("name", ["cell.json", "scores.csv", "checks.csv"])
@pytest.mark.parametrize("content", [None, ""])
def test_a_damaged_cell_is_named_with_what_to_do(run, name, content):
    run.write_cell("k", result())
    path = run.cells / "k" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(RunError, match=r"cell '.*cells/k' is damaged \(.*\); remove it and run again"):
        run.read_cell("k")


def test_tiny_heat_survives_half_precision_and_a_map_of_zeros_stays_zero(run):
    run.write_cell("k", result())
    np.testing.assert_array_equal(run.read_levels("k")["native"], np.array([0, 3e-9], np.float32))
    maps = run.read_heatmaps("k")
    np.testing.assert_allclose(maps["native"], 3e-9, rtol=1e-3)
    assert (maps["zero"] == 0).all()


def test_a_cell_is_unfinished_until_it_is_renamed_or_when_a_file_is_missing(run):
    assert not run.has_cell("k")
    run.write_cell("k", result())
    assert run.has_cell("k")
    (run.cells / "k" / "heatmaps.npz").unlink()
    assert not run.has_cell("k")
    run.write_cell("k", result())
    assert run.has_cell("k")


def test_opening_clears_what_a_killed_run_left(tmp_path):
    folder = RunStore(tmp_path)
    (tmp_path / "cells" / ".tmp-abc-1").mkdir(parents=True)
    (tmp_path / ".tmp-report.html").write_text("half")
    (tmp_path / "cells" / "kept").mkdir()
    with folder.opened():
        assert [path.name for path in folder.cells.iterdir()] == ["kept"]
        assert not (tmp_path / ".tmp-report.html").exists()


def test_a_second_audit_in_the_same_folder_is_turned_away(run):
    errors: list[Exception] = []

    def other() -> None:
        try:
            with RunStore(run.path).opened():
                pass
        except InputError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert "another audit is writing" in str(errors[0])


def test_text_is_replaced_whole(run):
    run.write_text("a.json", "1")
    run.write_text("a.json", "22")
    assert (run.path / "a.json").read_text() == "22"
    assert [path.name for path in run.path.glob(".tmp*")] == []


def test_tables_and_arrays_are_written_whole_and_come_back(run):
    table = pd.DataFrame({"part": ["NA", "a,b"], "score": [1 / 3, np.nan]})
    run.write_table("scores.csv", table)
    pd.testing.assert_frame_equal(run.read_table("scores.csv"), table, check_exact=True)
    run.write_arrays("examples-0.npz", {"clean": np.arange(3)})
    assert run.read_arrays("examples-0.npz")["clean"].tolist() == [0, 1, 2]
    assert not list(run.path.glob(".tmp*"))


def test_a_folder_into_which_nothing_was_written_is_gone_with_those_made_for_it(tmp_path):
    with RunStore(tmp_path / "reports" / "run").opened():
        assert (tmp_path / "reports" / "run" / "cells").is_dir()
    assert not list(tmp_path.iterdir())
    with RunStore(tmp_path / "reports" / "run").opened() as _:
        (tmp_path / "reports" / "other").mkdir()
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["other"]


def test_what_workers_read_is_in_a_folder_that_the_next_run_clears(tmp_path):
    store = RunStore(tmp_path)
    with store.opened():
        shared = store.temporary()
        assert store.temporary() == shared
        assert shared.is_dir()
    with store.opened():
        assert not shared.exists()
