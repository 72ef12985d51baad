"""Estimators of scikit-learn."""

from __future__ import annotations

import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.base import FORMATS, Format, Opened, comes_from, version_of
from fcdd_audit.models.estimators import on_flat

METHODS = ("score_samples", "decision_function")  # both are higher for what is normal
NEGATED = "scikit-learn's scores are higher for normal; their negative is taken."
NO_GRADIENT = "a scikit-learn estimator gives no gradients, so gradient methods can't explain it"


@FORMATS.register("sklearn")
class ScikitLearn(Format):
    """A fitted estimator or pipeline of scikit-learn that scores flat images, from code."""

    def recognises(self, model: object) -> bool:
        return comes_from(model, "sklearn") and not isinstance(model, type)

    def adapt(self, model: object, device: torch.device) -> Opened:
        from sklearn.base import is_classifier

        name = type(model).__name__
        if is_classifier(model):
            raise InputError(
                f"the {name} is a classifier, whose scores are for its own classes; give a function of "
                "images that returns what is higher for anomalous ones"
            )
        method = next((one for one in METHODS if hasattr(model, one)), None)
        if method is None:
            raise InputError(
                f"the {name} of scikit-learn has neither {' nor '.join(METHODS)}; give an outlier detector "
                "that scores new images (LocalOutlierFactor: novelty=True)"
            )
        return Opened(
            on_flat(getattr(model, method), -1),
            no_gradient=NO_GRADIENT,
            notes=(NEGATED,),
            about={"estimator": name, "scores": method, **version_of("scikit-learn")},
        )
