"""Twins that are trained in one step: which, and what is kept of them."""

import json
import logging
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from fcdd_audit import Recipe, run_audit
from fcdd_audit.config.parts import RunSettings
from fcdd_audit.detectors.training.loop import DivergedError
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment import cells, finishing, trainings
from fcdd_audit.experiment import setup as setups
from fcdd_audit.experiment.cells import Cell, together
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.identity import trained, trained_place
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.stacks import stacks
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import make_trained, record_killed
from fcdd_audit.experiment.work import Missing, Work, finish_stack, missing

EXACT = Recipe.of(epochs=1, batch_size=8, precision="float32")
PLANTED = Plant("frame", ("anomalous",), 1.0)


@pytest.fixture(scope="module")
def alone(exposed_config):
    """Three pairs, each twin trained by itself."""
    return prepare(exposed_config.having(seeds=3, explainers=("native",), recipe=EXACT))


@pytest.fixture(scope="module")
def setup(alone):
    """The same, trained together."""
    return replace(alone, stack_limits={"fcdd": 8})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


def seeds(cell, setup):
    return [one.seed for one in together(cell, setup)]


# Which


def test_what_a_look_adds_is_trained_together(alone):
    looks = prepare_looks(alone, (4, 6, 8, 12, 16))
    wide = replace(looks, stack_limits={"fcdd": 100})
    found = [seeds(Cell("fcdd", seed, AS_IS), wide) for seed in (0, 3, 4, 7, 9, 15)]
    assert found == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5], [6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


def prepare_looks(setup, pairs):
    return replace(setup, seed_groups=setups._added_by_looks(pairs))


@pytest.mark.parametrize(
    ("most", "sizes"), [(100, [16]), (16, [16]), (15, [8, 8]), (7, [6, 6, 4]), (2, [2] * 8), (1, [1] * 16)]
)
def test_more_than_fit_are_spread_evenly(alone, most, sizes):
    wide = replace(prepare_looks(alone, (16,)), stack_limits={"fcdd": most})
    found = dict.fromkeys(together(Cell("fcdd", seed, PLANTED), wide) for seed in range(16))
    assert [len(one) for one in found] == sizes
    assert [cell.seed for one in found for cell in one] == list(range(16))
    assert {cell.edit for one in found for cell in one} == {PLANTED}


def test_what_no_limit_names_is_trained_by_itself(setup):
    assert seeds(Cell("hsc", 1, AS_IS), setup) == [1]
    assert seeds(Cell("fcdd", 9, AS_IS), setup) == [9], "a seed that no look has"
    assert seeds(Cell("fcdd", 1, AS_IS, trained=False), setup) == [1], "the network before training"
    assert seeds(Cell("fcdd", 1, AS_IS), setup) == [0, 1, 2]


def test_work_goes_by_stacks_and_each_once(setup):
    names = [
        ("fcdd", 0, AS_IS),
        ("fcdd", 0, PLANTED),
        ("hsc", 0, AS_IS),
        ("fcdd", 1, AS_IS),
        ("fcdd", 2, PLANTED),
    ]
    works = [Work(Cell(*name)) for name in names]
    works.append(Work(Cell("fcdd", 0, AS_IS, trained=False)))
    assert stacks(works, setup) == [
        (works[0], works[3]),
        (works[1], works[4]),
        (works[2],),
        (works[5],),
    ]


def test_on_the_cpu_nothing_is_stacked_and_on_a_gpu_what_is_small(exposed_config, monkeypatch):
    config = exposed_config.having(detectors=("fcdd", "hsc"))
    data = prepare(config).data
    assert prepare(config).stack_limits == {}
    monkeypatch.setattr(setups, "most_in_a_stack", lambda detector, batch, device: batch)
    assert setups._stack_limits(config, data, torch.device("cuda")) == {"fcdd": 8, "hsc": 8}


def test_the_size_of_the_stack_is_part_of_what_a_detector_is_known_by(alone, setup):
    cell = Cell("fcdd", 1, AS_IS)
    assert trained(cell, alone)["device"]["stack"] == 1
    assert trained(cell, setup)["device"]["stack"] == 3
    without = {**trained(cell, setup), "device": None}
    assert without == {**trained(cell, alone), "device": None}


def test_a_finished_run_is_read_by_the_stacks_that_it_had(alone, setup):
    found = alone.trained_elsewhere(json.loads(json.dumps(setup.trained_where)))
    assert trained(Cell("fcdd", 1, AS_IS), found) == trained(Cell("fcdd", 1, AS_IS), setup)
    assert "stacks" not in alone.trained_where


# What is kept


def weights(store, cell, setup):
    return load(store.read(trained_place(cell, setup)).files["detector.safetensors"])


def test_a_stack_is_trained_once_and_each_twin_has_its_record(alone, setup, store, monkeypatch):
    asked, steps = [], []
    real = cells.fit_stack
    monkeypatch.setattr(
        cells, "fit_stack", lambda members, *given: asked.append(len(members)) or real(members, *given)
    )
    works = [Work(Cell("fcdd", seed, AS_IS), ("native",)) for seed in range(3)]
    assert finish_stack(works, setup, store, steps.append) == {}
    assert asked == [3]
    assert steps == [3, 3], "two steps of three twins"
    assert {missing(one, setup, store) for one in works} == {Missing()}
    for one in works:
        about = store.read(trained_place(one.cell, setup)).json("training.json")
        assert about["steps"] == 2
        make_trained(one.cell, alone, store)
        together_, lone = weights(store, one.cell, setup), weights(store, one.cell, alone)
        for name, value in lone.items():  # Adam makes a step of what is rounding only
            assert (together_[name] - value).abs().float().quantile(0.9) < 1e-4, name


def test_one_that_was_not_finished_is_trained_again_whole_and_to_the_same_bytes(setup, store, monkeypatch):
    members = [Cell("fcdd", seed, PLANTED) for seed in range(3)]
    make_trained(members[1], setup, store)
    before = [store.read(trained_place(cell, setup)).files["detector.safetensors"] for cell in members]
    store.remove(trained_place(members[2], setup))
    asked = []
    real = cells.fit_stack
    monkeypatch.setattr(
        cells, "fit_stack", lambda members, *given: asked.append(len(members)) or real(members, *given)
    )
    assert finish_stack([Work(members[2])], setup, store) == {}
    assert asked == [3]
    after = [store.read(trained_place(cell, setup)).files["detector.safetensors"] for cell in members]
    assert after == before


def test_a_twin_that_diverges_is_recorded_and_costs_no_other(setup, store, monkeypatch):
    real = trainings.train_stack

    def second_diverges(stack, *given):
        found = real(stack, *given)
        return [*found[:1], (found[1][0], DivergedError("it diverged")), *found[2:]]

    monkeypatch.setattr(trainings, "train_stack", second_diverges)
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(3)]
    assert finish_stack(works, setup, store) == {works[1].cell: "it diverged"}
    assert [missing(one, setup, store) for one in works] == [Missing(), Missing(failed=True), Missing()]


