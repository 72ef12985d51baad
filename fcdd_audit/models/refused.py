"""Why something isn't opened as a model, and what to do."""

from __future__ import annotations

from fcdd_audit.models.archives import holds_weights_alone, pickled_modules
from fcdd_audit.models.base import Place

TORCH = (".pt", ".pth", ".bin", ".ckpt")
PICKLES = (".joblib", ".pkl", ".pickle")
FACTORY = "name a function that makes the model: --model file.py:name"


def refusal(place: Place, known: list[str]) -> str:
    """In one line. known: the suffixes of the formats of files."""
    suffix = place.path.suffix.lower()
    if suffix == ".safetensors":
        return (
            f"'{place.path}' holds weights without their model; give those of a detector here with --weights"
        )
    if suffix in PICKLES:
        return f"'{place.path}' is a pickle, which can execute anything when it is opened; {FACTORY}"
    if suffix in TORCH and place.file is not None:
        return _of_torch(place)
    if place.file is None and suffix in TORCH:
        return f"there is no file '{place.path}'; give the path of a model's file with --model"
    formats = ", ".join(dict.fromkeys(known))
    return (
        f"can't tell what model '{place.text}' is; give a file ({formats}), package.module:name or "
        "file.py:name"
    )


def _of_torch(place: Place) -> str:
    if holds_weights_alone(place.path):
        return (
            f"'{place.path}' holds weights without their model (a state dict); {FACTORY}, in which it builds "
            "the model and loads them"
        )
    packages = sorted({module.partition(".")[0] for module in pickled_modules(place.path)})
    made_of = f" with objects of {', '.join(packages)}" if packages else ""
    return (
        f"'{place.path}' is no TorchScript archive but a pickle or another file{made_of}, and opening a "
        f"pickle can execute anything; export the model (torch.export.save, to .pt2), or {FACTORY}"
    )
