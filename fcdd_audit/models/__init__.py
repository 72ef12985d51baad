"""Other people's detectors: what makes a model of another library or framework one that can be audited."""

# ruff: noqa: I001
from fcdd_audit.models import (  # noqa: F401  (registers them; an object is of the first that recognises it)
    factory,
    pt2,
    torchscript,
    onnx,
    anomalib,
    pyod,
    sklearn,
    module,
    python,
)
from fcdd_audit.models.base import FORMATS
from fcdd_audit.models.model import Model
from fcdd_audit.models.opening import open_model, wrap

__all__ = ["FORMATS", "Model", "open_model", "wrap"]
