"""The table of settings, and that it is light."""

import subprocess
import sys

import pytest

from fcdd_audit.config.parts import PARTS
from fcdd_audit.config.settings import settings
from fcdd_audit.config.training import MEANINGS, make_recipe, recipe_kinds, recipe_settings
from fcdd_audit.core.recipe import Range, Recipe


def test_every_field_of_a_part_is_a_setting_with_a_meaning():
    names = [name for kind in PARTS.values() for name in kind.model_fields]
    assert len(set(names)) == len(names), "flat names must be unique"
    assert set(settings()) == {*names, *recipe_kinds()} - {"recipe", "thresholds"}
    assert all(setting.meaning.endswith(".") for setting in settings().values())


def test_the_recipes_settings_are_all_of_the_recipe():
    assert list(MEANINGS) == list(recipe_kinds())
    recipe = Recipe.of(epochs=3, milestones=())
    assert make_recipe(recipe_settings(recipe)) == recipe


def test_the_recipes_numbers_have_ranges_and_what_no_preset_sets_its_own_default():
    known = settings()
    assert known["shift"].range == Range(at_least=0, under=0.5)
    unbounded = [one.name for one in known.values() if one.part == "recipe" and one.range is None]
    assert unbounded == ["optimizer", "milestones", "border", "precision", "network", "normalise"]
    assert {known[name].shown for name in ("steps", "epochs")} == {"the preset's"}
    assert known["weight_decay"].shown == "the preset's"
    assert known["repeats"].shown == "the preset's"


@pytest.mark.parametrize("kind", PARTS.values())
def test_the_defaults_of_a_part_are_valid(kind):
    assert kind(**dict(kind())) == kind()


def test_parts_and_layers_need_no_torch():
    code = (
        "import sys, fcdd_audit.config.layers, fcdd_audit.config.calibrated, fcdd_audit.config.presets; "
        "print([name for name in ('torch', 'numpy', 'fcdd_audit.detectors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
