"""Stacks on a real Ray that the tests start."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fcdd_audit import DETECTORS, InputError, Recipe, RunError, make_config, run_audit
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines import Resources, cluster
from fcdd_audit.experiment.engines import ray as engine_module
from fcdd_audit.experiment.engines.local import Local
from fcdd_audit.experiment.engines.ray import Ray, _Running
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import failure
from fcdd_audit.experiment.work import Missing, Work, missing

STEPS = 120
LETHAL = '''
import os, signal
from pathlib import Path
from fcdd_audit import DETECTORS

class Lethal(DETECTORS["fcdd"]):
    """Kills the process that trains it."""

    def loss(self, x, label, mask=None):
        with Path(__file__).with_name("killed").open("a") as file:
            file.write("once\\n")
        os.kill(os.getpid(), signal.SIGKILL)

DETECTORS.register("lethal")(Lethal)
'''


def nothing(count):
    pass


@pytest.fixture(scope="module")
def installed():
    return pytest.importorskip("ray", reason="Ray isn't installed")


@pytest.fixture(scope="module")
def cores_of_ray(installed):
    """A Ray with two cores that is there for all that need one; skips where none can be started."""
    try:
        cluster.connect(installed, None, workers=2)
    except RunError as error:
        pytest.skip(str(error))
    yield installed
    installed.shutdown()


@pytest.fixture
def engine(cores_of_ray, store):
    with Ray(store, Resources()) as engine:
        yield engine


def pids_of_tasks():
    """Of processes that do a task at present: Ray names them after it."""
    named = (path for path in Path("/proc").glob("[0-9]*/cmdline") if _read(path).startswith(b"ray::_task"))
    return [int(path.parent.name) for path in named]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:  # it ended
        return b""


@pytest.fixture(scope="module")
def settings(exposed_config):
    """Of a small audit, as the command line takes them."""
    return {
        "dataset": "folder",
        "data_root": str(exposed_config.data.data_root),
        "image_size": 32,
        "oe": "photos",
        "oe_limit": 10,
        "probe": "frame",
        "detector": "fcdd",
        "explainer": "native",
        "seeds": 2,
        "epochs": 1,
        "batch_size": 8,
        "name": "run",
    }


@pytest.fixture(scope="module")
def by_local(settings, tmp_path_factory):
    """The folder of that audit as it is without Ray."""
    return run_audit(make_config(settings, out=tmp_path_factory.mktemp("local"), workers=1)).folder


def assert_same(folder, other, kept):
    for file in ("results.csv", "findings.json"):
        assert (folder / file).read_bytes() == (other / file).read_bytes()
    assert kept(folder / "store") == kept(other / "store") != {}
    assert not list(folder.rglob(".run-*"))


# The same numbers, whoever gives them


def test_an_audit_has_the_same_bytes_as_on_this_machine_alone(
    installed, settings, by_local, without_page, kept, tmp_path
):
    """With a Ray that is started for it, and ends with it."""
    result = run_audit(make_config(settings, engine="ray", out=tmp_path, workers=2))
    assert not installed.is_initialized()
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert_same(result.folder, by_local, kept)


def test_a_running_cluster_is_joined_at_its_address_and_stays(
    cores_of_ray, settings, by_local, kept, tmp_path
):
    """From another folder than Ray was started in, with a relative path for results."""
    address = cores_of_ray.get_runtime_context().gcs_address
    flags = {**settings, "engine": "ray", "address": address, "out": "results"}
    command = [sys.executable, "-m", "fcdd_audit", "run", "--quiet"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_same(tmp_path / "results" / "run", by_local, kept)
    assert cores_of_ray.nodes()[0]["Alive"]


# Processes that are killed


def test_a_killed_worker_loses_no_finished_cell_and_no_other(
    engine, exposed_config, store, kept, in_store, tmp_path, capfd
):
    """It is killed while it trains the second of three; another process goes on there."""
    setup = prepare(exposed_config.having(recipe=Recipe.of(steps=STEPS, batch_size=16)))
    works = [Work(Cell("fcdd", seed, AS_IS), ("native",)) for seed in range(3)]
    steps, cells, killed, before = [], [], [], {}

    def kill(count):
        steps.append(count)
        if not killed and missing(works[0], setup, store) == Missing():
            before.update(in_store(store.path))
            killed.extend(pids_of_tasks())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    assert engine.finish([tuple(works)], setup, kill, cells.append) == {}
    assert len(killed) == 1
    assert cells == [3]
    assert 2 * STEPS <= sum(steps) <= 3 * STEPS, "no step is counted twice"
    assert {work: missing(work, setup, store) for work in works} == dict.fromkeys(works, Missing())
    assert before
    assert in_store(store.path).items() >= before.items(), "what was finished isn't made again"
    assert capfd.readouterr().out == "", "what is said goes to stderr"
    other = Store(tmp_path / "other")
    with other.opened(), Local(other, Resources(workers=1)) as local:
        local.finish([(work,) for work in works], setup, nothing, nothing)
    assert kept(store.path / "trained") == kept(other.path / "trained")
    assert kept(store.path / "measured") == kept(other.path / "measured") != {}


def test_a_stack_that_kills_every_worker_costs_its_cells_and_nothing_else(
    engine, exposed_config, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(engine_module, "RETRIES", 1)
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS.items()))
    (tmp_path / "lethal.py").write_text(LETHAL)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("lethal")
    monkeypatch.delitem(sys.modules, "lethal")
    setup = prepare(exposed_config)
    works = [Work(Cell("lethal", 0, AS_IS)), *(Work(Cell("fcdd", seed, AS_IS)) for seed in (0, 1))]
    cells = []
    failures = engine.finish([(works[0], works[1]), (works[2],)], setup, nothing, cells.append)
    reason = "its worker process was killed 2 times, which often is for lack of memory"
    assert failures == {works[0].cell: reason, works[1].cell: reason}
    assert (tmp_path / "killed").read_text().split() == ["once", "once"]
    assert failure(works[0].cell, setup, store) == reason
    assert missing(works[0], setup, store).trained, "another run tries again"
    assert missing(works[2], setup, store) == Missing()
    assert sorted(cells) == [1, 2]


def test_a_task_that_begins_anew_is_counted_once():
    one = _Running(0, ())
    assert [one.more(steps) for steps in (5, 8, 0, 2, 9)] == [5, 3, 0, 0, 1]


# What ends a run


def test_an_error_in_a_task_comes_back_as_itself_and_nothing_runs_on(engine, exposed_config, store):
    """FCDD can't be trained without anomalies; planning would have said so."""
    setup = prepare(exposed_config.having(oe="none", detectors=("ae",), epochs=2000))
    bad, good = Work(Cell("fcdd", 0, AS_IS)), [Work(Cell("ae", seed, AS_IS)) for seed in (0, 1)]
    with pytest.raises(InputError, match="FCDD learns from training anomalies and there are none") as error:
        engine.finish([(bad,), (good[0],), (good[1],)], setup, nothing, nothing)
    assert "loop.py" in str(error.value.__cause__), "where it happened there"
    assert engine.running == {}
    assert not list((store.path / "trained").iterdir())
    assert engine.finish([(Work(Cell("ae", 0, AS_IS, trained=False)),)], setup, nothing, nothing) == {}


