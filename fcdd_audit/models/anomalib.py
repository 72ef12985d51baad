"""Models of anomalib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.models.archives import pickled_modules
from fcdd_audit.models.base import FORMATS, Format, Opened, Place, comes_from, version_of
from fcdd_audit.models.eager import of_module

RAW = (
    "Scores and maps are anomalib's raw ones: its post-processor's normalisation, which clamps to [0, 1], is "
    "switched off."
)
UNKNOWN = "The model's post-processor can't be switched off: its scores may be normalised and clamped."


@FORMATS.register("anomalib")
class Anomalib(Format):
    """A model of anomalib: model.ckpt:Class, or its torch export .pt; needs [anomalib] and --trust-model."""

    suffixes: ClassVar[tuple[str, ...]] = (".ckpt",)
    named: ClassVar[str | None] = "class"
    runs_code: ClassVar[str | None] = "anomalib's files are pickles, which can execute code"

    def opens(self, place: Place) -> bool:
        exported = place.path.suffix.lower() == ".pt" and any(
            module.partition(".")[0] == "anomalib" for module in pickled_modules(place.path)
        )
        return super().opens(place) or exported

    def load(self, place: Place, device: torch.device) -> object:
        models = _models()
        if place.path.suffix.lower() == ".ckpt":
            return _kind(models, place).load_from_checkpoint(str(place.path), map_location=device)
        return torch.load(place.path, map_location=device, weights_only=False)["model"]

    def recognises(self, model: object) -> bool:
        return comes_from(model, "anomalib") and hasattr(model, "post_processor")

    def adapt(self, model: object, device: torch.device) -> Opened:
        module: Any = model
        post, pre = module.post_processor, getattr(module, "pre_processor", None)
        switchable = hasattr(post, "enable_normalization")
        opened = of_module(module, device)

        def call(x: Tensor) -> object:
            with _raw(post) if switchable else _as_is():
                return module(x)

        return Opened(
            call,
            dtype=opened.dtype,
            normalises="the model's own pre-processor" if pre is not None else None,
            notes=(*opened.notes, *([RAW] if switchable else [UNKNOWN] if post is not None else [])),
            about={"model": type(module).__name__, **version_of("anomalib")},
        )


@contextmanager
def _raw(post: Any) -> Iterator[None]:
    """Inside, the post-processor passes scores and maps on as they are."""
    before = post.enable_normalization
    post.enable_normalization = False
    try:
        yield
    finally:
        post.enable_normalization = before


@contextmanager
def _as_is() -> Iterator[None]:
    yield


def _models() -> Any:
    try:
        return import_module("anomalib.models")
    except ImportError as error:
        raise InputError(
            f"a model of anomalib needs anomalib, which can't be imported ({error}): pip install "
            "'fcdd-audit[anomalib]'"
        ) from None


def _kind(models: Any, place: Place) -> Any:
    """The class of a checkpoint, which doesn't name it itself."""
    known = [one for one in models.__all__ if isinstance(getattr(models, one, None), type)]
    if place.name is not None and place.name in known:
        return getattr(models, place.name)
    wrong = f"has no model '{place.name}'{suggest(place.name, known)}" if place.name else "has many models"
    raise InputError(
        f"anomalib {wrong}, and a checkpoint doesn't say of which it is; name its class, such as "
        f"{place.path}:Patchcore"
    )
