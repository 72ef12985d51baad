"""Every design has what an entry needs."""

import importlib
import inspect
import subprocess
import sys

import pytest

from fcdd_audit import make_config
from fcdd_audit.core.late import Late
from fcdd_audit.designs import DESIGNS, Design
from fcdd_audit.report.page import template_folder

PARAMETERS = {
    "run": ["config", "store", "quiet", "known"],
    "estimate": ["config", "quiet"],
    "table": ["found"],
    "context": ["run", "config", "found"],
}


def test_there_are_twins_and_finished_detectors():
    assert list(DESIGNS) == ["twins", "finished"]


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("part", PARAMETERS)
def test_each_part_is_there_and_takes_what_it_is_given(name, part):
    function = getattr(DESIGNS[name], part)
    if isinstance(function, Late):
        module, _, attribute = function.path.partition(":")
        function = getattr(importlib.import_module(module), attribute)
    assert list(inspect.signature(function).parameters) == PARAMETERS[part]


@pytest.mark.parametrize("name", DESIGNS)
def test_each_has_a_line_for_lists_and_a_template(name):
    design = DESIGNS[name]
    assert isinstance(design, Design)
    assert design.summary == DESIGNS.summary(name)
    assert design.summary.endswith(".")
    assert "\n" not in design.summary
    assert (template_folder() / design.template).is_file()


def test_run_folders_of_one_data_set_and_artifact_do_not_meet():
    suffixes = [design.suffix for _, design in DESIGNS.items()]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize(
    ("changes", "name", "folder"),
    [
        ({}, "twins", "retina-watermark"),
        ({"weights": "x", "detectors": ("ae",)}, "finished", "retina-watermark-finished"),
        ({"model": "x.py:make"}, "finished", "retina-watermark-finished"),
    ],
)
def test_an_audit_names_its_design(changes, name, folder):
    config = make_config(**changes)
    assert (config.design_name, config.run_name) == (name, folder)
    assert config.run_name.endswith(DESIGNS[name].suffix)


@pytest.mark.parametrize("name", DESIGNS)
def test_pages_need_no_torch(name):
    """A report can be made where nothing can be trained."""
    code = (
        "import importlib, sys\n"
        "from fcdd_audit.designs import DESIGNS\n"
        f"importlib.import_module(DESIGNS[{name!r}].context.path.partition(':')[0])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
