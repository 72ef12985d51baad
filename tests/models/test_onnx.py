import json
import subprocess
import sys
import warnings

import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.models import open_model
from fcdd_audit.models.onnx import NO_GRADIENT, ON_CPU

CPU = torch.device("cpu")


def export(module, x, path, outputs=("output",), dynamic=True):
    """By torch, with these names of the outputs."""
    shapes = ({0: torch.export.Dim("n")},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (x,), str(path), output_names=list(outputs), dynamic_shapes=shapes, verbose=False
        )
    return str(path)


def means(path, kind, shape, name="score"):
    """A graph by hand: the mean over all pixels of images of that type and shape."""
    node = helper.make_node("ReduceMean", ["images", "axes"], [name], keepdims=0)
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    graph = helper.make_graph(
        [node],
        "means",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info(name, kind, [shape[0]])],
        [axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return str(path)


class Both(nn.Module):
    def forward(self, x):
        maps = x.mean(dim=1, keepdim=True)
        return x[:, 0, 0, 0] > 0, maps, maps.amax(dim=(1, 2, 3)) + 1


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A file with names as anomalib gives them."""
    path = tmp_path_factory.mktemp("both") / "m.onnx"
    return export(Both(), torch.rand(2, 3, 16, 16), path, ("pred_label", "anomaly_map", "pred_score"))


def test_outputs_are_found_by_name(images, x, both):
    model = open_model(both, device=CPU).tried(images)
    assert model.notes == []
    torch.testing.assert_close(model.score(x), x.mean(dim=1).amax(dim=(1, 2)) + 1)
    torch.testing.assert_close(model.anomaly_map(x), x.mean(dim=1, keepdim=True))


def test_without_names_the_first_outputs_are_taken(tiny, images, x, tmp_path):
    module = tiny.weighted().eval()
    model = open_model(export(module, x[:2], tmp_path / "m.onnx"), device=CPU).tried(images)
    torch.testing.assert_close(model.score(x), module(x))
    assert model.no_gradient == NO_GRADIENT
    assert model.about["onnxruntime"] == onnxruntime.__version__


def test_weights_beside_the_file_are_recorded_too(tiny, x, tmp_path):
    path = export(tiny.weighted().eval(), x[:2], tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx.data").is_file()
    about = open_model(path, device=CPU).about
    assert about["file"] == "m.onnx"
    assert len(about["sha256 of m.onnx.data"]) == 64


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_and_a_size_that_are_baked_in(images, x, tmp_path, batch):
    path = means(tmp_path / "m.onnx", TensorProto.FLOAT, [batch, 3, 16, 16])
    model = open_model(path, device=CPU).tried(images)
    assert (model.batch, model.shape) == (batch, (3, 16, 16))
    torch.testing.assert_close(model.score(x), x.mean(dim=(1, 2, 3)))
    with pytest.raises(
        InputError, match=r"takes images of 16x16 px, and these have 8x8; set --image-size 16"
    ):
        open_model(path, device=CPU).tried(images[..., :8, :8])


@pytest.mark.parametrize(
    ("kind", "tolerance", "dtype"),
    [(TensorProto.DOUBLE, 1e-6, torch.float64), (TensorProto.FLOAT16, 1e-2, torch.float32)],
)
def test_images_are_cast_to_the_graphs_type(images, x, tmp_path, kind, tolerance, dtype):
    path = means(tmp_path / "m.onnx", kind, ["n", 3, 16, 16])
    scores = open_model(path, device=CPU).tried(images).score(x)
    assert scores.dtype == dtype
    torch.testing.assert_close(scores.float(), x.mean(dim=(1, 2, 3)), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [
        (TensorProto.UINT8, ["n", 3, 16, 16], r"takes tensor\(uint8\), and images are floats in \[0, 1\]"),
        (TensorProto.FLOAT, ["n", 16, 16, 3], r"takes images of shape \['n', 16, 16, 3\], channels last"),
        (TensorProto.FLOAT, ["n", 3, 16], r"takes 1 inputs \(images \['n', 3, 16\]\), and one of images"),
    ],
)
def test_other_inputs_are_refused(tmp_path, kind, shape, said):
    node = helper.make_node("Identity", ["images"], ["out"])
    infos = [helper.make_tensor_value_info(name, kind, shape) for name in ("images", "out")]
    graph = helper.make_graph([node], "same", infos[:1], infos[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "m.onnx",
    )
    with pytest.raises(InputError, match=said):
        open_model(str(tmp_path / "m.onnx"), device=CPU)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is there")
def test_that_the_cpu_stands_in_for_cuda_is_said(tmp_path):
    path = means(tmp_path / "m.onnx", TensorProto.FLOAT, ["n", 3, 16, 16])
    assert open_model(path, device=torch.device("cuda")).notes == [ON_CPU]


def test_without_onnxruntime_it_says_what_to_install(monkeypatch, tmp_path):
    path = means(tmp_path / "m.onnx", TensorProto.FLOAT, ["n", 3, 16, 16])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'fcdd-audit\[onnx\]'"):
        open_model(path, device=CPU)


def test_importing_the_formats_imports_no_runtime():
    code = (
        "import json, sys, fcdd_audit.models\n"
        "print(json.dumps([one for one in ('onnxruntime', 'anomalib', 'onnx') if one in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("explainer", list(EXPLAINERS))
def test_every_explainer_says_why_not_or_gives_finite_maps(images, x, both, explainer):
    model = open_model(both, device=CPU).tried(images)
    found = EXPLAINERS[explainer]()
    reason = found.unavailable(model)
    if explainer in ("native", "occlusion", "random", "edges", "center"):
        assert reason is None
    if reason is not None:
        assert reason
        assert "\n" not in reason
        return
    heat = found.explain(model, x, torch.Generator().manual_seed(0))
    assert heat.shape == (5, 1, 16, 16)
    assert torch.isfinite(heat).all()


@pytest.mark.parametrize(
    "explainer",
    [
        *("gradient", "blurred-gradient", "smooth-grad", "guided-backprop", "grad-cam", "grad-cam-no-relu"),
        *("input-x-gradient", "integrated-gradients"),
    ],
)
def test_what_needs_gradients_says_that_there_are_none(tmp_path, explainer):
    model = open_model(means(tmp_path / "m.onnx", TensorProto.FLOAT, ["n", 3, 16, 16]), device=CPU)
    assert EXPLAINERS[explainer]().unavailable(model) == NO_GRADIENT
