import sys

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import Detector
from fcdd_audit.models import open_model

CPU = torch.device("cpu")

CODE = """
import torch
from dataclasses import dataclass
from torch import nn
from beside_the_factory import factor

class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.width = width

    def forward(self, x):
        return factor * x.mean(dim=(1, 2, 3))

class Wide(Net):
    def __init__(self, width):
        super().__init__(width)

net = Net()

def make():
    return Net()

def score(x):
    return 2 * x.mean(dim=(1, 2, 3))

def sized(width, depth):
    return Net()

def broken():
    raise FileNotFoundError("no weights")

def nothing():
    return None

def detector():
    from fcdd_audit.detectors import build
    return build("fcdd", torch.zeros(1, 3, 16, 16, dtype=torch.uint8), 0)

@dataclass
class Scorer:
    factor: float = 2.0

    def score(self, x):
        return self.factor * x.mean(dim=(1, 2, 3))

scorer = Scorer()
number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "beside_the_factory.py").write_text("factor = 2")
    (tmp_path / "mine.py").write_text(CODE)
    yield tmp_path / "mine.py"
    sys.modules.pop("beside_the_factory", None)


def message(spec, **settings):
    with pytest.raises(InputError) as error:
        open_model(str(spec), device=CPU, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["make", "Net", "net", "score", "Scorer", "scorer"])
def test_a_function_a_class_or_an_object_is_or_makes_the_model(file, name, images, x):
    path = list(sys.path)
    model = open_model(f"{file}:{name}", device=CPU).tried(images)
    torch.testing.assert_close(model.score(x), 2 * x.mean(dim=(1, 2, 3)))
    assert model.name == f"mine.py:{name}"
    assert model.about["factory"] == f"mine.py:{name}"
    assert model.about["file"] == "mine.py"
    assert len(model.about["sha256"]) == 64
    assert sys.path == path


def test_a_module_that_is_installed(images, x, tmp_path, monkeypatch):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "models.py").write_text("def score(x):\n    return x.mean(dim=(1, 2, 3))\n")
    monkeypatch.chdir(tmp_path)
    model = open_model("packed.models:score", device=CPU).tried(images)
    torch.testing.assert_close(model.score(x), x.mean(dim=(1, 2, 3)))
    assert model.about["factory"] == "packed.models:score"
    assert "sha256" not in model.about


def test_a_detector_of_this_package_stays_one(file):
    assert isinstance(open_model(f"{file}:detector", device=CPU), Detector)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "Wide",
            "'Wide' in '{file}' needs arguments (width); name a function without, which makes the model",
        ),
        ("sized", "'sized' in '{file}' needs arguments (width, depth); name a function without"),
        ("broken", "'{file}:broken' fails (FileNotFoundError: no weights); mend it: it is called without"),
        ("nothing", "None is no model; give a function of images"),
        ("number", "a int is no model"),
        ("maek", "'{file}' has no 'maek'; did you mean 'make'? (callable in it: "),
    ],
)
def test_what_makes_no_model_is_said(file, name, said):
    assert message(f"{file}:{name}").startswith(said.format(file=file))


def test_a_file_without_a_name_asks_for_one(file):
    assert message(file).endswith(f"name a function that makes the model: {file}:NAME")


def test_a_file_that_is_not_there(tmp_path):
    assert message(f"{tmp_path}/none.py:make") == (
        f"there is no file '{tmp_path}/none.py'; give the path of a file of code with --model"
    )


def test_code_that_fails_when_it_is_imported(tmp_path):
    (tmp_path / "mine.py").write_text("import nothing_like_this")
    said = message(f"{tmp_path}/mine.py:make")
    assert said == (
        f"importing '{tmp_path}/mine.py' fails (ModuleNotFoundError: No module named 'nothing_like_this'); "
        "mend it, or name another file or module"
    )


def test_code_that_exits_when_it_is_imported(tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit(3)")
    assert "mine.py' fails (SystemExit: 3)" in message(f"{tmp_path}/mine.py:make")


def test_a_module_that_is_not_installed():
    assert "importing 'nothing.like.this' fails" in message("nothing.like.this:make")
