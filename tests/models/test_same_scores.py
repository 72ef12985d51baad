"""One detector, in every format that torch exports to, scores alike."""

import warnings

import pytest
import torch
from torch import nn

from fcdd_audit.detectors import build
from fcdd_audit.models import open_model, wrap

CPU = torch.device("cpu")
ALIKE = 1e-4  # of the scores' spread


class Scores(nn.Module):
    """Images in, scores out: what is exported (docs/models.md)."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, x):
        return self.detector.score(x)


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(
        0, 256, (9, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.fixture(scope="module")
def detector(pictures):
    return build("fcdd", pictures, 0).eval()


def export(module, x, path):
    many = ({0: torch.export.Dim("n")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(module, (x,), dynamic_shapes=many), path)
        elif path.suffix == ".onnx":
            torch.onnx.export(module, (x,), str(path), dynamic_shapes=many, verbose=False)
        else:
            torch.jit.trace(module, x).save(path)


@pytest.mark.parametrize("name", ["callable", "module", "fcdd.pt2", "fcdd.pt", "fcdd.onnx"])
def test_the_same_detector_gives_the_same_scores(detector, pictures, tmp_path, name):
    x = pictures.float() / 255
    expected = detector.score(x).detach()
    if "." in name:
        export(Scores(detector).eval(), x[:2], tmp_path / name)
        model = open_model(str(tmp_path / name), device=CPU, trust=True)
    else:
        model = wrap(detector.score if name == "callable" else Scores(detector).eval(), name=name, device=CPU)
    ready = model.tried(pictures[:4])
    assert ready.notes == []
    difference = (ready.score(x).detach() - expected).abs().max()
    assert difference <= ALIKE * (expected.max() - expected.min())
