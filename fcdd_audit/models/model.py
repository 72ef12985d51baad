"""A model of another library as a scorer."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.models import trying
from fcdd_audit.models.base import Opened, Shape
from fcdd_audit.models.failures import NotFiniteError, reason_of
from fcdd_audit.models.outputs import Reading, at_size, read, read_maps
from fcdd_audit.models.pixels import Scale, to_channels


@dataclass(frozen=True)
class Model:
    """Scores images as `Scorer` asks; one that gives anomaly maps is a `MappingModel`.

    name: for people, short. format: its name in FORMATS. about: what it is and where from, for the record.
    notes: what was adapted or must be known, one sentence each. no_gradient: why gradients can't be had, in
    one line; None if they can. shape: of the images that it takes. batch: how many it takes at a time; None:
    any number.
    """

    name: str
    format: str
    about: dict[str, str]
    notes: list[str]
    no_gradient: str | None
    shape: Shape
    batch: int | None
    device: torch.device
    opened: Opened
    scale: Scale | None = None

    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]; differentiable
        unless there is a reason in `no_gradient`.

        InputError, in one line, for whatever the model fails with, and for scores that aren't finite.
        """
        return self.read(x).scores

    def read(self, x: Tensor) -> Reading:
        """Scores and, where they come along, anomaly maps at the model's own size."""
        with nullcontext() if self.no_gradient is None else torch.no_grad():
            readings = [read(self._called(self.opened.call, chunk), len(chunk)) for chunk in self._chunks(x)]
            scores = torch.cat([self._here(one.scores) for one in readings])[: len(x)]
            maps = [self._here(one.maps) for one in readings if one.maps is not None]
        bad = int((~torch.isfinite(scores)).sum())
        if bad:
            raise NotFiniteError(
                f"the model {self.name} gives {bad} of {len(x)} images scores that aren't finite; check its "
                "weights, and that it gets images as in training (--mean, --std)"
            )
        return Reading(scores, torch.cat(maps)[: len(x)] if maps else None, readings[0].notes)

    def with_maps(self) -> MappingModel:
        """The same model with `anomaly_map`."""
        return MappingModel(**{one.name: getattr(self, one.name) for one in fields(self)})

    def noting(self, *notes: str | None) -> Model:
        """The same model with more notes; those that are None or noted already are left out."""
        new = [note for note in dict.fromkeys(notes) if note is not None and note not in self.notes]
        return replace(self, notes=[*self.notes, *new])

    def tried(self, images: Tensor) -> Model:
        """The model, ready for images like these: with its limits found out, and with `anomaly_map` if it
        gives maps.

        images: a few real ones, uint8 (N, C, H, W), at least two. InputError if it can't score them.
        """
        return trying.tried(self, images)

    def _chunks(self, x: Tensor) -> list[Tensor]:
        """What the model gets, call by call: the last one filled up with copies where it needs a fixed
        number."""
        if len(x) == 0:
            raise ValueError("no images to score")
        x = to_channels(x, self.shape[0])
        if self.scale is not None:
            x = self.scale.on(x)
        # Of its own, and contiguous: a model may change what it gets, or look at it as rows.
        x = x.to(self.opened.dtype).clone(memory_format=torch.contiguous_format)
        if self.batch is None:
            return [x]
        missing = -len(x) % self.batch
        return list(torch.cat([x, x[-1:].expand(missing, -1, -1, -1)]).split(self.batch))

    def _here(self, values: Tensor) -> Tensor:
        """On the model's device, which may have no double precision."""
        return (values.float() if self.device.type == "mps" else values).to(self.device)

    def _called(self, function: object, x: Tensor) -> object:
        try:
            return function(x)  # type: ignore[operator]
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"the model {self.name} needs more memory than {self.device} has; choose another --device"
            ) from error
        except Exception as error:
            shown = "x".join(map(str, x.shape[1:]))
            raise InputError(
                f"the model {self.name} fails on {len(x)} image{'s' * (len(x) > 1)} of {shown} "
                f"({reason_of(error)}); {self._remedy(error)}"
            ) from error

    def _remedy(self, error: Exception) -> str:
        words = str(error).lower()
        if "device" in words and any(kind in words for kind in ("cuda", "cpu", "meta", "mps")):
            return (
                f"its tensors must be on the device of the images, {self.device}: move them, or set --device"
            )
        return "it must take float images (N, C, H, W) in [0, 1]; choose their size with --image-size"


@dataclass(frozen=True)
class MappingModel(Model):
    """A model that gives anomaly maps too."""

    def anomaly_map(self, x: Tensor) -> Tensor:
        """The model's own maps, (N, 1, H, W) at the images' size, non-negative."""
        if self.opened.maps is None:
            maps = self.read(x).maps
        else:
            with nullcontext() if self.no_gradient is None else torch.no_grad():
                found = [
                    read_maps(self._called(self.opened.maps, chunk), len(chunk)) for chunk in self._chunks(x)
                ]
                maps = torch.cat([one.to(self.device) for one in found])[: len(x)]
        if maps is None or not torch.isfinite(maps).all():
            state = "none" if maps is None else "ones that aren't finite"
            raise InputError(
                f"the model {self.name} gives anomaly maps for some images, and {state} for others; leave "
                "out the explainer 'native'"
            )
        return at_size(maps, x.shape[-2], x.shape[-1])
