"""What a model gives for a batch of images, as scores and anomaly maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.errors import InputError

SCORE, MAP = "pred_score", "anomaly_map"  # anomalib's names
WANTED = "one number an image is needed, higher for more anomalous"
FROM_MAP = (
    "The model gives anomaly maps and no scores: a map's maximum is taken for the score. "
    "A reconstruction isn't an anomaly map."
)
DECISIONS = "The model's scores are booleans, decisions rather than scores: only those that change are seen."
WHOLE = "The model's scores are whole numbers: what changes them by less isn't seen."


@dataclass(frozen=True)
class Reading:
    """scores: (N,), of a floating type. maps: (N, 1, h, w) as the model gave them, or None. notes: what must
    be known of how it was read."""

    scores: Tensor
    maps: Tensor | None = None
    notes: tuple[str, ...] = ()


def read(output: object, count: int) -> Reading:
    """Scores, and maps if there are any, of `count` images.

    output: scores of shape (N,) or (N, 1), or one number for one image; maps of shape (N, h, w) or
    (N, 1, h, w), whose maxima are the scores; a tuple of both; or a dict or an object with `pred_score`,
    `anomaly_map` or both. Tensors, arrays, or lists of numbers. InputError, with what came, for all else.
    """
    parts = _named(output)
    if parts is None:
        parts = _unnamed(output, count)
    scores, maps, notes = parts
    if maps is not None:
        maps = _floating(_as_map(maps, count))
    if scores is None and maps is not None:
        return Reading(maps.flatten(1).amax(dim=1), maps, (*notes, FROM_MAP))
    if scores is None or not _is_score(scores, count):
        raise InputError(f"the model gives {_described(output)} for {count} images; {WANTED}{_hint(scores)}")
    if scores.is_complex():
        raise InputError(f"the model gives complex numbers; {WANTED}")
    if not scores.is_floating_point():
        notes = (*notes, DECISIONS if scores.dtype == torch.bool else WHOLE)
    return Reading(_floating(scores.reshape(count)), maps, notes)


def read_maps(output: object, count: int) -> Tensor:
    """Anomaly maps, (N, 1, h, w), of `count` images, from what a method for maps gives."""
    named = _named(output)
    found = named[1] if named is not None else _tensor(output)
    if found is None:
        raise InputError(f"the model gives {_described(output)} where anomaly maps are asked for")
    return _floating(_as_map(found, count))


def at_size(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps (N, 1, h, w) at another size, bilinearly, each shifted up until nothing is negative."""
    if maps.shape[-2:] != (height, width):
        maps = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return maps - maps.amin(dim=(1, 2, 3), keepdim=True).clamp_max(0)


Parts = tuple[Tensor | None, Tensor | None, tuple[str, ...]]


def _named(output: object) -> Parts | None:
    """Scores and maps by their names; None if the output names neither."""
    if isinstance(output, Mapping):
        if SCORE not in output and MAP not in output:
            names = ", ".join(map(str, output)) or "nothing"
            raise InputError(f"the model gives a dict of {names}; '{SCORE}' or '{MAP}' is needed in it")
        found = output.get(SCORE), output.get(MAP)
    elif hasattr(output, SCORE) or hasattr(output, MAP):
        found = getattr(output, SCORE, None), getattr(output, MAP, None)
    else:
        return None
    if all(one is None for one in found):
        raise InputError(f"the model gives neither a {SCORE} nor an {MAP}: both are None; {WANTED}")
    scores, maps = (None if one is None else _tensor(one) for one in found)
    return scores, maps, ()


def _unnamed(output: object, count: int) -> Parts:
    if not _is_several(output):
        found = _tensor(output)
        return (None, found, ()) if _is_map(found, count) else (found, None, ())
    several = [_tensor(one) for one in output if one is not None]  # type: ignore[attr-defined]
    scores = [one for one in several if _is_score(one, count)]
    maps = [one for one in several if _is_map(one, count)]
    if not scores and not maps:
        raise InputError(
            f"the model gives {_described(output)} for {count} images; a score, {WANTED}, "
            "or an anomaly map is needed among them"
        )
    used = bool(scores) + bool(maps)
    more = f"Of the model's {len(several)} outputs the first that can be scores or maps are taken."
    return (
        scores[0] if scores else None,
        maps[0] if maps else None,
        (more,) if len(several) > used else (),
    )


def _is_several(output: object) -> bool:
    """Whether it is a sequence of outputs, not of numbers, one an image."""
    if not isinstance(output, Sequence) or isinstance(output, str | bytes):
        return False
    parts = [one for one in output if one is not None]
    if all(isinstance(one, int | float | np.generic) for one in parts):
        return False
    sizes = [one.numel() if isinstance(one, Tensor) else np.size(one) for one in parts]
    return isinstance(output, tuple) or any(size != 1 for size in sizes)


def _tensor(value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Sequence) and value and all(isinstance(one, Tensor) for one in value):
        return torch.stack([one.reshape(()) for one in value])
    try:
        return torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"the model gives {_described(value)}; {WANTED}, as a tensor or an array") from None


def _is_score(value: Tensor, count: int) -> bool:
    """One number an image: (N,), (N, 1), or () of one image."""
    return value.numel() == count and (value.ndim == 0 or value.shape[0] == count)


def _is_map(value: Tensor, count: int) -> bool:
    shaped = value.ndim == 3 or (value.ndim == 4 and value.shape[1] == 1)
    return shaped and value.shape[0] == count and value.numel() > count and not value.is_complex()


def _as_map(value: Tensor, count: int) -> Tensor:
    """(N, 1, h, w), of (N, h, w) or that."""
    if value.ndim == 2 and count == 1:
        value = value[None]
    shaped = value.ndim == 3 or (value.ndim == 4 and value.shape[1] == 1)
    if not shaped or value.shape[0] != count or value.numel() == 0:
        raise InputError(
            f"the model gives an {MAP} of shape {_shape(value)} for {count} images; (N, 1, h, w) is needed"
        )
    return value[:, None] if value.ndim == 3 else value


def _floating(value: Tensor) -> Tensor:
    return value if value.dtype in (torch.float32, torch.float64) else value.float()


def _hint(scores: Tensor | None) -> str:
    if scores is None:
        return ""
    if scores.ndim == 2:
        return " (of logits return the anomalous class's, less the other's; of features a distance)"
    if scores.ndim == 4:
        return " (of a reconstruction return its error, averaged over channels and pixels)"
    return ""


def _described(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {_shape(output)}"
    if isinstance(output, np.ndarray):
        return f"an array of shape {tuple(output.shape)} of {output.dtype}"
    if isinstance(output, Mapping):
        return f"a dict of {', '.join(f'{name}: {_described(one)}' for name, one in output.items())}"
    if isinstance(output, list | tuple):
        shown = [_described(one) for one in output[:3]]
        more = ["..."] if len(output) > 3 else []
        return f"a {type(output).__name__} of {len(output)} ({', '.join(chain(shown, more))})"
    return "None" if output is None else f"a {type(output).__name__}"


def _shape(value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape)
