"""How a detector is trained: the numbers, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal

from fcdd_audit.core.errors import InputError

Optimizer = Literal["adam", "sgd"]
Border = Literal["mirror", "black"]
Precision = Literal["auto", "float32", "bfloat16"]

KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # by what a field is annotated with
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
    "str": ((str,), "a name"),
}


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained. InputError for a value of another type or out of its range.

    epochs: passes over as many draws as there are nominal images, times `repeats`. batch_size: images a
    step. optimizer: adam, or sgd with Nesterov momentum 0.9. The learning rate is multiplied by `decay`
    in (0, 1] at the `milestones`, rising shares of the epochs in (0, 1) (the default's are the paper's
    400 and 500 of 600); without any, after every epoch. oe_probability: a nominal draw is replaced by an
    anomalous training image with this probability, where the detector learns from both.

    shift: largest random displacement as a share of the image's shorter side; what comes in at the
    border is mirrored or black. flip: probability of a horizontal flip. jitter: brightness, contrast and
    saturation are drawn from 1 ± jitter and the hue's turn from ± jitter of a full one (grey images:
    brightness and contrast), for a `jitter_share` of the images. noise: standard deviation of the noise
    added to pixels in [0, 1]; relative_noise: the same as a share of the image's own standard deviation
    (of both together, the variances add up), and the sum is then cut off at 0 and 1, as in the reference;
    for a `noise_share` of the images.

    precision: auto is bfloat16 autocast on devices that calculate in it, else float32. compile: by
    torch.compile, which needs a C++ compiler on the CPU and raises its own error without; numbers then
    differ in the last digits. It takes 10 to 30 s at first; on one CPU thread it then made steps 12 to
    20 % faster in float32 and 50 % slower in bfloat16, so it is off. network, normalise: for `build`.
    """

    epochs: int = 6
    batch_size: int = 16
    optimizer: Optimizer = "adam"
    lr: float = 1e-3
    weight_decay: float = 1e-6
    decay: float = 0.1
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    repeats: int = 1
    oe_probability: float = 0.5
    shift: float = 0.06
    border: Border = "mirror"
    flip: float = 0.0
    jitter: float = 0.0
    jitter_share: float = 1.0
    noise: float = 0.001
    relative_noise: float = 0.0
    noise_share: float = 1.0
    precision: Precision = "auto"
    compile: bool = False
    network: str = "small"
    normalise: str = "nominal"

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (kinds, need) = getattr(self, field.name), KINDS.get(str(field.type), ((), ""))
            if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
                raise InputError(f"{field.name.replace('_', ' ')} is {value!r}; it must be {need}")
        for name, valid, need in (
            ("epochs", 1 <= self.epochs <= 1_000_000, "at least 1, and at most 1,000,000"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("optimizer", self.optimizer in ("adam", "sgd"), "adam or sgd"),
            ("lr", 0 < self.lr < math.inf, "over 0 and finite"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0 and finite"),
            ("decay", 0 < self.decay <= 1, "in (0, 1]"),
            ("milestones", _rising_shares(self.milestones), "a tuple of rising shares in (0, 1), or empty"),
            ("repeats", 1 <= self.repeats <= 10_000, "at least 1, and at most 10,000"),
            ("oe_probability", 0 < self.oe_probability < 1, "in (0, 1)"),
            ("shift", 0 <= self.shift < 0.5, "in [0, 0.5)"),
            ("border", self.border in ("mirror", "black"), "mirror or black"),
            ("flip", 0 <= self.flip <= 1, "in [0, 1]"),
            ("jitter", 0 <= self.jitter <= 0.5, "in [0, 0.5]"),
            ("jitter_share", 0 < self.jitter_share <= 1, "in (0, 1]"),
            ("noise", 0 <= self.noise < math.inf, "at least 0 and finite"),
            ("relative_noise", 0 <= self.relative_noise < math.inf, "at least 0 and finite"),
            ("noise_share", 0 < self.noise_share <= 1, "in (0, 1]"),
            ("precision", self.precision in ("auto", "float32", "bfloat16"), "auto, float32 or bfloat16"),
            ("network", bool(self.network), "the name of a network"),
            ("normalise", bool(self.normalise), "the name of a normalisation"),
        ):
            if not valid:
                raise InputError(f"{name.replace('_', ' ')} is {getattr(self, name)!r}; it must be {need}")


def _rising_shares(shares: object) -> bool:
    return (
        isinstance(shares, tuple)
        and all(isinstance(share, int | float) and 0 < share < 1 for share in shares)
        and all(before < after for before, after in pairwise(shares))
    )


def training_steps(images: int, recipe: Recipe) -> tuple[int, int]:
    """Steps an epoch, which draw every one of `images` as often as the recipe repeats them (the last
    batch is topped up), and the batch size, which is never above the number of draws."""
    draws = images * recipe.repeats
    size = min(recipe.batch_size, draws)
    return -(-draws // size), size


def milestone_epochs(recipe: Recipe) -> list[int]:
    """After how many epochs the rate falls, ascending, each once; shares are rounded up."""
    ends = {math.ceil(recipe.epochs * share - 1e-9) for share in recipe.milestones}  # 2/3 is no float
    return sorted(ends - {recipe.epochs})
