"""Options made from settings, and what commands make of them."""

import inspect
import re

import pytest
import typer
from typer.testing import CliRunner

from fcdd_audit.cli import commands
from fcdd_audit.cli.app import app
from fcdd_audit.cli.options import read_layers, takes_settings
from fcdd_audit.config.audit import make_config
from fcdd_audit.config.calibrated import UNUSED, merge_calibrated
from fcdd_audit.config.kinds import adapter
from fcdd_audit.config.layers import Layer
from fcdd_audit.config.settings import settings
from fcdd_audit.core.errors import InputError

FLAGGED = [setting for setting in settings().values() if setting.flagged]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", [commands.run, commands.calibrate])
def test_a_command_takes_every_setting_once(command):
    parameters = inspect.signature(command).parameters
    assert {setting.called for setting in FLAGGED} <= set(parameters)
    assert all(parameters[setting.called].default is None for setting in FLAGGED)


def test_help_lists_every_flag_with_its_meaning_and_a_calibration_those_that_it_uses():
    run, calibrate = (invoke(name, "--help").stdout for name in ("run", "calibrate"))
    for setting in FLAGGED:
        assert f" {setting.flag} " in run
        assert (f" {setting.flag} " in calibrate) == (setting.name not in UNUSED)
        assert "".join(setting.meaning.removesuffix(".").split()) in "".join(run.split()), "lines may break"


def test_a_signature_of_settings_is_obeyed():
    small, got = typer.Typer(), {}

    @small.command()
    @takes_settings(hidden=["seeds"])
    def command(own: int = 3, **flags: object) -> None:
        """Does it."""
        got.update(flags, own=own)

    result = CliRunner().invoke(small, ["--seeds", "x", "--skip-corrupt", "--detector", "ae", "--own", "4"])
    assert result.exit_code == 0
    assert {name: value for name, value in got.items() if value is not None} == {
        "seeds": "x",
        "skip_corrupt": True,
        "detector": "ae",
        "own": 4,
    }
    assert not re.search(r"--seeds +TEXT", CliRunner().invoke(small, ["--help"]).stdout)


def test_flags_win_over_variables_over_a_file(tmp_path, monkeypatch):
    (tmp_path / "audit.toml").write_text("seeds = 3\nexplained = 3\nworkers = 3\n")
    monkeypatch.setenv("FCDD_AUDIT_EXPLAINED", "4")
    monkeypatch.setenv("FCDD_AUDIT_WORKERS", "4")
    flags = {"workers": "5", "seeds": None, "skip_corrupt": None}
    config = make_config(*read_layers(flags, tmp_path / "audit.toml", ["recipe.flip=0.5"]))
    assert (config.design.seeds, config.explanation.explained, config.run.workers) == (3, 4, 5)
    assert config.as_json()["detector"]["recipe"]["flip"] == 0.5


@pytest.mark.parametrize("name", UNUSED)
def test_a_calibration_says_what_it_makes_no_use_of(name, tmp_path):
    setting = settings()[name]
    value = [] if adapter(setting.kind).json_schema().get("type") == "boolean" else [1]
    result = invoke("calibrate", setting.flag, *value, "--out", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"fcdd-audit: error: {setting.flag}: a calibration makes no use of ")
    assert list(tmp_path.iterdir()) == []


def test_a_calibration_takes_what_else_an_audit_takes():
    with pytest.raises(InputError, match=r"audit\.toml: a calibration makes no use of 'explainer', since"):
        merge_calibrated(Layer({"explainer": "native"}, lambda key: "audit.toml"))
    given = merge_calibrated({"plant_on": "nominal", "masks_per_defect": "2"}).plain()
    assert given == {"prevalence": (0.05, 0.2, 1.0), "plant_on": "nominal", "masks_per_defect": "2"}
    assert merge_calibrated({"prevalence": "1"}).plain() == {"prevalence": "1"}
    result = invoke("calibrate", "--plant-on", "eo")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--plant-on: unknown side 'eo'; did you mean 'oe'?" in result.stderr
