"""What is listed without torch is what the registries hold."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fcdd_audit.cli.app import app
from fcdd_audit.cli.catalogue import DATASETS, KINDS, NATURAL, PROBES
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.detectors.base import Detector
from fcdd_audit.measures.table import described_measures

ALL = {**KINDS, "datasets": DATASETS, "probes": PROBES, "natural": NATURAL}

UNIMPORTED = """
import json, sys
from fcdd_audit.cli.catalogue import DATASETS, KINDS, NATURAL, PROBES
kinds = {**KINDS, "datasets": DATASETS, "probes": PROBES, "natural": NATURAL}
found = {name: list(kind.entries().items()) for name, kind in kinds.items()}
print(json.dumps([found, [name for name in ("torch", "numpy") if name in sys.modules]]))
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def unimported():
    return json.loads(run(UNIMPORTED))


def test_nothing_heavy_is_imported(unimported):
    assert unimported[1] == []


@pytest.mark.parametrize("name", ALL)
def test_what_is_read_from_source_is_what_the_registry_holds_in_its_order(unimported, name):
    kind = ALL[name]
    registry = getattr(__import__(kind.module, fromlist=["x"]), kind.registry)
    if name == "measures":
        described_measures()  # imports all files that register some, in whatever order
    live = [[entry, registry.summary(entry)] for entry in registry]
    in_order = sorted if name == "measures" else list
    assert in_order(unimported[0][name]) == in_order(live)
    assert in_order(kind.entries().items()) == [tuple(row) for row in in_order(live)]


@pytest.mark.parametrize("name", [*KINDS, "datasets", "probes"])
def test_each_name_is_printed_with_its_summary(name):
    result = CliRunner().invoke(app, ["list", name])
    assert result.exit_code == 0
    kinds = [PROBES, NATURAL] if name == "probes" else [ALL[name]]
    expected = [[entry, summary] for kind in kinds for entry, summary in kind.entries().items()]
    assert [line.split(maxsplit=1) for line in result.stdout.splitlines()] == expected


def test_what_a_plugin_registers_is_listed(monkeypatch):
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS.items()))

    @DETECTORS.register("mine")
    class Mine(Detector):
        """One of my own."""

    assert "mine   One of my own." in CliRunner().invoke(app, ["list", "detectors"]).stdout


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["run", "--help"], ["calibrate", "-h"], ["list", "presets"]]
)
def test_help_does_not_wait_for_torch(arguments):
    code = (
        f"import sys; from fcdd_audit.cli.app import app; app({arguments}, standalone_mode=False); "
        "print([name for name in ('torch', 'numpy', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    assert run(code).splitlines()[-1] == "[]"
