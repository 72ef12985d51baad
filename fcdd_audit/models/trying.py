"""Tries a model on a few images: what it takes, and what it gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.failures import reason_of
from fcdd_audit.models.pixels import channel_note

if TYPE_CHECKING:
    from fcdd_audit.models.model import Model

BATCHES = (1, 2, 4, 8, 16, 32)  # that may be baked into a model
SIDES = (28, 32, 64, 96, 112, 128, 192, 224, 240, 256, 299, 320, 384, 448, 512)  # that models are made for
SAME = 1e-3  # of the scores' range: less is rounding
FLAT_RANGE = 1e-6  # of the largest score: a smaller range is none
CHANGES = (
    "gives the same images other scores when they are scored again, so that nothing can be told; let it draw "
    "from a fixed seed, or switch off what it draws (dropout, augmentation)"
)
COMPANY = (
    "An image's score depends on the images that are scored with it: they are scored one by one, so that "
    "effects aren't mixed."
)
CLAMPED = "Some scores are exactly 0 or 1, as of a model that clamps them: effects beyond aren't seen."
CONSTANT = "All images that were tried get the same score."


def tried(model: Model, images: Tensor) -> Model:
    """See `Model.tried`."""
    if images.dtype != torch.uint8 or images.ndim != 4 or len(images) < 2:
        raise ValueError(f"at least two images, uint8 (N, C, H, W), are needed, not {tuple(images.shape)}")
    _check_size(model, images)
    x = images.to(model.device).float() / 255
    found = _with_maps(_steady(_working(model, x), x), x)
    reading = found.read(x)
    return _with_gradient(found.noting(*reading.notes, *_range_notes(reading.scores)), x[:1])


def _check_size(model: Model, images: Tensor) -> None:
    """InputError if the model names another size than the images have."""
    given, wanted = tuple(images.shape[-2:]), model.shape[1:]
    if all(want in (None, have) for want, have in zip(wanted, given, strict=True)):
        return
    height, width = (have if want is None else want for want, have in zip(wanted, given, strict=True))
    remedy = f"set --image-size {height}" if height == width else "export it for square images"
    raise InputError(
        f"the model {model.name} takes images of {width}x{height} px, and these have {given[1]}x{given[0]}; "
        f"{remedy}"
    )


def _working(model: Model, x: Tensor) -> Model:
    """The model with the channels and the batch by which it scores the images.

    InputError, of the first way that was tried, if there is none.
    """
    first: InputError | None = None
    for candidate in _ways(model, x.shape[1]):
        try:
            candidate.read(x)
        except InputError as error:
            first = first or error
            continue
        note = None
        if candidate.batch != model.batch:
            note = f"The model fails on {len(x)} images at a time: it gets {candidate.batch}."
        return candidate.noting(channel_note(x.shape[1], candidate.shape[0]), note)
    raise _with_size(model, x, first or InputError(f"the model {model.name} can't be tried"))


def _ways(model: Model, channels: int) -> Iterator[Model]:
    """First as the images are, and all at a time."""
    others = [3 if channels == 1 else 1]
    known = model.shape[0]
    for taken in [known] if known is not None else [channels, *others]:
        for batch in [model.batch] if model.batch is not None else [None, *BATCHES]:
            yield replace(model, shape=(taken, *model.shape[1:]), batch=batch)


def _with_size(model: Model, x: Tensor, error: InputError) -> InputError:
    """The error, or one with the size at which the model works, if it is an ordinary one."""
    if None not in model.shape[1:] or error.__cause__ is None:  # without a cause nothing failed at this size
        return error
    for side in SIDES:
        resized = F.interpolate(x[:1], (side, side), mode="bilinear")
        for candidate in _ways(replace(model, batch=model.batch or 1), x.shape[1]):
            try:
                candidate.read(resized)
            except InputError:
                continue
            return InputError(
                f"the model {model.name} can't score images of {x.shape[3]}x{x.shape[2]} px, but those of "
                f"{side}x{side} px; set --image-size {side}"
            )
    return error


def _steady(model: Model, x: Tensor) -> Model:
    """Scores images one by one if their scores depend on each other, and in full batches if one alone
    fails."""
    scores = model.score(x).detach().double()
    if not _same(scores, model.score(x), scores):
        raise InputError(f"the model {model.name} {CHANGES}")
    if model.batch == 1:
        return model
    try:
        alone = [model.read(one).scores for one in x.split(1)]
    except InputError:
        note = f"The model fails on one image at a time: it gets {len(x)}."
        return replace(model, batch=len(x)).noting(note)
    if not _same(torch.cat(alone), scores, scores):
        single = replace(model, batch=1)
        return single.noting(COMPANY) if model.batch is None else model.noting(COMPANY)
    return model


def _same(some: Tensor, others: Tensor, scores: Tensor) -> bool:
    spread = float(scores.max() - scores.min())
    tolerance = SAME * spread + FLAT_RANGE * float(scores.abs().max())
    return float((some.detach().double() - others.detach().double()).abs().max()) <= tolerance


def _with_maps(model: Model, x: Tensor) -> Model:
    """With `anomaly_map` if maps come that can be used; a note if they can't."""
    if model.opened.maps is None and model.read(x[:1]).maps is None:
        return model
    mapping = model.with_maps()
    try:
        mapping.anomaly_map(x)
    except InputError as error:
        return model.noting(f"Its anomaly maps can't be used: {error}.")
    return mapping


def _range_notes(scores: Tensor) -> Iterator[str]:
    if scores.min() == scores.max():
        yield CONSTANT
    if scores.min() >= 0 and scores.max() <= 1 and ((scores == 0) | (scores == 1)).any():
        yield CLAMPED


def _with_gradient(model: Model, x: Tensor) -> Model:
    """With the reason why gradients can't be had, if they can't."""
    reason = model.no_gradient or _no_gradient(model, x)
    return replace(model, no_gradient=reason)


def _no_gradient(model: Model, x: Tensor) -> str | None:
    explained = "so gradient methods can't explain it"
    image = x.detach().clone().requires_grad_()
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the reason says already
            scores = model.score(image)
            if not scores.requires_grad:
                return f"the model's scores come without a gradient, {explained}"
            (gradient,) = torch.autograd.grad(scores.sum(), image)
    except (InputError, RuntimeError) as error:
        return f"the model's gradient can't be computed ({reason_of(error)}), {explained}"
    if not torch.isfinite(gradient).all():
        return f"the model's gradient isn't finite, {explained}"
    if not gradient.any():
        return f"the model's gradient is zero everywhere, {explained}"
    return None
