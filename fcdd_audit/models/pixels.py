"""Images in [0, 1] as a model wants them: their channels, and their mean and standard deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
REPEATED = "The images are grey and the model takes colour: their channel is repeated."
GREYED = "The images have colour and the model takes grey: it gets their luminance (ITU-R BT.601)."


@dataclass(frozen=True)
class Scale:
    """What standardises images: (x - mean) / std, each of one number, or of one a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int | None:
        """How many it is for; None: any."""
        longest = max(len(self.mean), len(self.std))
        return longest if longest > 1 else None

    def on(self, x: Tensor) -> Tensor:
        mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std


def make_scale(mean: Sequence[float] | None, std: Sequence[float] | None) -> Scale | None:
    """None if neither is given. InputError for one without the other, and for numbers that can't be used."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        given, missing = ("--std", "--mean") if mean is None else ("--mean", "--std")
        raise InputError(
            f"{given} is given without {missing}; images are standardised as (x - mean) / std: give both"
        )
    found = Scale(tuple(map(float, mean)), tuple(map(float, std)))
    for option, values in (("--mean", found.mean), ("--std", found.std)):
        if len(values) not in (1, 3) or not all(map(math.isfinite, values)):
            shown = ",".join(f"{value:g}" for value in values) or "empty"
            raise InputError(f"{option} is {shown}; 1 number or 3, one a channel, are needed, all finite")
    if min(found.std) <= 0:
        raise InputError(f"--std is {','.join(f'{value:g}' for value in found.std)}; it must be over 0")
    return found


def to_channels(x: Tensor, channels: int | None) -> Tensor:
    """Images (N, C, H, W) with that many channels: grey ones repeated, of colour ones the luminance.

    InputError for numbers of channels other than 1 and 3.
    """
    if channels is None or x.shape[1] == channels:
        return x
    if (x.shape[1], channels) == (1, 3):
        return x.expand(-1, 3, -1, -1)
    if (x.shape[1], channels) == (3, 1):
        return (x * torch.tensor(LUMINANCE).to(x).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    raise InputError(
        f"the model takes images of {channels} channels, and these have {x.shape[1]}; only grey and colour "
        "images (1 and 3) are made of each other"
    )


def channel_note(given: int, taken: int | None) -> str | None:
    """What `to_channels` does, in a sentence; None if nothing."""
    if taken is None or given == taken:
        return None
    return REPEATED if taken == 3 else GREYED
