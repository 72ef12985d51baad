"""The weights of a finished detector, from a safetensors file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Detector

IN_RECORD = "detector.safetensors"  # the weights in the folder of a trained record


@dataclass(frozen=True)
class Weights:
    """file: its name, without the folder. sha256: of its bytes. values: by name, on the CPU, all finite."""

    file: str
    sha256: str
    values: dict[str, Tensor]

    @property
    def channels(self) -> int | None:
        """Of the images that the detector takes, by the mean that it normalises with; None if it has none."""
        mean = self.values.get("mean")
        return None if mean is None or mean.ndim != 4 else mean.shape[1]


def read_weights(path: Path) -> Weights:
    """The weights in a file, or in the folder of a trained record.

    InputError for what isn't there or isn't a whole safetensors file, and for values that aren't finite.
    """
    file = path / IN_RECORD if os.path.isdir(path) else path
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"can't read the weights '{file}' ({error.strerror}); give a safetensors file, or the folder of "
            "a trained record, with --weights"
        ) from None
    try:
        values = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{file}' is no whole safetensors file ({' '.join(str(error).split())}); write the detector's "
            "state_dict() again, with safetensors.torch.save_file"
        ) from None
    for name, value in values.items():
        if not torch.isfinite(value).all():
            raise InputError(
                f"'{name}' in the weights '{file}' has values that aren't finite: the training diverged, or "
                "the file is damaged; give the weights of a working detector"
            )
    found = Weights(file.name, hashlib.sha256(content).hexdigest(), values)
    if found.channels not in (None, 1, 3):
        raise InputError(
            f"the weights '{file}' are for images of {found.channels} channels; only grey and colour images "
            "(1 or 3) can be audited"
        )
    return found


def fill(detector: Detector, weights: Weights, what: str) -> Detector:
    """The detector, with these weights in place of its own (buffers such as the normalisation's included), in
    evaluation mode.

    what: describes the detector in errors. InputError naming the first of the weights that doesn't fit.
    """
    wanted = detector.state_dict()
    for name in (*wanted, *weights.values):
        if name not in weights.values:
            wrong = f"there is no '{name}'"
        elif name not in wanted:
            wrong = f"'{name}' has no place"
        elif weights.values[name].shape != wanted[name].shape:
            wrong = f"'{name}' is {tuple(weights.values[name].shape)}, not {tuple(wanted[name].shape)}"
        else:
            continue
        raise InputError(
            f"the weights '{weights.file}' don't fit {what}: {wrong}; name the detector that they are of "
            "(--detector), and its --network, --image-size and options (--set NAME.OPTION) as in training"
        )
    detector.load_state_dict(weights.values)
    return detector.eval()
