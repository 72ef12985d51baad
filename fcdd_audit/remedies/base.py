"""What a remedy is, and the registry of remedies.

A remedied twin is trained as the planted one, on the same seeds, batches and augmentation, but on mended
images or with a term that is added to the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import Registry
from fcdd_audit.core.sides import Side
from fcdd_audit.detectors.training.members import Term
from fcdd_audit.edits.base import Edit, TrainingSet
from fcdd_audit.edits.mended import Mended

PLACEBO = "placebo"  # is asked for with any other, and is none


@dataclass(frozen=True)
class Case:
    """What is to be mended.

    detector: its name. own: whether the user's own code trains it. placed: whether the artifact has a place.
    share: of the training images of each side that the detector learns from, how many bear it, in [0, 1].
    """

    detector: str
    own: bool
    placed: bool
    share: Mapping[Side, float]


@dataclass(frozen=True)
class Penalty:
    """The term of the loss of a remedied twin. remedy: its name. artifact: the name of the one that it is
    for. options: all of the remedy's options with their values."""

    remedy: str
    artifact: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def strength(self) -> float | None:
        """What the term is multiplied by; None of a remedy without such an option."""
        return dict(self.options).get("strength")

    def made(self) -> Remedy:
        """The remedy whose term it is."""
        return make_remedy(self.remedy, {self.remedy: dict(self.options)})


class Remedy(Protocol):
    """One way to mend: a frozen dataclass whose fields are its options.

    does: what it does, as half a sentence. slower: how many times as long as a plain training one with it
    takes, roughly. It either changes the training set (`change`) or adds a term to the loss (`term`), and
    gives None for the other. Its options are plain values: numbers, words, or tuples of them.
    """

    does: ClassVar[str]
    slower: ClassVar[float]

    def unfit(self, case: Case) -> str | None:
        """Why it can't work there, as half a sentence; None: it can."""
        ...

    def change(self) -> Edit | None:
        """What is done to a training set whose `bearing` says where the artifact is, as a registered edit;
        None: nothing."""
        ...

    def term(self, training: TrainingSet, artifact: str, seed: int, device: torch.device) -> Term | None:
        """What is added to the loss of a training on these images; None: nothing."""
        ...


REMEDIES: Registry[type[Remedy]] = Registry("remedy")


class ByImages:
    """A remedy that changes the training set."""

    slower: ClassVar[float] = 1.0
    strength: ClassVar[float | None] = None

    def term(self, training: TrainingSet, artifact: str, seed: int, device: torch.device) -> Term | None:
        return None


class ByLoss:
    """A remedy that adds a term to the loss. Has a field `strength`, which must be over 0."""

    strength: float

    def __post_init__(self) -> None:
        if not self.strength > 0:
            name = type(self).__name__.lower()
            raise InputError(f"{name} strength is {self.strength:g}; it must be over 0")

    def change(self) -> Edit | None:
        return None

    def unfit(self, case: Case) -> str | None:
        if case.own:
            return f"your own code trains {case.detector}, and a term can't be added to its loss"
        return placeless(case)


def make_remedy(name: str, options: Mapping[str, Mapping[str, Any]]) -> Remedy:
    """The remedy of that name with its options. InputError for an unknown one, or an option out of its
    range."""
    return REMEDIES[name](**options.get(name, {}))


def mending(name: str, remedy: Remedy, first: Edit, artifact: str) -> tuple[Edit, Penalty | None]:
    """What a remedied twin is trained on, and the term of its loss.

    first: what the planted twin is trained on. artifact: the name of the one that is mended: planted by
    `first`, or found on the images.
    """
    change = remedy.change()
    if change is None:
        options = tuple((one.name, getattr(remedy, one.name)) for one in fields(remedy))  # type: ignore[arg-type]
        return first, Penalty(name, artifact, options)
    return (Mended(first, artifact, change) if artifact in first.artifacts else change), None


def placeless(case: Case) -> str | None:
    """Why what needs a place can't work."""
    return None if case.placed else "the artifact has no place in the image"


def one_sided(case: Case) -> str | None:
    """Why what makes both sides alike can't work."""
    if len(case.share) < 2:
        (side,) = case.share
        return f"{case.detector} is trained on {side} images only, so that no two sides can be made alike"
    if min(case.share.values()) == 1:
        return "every training image of both sides bears the artifact"
    return None