def test_a_stack_that_does_not_fit_is_trained_in_halves(setup, store, monkeypatch, caplog):
    asked = []
    real = trainings.train_stack

    def fits_one(stack, *given):
        asked.append(len(stack))
        if len(stack) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(stack, *given)

    monkeypatch.setattr(trainings, "train_stack", fits_one)
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(3)]
    with caplog.at_level(logging.WARNING):
        assert finish_stack(works, setup, store) == {}
    assert asked == [3, 1, 2, 1, 1]
    assert "3 twins in one step: it ran out of memory; they are trained in two halves" in caplog.text
    assert {missing(one, setup, store) for one in works} == {Missing()}


def test_what_ran_out_of_memory_is_tried_again_with_its_stack(setup, store, monkeypatch):
    def fails(stack, *given):
        raise MemoryError

    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(3)]
    with monkeypatch.context() as patched:
        patched.setattr(trainings, "train_stack", fails)
        assert set(finish_stack(works, setup, store).values()) == {"it ran out of memory"}
    assert finish_stack(works, setup, store) == {}
    assert {missing(one, setup, store) for one in works} == {Missing()}


def test_a_stack_that_never_fits_is_tried_once_a_run(setup, store, monkeypatch):
    asked = []

    def fails(stack, *given):
        asked.append(len(stack))
        raise MemoryError

    monkeypatch.setattr(trainings, "train_stack", fails)
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(3)]
    assert set(finish_stack(works, setup, store)) == {one.cell for one in works}
    assert asked == [3, 1, 2, 1, 1], "and not for each of its twins"


