"""Audits that are killed, run out of room or have no shared memory: in the end, byte for byte the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fcdd_audit import Recipe, make_config, run_audit
from fcdd_audit.core.errors import AuditError
from fcdd_audit.experiment import records

TRAINED, MEASURED = 8, 33  # records: 8 trained cells, and 2 networks before training, of which maps are kept
TIMED = ("training.json", "measuring.json", "SHA256SUMS")  # of them seconds are a part
RESULTS = ("results.csv", "findings.json")


@pytest.fixture(scope="module")
def settings(exposed_config):
    """Of a small audit, as the command line takes them."""
    return {
        "dataset": "folder",
        "data_root": str(exposed_config.data.data_root),
        "image_size": "32",
        "oe": "photos",
        "oe_limit": "10",
        "probe": "frame",
        "detector": "fcdd,hsc",
        "explainer": "native,grad-cam,gradient",
        "sanity": "0",
        "seeds": "2",
        "epochs": "2",
        "batch_size": "8",
        "name": "run",
    }


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """The folder of an undisturbed audit."""
    return run_audit(make_config(settings, {"out": tmp_path_factory.mktemp("whole"), "workers": 1})).folder


def command(settings, **more):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**settings, **more}.items()]
    return [sys.executable, "-m", "fcdd_audit", "run", "--quiet", *flags]


def kept(store: Path) -> dict[str, bytes]:
    """All files of records but those that hold seconds; each record is whole."""
    found = {}
    for place in ("trained/*", "measured/*", "measured/*/*"):
        for sums in store.glob(f"{place}/SHA256SUMS"):
            records.read(sums.parent)
    for part in ("trained", "measured"):
        for path in (store / part).rglob("*"):
            if path.is_file() and path.name not in TIMED:
                found[path.relative_to(store).as_posix()] = path.read_bytes()
    return found


def count(store: Path) -> tuple[int, int]:
    """How many trained and measured records there are."""
    return len([*store.glob("trained/*/SHA256SUMS")]), len([*store.glob("measured/**/SHA256SUMS")])


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def group_is_gone(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


def kill_at(store: Path, trained: int, measured: int, running: list[str], everyone: bool) -> None:
    """Run an audit until there are so many records; then kill -9 all of its processes, or the first alone."""
    process = subprocess.Popen(running, start_new_session=True)

    def time_has_come() -> bool:
        found = count(store)
        return (found[0] >= trained and found[1] >= measured) or process.poll() is not None

    try:
        wait_for(time_has_come)
    finally:
        os.killpg(process.pid, signal.SIGKILL) if everyone else process.kill()
    assert process.wait() == -signal.SIGKILL, "the audit ended before it could be killed"
    wait_for(lambda: group_is_gone(process.pid))  # its workers end with it


def test_an_audit_killed_again_and_again_resumes_to_the_same_bytes(settings, whole, tmp_path, caplog):
    """At moments of training and measuring; each cell is measured once it is trained."""
    store = tmp_path / "run" / "store"
    survived: dict[str, bytes] = {}
    for trained, measured, workers, everyone in ((1, 0, 1, True), (4, 12, 2, False), (6, 25, 1, True)):
        kill_at(store, trained, measured, command(settings, out=tmp_path, workers=workers), everyone)
        found = kept(store)
        assert found.items() >= survived.items(), "what was finished is neither lost nor made again"
        survived = found
        assert sum(count(store)) < TRAINED + MEASURED
        assert not (tmp_path / "run" / "results.csv").exists()
    result = run_audit(make_config(settings, {"out": tmp_path, "workers": 1}))
    assert "damaged" not in caplog.text, "nothing was half-written"
    assert count(store) == count(whole / "store") == (TRAINED, MEASURED)
    everything = kept(store)
    assert everything.items() >= survived.items()
    assert everything == kept(whole / "store")
    assert not list(tmp_path.rglob(".[rt][mu][np]-*"))
    assert {path.name for path in tmp_path.rglob(".locks/*")} <= {"alone"}
    for name in RESULTS:
        assert (result.folder / name).read_bytes() == (whole / name).read_bytes(), name


NOTHING_SHARED = """
import os, sys
import _multiprocessing, _posixshmem

class SemLock:
    SEM_VALUE_MAX = 1
    def __new__(cls, *given, **named):
        raise OSError(38, "Function not implemented")

def shm_open(*given, **named):
    raise OSError(30, "Read-only file system")

_multiprocessing.SemLock, _posixshmem.shm_open = SemLock, shm_open
with open({noted!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
"""


def test_workers_need_no_shared_memory(settings, whole, tmp_path):
    """In no process are there semaphores or shared memory, as in some containers."""
    noted, patched = tmp_path / "noted", tmp_path / "patched"
    patched.mkdir()
    (patched / "sitecustomize.py").write_text(NOTHING_SHARED.format(noted=str(noted)))
    path = os.pathsep.join([str(patched), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command(settings, out=tmp_path, workers=2),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(set(noted.read_text().split())) >= 3
    for name in RESULTS:
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes(), name


# A full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path, room: int) -> None:
    """Leave so many bytes."""
    (disk / "filler").unlink(missing_ok=True)
    (disk / "filler").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - room)))


def test_a_run_without_room_ends_with_one_line_and_goes_on_where_there_is(
    exposed_config, small_disk, tmp_path
):
    older = exposed_config.having(out=small_disk, name="run", explainers=("native", "gradient"))
    newer = older.having(recipe=Recipe.of(epochs=2, batch_size=8))
    run = run_audit(older).folder

    def shown():
        return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    before, said = shown(), []
    sizes = sorted(path.stat().st_size for path in run.rglob("*") if path.is_file())
    for room in range(0, 8 << 20, max(sizes[-1] // 3, 32 << 10)):
        fill(small_disk, room)
        try:
            run_audit(newer)
        except AuditError as error:
            said.append(str(error))
            assert shown() == before
            assert not list(run.rglob(".[rt][mu][np]-*"))
            for sums in run.rglob("SHA256SUMS"):
                records.read(sums.parent)
        else:
            break
    (small_disk / "filler").unlink()
    files = [Path(line.split("'")[2]).name for line in said]  # "can't write 'FILE' ..."
    assert len(set(files)) >= 3, "at several places"
    for line in said:
        assert line.startswith("can't write ")
        assert line.count("\n") == 0
        assert "No space left on device" in line
    whole = run_audit(newer.having(out=tmp_path)).folder
    assert shown().keys() == before.keys()
    for name in RESULTS:
        assert (run / name).read_bytes() == (whole / name).read_bytes() != before[name], name
