"""The run folder as it is read, without torch."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import InputError
from fcdd_audit.experiment.folder import SCHEMA, TEXT_COLUMNS, RunFolder, read_csv


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


@pytest.mark.parametrize("content", [None, "{", b"\xff", "{}", "[]", f'{{"schema": {SCHEMA - 1}}}'])
def test_a_folder_without_a_finished_run_is_named(run, content):
    if content is not None:
        (run.path / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        run.read_json("config.json")
    assert f"'{run.path}' holds no finished audit (config.json: " in str(error.value)
    assert str(error.value).endswith("; give the folder that 'fcdd-audit run' wrote")


def test_json_of_this_schema_is_read(run):
    (run.path / "config.json").write_text(json.dumps({"schema": SCHEMA, "a": 2}))
    assert run.read_json("config.json") == {"schema": SCHEMA, "a": 2}


@pytest.mark.parametrize("name", ["../examples-0.npz", "examples.npz", "cells/examples-0.npz", "a-0.npy", ""])
def test_a_name_of_examples_leads_nowhere_else(run, name):
    with pytest.raises(ValueError, match="is no file of examples"):
        run.read_arrays(name)


@pytest.mark.parametrize("key", ["../other", "", ".", "a/b", "A"])
def test_a_key_leads_to_no_other_folder(run, key):
    for read in (run.cell_folder, run.read_heatmaps, run.read_levels):
        with pytest.raises(ValueError, match="is no cell"):
            read(key)
    assert run.cell_folder("0a9") == run.path / "cells" / "0a9"


def test_heatmaps_are_scaled_back_and_levels_kept_apart(run):
    folder = run.cell_folder("k")
    folder.mkdir(parents=True)
    maps = np.array([[[0.0, 0.5], [1.0, 0.25]]], np.float16)
    stored = {"native": maps, "native.scale": np.float32(4), "native.levels": np.float32([0, 4])}
    np.savez_compressed(folder / "heatmaps.npz", **stored)
    assert list(run.read_heatmaps("k")) == list(run.read_levels("k")) == ["native"]
    assert run.read_heatmaps("k")["native"].tolist() == [[[0, 2], [4, 1]]]
    assert run.read_heatmaps("k")["native"].dtype == np.float32
    assert run.read_levels("k")["native"].tolist() == [0, 4]


def test_text_stays_text_and_an_empty_number_is_none(run):
    text = "image,part,score,seed\nNA,nominal,0.1,0\n007,nan,,1\n"
    (run.path / "scores.csv").write_text(text)
    table = run.read_table("scores.csv")
    assert table["image"].tolist() == ["NA", "007"]
    assert table["part"].tolist() == ["nominal", "nan"]
    assert table["score"].tolist()[0] == 0.1
    assert np.isnan(table["score"].tolist()[1])
    assert table["seed"].tolist() == [0.0, 1.0]


def test_a_table_without_rows_has_its_columns(tmp_path):
    columns = ["question", "twin", "set", "fpr"]
    pd.DataFrame(columns=columns).to_csv(tmp_path / "curves.csv", index=False)
    table = read_csv(tmp_path / "curves.csv")
    assert list(table) == columns
    assert table.empty
    assert set(columns) & set(TEXT_COLUMNS) == {"twin", "set"}


def test_reading_needs_no_torch():
    code = "import sys, fcdd_audit.experiment.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
