"""What is missing of a cell's records is made, what is there is used again, and failures are kept."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch

from fcdd_audit import RunError
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment import cells, explaining, records, trainings, work
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import checked_place, explained_place, scored_place, trained_place
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import load
from fcdd_audit.experiment.work import Missing, Work, missing
from tests.experiment.one import finish

CELL = Cell("fcdd", 0, AS_IS)
WORK = Work(CELL, ("native", "gradient"), checks=True)
BEFORE = Work(replace(CELL, trained=False), ("native", "gradient"))
TIMED = ("training.json", "measuring.json")  # hold seconds


@pytest.fixture(scope="module")
def setup(exposed_config):
    return prepare(exposed_config.having(explainers=("native", "gradient"), sanity=2))


@pytest.fixture(scope="module")
def made(setup, tmp_path_factory):
    """A store with all of the work."""
    store = Store(tmp_path_factory.mktemp("made"))
    with store.opened():
        for one in (WORK, BEFORE):
            assert finish(one, setup, store) is None
    return store


@pytest.fixture
def store(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made.path, tmp_path / "store")
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


@pytest.fixture
def empty(tmp_path):
    store = Store(tmp_path / "empty")
    with store.opened():
        yield store


@pytest.fixture
def counted(monkeypatch):
    """Names what is done: trained, scored, explained by whom from which image to which, checked."""
    done = []

    def counting(name, home, said):
        real = getattr(home, name)

        def call(*given, **named):
            done.append(said(*given))
            return real(*given, **named)

        monkeypatch.setattr(home, name, call)

    counting("train_stack", trainings, lambda stack, *_: "trained")
    counting("score", work, lambda *_: "scored")
    counting("explain", work, lambda detector, name, e, parts, d, first, last: f"{name} {first}-{last}")
    counting("check_explainer", work, lambda detector, name, *_: f"{name} checked")
    return done


def places(setup, cell=CELL, images=16):
    """By what is missing without it."""
    return {
        "trained": trained_place(cell, setup),
        "scored": scored_place(cell, setup),
        **{f"{name} explained": explained_place(cell, setup, name, images) for name in WORK.explainers},
        **{f"{name} checked": checked_place(cell, setup, name) for name in WORK.explainers},
    }


def content(store, place):
    """The files of a record that are the same whenever it is made."""
    return {name: part for name, part in store.read(place).files.items() if name not in TIMED}


# What is missing


def test_all_is_missing_of_an_empty_store_and_nothing_once_it_is_made(setup, empty, counted):
    both = WORK.explainers
    assert missing(WORK, setup, empty) == Missing(True, True, both, both)
    assert missing(Work(CELL), setup, empty) == Missing(True, True)
    assert missing(BEFORE, setup, empty) == Missing(False, False, both)
    finish(WORK, setup, empty)
    assert counted == [
        "trained",
        "scored",
        "native 0-16",
        "gradient 0-16",
        "native checked",
        "gradient checked",
    ]
    assert missing(WORK, setup, empty) == Missing()
    assert not missing(WORK, setup, empty).measured
    assert missing(BEFORE, setup, empty) == Missing(False, False, both)
    finish(WORK, setup, empty)
    assert len(counted) == 6


@pytest.mark.parametrize(
    ("gone", "lost", "again"),
    [
        ("trained", Missing(trained=True), ["trained"]),
        ("native explained", Missing(explained=("native",)), ["native 0-16"]),
        ("gradient checked", Missing(checked=("gradient",)), ["gradient checked"]),
        (
            "scored",
            Missing(scored=True, explained=WORK.explainers, checked=WORK.explainers),
            ["scored", "native 0-16", "gradient 0-16", "native checked", "gradient checked"],
        ),
    ],
)
def test_what_is_removed_is_missing_and_only_that_is_made_again(setup, store, counted, gone, lost, again):
    at = places(setup)
    before = {name: content(store, place) for name, place in at.items()}
    store.remove(at[gone])
    assert missing(WORK, setup, store) == lost
    assert finish(WORK, setup, store) is None
    assert counted == again
    assert {name: content(store, place) for name, place in at.items()} == before


def test_scores_that_are_damaged_take_the_explanations_with_them(setup, store, counted, caplog):
    """A record's folder goes as a whole."""
    at = places(setup)
    before = {name: content(store, place) for name, place in at.items()}
    (store.path / at["scored"][0] / "scores.csv").write_text("")
    assert missing(WORK, setup, store) == replace(Missing(True, True, *[WORK.explainers] * 2), trained=False)
    assert finish(WORK, setup, store) is None
    assert counted[:2] == ["scored", "native 0-16"]
    assert len(counted) == 5
    assert {name: content(store, place) for name, place in at.items()} == before


