"""The wheel, installed elsewhere, renders a report with its own templates."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_ships_templates_data_types_and_licence(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    data = ("config/presets.csv", "datasets/imagenet1k.txt", "py.typed", "__init__.pyi")
    data += ("studies/calibrations/retina-watermark.json",)
    templates = ("report.html.j2", "twins/follow.html.j2", "report.css", "page.js")
    for wanted in (*(f"templates/{name}" for name in templates), *data):
        assert f"fcdd_audit/{wanted}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs", "reports"))]


def test_the_installed_wheel_renders_a_report_in_another_folder(wheel, default_run, tmp_path):
    installed = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", installed, wheel], check=True
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def python(*arguments: object) -> str:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    where = python("-c", "from fcdd_audit.report.page import template_folder as t; print(t())")
    assert Path(where) == installed / "fcdd_audit" / "templates"
    before = default_run.report.read_bytes()
    default_run.report.unlink()
    assert python("-m", "fcdd_audit", "report", default_run.folder) == str(default_run.report)
    assert default_run.report.read_bytes() == before
