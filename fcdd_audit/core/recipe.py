"""How a detector is trained: the numbers, in parts.

People set them by flat names (`--epochs`, `[recipe] batch_size = 8`, presets.csv): `Recipe.of` brings these
into the parts, `Recipe.flat` takes them out again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import Option, options_of
from fcdd_audit.core.registry import suggest

Optimizer = Literal["adam", "sgd"]
Border = Literal["mirror", "black"]
Precision = Literal["auto", "float32", "bfloat16"]

Rule = tuple[str, bool, str]  # a setting, whether its value is in the range, and the range

KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a name"),
}


def _refuse(part: object, setting: str, need: str) -> InputError:
    return InputError(f"{setting.replace('_', ' ')} is {getattr(part, setting)!r}; it must be {need}")


def _check_types(part: object) -> None:
    """InputError for the first value that isn't of the type that is declared for it."""
    for setting, option in options_of(type(part)).items():
        value, (kinds, need) = getattr(part, setting), KINDS.get(option.kind, ((), ""))
        if not kinds or (value is None and option.optional):
            continue
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise _refuse(part, setting, need)


def _check_ranges(part: object, *rules: Rule) -> None:
    for setting, valid, need in rules:
        if not valid:
            raise _refuse(part, setting, need)


def _rising_shares(shares: object) -> bool:
    return (
        isinstance(shares, tuple)
        and all(isinstance(share, int | float) and 0 < share < 1 for share in shares)
        and all(before < after for before, after in pairwise(shares))
    )


@dataclass(frozen=True)
class Optimisation:
    """What is learnt from, how long and how fast. InputError for a value of another type or out of its range.

    epochs: passes over as many draws as there are nominal images, times `repeats`. steps: if given, so many
    training steps are made instead, and the last epoch is cut short. batch_size: images a step. optimizer:
    adam, or sgd with Nesterov momentum 0.9. The learning rate is multiplied by `decay` in (0, 1] at the
    `milestones`, rising shares of the whole in (0, 1), to the epoch or, with `steps`, to the step (the
    default's are the paper's 400 and 500 of 600 epochs); without any, after every epoch. oe_probability: a
    nominal draw is replaced by an anomalous training image with this probability, where the detector learns
    from both.
    """

    epochs: int = 6
    steps: int | None = None
    batch_size: int = 16
    optimizer: Optimizer = "adam"
    lr: float = 1e-3
    weight_decay: float = 1e-6
    decay: float = 0.1
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    repeats: int = 1
    oe_probability: float = 0.5

    def __post_init__(self) -> None:
        _check_types(self)
        steps = self.steps is None or 1 <= self.steps <= 1_000_000_000
        _check_ranges(
            self,
            ("epochs", 1 <= self.epochs <= 1_000_000, "at least 1, and at most 1,000,000"),
            ("steps", steps, "at least 1, and at most 1,000,000,000"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("optimizer", self.optimizer in ("adam", "sgd"), "adam or sgd"),
            ("lr", 0 < self.lr < math.inf, "over 0 and finite"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0 and finite"),
            ("decay", 0 < self.decay <= 1, "in (0, 1]"),
            ("milestones", _rising_shares(self.milestones), "a tuple of rising shares in (0, 1), or empty"),
            ("repeats", 1 <= self.repeats <= 10_000, "at least 1, and at most 10,000"),
            ("oe_probability", 0 < self.oe_probability < 1, "in (0, 1)"),
        )


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random. InputError for a value of another type or out of its range.

    shift: largest random displacement as a share of the image's shorter side; what comes in at the
    border is mirrored or black. flip: probability of a horizontal flip. jitter: brightness, contrast and
    saturation are drawn from 1 ± jitter and the hue's turn from ± jitter of a full one (grey images:
    brightness and contrast), for a `jitter_share` of the images. noise: standard deviation of the noise
    added to pixels in [0, 1]; relative_noise: the same as a share of the image's own standard deviation
    (of both together, the variances add up), and the sum is then cut off at 0 and 1, as in the reference;
    for a `noise_share` of the images.
    """

    shift: float = 0.06
    border: Border = "mirror"
    flip: float = 0.0
    jitter: float = 0.0
    jitter_share: float = 1.0
    noise: float = 0.001
    relative_noise: float = 0.0
    noise_share: float = 1.0

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(
            self,
            ("shift", 0 <= self.shift < 0.5, "in [0, 0.5)"),
            ("border", self.border in ("mirror", "black"), "mirror or black"),
            ("flip", 0 <= self.flip <= 1, "in [0, 1]"),
            ("jitter", 0 <= self.jitter <= 0.5, "in [0, 0.5]"),
            ("jitter_share", 0 < self.jitter_share <= 1, "in (0, 1]"),
            ("noise", 0 <= self.noise < math.inf, "at least 0 and finite"),
            ("relative_noise", 0 <= self.relative_noise < math.inf, "at least 0 and finite"),
            ("noise_share", 0 < self.noise_share <= 1, "in (0, 1]"),
        )


@dataclass(frozen=True)
class Compute:
    """What a training calculates in. InputError for another value.

    precision: auto is bfloat16 autocast on devices that calculate in it, else float32.
    """

    precision: Precision = "auto"

    def __post_init__(self) -> None:
        _check_types(self)
        known = self.precision in ("auto", "float32", "bfloat16")
        _check_ranges(self, ("precision", known, "auto, float32 or bfloat16"))


PARTS: dict[str, type] = {
    "optimisation": Optimisation,
    "augmentation": Augmentation,
    "compute": Compute,
}


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained. InputError for an empty name.

    network, normalise: for `build`; they are part of a detector's `Input`, and say what is trained.
    """

    optimisation: Optimisation = Optimisation()
    augmentation: Augmentation = Augmentation()
    compute: Compute = Compute()
    network: str = "small"
    normalise: str = "nominal"

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(
            self,
            ("network", bool(self.network), "the name of a network"),
            ("normalise", bool(self.normalise), "the name of a normalisation"),
        )

    @classmethod
    def of(cls, **settings: Any) -> Recipe:
        """The recipe with these settings by their flat names (see `recipe_options`), else the defaults.

        InputError for an unknown name, or a value that it can't have.
        """
        known = recipe_options()
        for name in settings:
            if name not in known:
                raise InputError(f"unknown recipe setting '{name}'{suggest(name, list(known))}")
        left = dict(settings)
        parts = {
            part: kind(**{name: left.pop(name) for name in options_of(kind) if name in left})
            for part, kind in PARTS.items()
        }
        return cls(**parts, **left)

    def flat(self) -> dict[str, Any]:
        """Every setting by its flat name, in the order of `recipe_options`: plain values but for a tuple."""
        holders = [getattr(self, part) for part in PARTS]
        return {
            name: getattr(holder, name)
            for holder in (*holders, self)
            for name in options_of(type(holder))
            if name not in PARTS
        }

    def changed(self, **settings: Any) -> Recipe:
        """The recipe with other values of these settings, by their flat names; errors as in `of`."""
        return Recipe.of(**{**self.flat(), **settings})


def recipe_options() -> dict[str, Option]:
    """The settings of a recipe by their flat names, with declared types and defaults, in order."""
    options = {
        name: option for kind in (*PARTS.values(), Recipe) for name, option in options_of(kind).items()
    }
    return {name: option for name, option in options.items() if name not in PARTS}
