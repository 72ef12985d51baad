"""The user's own training code as a detector, which has a name in the registry as long as a context lasts."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.mapped import copied
from fcdd_audit.core.seeding import seeded
from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.inputs import Input
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.models.code import Code, code_of, name_of
from fcdd_audit.models.failures import NotFiniteError, reason_of
from fcdd_audit.models.model import MappingModel, Model
from fcdd_audit.models.opening import wrap

Fit = Callable[[Tensor, Tensor, int], object]  # (nominal, anomalous, seed) to a model

FEW = 4  # training images of each side that a model is tried on
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
FIELDS = ("anomaly_field", "cam_field", "map_field")
UNTRAINED = "no model of it could be trained yet"

log = logging.getLogger("fcdd_audit")


class FailedTrainingError(RunError):
    """The user's own training code fails, or its model gives scores that aren't finite."""


@dataclass(frozen=True)
class Traits:
    """What explaining has to know of models before they are trained: of one, for all of the same code.

    maps: whether it gives anomaly maps. no_gradient: why gradients can't be had, or None. explained_by: the
    explainers that suit it. fields: receptive fields, by the names in `FIELDS`, of a detector of this
    package. notes: what was adapted or must be known, one sentence each. about: what it is.
    """

    maps: bool = False
    no_gradient: str | None = UNTRAINED
    explained_by: tuple[str, ...] = ("occlusion",)
    fields: Mapping[str, ReceptiveField] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model | Detector) -> Traits:
        """Of a model: native and gradient explain it, as far as it gives maps and gradients, else
        occlusion. A detector of this package knows what explains it."""
        if isinstance(model, Detector):
            return cls(
                maps=callable(getattr(model, "anomaly_map", None)),
                no_gradient=None,
                explained_by=model.explained_by,
                fields={name: one for name in FIELDS if (one := getattr(model, name, None)) is not None},
                about={"format": "detector", "detector": type(model).__name__},
            )
        maps, gradients = isinstance(model, MappingModel), model.no_gradient is None
        suiting = (*(("native",) if maps else ()), *(("gradient",) if gradients else ()))
        return cls(
            maps,
            model.no_gradient,
            suiting or ("occlusion",),
            notes=tuple(model.notes),
            about=model.about,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Traits:
        """What `as_json` gave, also after a way through JSON."""
        return cls(
            **{
                **values,
                "explained_by": tuple(values["explained_by"]),
                "notes": tuple(values["notes"]),
                "fields": {name: ReceptiveField(**one) for name, one in values["fields"].items()},
            }
        )


class OwnDetector(Detector):
    """Trained by the user's own code.

    An instance stands for a model before it is trained: it says what explains it, and scores nothing. Recipe
    and network are the user's, and so nothing is known of a network before training.

    fit: the training code. code: what it runs. traits: of its models; None until one was made. seconds: that
    its first training took. outcomes: by key, models that this process made, or why there is none.
    """

    fit: ClassVar[Fit]
    called: ClassVar[str]
    code: ClassVar[Code]
    traits: ClassVar[Traits | None]
    seconds: ClassVar[float]
    outcomes: ClassVar[dict[str, Model | Detector | str]]

    def __init__(self, input: Input, options: Detector.Options) -> None:
        super().__init__(input, options)
        self.known = self.traits or Traits()
        self.no_gradient = self.known.no_gradient
        self.anomaly_field = self.known.fields.get("anomaly_field")
        if self.known.maps:
            self.anomaly_map = self.score

    def score(self, x: Tensor) -> Tensor:
        raise ValueError(f"the models of {self.called} score, and not what stands for them")

    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        raise ValueError(f"{self.called} has a loss of its own, if any")

    @property
    def cam_layer(self) -> OwnDetector:
        self._field("cam_field")
        return self

    @property
    def cam_field(self) -> ReceptiveField:
        return self._field("cam_field")

    @property
    def map_field(self) -> ReceptiveField:
        return self._field("map_field")

    def _field(self, name: str) -> ReceptiveField:
        if name not in self.known.fields:
            raise AttributeError(name)
        return self.known.fields[name]

    @classmethod
    def meet(cls, traits: Traits, seconds: float) -> None:
        """Learn what models are like from the first one, and how long it took."""
        cls.traits, cls.seconds, cls.explained_by = traits, seconds, traits.explained_by

    @classmethod
    def made(
        cls, key: str, images: Callable[[], tuple[Tensor, Tensor]], seed: int, device: torch.device
    ) -> Model | Detector:
        """The model of that key, trained on nominal and anomalous images, uint8 (N, C, H, W) each, unless
        this process has it.

        FailedTrainingError if there is none; InputError if what the code returns can't be used.
        """
        if key not in cls.outcomes:
            try:
                cls.outcomes[key] = cls._trained(*images(), seed, device)
            except FailedTrainingError as error:
                cls.outcomes[key] = str(error)
        found = cls.outcomes[key]
        if isinstance(found, str):
            raise FailedTrainingError(found)
        return found

    @classmethod
    def _trained(
        cls, nominal: Tensor, anomalous: Tensor, seed: int, device: torch.device
    ) -> Model | Detector:
        try:
            with seeded(seed, "own training"), torch.enable_grad():
                made = cls.fit(copied(nominal), copied(anomalous), seed)
        except (Exception, SystemExit) as error:
            log.debug("%s fails", cls.called, exc_info=True)
            raise FailedTrainingError(f"{cls.called} fails: {reason_of(error)}") from error
        try:
            model = wrap(made, name=cls.called, device=device)
            if isinstance(model, Detector):
                return model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            return model.tried(torch.cat([nominal[:FEW], anomalous[:FEW]]))
        except NotFiniteError as error:
            raise FailedTrainingError(str(error)) from error
        except InputError as error:
            raise InputError(f"what {cls.called} returns can't be audited: {error}") from error

    @classmethod
    def notes(cls) -> tuple[str, ...]:
        """What a reader must know."""
        told = (f"{cls.called}: {note}" for note in (cls.traits or Traits()).notes)
        return (
            f"Twins are trained by the user's own code, {cls.called}: its recipe isn't known here.",
            *told,
        )


def own_kind(name: str) -> type[OwnDetector] | None:
    """The entry of a detector that the user's own code trains; None for one that this package trains."""
    kind = DETECTORS[name]
    return kind if issubclass(kind, OwnDetector) else None


