import json
import threading

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit import InputError
from fcdd_audit.experiment.cells import Cell, CellResult
from fcdd_audit.experiment.explaining import CHECKED, Explanations
from fcdd_audit.experiment.store import RunFolder

AWKWARD = ["NA", "nan", "a,b", 'say "x"', "ü\n", "007"]  # file names are data


def result(scores: np.ndarray | None = None) -> CellResult:
    rng = np.random.default_rng(0)
    parts = [("validation", "clean")] + [
        (part, variant) for part in ("nominal", "anomalous") for variant in ("clean", "marked")
    ]
    frames = [
        pd.DataFrame({"part": part, "image": AWKWARD, "variant": variant, "score": rng.random(6) / 3})
        for part, variant in parts
    ]
    localization = pd.DataFrame(
        {"explainer": "native", "part": "nominal", "mask": "exact", "image": AWKWARD, "area": 0.1}
    ).assign(pixel_auroc=[1 / 3, np.nan, 0.1, 0.2, 5e-324, 1e-17])
    return CellResult(
        cell=Cell("d", "c", "fcdd", "watermark", "planted", 0, "anomalous", 0.5),
        scores=pd.concat(frames, ignore_index=True),
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
    folder = RunFolder(tmp_path / "run")
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
    stored = np.concatenate(
        [
            record.scores.validation,
            record.scores.of["nominal", "clean"],
            record.scores.of["nominal", "marked"],
            record.scores.of["anomalous", "clean"],
            record.scores.of["anomalous", "marked"],
        ]
    )
    assert (stored == written.scores["score"].to_numpy()).all()


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
    folder = RunFolder(tmp_path)
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
            with RunFolder(run.path).opened():
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


@pytest.mark.parametrize("content", [None, "{", b"\xff", "{}", "[]", '{"schema": 2}'])
def test_a_folder_without_a_finished_run_is_named(run, content):
    if content is not None:
        (run.path / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match="holds no finished audit"):
        run.read_json("config.json")


def test_json_is_read(run):
    run.write_text("config.json", json.dumps({"schema": 3, "a": 2}))
    assert run.read_json("config.json") == {"schema": 3, "a": 2}


@pytest.mark.parametrize("name", ["../examples-0.npz", "examples.npz", "cells/examples-0.npz", "a-0.npy", ""])
def test_a_name_of_examples_leads_nowhere_else(run, name):
    with pytest.raises(ValueError, match="is no file of examples"):
        run.read_arrays(name)
