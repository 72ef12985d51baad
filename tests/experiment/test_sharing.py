"""A store that several runs use at once, and what each of them leaves."""

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from fcdd_audit import InputError
from fcdd_audit.experiment import records
from fcdd_audit.experiment.store import KINDS, LOCKS, MEASURED, TRAINED, Store

PLACE = (f"{TRAINED}/0a", {"of": "this"})
BELOW = (f"{MEASURED}/0a/native-0b-16", {"of": "that"})
FILES = {"training.json": b"{}\n", "weights": bytes(range(200))}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


# Several writers


def test_who_comes_second_finds_the_record_of_the_first(store, monkeypatch):
    """Both saw that there was none, and the second is just about to put its own there."""
    found, rename = [], Path.rename

    def other():
        store.write(PLACE, FILES)
        found.append(store.read(PLACE))

    def late(path, target):
        if threading.current_thread() is threading.main_thread():
            thread.start()
            thread.join(0.3)  # as far as it gets
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    thread = threading.Thread(target=other)
    store.write(PLACE, {"training.json": b"late"})
    thread.join()
    assert found == [store.read(PLACE)]
    assert not list(store.scratch.iterdir())


def test_who_finds_damage_does_not_remove_what_another_made_meanwhile(store, monkeypatch):
    store.write(PLACE, FILES)
    (store.path / PLACE[0] / "weights").unlink()
    remove = Store.remove

    def late(self, place):
        if not threads:
            threads.append(threading.Thread(target=other))
            threads[0].start()
            threads[0].join(0.3)
        remove(self, place)

    def other():
        store.write(PLACE, FILES)
        found.append(store.read(PLACE))

    threads, found = [], []
    monkeypatch.setattr(Store, "remove", late)
    assert store.read(PLACE) is None
    threads[0].join()
    assert found == [store.read(PLACE)]


def test_threads_that_write_one_record_leave_one_whole_record(store):
    count, rounds = 6, 15
    start = threading.Barrier(count)

    def write(number):
        for turn in range(rounds):
            start.wait(10)
            store.write((f"{TRAINED}/{turn}", {"turn": turn}), {"a": bytes([number]), "b": bytes([number])})

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(write, range(count)))
    for turn in range(rounds):
        found = store.read((f"{TRAINED}/{turn}", {"turn": turn}))
        assert found.files["a"] == found.files["b"]
    assert not list(store.scratch.iterdir())


SHARE = """
import sys, time
from pathlib import Path
from fcdd_audit.experiment import records
from fcdd_audit.experiment.store import Store
home, me = Path(sys.argv[1]), sys.argv[2]
store = Store(home / "store")
with store.opened():
    (home / me).touch()
    while len(list(home.glob("ready-*"))) < 2:
        time.sleep(0.001)
    for turn in range(30):
        place = (f"trained/{turn}", {"turn": turn})
        if sys.argv[3] == "making":
            with store.making(place):
                if store.read(place) is None:
                    with (home / "made").open("a") as file:
                        file.write(f"{turn}\\n")
                    store.write(place, {"a": me.encode(), "b": me.encode()})
        else:
            store.write(place, {"a": me.encode(), "b": me.encode()})
"""


