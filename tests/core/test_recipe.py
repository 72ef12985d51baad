import math

import numpy as np
import pytest

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe, milestone_epochs, training_steps


@pytest.mark.parametrize(
    ("images", "recipe", "expected"),
    [
        *((images, Recipe(batch_size=5), steps) for images, steps in ((4, (1, 4)), (5, (1, 5)), (6, (2, 5)))),
        (10, Recipe(batch_size=5), (2, 5)),
        (11, Recipe(batch_size=5), (3, 5)),
        (11, Recipe(batch_size=5, repeats=10), (22, 5)),
        (3, Recipe(batch_size=128, repeats=10), (1, 30)),
    ],
)
def test_an_epoch_has_as_many_steps_as_its_draws_need(images, recipe, expected):
    assert training_steps(images, recipe) == expected


def test_the_default_milestones_are_thirds_and_sixths_to_the_epoch():
    for epochs in (*range(1, 2000), 1_000_000):
        exact = {-(-epochs * 2 // 3), -(-epochs * 5 // 6)} - {epochs}
        assert milestone_epochs(Recipe(epochs=epochs)) == sorted(exact)
    assert milestone_epochs(Recipe(epochs=600)) == [400, 500]


def test_milestones_are_shares_of_the_epochs_rounded_up():
    assert milestone_epochs(Recipe(epochs=10, milestones=(0.05, 0.3, 0.99))) == [1, 3]
    assert milestone_epochs(Recipe(epochs=10, milestones=())) == []


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
        ("compile", "yes"),
        ("compile", 1),
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
        Recipe(**{setting: value})


def test_whole_numbers_and_numpys_serve_as_numbers():
    assert Recipe(lr=1, flip=1, noise=0).flip == 1
    assert Recipe(lr=np.float64(0.01)).lr == 0.01
