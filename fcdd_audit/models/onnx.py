"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from glob import escape
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.base import FORMATS, Format, Opened, Place, Shape
from fcdd_audit.models.outputs import MAP, SCORE

NO_GRADIENT = "an ONNX model gives no gradients, so gradient methods can't explain it"
TYPES = {"tensor(float)": torch.float32, "tensor(double)": torch.float64, "tensor(float16)": torch.float16}
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
ON_CPU = "ONNX Runtime has no CUDA here: the model runs on the CPU."
ERRORS_ONLY = 3  # what ONNX Runtime's log shows


@FORMATS.register("onnx")
class ONNX(Format):
    """An .onnx file, run by ONNX Runtime; needs the extra [onnx]."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)

    def beside(self, file: Path) -> list[Path]:
        """What large models keep their weights in: model.onnx.data, model.onnx_data."""
        return sorted(one for one in file.parent.glob(f"{escape(file.name)}?*") if one.is_file())

    def load(self, place: Place, device: torch.device) -> Opened:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads = torch.get_num_threads()
        asked = [CUDA, CPU] if device.type == "cuda" else [CPU]
        able = [one for one in asked if one in runtime.get_available_providers()]
        session = runtime.InferenceSession(str(place.path), options, providers=able)
        used = session.get_providers()
        name, dtype, batch, shape = _input(session, place)
        outputs = _outputs(session)

        def call(x: Tensor) -> object:
            found = session.run(outputs, {name: x.detach().cpu().numpy()})
            if SCORE in outputs or MAP in outputs:
                return dict(zip(outputs, found, strict=True))
            return found[0] if len(found) == 1 else tuple(found)

        return Opened(
            call,
            no_gradient=NO_GRADIENT,
            shape=shape,
            batch=batch,
            dtype=dtype,
            notes=(ON_CPU,) if device.type == "cuda" and CUDA not in used else (),
            about={"onnxruntime": runtime.__version__, "provider": used[0]},
        )


def _runtime() -> Any:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise InputError(
            f"an .onnx file needs onnxruntime, which can't be imported ({error}): pip install "
            "'fcdd-audit[onnx]'"
        ) from None


def _input(session: Any, place: Place) -> tuple[str, torch.dtype, int | None, Shape]:
    """Name, type, batch and shape of the images that the graph takes."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        given = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise InputError(
            f"'{place.path}' takes {len(inputs)} inputs ({given}), and one of images (N, C, H, W) is needed; "
            "export a model that takes the images alone"
        )
    (only,) = inputs
    if only.type not in TYPES:
        raise InputError(
            f"'{place.path}' takes {only.type}, and images are floats in [0, 1]; export a model that "
            "takes these"
        )
    batch, channels, height, width = (size if isinstance(size, int) else None for size in only.shape)
    if width in (1, 3) and channels not in (None, 1, 3):
        raise InputError(
            f"'{place.path}' takes images of shape {only.shape}, channels last; export one that takes "
            "(N, C, H, W)"
        )
    return only.name, TYPES[only.type], batch, (channels, height, width)


def _outputs(session: Any) -> list[str]:
    """Those with anomalib's names; without these the first two."""
    names = [one.name for one in session.get_outputs()]
    return [one for one in (SCORE, MAP) if one in names] or names[:2]
