"""The store: records that are whole or count as none, and runs that share them."""

import errno
import os
import pickle
import shutil
from pathlib import Path

import pytest

from fcdd_audit import RunError
from fcdd_audit.experiment import records
from fcdd_audit.experiment.store import MEASURED, TRAINED, Store

PLACE = (f"{TRAINED}/0a", {"of": "this"})
FILES = {"training.json": b"{}\n", "weights": bytes(range(200))}
BELOW = (f"{MEASURED}/0a/native-0b-16", {"of": "that"})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


def hidden(store):
    """What isn't there for good."""
    return sorted(path.relative_to(store.path).as_posix() for path in store.scratch.rglob("*"))


# Records


def test_a_record_is_there_once_it_is_written(store):
    assert store.read(PLACE) is None
    store.write(PLACE, FILES)
    found = store.read(PLACE)
    assert (found.identity, dict(found.files)) == (PLACE[1], FILES)
    assert records.read(store.path / "trained" / "0a") == found
    assert not hidden(store)


def test_a_record_that_is_there_stays(store, caplog):
    store.write(PLACE, FILES)
    store.write(PLACE, {"training.json": b"other"})
    assert dict(store.read(PLACE).files) == FILES
    assert not hidden(store)
    assert not caplog.records


def test_a_record_may_take_the_place_of_one_that_it_is_to_be_written_instead_of(store):
    store.write(PLACE, FILES)
    store.write(PLACE, {"training.json": b"[]"}, instead_of=lambda found: "detector" in found.files)
    assert dict(store.read(PLACE).files) == FILES
    store.write(PLACE, {"training.json": b"[]"}, instead_of=lambda found: "weights" in found.files)
    assert dict(store.read(PLACE).files) == {"training.json": b"[]"}
    assert not hidden(store)


def spoil(damage, folder):
    """Do that to a record; returns how the damage is said."""
    if damage == "a missing file":
        (folder / "weights").unlink()
        return "weights: No such file or directory"
    if damage == "a file cut short":
        (folder / "weights").write_bytes(FILES["weights"][:-1])
        return "weights: its checksum is wrong"
    if damage == "a flipped bit":
        (folder / "weights").write_bytes(b"\x01" + FILES["weights"][1:])
        return "weights: its checksum is wrong"
    if damage == "no checksums":
        (folder / "SHA256SUMS").write_bytes(b"")
        return "SHA256SUMS: identity.json isn't in it"
    if damage == "another identity":
        shutil.rmtree(folder)
        records.write(folder, {"of": "something else"}, FILES)
        return "it is of something else"
    shutil.rmtree(folder)
    if damage == "a file in its place":
        folder.touch()
        return "SHA256SUMS: Not a directory"
    folder.mkdir()
    if damage == "half a copy":
        (folder / "identity.json").write_bytes(records.as_json(PLACE[1]).encode())
        (folder / "weights").write_bytes(FILES["weights"])
    return "SHA256SUMS: No such file or directory"


DAMAGES = [
    "a missing file",
    "a file cut short",
    "a flipped bit",
    "no checksums",
    "another identity",
    "a file in its place",
    "half a copy",
    "an empty folder",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_made_again(store, caplog, damage):
    store.write(PLACE, FILES)
    reason = spoil(damage, store.path / PLACE[0])
    assert store.read(PLACE) is None
    assert caplog.messages == [
        f"the record '{store.path / PLACE[0]}' is damaged ({reason}) and is made again"
    ]
    store.write(PLACE, FILES)
    caplog.clear()
    assert dict(store.read(PLACE).files) == FILES
    assert sorted(path.name for path in (store.path / PLACE[0]).iterdir()) == [
        "SHA256SUMS",
        "identity.json",
        *FILES,
    ]
    assert not caplog.records
    assert not hidden(store)


def test_a_damaged_record_takes_those_below_with_it(store):
    above = (str(Path(BELOW[0]).parent), {"of": "scores"})
    store.write(above, FILES)
    store.write(BELOW, FILES)
    store.write(above, {})  # both stay
    assert store.read(BELOW) is not None
    (store.path / above[0] / "weights").unlink()
    store.write(above, FILES)
    assert store.read(above) is not None
    assert store.read(BELOW) is None


@pytest.mark.parametrize("there", ["nothing", "a record", "a file"])
def test_whatever_is_there_is_removed(store, there):
    if there == "a record":
        store.write(PLACE, FILES)
    elif there == "a file":
        (store.path / PLACE[0]).touch()
    store.remove(PLACE)
    assert not list((store.path / TRAINED).iterdir())
    assert not hidden(store)


def test_all_of_a_kind_are_known_but_those_of_which_nobody_can_tell(store):
    for key in "cab":
        store.write((f"{TRAINED}/{key}", {"key": key}), FILES)
    (store.path / TRAINED / "b" / "identity.json").write_text("{")
    (store.path / TRAINED / "stray").touch()
    assert list(store.all(TRAINED)) == [{"key": "a"}, {"key": "c"}]
    assert list(store.all(MEASURED)) == []
    assert list(Store(store.path / "nowhere").all(TRAINED)) == []


def test_a_store_goes_to_other_processes_as_it_is(store):
    assert pickle.loads(pickle.dumps(store)) == store
    assert Store(store.path).own != store.own


# A full disk


@pytest.mark.parametrize("written", range(4))
def test_on_a_full_disk_no_part_of_a_record_is_left(store, monkeypatch, written):
    """Half of a file is written when the room ends; all before it are."""
    before = (f"{TRAINED}/0c", {"of": "another"})
    store.write(before, FILES)
    write_bytes, write_text = Path.write_bytes, Path.write_text
    names = []

    def full(path):
        names.append(path.name)
        if len(names) > written:
            write_bytes(path, b"hal")
            raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))

    monkeypatch.setattr(Path, "write_bytes", lambda path, content: full(path) or write_bytes(path, content))
    monkeypatch.setattr(
        Path, "write_text", lambda path, text, **how: full(path) or write_text(path, text, **how)
    )
    with pytest.raises(RunError) as error:
        store.write(PLACE, FILES)
    assert len(names) == written + 1
    assert str(error.value).startswith(f"can't write '{store.scratch}")
    assert f"{names[-1]}' (No space left on device); what is finished is kept: make room" in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    assert not hidden(store)
    assert [path.name for path in (store.path / TRAINED).iterdir()] == ["0c"]
    assert store.read(before) is not None
    store.write(PLACE, FILES)
    assert store.read(PLACE) is not None
