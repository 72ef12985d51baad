"""The run folder as it is read, without torch."""

import io
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


@pytest.mark.parametrize(
    "name", ["../examples-0.npz", "examples.npz", "a/examples-0.npz", "a-0.npz/..", "a-0.npy", ""]
)
def test_a_name_of_examples_leads_nowhere_else(run, name):
    with pytest.raises(ValueError, match="is no file of examples"):
        run.read_arrays(name)


def test_arrays_are_read_by_name(run):
    np.savez_compressed(run.path / "heat-12.npz", **{"maps.planted.grad-cam": np.ones((2, 3, 3), np.float16)})
    found = run.read_arrays("heat-12.npz")
    assert list(found) == ["maps.planted.grad-cam"]
    assert found["maps.planted.grad-cam"].tolist() == np.ones((2, 3, 3)).tolist()


def test_text_stays_text_and_an_empty_number_is_none(run):
    text = "image,part,score,seed\nNA,nominal,0.1,0\n007,nan,,1\n"
    (run.path / "scores.csv").write_text(text)
    table = run.read_table("scores.csv")
    assert table["image"].tolist() == ["NA", "007"]
    assert table["part"].tolist() == ["nominal", "nan"]
    assert table["score"].tolist()[0] == 0.1
    assert np.isnan(table["score"].tolist()[1])
    assert table["seed"].tolist() == [0.0, 1.0]


def test_a_table_is_read_from_a_text_as_from_a_file(run):
    text = "image,score\nNA,0.1\n"
    (run.path / "scores.csv").write_text(text)
    pd.testing.assert_frame_equal(read_csv(io.StringIO(text)), run.read_table("scores.csv"))


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
