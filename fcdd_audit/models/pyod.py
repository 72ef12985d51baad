"""Estimators of pyod."""

from __future__ import annotations

import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.base import FORMATS, Format, Opened, comes_from, version_of
from fcdd_audit.models.estimators import on_flat

AS_THEY_ARE = "pyod's scores are higher for outliers; they are taken as they are."
NO_GRADIENT = "a pyod estimator gives no gradients, so gradient methods can't explain it"


@FORMATS.register("pyod")
class PyOD(Format):
    """A fitted estimator of pyod that scores flat images, from code."""

    def recognises(self, model: object) -> bool:
        return comes_from(model, "pyod") and not isinstance(model, type)

    def adapt(self, model: object, device: torch.device) -> Opened:
        name = type(model).__name__
        function = getattr(model, "decision_function", None)
        if function is None:
            raise InputError(f"the {name} of pyod has no decision_function; give a fitted detector of pyod")
        return Opened(
            on_flat(function, 1),
            no_gradient=NO_GRADIENT,
            notes=(AS_THEY_ARE,),
            about={"estimator": name, "scores": "decision_function", **version_of("pyod")},
        )
