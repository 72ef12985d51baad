"""How a detector is trained: the numbers, in parts.

People set them by flat names (`--epochs`, `[recipe] batch_size = 8`, presets.csv): `Recipe.of` brings these
into the parts, `Recipe.flat` takes them out again.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, get_type_hints

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import Option, options_of
from fcdd_audit.core.registry import suggest

Optimizer = Literal["adam", "sgd"]
Border = Literal["mirror", "black"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Range:
    """The numbers that a setting can be, by their ends; None: no end there."""

    at_least: float | None = None
    over: float | None = None
    at_most: float | None = None
    under: float | None = None

    def ends(self) -> dict[str, float]:
        """The ends that there are, by their word: `at least`."""
        return {name.replace("_", " "): end for name, end in asdict(self).items() if end is not None}

    def holds(self, value: float) -> bool:
        """Whether the number is in the range."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.over is None or value > self.over)
            and (self.at_most is None or value <= self.at_most)
            and (self.under is None or value < self.under)
        )


SHARE = Range(at_least=0, at_most=1)
POSITIVE_SHARE = Range(over=0, at_most=1)
INNER_SHARE = Range(over=0, under=1)
NOT_NEGATIVE = Range(at_least=0)

Rule = tuple[str, bool, str]  # a setting, whether it can have its value, and what it must be

KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a name"),
}


def _refuse(part: object, setting: str, need: str) -> InputError:
    return InputError(f"{setting.replace('_', ' ')} is {getattr(part, setting)!r}; it must be {need}")


def _check_declared(part: object) -> None:
    """InputError for the first value that isn't of the type and in the range that are declared for it."""
    ranges = ranges_of(type(part))
    for setting, option in options_of(type(part)).items():
        value: Any = getattr(part, setting)
        kinds, need = KINDS.get(option.kind, ((), ""))
        if not kinds or (value is None and option.optional):
            continue
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if not fits:
            raise _refuse(part, setting, need)
        if option.kind is float and not math.isfinite(value):
            raise _refuse(part, setting, "a finite number")
        if setting in ranges and not ranges[setting].holds(value):
            ends = ranges[setting].ends().items()
            raise _refuse(part, setting, ", and ".join(f"{word} {end:,}" for word, end in ends))


def ranges_of(part: type) -> dict[str, Range]:
    """The ranges that are declared for a part's settings, by name."""
    hints = get_type_hints(part, include_extras=True)
    return {
        name: one
        for name, hint in hints.items()
        for one in getattr(hint, "__metadata__", ())
        if isinstance(one, Range)
    }


def _check_rules(part: object, *rules: Rule) -> None:
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

    epochs: Annotated[int, Range(at_least=1, at_most=1_000_000)] = 6
    steps: Annotated[int | None, Range(at_least=1, at_most=1_000_000_000)] = None
    batch_size: Annotated[int, Range(at_least=2)] = 16
    optimizer: Optimizer = "adam"
    lr: Annotated[float, Range(over=0)] = 1e-3
    weight_decay: Annotated[float, NOT_NEGATIVE] = 1e-6
    decay: Annotated[float, POSITIVE_SHARE] = 0.1
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    repeats: Annotated[int, Range(at_least=1, at_most=10_000)] = 1
    oe_probability: Annotated[float, INNER_SHARE] = 0.5

    def __post_init__(self) -> None:
        _check_declared(self)
        _check_rules(
            self,
            ("optimizer", self.optimizer in ("adam", "sgd"), "adam or sgd"),
            ("milestones", _rising_shares(self.milestones), "a tuple of rising shares in (0, 1), or empty"),
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

    shift: Annotated[float, Range(at_least=0, under=0.5)] = 0.06
    border: Border = "mirror"
    flip: Annotated[float, SHARE] = 0.0
    jitter: Annotated[float, Range(at_least=0, at_most=0.5)] = 0.0
    jitter_share: Annotated[float, POSITIVE_SHARE] = 1.0
    noise: Annotated[float, NOT_NEGATIVE] = 0.001
    relative_noise: Annotated[float, NOT_NEGATIVE] = 0.0
    noise_share: Annotated[float, POSITIVE_SHARE] = 1.0

    def __post_init__(self) -> None:
        _check_declared(self)
        _check_rules(
            self,
            ("border", self.border in ("mirror", "black"), "mirror or black"),
        )


@dataclass(frozen=True)
class Compute:
    """What a training calculates in. InputError for another value.

    precision: auto is bfloat16 autocast on devices that calculate in it, else float32.
    """

    precision: Precision = "auto"

    def __post_init__(self) -> None:
        _check_declared(self)
        known = self.precision in ("auto", "float32", "bfloat16")
        _check_rules(self, ("precision", known, "auto, float32 or bfloat16"))


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
        _check_declared(self)
        _check_rules(
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