@contextmanager
def own_training(fit: Fit, name: str | None = None) -> Iterator[str]:
    """Within, the user's own training code is a detector; gives its name, by default the function's.

    fit: from nominal and anomalous training images, uint8 (N, C, H, W) each, and a seed, to a model of any
    kind that `wrap` takes. Twins get the same seed, and all that the code draws at random should come from
    it; the global generators of torch, numpy and Python begin from it too. The recipe is the code's own: none
    of the settings of a training here (epochs, lr, network, ...) reach it. If there are no anomalous training
    images, it gets a tensor without any.

    Models are kept in memory until the context ends, so that cells are trained and measured in this process,
    one after the other. What was measured is kept in the store, by the source of the code (see `code_of`).
    InputError for a name that is taken or can't be one.
    """
    called = name_of(fit)
    name = called.rpartition(".")[2] if name is None else name
    if not callable(fit):
        raise InputError(f"fit is a {type(fit).__name__}; give a function of nominal, anomalous and seed")
    if not NAME.fullmatch(name):
        raise InputError(f"'{name}' can't be a detector's name; give one of letters, digits, - and _")
    if name in DETECTORS:
        raise InputError(f"there is a detector '{name}' already; give your training code another name")
    state = {
        "__doc__": f"Trained by {called}.",
        "fit": staticmethod(fit),
        "called": called,
        "code": code_of(fit),
        "traits": None,
        "seconds": 0.0,
        "explained_by": Traits().explained_by,
        "outcomes": {},
    }
    kind = type("OwnDetector", (OwnDetector,), {"__module__": __name__, **state})
    with DETECTORS.lent(name, kind, __name__):
        yield name
