"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import TEMPORARY, check_writable, write_text


def test_text_is_written_as_it_is_and_replaced(tmp_path):
    path = tmp_path / "a.json"
    assert write_text(path, "eins\nzwei ü\n") == path
    assert path.read_bytes() == "eins\nzwei ü\n".encode()
    write_text(path, "2")
    assert path.read_bytes() == b"2"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_whoever_dies_while_writing_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def die(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert {one.name for one in tmp_path.iterdir()} == {"a.json", f"{TEMPORARY}a.json"}


@pytest.mark.parametrize("below", ["", "new", "new/and/deeper"])
def test_what_can_be_made_is_writable_and_is_not_made(tmp_path, below):
    check_writable(tmp_path / below)
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_is_looked_for_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable(Path("reports") / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["file", "file/run", "file/deep/run"])
def test_below_a_file_nothing_can_be_written(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as error:
        check_writable(tmp_path / below)
    assert str(error.value) == f"can't write to '{tmp_path / below}'; choose another --out"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_what_may_not_be_written_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="can't write to"):
        check_writable(tmp_path / "locked" / "run")
