"""What docs/explanations.md says of the default explainers is what detectors ask for."""

import re
from pathlib import Path

import pytest

from fcdd_audit import DETECTORS, EXPLAINERS

PAGE = Path(__file__).parents[2] / "docs" / "explanations.md"


def documented():
    section = PAGE.read_text(encoding="utf-8").split("## Which are asked by default")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE)
    return {detector: tuple(re.findall(r"`([^`]+)`", names)) for detector, names in rows}


@pytest.mark.parametrize("name", ["fcdd", "hsc", "ae", "dsvdd"])
def test_the_page_names_the_default_explainers(name):
    assert documented()[name] == DETECTORS[name].explained_by


@pytest.mark.parametrize("name", ["fcdd", "hsc", "ae", "dsvdd"])
def test_they_are_known_and_none_knows_nothing_of_the_model(name):
    assert not any(EXPLAINERS[one].reference for one in DETECTORS[name].explained_by)
