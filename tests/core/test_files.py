"""Files that are there whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.files import append_text, check_file, check_writable, write_bytes, write_text, writing

FULL = "No space left on device"
WHAT_TO_DO = "; what is finished is kept: make room, and run the same command again"


def full(path, *_):
    """What the system says once half of a file is written."""
    if not path.exists():
        with path.open("wb") as file:
            file.write(b"hal")
    raise OSError(errno.ENOSPC, FULL, os.fspath(path))


def test_text_is_written_as_it_is_and_replaced(tmp_path):
    path = tmp_path / "a.json"
    assert write_text(path, "eins\nzwei ü\n") == path
    assert path.read_bytes() == "eins\nzwei ü\n".encode()
    write_text(path, "2")
    assert path.read_bytes() == b"2"
    assert write_bytes(path, b"\r\n\xff\x00") == path
    assert path.read_bytes() == b"\r\n\xff\x00"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_whoever_is_interrupted_while_writing_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def interrupt(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("before", [None, "old"])
def test_on_a_full_disk_the_old_text_stays_and_nothing_else(tmp_path, monkeypatch, before):
    path = tmp_path / "a.json"
    if before is not None:
        write_text(path, before)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError) as error:
        write_text(path, "new")
    assert str(error.value) == f"can't write '{tmp_path / '.tmp-a.json'}' ({FULL}){WHAT_TO_DO}"
    assert [one.name for one in tmp_path.iterdir()] == ([] if before is None else ["a.json"])
    assert before is None or path.read_text() == before


def test_a_real_limit_of_the_system_is_one_line(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(RunError) as error:
            write_text(tmp_path / "a.json", "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(error.value) == f"can't write '{tmp_path / 'a.json'}' (File too large){WHAT_TO_DO}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(errno.EIO, "Input/output error", "b"), "can't write 'b' (Input/output error)"),
        (OSError(errno.EIO, "Input/output error"), "can't write 'a' (Input/output error)"),
        (OSError("odd"), "can't write 'a' (odd)"),
    ],
)
def test_an_error_of_the_system_names_the_file(raised, said):
    with pytest.raises(RunError) as error, writing(Path("a")):
        raise raised
    assert str(error.value) == said + WHAT_TO_DO
    assert error.value.__cause__ is raised


def test_other_errors_while_writing_are_left_as_they_are():
    with pytest.raises(ValueError, match="odd"), writing(Path("a")):
        raise ValueError("odd")


@pytest.mark.parametrize("below", ["", "new", "new/and/deeper"])
def test_what_can_be_made_is_writable_and_is_not_made(tmp_path, below):
    check_writable(tmp_path / below)
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_is_looked_for_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable(Path("reports") / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["file", "file/run", "file/deep/run"])
@pytest.mark.parametrize("option", ["--out", "--store"])
def test_below_a_file_nothing_can_be_written(tmp_path, below, option):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as error:
        check_writable(tmp_path / below, *([] if option == "--out" else [option]))
    assert str(error.value) == f"can't write to '{tmp_path / below}'; choose another {option}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_what_may_not_be_written_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="can't write to"):
        check_writable(tmp_path / "locked" / "run")


# Files that users name


def test_text_is_added_to_a_file_that_may_not_be_there_yet(tmp_path):
    path = tmp_path / "a.md"
    assert append_text(path, "eins\n") == path
    append_text(path, "zwei ü")
    assert path.read_bytes() == "eins\nzwei ü".encode()


def test_a_file_to_which_not_all_can_be_added_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    append_text(path, "old")
    opened = Path.open

    class Filling:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.file.write(content[:2])
            raise OSError(errno.ENOSPC, FULL)

    with monkeypatch.context() as filling:
        filling.setattr(Path, "open", lambda self, mode: Filling(opened(self, mode)))
        with pytest.raises(RunError, match=FULL):
            append_text(path, "new")
    assert path.read_bytes() == b"old"


def test_a_file_that_can_be_written_is_taken_and_left_alone(tmp_path):
    path = tmp_path / "a.xml"
    check_file(path, "--junit")
    assert not path.exists()
    path.write_text("old")
    check_file(path, "--junit")
    assert path.read_text() == "old"


def test_a_file_that_can_not_be_written_is_refused(tmp_path, refused, monkeypatch):
    with refused(f"can't write to '{tmp_path}' (it is no file); choose another --junit"):
        check_file(tmp_path, "--junit")
    with refused(f"'{tmp_path / 'absent'}' is no folder"):
        check_file(tmp_path / "absent" / "a.xml", "--junit")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with refused("no permission", "choose another --summary"):
        check_file(tmp_path / "a.md", "--summary")
