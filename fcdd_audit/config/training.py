"""The recipe by its settings' flat names: the one place that knows how a recipe is put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from fcdd_audit.core.recipe import PARTS, Range, Recipe, ranges_of

# What each means; those in FLAGS have a flag, the others are set by --set recipe.NAME=VALUE.
MEANINGS = {
    "epochs": "Training epochs.",
    "steps": "Training steps, in place of epochs.",
    "batch_size": "Images a step.",
    "optimizer": "adam, or sgd with Nesterov momentum 0.9.",
    "lr": "Learning rate.",
    "weight_decay": "Of the optimizer.",
    "decay": "The learning rate is multiplied by it at the milestones, or without any after every epoch.",
    "milestones": "Rising shares of the epochs, such as 2/3,5/6, or none.",
    "repeats": "How often an epoch draws as many images as there are nominal ones.",
    "oe_probability": "A nominal draw is replaced by an anomalous training image with this probability.",
    "shift": "Largest random displacement, as a share of the image's shorter side.",
    "border": "What comes in at the border then: mirror or black.",
    "flip": "Probability of a horizontal flip.",
    "jitter": "Of brightness, contrast, saturation and hue.",
    "jitter_share": "Share of the images that are jittered.",
    "noise": "Standard deviation of the noise that is added to pixels in [0, 1].",
    "relative_noise": "The same, as a share of the image's own standard deviation.",
    "noise_share": "Share of the images that noise is added to.",
    "precision": "auto, float32 or bfloat16.",
    "network": "Network: see 'fcdd-audit list networks'.",
    "normalise": "Of the network's input: nominal, imagenet or contrast.",
}
FLAGS = ("epochs", "steps", "batch_size", "lr", "network")


def recipe_kinds() -> dict[str, Any]:
    """The settings of a recipe and the kinds of their values, in the recipe's order."""
    kinds = {name: hint for part in PARTS.values() for name, hint in get_type_hints(part).items()}
    return {name: kind for name, kind in (kinds | get_type_hints(Recipe)).items() if name not in PARTS}


def recipe_ranges() -> dict[str, Range]:
    """The ranges of those settings of a recipe that are numbers."""
    return {name: one for part in PARTS.values() for name, one in ranges_of(part).items()}


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """The recipe with these settings, the others by default. InputError for a value out of its range."""
    return Recipe.of(**settings)


def recipe_settings(recipe: Recipe) -> dict[str, Any]:
    """All settings of a recipe, by name."""
    return recipe.flat()
