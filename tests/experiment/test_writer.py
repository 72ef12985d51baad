"""The run folder as it is written: all files of a run together, or those of the one before."""

import errno
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import InputError, RunError, render_report, run_audit
from fcdd_audit.experiment import writer
from fcdd_audit.experiment.folder import SCHEMA
from fcdd_audit.experiment.writer import COMPLETE, RunWriter

NAMES = ["config.json", "costs.csv", "examples-0.npz", "findings.json", "results.csv"]


@pytest.fixture
def run(tmp_path):
    folder = RunWriter.at(tmp_path / "run")
    with folder.opened():
        yield folder


def fill(run, version, checked=True):
    """Write all files of a run; costs.csv only if explanations were checked."""
    with run.replacing("costs.csv", "comparison.html") as draft:
        draft.write_arrays("examples-0.npz", {"clean": np.arange(version)})
        draft.write_table("results.csv", pd.DataFrame({"value": [version]}))
        if checked:
            draft.write_table("costs.csv", pd.DataFrame({"value": [version]}))
        draft.write_json("findings.json", {"schema": SCHEMA, "version": version})
        draft.write_json("config.json", {"schema": SCHEMA, "version": version})


def files(run):
    """Everything in the folder but the store and the lock, by name."""
    return {
        path.relative_to(run.path).as_posix(): path.read_bytes()
        for path in run.path.rglob("*")
        if path.is_file() and run.store.path not in path.parents and path.name != ".lock"
    }


def versions(run):
    return {run.read_json(name)["version"] for name in ("findings.json", "config.json")} | {
        int(run.read_table("results.csv")["value"][0]),
        len(run.read_arrays("examples-0.npz")["clean"]),
    }


# Together


def test_what_was_written_comes_back(run):
    table = pd.DataFrame({"part": ["NA", "a,b"], "score": [1 / 3, np.nan]})
    with run.replacing() as draft:
        draft.write_table("scores.csv", table)
        draft.write_arrays("examples-0.npz", {"clean": np.arange(3)})
        draft.write_json("findings.json", {"schema": SCHEMA, "a": [1, None, "ü"]})
        draft.write_text("report.html", "eins\nzwei ü\n")
        assert not (run.path / "report.html").exists()
    pd.testing.assert_frame_equal(run.read_table("scores.csv"), table, check_exact=True)
    assert run.read_arrays("examples-0.npz")["clean"].tolist() == [0, 1, 2]
    assert run.read_json("findings.json") == {"schema": SCHEMA, "a": [1, None, "ü"]}
    assert (run.path / "report.html").read_bytes() == "eins\nzwei ü\n".encode()
    assert set(files(run)) == {"scores.csv", "examples-0.npz", "findings.json", "report.html"}


def test_a_second_run_takes_the_place_of_the_first_and_other_files_stay(run):
    fill(run, 1)
    (run.path / "notes.txt").touch()
    fill(run, 2)
    assert versions(run) == {2}
    assert sorted(files(run)) == [*NAMES[:4], "notes.txt", "results.csv"]


def test_files_of_checks_go_with_those_that_had_them(run):
    (run.path / "comparison.html").touch()
    fill(run, 1)
    assert sorted(files(run)) == NAMES
    fill(run, 2, checked=False)
    assert sorted(files(run)) == [name for name in NAMES if name != "costs.csv"]
    assert versions(run) == {2}


@pytest.mark.parametrize("raised", [ValueError("odd"), KeyboardInterrupt()])
def test_an_error_before_the_end_leaves_the_older_files(run, monkeypatch, raised):
    fill(run, 1)
    before = files(run)

    def fail(draft, name, content):
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(writer.Draft, "write_json", fail)
        with pytest.raises(type(raised)):
            fill(run, 2)
    assert files(run) == before


# A full disk


