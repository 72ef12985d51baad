"""From what was named, or handed over, to a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Detector
from fcdd_audit.models.base import FORMATS, Format, Opened, Place, version_of
from fcdd_audit.models.failures import failing_as
from fcdd_audit.models.model import Model
from fcdd_audit.models.pixels import Scale, make_scale
from fcdd_audit.models.refused import refusal

NAMED = re.compile(r"(?P<path>.+):(?P<name>[^\W\d]\w*)")  # of a drive's colon a path follows
CHUNK = 2**20  # bytes read at once


def open_model(
    spec: str,
    *,
    device: torch.device,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    trust: bool = False,
) -> Model | Detector:
    """The model that `spec` names: a file, or `package.module:name` or `file.py:name`; a detector of this
    package as it is.

    mean, std: what standardises images before it. trust: whether a file may be opened that can bring code
    along. InputError for what can't be opened.
    """
    scale = make_scale(mean, std)
    place = parse(spec)
    name = next((one for one in FORMATS if FORMATS[one]().opens(place)), None)
    if name is None:
        raise InputError(refusal(place, list(_suffixes())))
    kind = FORMATS[name]()
    _check_named(place, kind)
    if kind.runs_code is not None and not trust:
        raise InputError(
            f"'{place.path}' is only opened if you trust where it comes from, because {kind.runs_code}; "
            "then add --trust-model"
        )
    with failing_as(f"can't open the model '{spec}'", "give a model that works, in a format of its suffix"):
        opened = kind.load(place, device)
    shown = place.path.name if place.name is None else f"{place.path.name}:{place.name}"
    model = _model(opened, name, shown, device, scale)
    if isinstance(model, Detector):
        return model
    named = {} if kind.named is None or place.name is None else {kind.named: shown}
    return replace(model, about={**model.about, **named, **_source(place, kind)})


def wrap(
    model: object,
    *,
    name: str,
    device: torch.device,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Model | Detector:
    """A model handed over in Python: a callable, an `nn.Module`, an object with `score`, or what a library
    made; a detector of this package as it is.

    InputError for what can't be used as a model.
    """
    return _model(model, "", name, device, make_scale(mean, std))


def parse(spec: str) -> Place:
    """What was named, in its parts."""
    named = None if Path(spec).is_file() else NAMED.fullmatch(spec)
    if named is None:
        return Place(spec, Path(spec), None)
    return Place(spec, Path(named["path"]), named["name"])


def _model(
    opened: object, format_name: str, name: str, device: torch.device, scale: Scale | None
) -> Model | Detector:
    if isinstance(opened, Model):
        return opened
    if isinstance(opened, Detector):
        _check_scale(scale, "a detector of this package")
        return opened
    if not isinstance(opened, Opened):
        format_name, kind = _of_object(opened)
        opened = kind.adapt(opened, device)
    if opened.normalises is not None:
        _check_scale(scale, opened.normalises)
    shape = opened.shape
    if scale is not None and scale.channels is not None:
        if shape[0] not in (None, scale.channels):
            raise InputError(
                f"--mean and --std are of {scale.channels} channels, and the model {name} takes images of "
                f"{shape[0]}; give as many, or one of each"
            )
        shape = (scale.channels, *shape[1:])
    about = {"format": format_name, **opened.about, **version_of("torch")}
    return Model(
        *(name, format_name, about, list(opened.notes), opened.no_gradient, shape, opened.batch),
        *(device, opened, scale),
    )


def _check_named(place: Place, kind: Format) -> None:
    if place.path.suffix.lower() in kind.suffixes and place.file is None:
        raise InputError(f"there is no file '{place.path}'; give the path of a model's file with --model")
    if place.name is not None and kind.named is None:
        raise InputError(f"'{place.text}' has a name after its file, which takes none; give {place.path}")


def _check_scale(scale: Scale | None, standardises: str) -> None:
    if scale is not None:
        raise InputError(
            f"--mean and --std are given, but {standardises} standardises its images itself; leave them out"
        )


def _of_object(model: object) -> tuple[str, Format]:
    for name, kind in FORMATS.items():
        if kind().recognises(model):
            return name, kind()
    raise InputError(
        f"{'None' if model is None else f'a {type(model).__name__}'} is no model; give a function of images, "
        "an nn.Module, an object with score(x), or a fitted estimator"
    )


def _suffixes() -> Sequence[str]:
    return [suffix for _, kind in FORMATS.items() for suffix in kind.suffixes]


def _source(place: Place, kind: Format) -> dict[str, str]:
    """Which file it is, by name and content."""
    file = place.file
    if file is None:
        return {}
    others = {f"sha256 of {one.name}": _sha256(one) for one in kind.beside(file)}
    return {"file": file.name, "sha256": _sha256(file), **others}


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for chunk in iter(lambda: content.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