def spoil(damage, folder):
    """Do that to the record in the folder."""
    first = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS")[0]
    if damage == "a missing file":
        first.unlink()
    elif damage == "a file cut short":
        first.write_bytes(first.read_bytes()[:-1])
    elif damage == "a flipped bit":
        changed = bytearray(first.read_bytes())
        changed[len(changed) // 2] ^= 16
        first.write_bytes(changed)
    elif damage == "no checksums":
        (folder / "SHA256SUMS").write_bytes(b"")
    elif damage == "half a copy":
        (folder / "SHA256SUMS").unlink()
        first.unlink()
    else:
        shutil.rmtree(folder)
        if damage == "a file in its place":
            folder.touch()
        else:
            records.write(folder, {"of": "something else"}, {"training.json": b"{}", "scores.csv": b""})


@pytest.mark.parametrize("kind", ["trained", "scored", "gradient explained", "native checked"])
@pytest.mark.parametrize(
    "damage",
    [
        "a missing file",
        "a file cut short",
        "a flipped bit",
        "no checksums",
        "half a copy",
        "a file in its place",
        "another record",
    ],
)
def test_a_damaged_record_is_named_and_made_again_as_it_was(setup, store, caplog, kind, damage):
    at = places(setup)
    before = {name: content(store, place) for name, place in at.items()}
    folder = store.path / at[kind][0]
    spoil(damage, folder)
    assert finish(WORK, setup, store) is None
    assert caplog.messages
    for message in caplog.messages:
        assert message.startswith(f"the record '{folder}' is damaged (")
        assert message.endswith(") and is made again")
    caplog.clear()
    assert missing(WORK, setup, store) == Missing()
    assert {name: content(store, place) for name, place in at.items()} == before
    assert not caplog.records


def test_a_damaged_record_is_named_once(setup, store, caplog):
    spoil("a missing file", store.path / places(setup)["trained"][0])
    finish(WORK, setup, store)
    assert len(caplog.messages) == 1


# The network before training


def test_the_network_before_training_is_measured_and_never_trained(setup, store, counted):
    cell = BEFORE.cell
    assert not (store.path / trained_place(cell, setup)[0]).exists()
    folder = store.path / scored_place(cell, setup)[0]
    assert [path.name for path in folder.iterdir() if path.is_file()] == []
    for name in BEFORE.explainers:
        record = store.read(explained_place(cell, setup, name, 16))
        assert set(record.files) == {"overlaps.csv", "measuring.json"}, "its maps aren't shown"
        store.remove(explained_place(cell, setup, name, 16))
    assert finish(BEFORE, setup, store) is None
    assert counted == ["native 0-16", "gradient 0-16"]


# More, or fewer


def test_an_explainer_that_is_added_is_the_only_one_that_is_asked(setup, store, counted):
    wanted = replace(WORK, explainers=(*WORK.explainers, "random"))
    assert missing(wanted, setup, store) == Missing(explained=("random",), checked=("random",))
    finish(wanted, setup, store)
    assert counted == ["random 0-16", "random checked"]


def test_checks_that_are_added_are_the_only_ones_that_are_made(setup, empty, counted):
    finish(replace(WORK, checks=False), setup, empty)
    counted.clear()
    finish(WORK, setup, empty)
    assert counted == ["native checked", "gradient checked"]


def test_other_options_of_an_explainer_are_other_records(setup, store, counted):
    smooth = replace(setup, options={"smooth-grad": {"samples": 1}})
    wanted = Work(CELL, ("smooth-grad",))
    for samples in (1, 2, 1):
        finish(wanted, replace(smooth, options={"smooth-grad": {"samples": samples}}), store)
    assert counted == ["smooth-grad 0-16"] * 2
    assert missing(WORK, setup, store) == Missing()


@pytest.fixture
def by_twos(monkeypatch):
    """Images are explained in passes of two."""
    monkeypatch.setattr(explaining, "at_once", lambda device: 2)


@pytest.mark.parametrize("steps", [(2, None), (1, 3, None), (4, 5)])
def test_more_images_extend_what_is_there_to_what_is_made_at_once(
    setup, empty, tmp_path, by_twos, counted, steps
):
    wanted = Work(CELL, ("gradient", "native"))
    for asked in steps:
        assert finish(replace(wanted, explained=asked), setup, empty) is None
    at_once = Store(tmp_path / "at once")
    with at_once.opened():
        extended = [one for one in counted if one.startswith("native")]
        finish(replace(wanted, explained=steps[-1]), setup, at_once)
    last = 6  # five nominal images
    passes = {(2, None): ["0-2", "2-6"], (1, 3, None): ["0-2", "2-4", "4-6"], (4, 5): ["0-4", "4-6"]}
    assert extended == [f"native {one}" for one in passes[steps]]
    for name in wanted.explainers:
        place = explained_place(CELL, setup, name, last)
        assert content(empty, place) == content(at_once, place)
        assert set(content(empty, place)) == {"overlaps.csv", "maps.npz"}


def test_fewer_images_than_are_there_need_nothing(setup, empty, by_twos, counted):
    """The record of the fewest that are enough is used."""
    wanted = Work(CELL, ("native",))
    for asked in (4, 5):
        finish(replace(wanted, explained=asked), setup, empty)
    assert counted[2:] == ["native 0-4", "native 4-6"]
    counted.clear()
    for asked, images in ((1, 4), (3, 4), (4, 4), (5, 6), (None, 6), (99, 6)):
        fewer = replace(wanted, explained=asked)
        assert missing(fewer, setup, empty) == Missing()
        assert finish(fewer, setup, empty) is None
        assert work.explained_record(empty, fewer, setup, "native").identity["images"] == images
    assert not counted


def test_a_damaged_record_of_more_images_is_passed_over(setup, empty, by_twos, counted, caplog):
    wanted = Work(CELL, ("native",))
    for asked in (2, 4):
        finish(replace(wanted, explained=asked), setup, empty)
    (empty.path / explained_place(CELL, setup, "native", 4)[0] / "overlaps.csv").write_text("")
    counted.clear()
    finish(wanted, setup, empty)
    assert counted == ["native 2-6"]
    assert "overlaps.csv: its checksum is wrong" in caplog.text


# Records


def test_every_step_is_counted_once(setup, empty):
    steps = []
    finish(Work(CELL), setup, empty, steps.append)
    assert len(steps) == 2  # 16 images in batches of 8; four more are for validation
    finish(Work(CELL), setup, empty, steps.append)
    assert len(steps) == 2


def test_a_detector_is_kept_as_it_was_trained(setup, store):
    detector = load(CELL, setup, store)
    ((trained, losses),) = cells.train_stack([CELL], setup, torch.device("cpu"))
    for name, value in trained.state_dict().items():
        assert torch.equal(detector.state_dict()[name], value), name
    about = store.read(trained_place(CELL, setup)).json("training.json")
    assert (about["steps"], about["losses"], about["tenths"]) == losses[:3]
    assert about["seconds"] > 0
    assert about["versions"]["torch"] == version("torch")
    assert not detector.training


def test_the_files_of_records_are_those_of_the_documents(setup, store):
    at = places(setup)
    found = {kind: set(store.read(place).files) for kind, place in at.items()}
    assert found == {
        "trained": {"training.json", "detector.safetensors"},
        "scored": {"measuring.json", "scores.csv"},
        **{f"{name} explained": {"measuring.json", "overlaps.csv", "maps.npz"} for name in WORK.explainers},
        **{f"{name} checked": {"measuring.json", "checks.csv"} for name in WORK.explainers},
    }
    assert json.loads(store.read(at["native checked"]).files["measuring.json"])["costs"].keys() == {
        "seconds",
        "megabytes",
        "seconds_to_score",
    }
    assert not list(store.path.rglob("*.pickle"))


def test_what_is_removed_while_it_is_needed_is_said(setup, store):
    store.remove(places(setup)["trained"])
    with pytest.raises(RunError, match=r"'.*/trained/[0-9a-f]{16}' was removed meanwhile; run the same"):
        load(CELL, setup, store)


def test_twins_share_nothing_but_the_network_before_training(setup, store, counted):
    """The control serves every artifact: its key knows none."""
    planted = Work(replace(CELL, edit=Plant("frame", ("anomalous",), 1.0)), ("native",))
    finish(planted, setup, store)
    assert counted == ["trained", "scored", "native 0-16"]
    elsewhere = replace(setup, probe="other", plantable={})
    assert trained_place(CELL, elsewhere) == trained_place(CELL, setup)