def test_another_run_that_trains_the_stack_says_itself_what_becomes_of_a_killed_twin(setup, store):
    members = [Cell("fcdd", seed, AS_IS) for seed in range(3)]
    with store.making(trained_place(members[0], setup)):
        record_killed(members[2], setup, store, "it was killed")
    assert store.read(trained_place(members[2], setup)) is None
    record_killed(members[2], setup, store, "it was killed")
    assert store.read(trained_place(members[2], setup)).json("training.json")["failed"] == "it was killed"


def test_all_steps_of_a_stack_are_counted_that_is_trained_again(setup, store, monkeypatch):
    members = [Cell("fcdd", seed, PLANTED) for seed in range(3)]
    make_trained(members[0], setup, store)
    store.remove(trained_place(members[2], setup))
    totals = []
    real = finishing.progress_bar

    def noted(shown, **named):
        totals.append(named["total"])
        return real(shown, **named)

    monkeypatch.setattr(finishing, "progress_bar", noted)
    with engaged(RunSettings(workers=1), store) as finisher:
        finished = finisher.finish_all([Work(cell) for cell in members], setup)
    assert totals == [3 * 2]
    assert finished.trained == 1


def test_where_an_edit_leaves_unlike_numbers_of_images_they_are_trained_one_by_one(
    squares_config, store, monkeypatch
):
    setup = replace(prepare(squares_config.having(seeds=2)), stack_limits={"ae": 2})
    asked = []
    real, whole = cells.fit_stack, setups.Setup.trained_on

    def fewer(self, edit, seed, sides):
        found = whole(self, edit, seed, sides)
        return replace(found, nominal=found.nominal.take(range(len(found.nominal) - 10 * seed)))

    monkeypatch.setattr(setups.Setup, "trained_on", fewer)
    monkeypatch.setattr(
        cells, "fit_stack", lambda members, *given: asked.append(len(members)) or real(members, *given)
    )
    make_trained(Cell("ae", 0, Drop()), setup, store)
    assert asked == [1, 1]
    assert store.read(trained_place(Cell("ae", 1, Drop()), setup)) is not None


# A whole audit


def test_an_audit_in_stacks_goes_on_to_the_same_bytes_and_says_what_a_lone_one_says(
    exposed_config, tmp_path, monkeypatch
):
    config = exposed_config.having(
        seeds=3, detectors=("fcdd", "hsc", "ae"), explainers=("gradient",), out=tmp_path, workers=1
    )
    lone = run_audit(config.having(name="lone"))
    monkeypatch.setattr(setups, "_stack_limits", lambda *given: {"fcdd": 2, "hsc": 9, "ae": 9})
    whole = run_audit(config.having(name="whole"))
    described = json.loads((whole.folder / "config.json").read_text())
    assert described["trained_on"]["stacks"] == {"fcdd": 2, "hsc": 9, "ae": 9}
    assert [one.verdict for one in whole.findings] == [one.verdict for one in lone.findings]
    kept = {path.parent: path for path in (whole.folder / "store").glob("trained/*/identity.json")}
    sizes = sorted(json.loads(path.read_text())["device"]["stack"] for path in kept.values())
    assert sizes == [1, 1] + [2] * 4 + [3] * 12
    before = (whole.folder / "results.csv").read_bytes()
    for folder in sorted(kept)[::2]:  # as if it had been killed
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    again = run_audit(config.having(name="whole"))
    assert (again.folder / "results.csv").read_bytes() == before
