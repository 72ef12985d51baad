"""Models from elsewhere on the command line: what is broken gets one line, what can be adapted is said."""

import json

import pytest
from typer.testing import CliRunner

from fcdd_audit.cli.app import app

CODE = '''
import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    """Unevenness: high for textures, low for flat images."""

    def __init__(self, channels=1, dtype=torch.float32):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2, 3, dtype=dtype)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1, -2, 1], [2, -4, 2], [1, -2, 1]]) / channels)

    def forward(self, x):
        return self.conv(x).abs().mean(dim=(1, 2, 3))


class OneByOne(Net):
    def forward(self, x):
        if len(x) > 1:
            raise RuntimeError("one image at a time, please")
        return super().forward(x)


class Nan(Net):
    def forward(self, x):
        return super().forward(x) * float("nan")


class Elsewhere:
    def __init__(self):
        self.weight = torch.ones(1, device="meta")

    def __call__(self, x):
        return (x * self.weight).mean(dim=(1, 2, 3))


def fine(): return Net()
def three(): return Net(3)
def five(): return Net(5)
def one_by_one(): return OneByOne()
def nan(): return Nan()
def double(): return Net(dtype=torch.float64)
def elsewhere(): return Elsewhere()
def constant(): return lambda x: np.ones(len(x))
def raises(): raise ValueError("no weights here")
def needs(path, size): return Net()
'''


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "mine.py"
    path.write_text(CODE)
    return path


def audited(code, name, tmp_path, *more):
    arguments = ["run", "--model", f"{code}:{name}", "--out", str(tmp_path), "--quiet"]
    return CliRunner().invoke(app, [*arguments, "--explained", "4", *more])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("five", "5 channels"),
        ("nan", "aren't finite"),
        ("elsewhere", "device"),
        ("constant", "the score 1"),
        ("raises", "no weights here"),
        ("needs", "path"),
        ("missing", "missing"),
    ],
)
def test_a_broken_model_gets_one_line(code, tmp_path, name, said):
    result = audited(code, name, tmp_path / "runs")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["m.pt2", "m.pt", "m.ts", "m.onnx"])
def test_a_damaged_file_gets_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and nothing more")
    given = ["run", "--model", str(tmp_path / name), "--trust-model", "--out", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("fine", "evaluation mode"),
        ("three", "their channel is repeated"),
        ("one_by_one", "fails on 8 images at a time: it gets 1"),
        ("double", "evaluation mode"),
    ],
)
def test_what_can_be_adapted_is_said(code, tmp_path, name, note):
    result = audited(code, name, tmp_path)
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "retina-watermark-finished"
    config = json.loads((folder / "config.json").read_text())
    assert config["detector"]["name"] == f"mine.py:{name}"
    assert note in " ".join(config["notes"])
    page = (folder / "report.html").read_text()
    assert all(one.split(" (")[0] in page for one in config["notes"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--detector", "fcdd"], "drop --detector"),
        (["--weights", "w.safetensors"], "drop one of them"),
        (["--seeds", "4"], "--seeds is for twins"),
        (["--mean", "0.5"], "std"),
        (["--std", "x"], "a number is needed"),
        (["--threshold", "inf"], "threshold"),
        (["--placebos", "7"], "at least 39"),
        (["--explainer", "lrp"], "add another"),
    ],
)
def test_settings_that_do_not_fit_a_model_are_refused(code, tmp_path, arguments, said):
    shown = CliRunner().invoke(
        app, ["run", "--model", f"{code}:fine", "--out", str(tmp_path / "runs"), *arguments]
    )
    assert shown.exit_code == 2, shown.output
    assert len(shown.stderr.splitlines()) == 1
    assert said in shown.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--threshold=1", "--dose", "--placebos=50", "--mean=1", "--trust-model"])
def test_what_is_for_models_is_refused_without_one(option):
    result = CliRunner().invoke(app, ["run", option])
    assert result.exit_code == 2
    assert "drop it" in result.stderr
