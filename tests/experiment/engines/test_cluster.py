"""Ray is imported, started and joined, or it is said why not."""

import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from fcdd_audit import RunError, make_config
from fcdd_audit.experiment.engines import cluster
from fcdd_audit.experiment.engines.cluster import connect
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.store import Store


def unstarted(error):
    """A Ray that can't be started nor joined."""

    def init(**asked):
        raise error

    return SimpleNamespace(is_initialized=lambda: False, init=init)


def test_without_ray_it_is_said_how_to_get_it(monkeypatch, refused, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = make_config(engine="ray", out=tmp_path)
    with (
        refused("--engine ray needs Ray, which can't be imported", "pip install 'fcdd-audit[ray]'"),
        engaged(config.run, Store(tmp_path)),
    ):
        pass


def test_ray_is_not_imported_before_it_is_asked_for():
    code = "import sys\nfrom fcdd_audit.experiment.engines import ray\nsys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_where_nobody_answers_it_is_said_at_once(refused):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and doesn't listen
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        started = time.monotonic()
        with refused(
            f"no Ray cluster can be reached at '{address}'", "Connection refused", "without --address"
        ):
            connect(unstarted(AssertionError), address, None)
    assert time.monotonic() - started < cluster.PATIENCE + 1


@pytest.mark.parametrize("address", ["nonsense", "local", "ray://host:10001", "host:", ":6379", "host:x", ""])
def test_what_is_no_address_is_refused(address, refused):
    with refused(f"'{address}' is no address of a Ray cluster; give HOST:PORT, or auto"):
        connect(unstarted(AssertionError), address, None)


def test_a_port_that_is_none_is_refused(refused):
    with refused("no Ray cluster can be reached at '127.0.0.1:99999'"):
        connect(unstarted(AssertionError), "127.0.0.1:99999", None)


@pytest.mark.parametrize("error", [ConnectionError("no cluster\nat all"), SystemExit(15)])
def test_what_ray_says_of_a_cluster_is_told(error, refused):
    with refused(f"no Ray cluster can be reached at 'auto' ({str(error).splitlines()[0]})"):
        connect(unstarted(error), "auto", None)


def test_a_ray_that_does_not_start_ends_the_run():
    with pytest.raises(
        RunError, match=r"Ray can't be started on this machine \(no room\); use --engine local"
    ):
        connect(unstarted(OSError("no room")), None, 2)


def test_what_it_is_started_with(monkeypatch):
    asked = {}
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")

    def init(**given):
        asked.update(given, environment=dict(os.environ))

    assert connect(SimpleNamespace(is_initialized=lambda: False, init=init), None, 3)
    assert (asked["address"], asked["num_cpus"], asked["include_dashboard"]) == ("local", 3, False)
    found = {name: asked["environment"][name] for name in cluster.ENVIRONMENT}
    assert found == {**cluster.ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "1"}, "what the user says stays"