def test_an_interrupted_run_leaves_nothing_at_work(engine, long, store):
    setup, works = long

    def interrupted(count):
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.finish([(work,) for work in works], setup, interrupted, nothing)
    assert engine.running == {}
    deadline = time.monotonic() + 60  # on a busy machine
    while pids_of_tasks() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pids_of_tasks() == []


def test_what_tasks_cannot_know_is_said_before_training(engine, exposed_config, monkeypatch):
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS.items()))
    DETECTORS.register("strange", "__main__")(DETECTORS["fcdd"])
    with pytest.raises(InputError, match=r"'strange' of module '__main__'.*use --engine local"):
        engine.finish([(Work(Cell("strange", 0, AS_IS)),)], prepare(exposed_config), nothing, nothing)


def test_another_cluster_than_the_one_in_use_is_refused(cores_of_ray, store, long):
    setup, works = long
    with (
        Ray(store, Resources(address="127.0.0.1:1")) as engine,
        pytest.raises(InputError, match=r"connected to Ray at '.*' already, and not at '127.0.0.1:1'"),
    ):
        engine.finish([(works[0],)], setup, nothing, nothing)


def test_a_device_that_ray_cannot_share_out_is_refused(engine, exposed_config):
    setup = replace(prepare(exposed_config), device="mps")
    with pytest.raises(InputError, match="Ray can't share out 'mps'; use --engine local, or --device cpu"):
        engine.finish([], setup, nothing, nothing)


def test_stacks_at_once_are_as_many_as_workers(cores_of_ray, exposed_config, store, monkeypatch):
    setup = prepare(exposed_config)
    most = []
    with Ray(store, Resources(workers=1)) as engine:
        engine.finish(
            [(Work(Cell("fcdd", seed, AS_IS)),) for seed in range(3)],
            setup,
            lambda count: most.append(len(engine.running)),
            nothing,
        )
    assert max(most) == 1
