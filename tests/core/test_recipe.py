import math

import numpy as np
import pytest

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import PARTS, Augmentation, Compute, Optimisation, Recipe, recipe_options


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("optimizer", "adagrad"),
        ("lr", 0.0),
        ("lr", math.nan),
        ("weight_decay", -1e-9),
        ("decay", 0.0),
        ("decay", 1.1),
        ("milestones", (0.0, 0.5)),
        ("milestones", (0.5, 1.0)),
        ("milestones", (0.5, 0.5)),
        ("milestones", (0.7, 0.5)),
        ("milestones", ("0.5",)),
        ("milestones", [0.5]),
        ("milestones", 0.5),
        ("repeats", 0),
        ("repeats", 10_001),
        ("oe_probability", 0.0),
        ("oe_probability", 1.0),
        ("shift", -0.1),
        ("shift", 0.5),
        ("border", "white"),
        ("flip", -0.1),
        ("flip", 1.1),
        ("jitter", -0.1),
        ("jitter", 0.6),
        ("jitter_share", 0.0),
        ("jitter_share", 1.1),
        ("noise", -1.0),
        ("relative_noise", -0.1),
        ("relative_noise", math.inf),
        ("noise_share", 0.0),
        ("noise_share", math.nan),
        ("precision", "float16"),
        ("steps", 0),
        ("steps", 1.5),
        ("steps", True),
        ("steps", 10**9 + 1),
        ("epochs", 2.5),
        ("epochs", "3"),
        ("epochs", True),
        ("batch_size", 3.5),
        ("repeats", 1.5),
        ("lr", "a"),
        ("lr", True),
        ("shift", None),
        ("optimizer", ["adam"]),
        ("network", 5),
        ("normalise", True),
        ("network", ""),
        ("normalise", ""),
    ],
)
def test_an_impossible_recipe_is_refused_by_name(setting, value):
    with pytest.raises(InputError, match=f"^{setting.replace('_', ' ')} is .*; it must be [^\n]+$"):
        Recipe.of(**{setting: value})


def test_whole_numbers_and_numpys_serve_as_numbers():
    assert Augmentation(flip=1, noise=0).flip == 1
    assert Optimisation(lr=1).lr == 1
    assert Optimisation(lr=np.float64(0.01)).lr == 0.01


# In the order in which they stand in config.json.
NAMES = (
    *("epochs", "steps", "batch_size", "optimizer", "lr", "weight_decay", "decay", "milestones", "repeats"),
    *("oe_probability", "shift", "border", "flip", "jitter", "jitter_share", "noise", "relative_noise"),
    *("noise_share", "precision", "network", "normalise"),
)


def test_a_recipe_is_flat_outside_and_in_parts_inside():
    recipe = Recipe.of(epochs=3, flip=0.5, precision="float32", network="cnn28", normalise="contrast")
    assert recipe == Recipe(
        Optimisation(epochs=3), Augmentation(flip=0.5), Compute("float32"), "cnn28", "contrast"
    )
    assert tuple(recipe.flat()) == tuple(recipe_options()) == NAMES
    changed = {"epochs": 3, "flip": 0.5, "precision": "float32", "network": "cnn28", "normalise": "contrast"}
    assert recipe.flat() == {**Recipe().flat(), **changed}


def test_flat_settings_come_back_as_the_same_recipe():
    recipe = Recipe.of(steps=7, milestones=(), noise=0.0)
    assert Recipe.of(**recipe.flat()) == recipe
    assert recipe.changed(steps=None, milestones=(2 / 3, 5 / 6), noise=0.001) == Recipe() == Recipe.of()
    assert recipe.changed() == recipe


def test_no_two_parts_have_a_setting_of_one_name():
    assert sum(len(kind.__dataclass_fields__) for kind in PARTS.values()) + 2 == len(recipe_options())
    assert {name: option.default for name, option in recipe_options().items()} == Recipe().flat()


@pytest.mark.parametrize("make", [Recipe.of, Recipe().changed])
def test_an_unknown_setting_is_refused_with_a_suggestion(make):
    with pytest.raises(InputError, match=r"^unknown recipe setting 'epoch'; did you mean 'epochs'\?$"):
        make(epoch=3)
    with pytest.raises(InputError, match=r"^unknown recipe setting 'optimisation'"):
        make(optimisation=Optimisation())


@pytest.mark.parametrize(
    ("part", "given", "message"),
    [
        (Optimisation, {"epochs": 0}, "epochs is 0; it must be at least 1, and at most 1,000,000"),
        (Optimisation, {"batch_size": 2.0}, "batch size is 2.0; it must be a whole number"),
        (Augmentation, {"shift": 0.5}, "shift is 0.5; it must be at least 0, and under 0.5"),
        (Optimisation, {"lr": math.inf}, "lr is inf; it must be a finite number"),
        (Augmentation, {"noise": None}, "noise is None; it must be a number"),
        (Compute, {"precision": "int8"}, "precision is 'int8'; it must be auto, float32 or bfloat16"),
    ],
)
def test_each_part_checks_its_own_values(part, given, message):
    with pytest.raises(InputError) as error:
        part(**given)
    assert str(error.value) == message