@pytest.mark.parametrize("how", ["writing", "making"])
def test_two_processes_that_share_a_store_leave_whole_records(tmp_path, how):
    command = [sys.executable, "-c", SHARE, tmp_path]
    both = [
        subprocess.Popen([*command, f"ready-{me}", how], stderr=subprocess.PIPE, text=True) for me in "ab"
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    store = Store(tmp_path / "store")
    for turn in range(30):
        found = store.read((f"{TRAINED}/{turn}", {"turn": turn}))
        assert found.files["a"] == found.files["b"]
    assert {path.name for path in store.path.iterdir()} <= {*KINDS, LOCKS}
    if how == "making":
        assert sorted((tmp_path / "made").read_text().split(), key=int) == [str(turn) for turn in range(30)]


TRAINS = """
import sys, time
from pathlib import Path
import torch
from fcdd_audit import Recipe, make_config
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment import cells
from fcdd_audit.experiment.plan import planned_work
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment import records
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import finish_stack
torch.set_num_threads(1)
home, me, data = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
config = make_config(dataset="folder", data_root=data, image_size=32, oe="photos", oe_limit=10, probe="frame",
    detectors=("fcdd",), explainers=("native",), seeds=1, recipe=Recipe.of(epochs=1, batch_size=8))
setup, fit = prepare(config), cells.fit_stack
def noted(*given, **named):
    with (home / "trained").open("a") as file:
        file.write(f"{me}\\n")
    return fit(*given, **named)
cells.fit_stack = noted
store = Store(home / "store")
with store.opened():
    (home / f"ready-{me}").touch()
    while len(list(home.glob("ready-*"))) < 2:
        time.sleep(0.001)
    for one in planned_work(plan(config, setup), setup).values():
        assert finish_stack([one], setup, store) == {}
"""


def test_two_processes_with_the_same_work_train_each_detector_once(exposed_config, tmp_path):
    command = [sys.executable, "-c", TRAINS, tmp_path]
    both = [
        subprocess.Popen([*command, me, exposed_config.data.data_root], stderr=subprocess.PIPE, text=True)
        for me in "ab"
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len((tmp_path / "trained").read_text().split()) == 2
    assert len(list((tmp_path / "store" / "trained").iterdir())) == 2
    for folder in (tmp_path / "store").rglob("SHA256SUMS"):
        records.read(folder.parent)


def test_one_at_a_time_makes_a_record_and_the_other_finds_it(store):
    made, begun = [], threading.Event()

    def first():
        with store.making(PLACE):
            begun.set()
            assert not done.wait(0.2), "the second didn't wait"
            made.append("first")
            store.write(PLACE, FILES)

    def second():
        begun.wait(30)
        with store.making(PLACE):
            done.set()
            if store.read(PLACE) is None:
                made.append("second")

    done = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(first), pool.submit(second)]:
            one.result()
    assert made == ["first"]
    assert [path.name for path in (store.path / LOCKS).iterdir()] == ["alone"]


def test_other_records_are_made_meanwhile_and_an_error_lets_others_in(store):
    with pytest.raises(ValueError, match="odd"), store.making(PLACE), store.making(BELOW):
        raise ValueError("odd")
    with store.making(PLACE), store.making(BELOW):
        pass


# Opening


def test_folders_that_stay_empty_are_gone_with_those_made_for_them(tmp_path):
    store = Store(tmp_path / "deep" / "store")
    with store.opened():
        assert {path.name for path in store.path.iterdir()} == {
            *KINDS,
            LOCKS,
            store.own,
            f"{store.own}.lock",
        }
    assert not list(tmp_path.iterdir())
    (tmp_path / "kept" / MEASURED).mkdir(parents=True)
    store = Store(tmp_path / "kept")
    with store.opened():
        store.write(PLACE, FILES)
    assert {path.name for path in store.path.iterdir()} == {*KINDS, LOCKS}


def test_what_isnt_finished_is_gone_after_an_error_too(tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(FileExistsError), store.opened():
        store.scratch.mkdir()
    assert not list(tmp_path.iterdir())


LIVE = """
import sys, time
from pathlib import Path
from fcdd_audit.experiment import records
from fcdd_audit.experiment.store import Store
store = Store(Path(sys.argv[1]))
with store.opened():
    (store.scratch / "half").mkdir()
    (store.scratch / "half" / "file").touch()
    print(store.own, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_left_is_cleared_by_the_next_but_nothing_of_a_living_one(tmp_path):
    store = Store(tmp_path)
    command = [sys.executable, "-c", LIVE, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        own = other.stdout.readline().strip()
        half = tmp_path / own / "half" / "file"
        with store.opened():
            assert half.exists()
        assert half.exists()
        other.kill()
        other.wait()
        assert half.exists()
    with store.opened():
        assert {path.name for path in tmp_path.glob(".run-*")} == {store.own, f"{store.own}.lock"}
    assert not list(tmp_path.glob(".run-*"))


def test_a_run_that_ends_leaves_the_folders_to_those_that_go_on(tmp_path):
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    ended = ExitStack()
    ended.enter_context(first.opened())
    with second.opened():
        ended.close()
        with second.making(PLACE):
            second.write(PLACE, FILES)
    assert second.read(PLACE) is not None
    assert not list(second.path.glob(".run-*"))


@pytest.mark.parametrize("at", ["", "trained", ".locks"])
def test_a_file_in_the_stores_place_is_said(tmp_path, refused, at):
    store = Store(tmp_path / "store")
    file = store.path / at
    file.parent.mkdir(exist_ok=True)
    file.touch()
    with (
        refused(f"can't write to the store '{store.path}' (", "; choose another --out or --store"),
        store.opened(),
    ):
        pass
    assert file.is_file()


@pytest.mark.parametrize("at", [TRAINED, LOCKS, ".tmp-mine"])
def test_a_store_that_cannot_be_made_is_said_and_nothing_of_it_is_left(tmp_path, refused, monkeypatch, at):
    mkdir = Path.mkdir

    def full(path, *how, **named):
        if path.name == at:
            raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))
        mkdir(path, *how, **named)

    monkeypatch.setattr(Path, "mkdir", full)
    store = Store(tmp_path / "new" / "store", ".tmp-mine")
    with refused(f"can't write to the store '{store.path}' (No space left on device)"), store.opened():
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_inside_is_not_taken_for_one_of_the_store(store):
    with pytest.raises(OSError, match="odd") as error, Store(store.path).opened():
        raise OSError("odd")
    assert not isinstance(error.value, InputError)