@pytest.mark.parametrize("written", range(5))
@pytest.mark.parametrize("before", [0, 1])
def test_on_a_full_disk_the_older_files_stay_all_together(run, monkeypatch, written, before):
    """Half of a file is written when the room ends; all before it are."""
    for version in range(before):
        fill(run, version)
    older = files(run)
    write_bytes, names = Path.write_bytes, []

    def full(path, content):
        names.append(path.name)
        write_bytes(path, content if len(names) <= written else content[: len(content) // 2])
        if len(names) > written:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError) as error:
        fill(run, 5)
    assert str(error.value).startswith(f"can't write '{run.path}")
    assert f"{names[-1]}' (No space left on device); what is finished is kept: make room" in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    assert files(run) == older
    fill(run, 5)
    assert versions(run) == {5}


def test_where_there_is_no_room_for_a_folder_it_is_said(run, monkeypatch):
    fill(run, 1)
    older = files(run)

    def full(path, *how, **named):
        raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(RunError, match=r"can't write '.*/run/\.tmp-files' \(No space"):
        fill(run, 2)
    assert files(run) == older


# Killed while the files take their places


class Killed(BaseException):
    """Stands for SIGKILL."""


def killed_at(monkeypatch, moves):
    """Die at the call after so many that change a folder."""
    left = iter(range(moves))

    def dying(real):
        def call(*given, **named):
            if next(left, None) is None:
                raise Killed
            return real(*given, **named)

        return call

    for name in ("rename", "replace", "rmdir", "unlink"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # the dead clear nothing


@pytest.mark.parametrize("how", ["opening", "a report"])
def test_who_is_killed_at_any_point_leaves_older_files_or_new_ones_that_are_completed(
    tmp_path, monkeypatch, how
):
    for moves in range(20):
        run = RunWriter.at(tmp_path / str(moves))
        with run.opened():
            fill(run, 1)
        older, killed = files(run), False
        with monkeypatch.context() as patched:
            killed_at(patched, moves)
            try:
                fill(run, 2, checked=False)
            except Killed:
                killed = True
        if how == "opening":
            with run.opened():
                assert versions(run) == {1 if moves == 0 else 2}, "a run sees them together"
        else:
            writer.move_complete(run.path)
        found = {name: content for name, content in files(run).items() if not name.startswith(".tmp-")}
        if moves == 0:
            assert found == older
        else:
            assert versions(run) == {2}
            assert sorted(found) == ["config.json", "examples-0.npz", "findings.json", "results.csv"]
        if not killed:
            break
    assert moves >= 6


def test_a_report_is_made_of_what_a_killed_run_had_completed(exposed_config, tmp_path):
    """Files that wait in `.complete` are newer than those in their places."""
    config = exposed_config.having(out=tmp_path)
    result = run_audit(config)
    newer = {name: (result.folder / name).read_bytes() for name in ("findings.json", "results.csv")}
    (result.folder / COMPLETE).mkdir()
    for name, content in newer.items():
        (result.folder / COMPLETE / name).write_bytes(content)
        (result.folder / name).write_text("older")
    page = result.report.read_bytes()
    result.report.unlink()
    assert render_report(result.folder).read_bytes() == page
    assert {name: (result.folder / name).read_bytes() for name in newer} == newer
    assert not (result.folder / COMPLETE).exists()


def test_two_processes_may_complete_a_run_at_once(run, monkeypatch):
    fill(run, 1)
    (run.path / COMPLETE).mkdir()
    for name in ("a", "b", "c"):
        (run.path / COMPLETE / name).write_text(name)
    replace, turns = Path.replace, iter(range(9))

    def other_was_faster(path, target):
        if next(turns) == 1:
            replace(path, target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", other_was_faster)
    writer.move_complete(run.path)
    assert [(run.path / name).read_text() for name in ("a", "b", "c")] == ["a", "b", "c"]
    assert not (run.path / COMPLETE).exists()


def test_nothing_waits_where_nobody_was_killed(run):
    writer.move_complete(run.path)
    fill(run, 1)
    writer.move_complete(run.path)
    assert versions(run) == {1}


# Opening


def test_a_second_audit_in_the_same_folder_is_turned_away(run, tmp_path):
    errors = []

    def other(store):
        try:
            with RunWriter.at(run.path, store).opened():
                pass
        except InputError as error:
            errors.append(str(error))

    for store in (None, tmp_path / "elsewhere"):
        thread = threading.Thread(target=other, args=(store,))
        thread.start()
        thread.join()
    said = f"another audit is writing to '{run.path}'; wait for it, or choose another --name or --out"
    assert errors == [said, said]
    assert not (tmp_path / "elsewhere").exists()


def test_opening_clears_what_a_killed_run_left_half_written(tmp_path):
    (tmp_path / ".tmp-files").mkdir()
    (tmp_path / ".tmp-files" / "results.csv").touch()
    (tmp_path / ".tmp-report.html").write_text("half")
    (tmp_path / "results.csv").write_text("kept")
    with RunWriter.at(tmp_path).opened():
        assert not list(tmp_path.glob(".[rt][mu][np]-*"))
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv", ".lock"}


def test_a_folder_into_which_nothing_was_written_is_gone_with_those_made_for_it(tmp_path):
    run = RunWriter.at(tmp_path / "reports" / "run")
    with run.opened():
        assert run.store.path == run.path / "store"
        assert run.store.path.is_dir()
    assert not list(tmp_path.iterdir())
    with RunWriter.at(tmp_path / "reports" / "run").opened():
        (tmp_path / "reports" / "other").mkdir()
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["other"]


def test_a_store_elsewhere_is_opened_with_the_folder(tmp_path):
    run = RunWriter.at(tmp_path / "run", tmp_path / "common" / "store")
    with run.opened():
        run.store.write(("trained/0a", {}), {})
    assert {path.name for path in tmp_path.iterdir()} == {"common"}
    assert run.store.read(("trained/0a", {})) is not None


def test_what_workers_read_is_gone_when_the_run_ends(tmp_path):
    run = RunWriter.at(tmp_path)
    with run.opened():
        (run.store.scratch / "shared").mkdir()
        assert run.path in run.store.scratch.parents
    assert not list(tmp_path.rglob(".[rt][mu][np]-*"))


@pytest.mark.parametrize("at", ["run", "run/.lock"])
def test_a_folder_that_cannot_be_written_is_said(tmp_path, refused, at):
    file = tmp_path / at
    if at == "run":
        file.touch()
    else:
        file.mkdir(parents=True)
    run = RunWriter.at(tmp_path / "run")
    with refused(f"can't write to '{run.path}' (", "; choose another --out"), run.opened():
        pass


def test_after_an_error_the_folder_is_free_again(tmp_path):
    run = RunWriter.at(tmp_path / "run")
    with pytest.raises(ValueError, match="odd"), run.opened():
        raise ValueError("odd")
    with run.opened():
        fill(run, 1)
    assert versions(run) == {1}
