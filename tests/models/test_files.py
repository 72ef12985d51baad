"""Models from files of torch, and what isn't opened."""

import pickle
import warnings

import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.models import open_model

CPU = torch.device("cpu")


def message(path, **settings):
    with pytest.raises(InputError) as error:
        open_model(str(path), device=CPU, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def save_exported(module, x, path, dynamic=False):
    shapes = ({0: torch.export.Dim("n")},) if dynamic else None
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=shapes), path)


def save_script(module, x, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, x).save(path)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_an_exported_program_with_a_batch_baked_in(tiny, images, x, tmp_path, batch):
    module = tiny.weighted().eval()
    save_exported(module, x[:batch], tmp_path / "m.pt2")
    model = open_model(str(tmp_path / "m.pt2"), device=CPU, trust=True).tried(images)
    assert (model.format, model.batch, model.shape) == ("pt2", batch, (3, 16, 16))
    torch.testing.assert_close(model.score(x), module(x))
    assert model.no_gradient is None


def test_an_exported_program_of_any_batch(tiny, images, x, tmp_path):
    module = tiny.flat(768).double().eval()
    save_exported(module, x[:2].double(), tmp_path / "m.pt2", dynamic=True)
    model = open_model(str(tmp_path / "m.pt2"), device=CPU, trust=True).tried(images)
    assert (model.batch, model.shape) == (None, (3, 16, 16))
    torch.testing.assert_close(model.score(x), module(x.double())[:, 0])


def test_another_size_than_the_programs_is_refused(tiny, x, tmp_path):
    save_exported(tiny.weighted().eval(), x[:1], tmp_path / "m.pt2")
    model = open_model(str(tmp_path / "m.pt2"), device=CPU, trust=True)
    with pytest.raises(InputError) as error:
        model.tried(torch.zeros(2, 3, 32, 24, dtype=torch.uint8))
    assert str(error.value) == (
        "the model m.pt2 takes images of 16x16 px, and these have 24x32; set --image-size 16"
    )


def test_a_program_is_moved_to_the_device(tiny, x, tmp_path):
    save_exported(tiny.weighted().eval(), x[:2], tmp_path / "m.pt2")
    elsewhere = torch.device("meta")
    model = open_model(str(tmp_path / "m.pt2"), device=elsewhere, trust=True)
    assert model.opened.call(x[:2].to(elsewhere)).device == elsewhere


def test_a_mean_of_other_channels_than_the_programs_is_refused(tiny, grey, tmp_path):
    save_exported(tiny.weighted(1).eval(), grey[:1].float(), tmp_path / "m.pt2")
    said = message(tmp_path / "m.pt2", trust=True, mean=[0.1, 0.2, 0.3], std=[1, 1, 1])
    assert said == (
        "--mean and --std are of 3 channels, and the model m.pt2 takes images of 1; give as many, or one of "
        "each"
    )


class Two(nn.Module):
    def forward(self, x, y):
        return (x + y).mean(dim=(1, 2, 3))


def test_a_program_of_two_inputs_is_refused(x, tmp_path):
    torch.export.save(torch.export.export(Two(), (x, x)), tmp_path / "m.pt2")
    assert "takes 2 inputs (x, y), and one of images (N, C, H, W) is needed" in message(
        tmp_path / "m.pt2", trust=True
    )


@pytest.mark.parametrize("name", ["m.pt", "m.ts", "m.torchscript"])
def test_torchscript(tiny, images, x, tmp_path, name):
    module = tiny.weighted().eval()
    save_script(module, x[:2], tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = open_model(str(tmp_path / name), device=CPU, trust=True).tried(images)
    assert model.format == "torchscript"
    torch.testing.assert_close(model.score(x), module(x))
    assert model.no_gradient is None


@pytest.mark.parametrize("name", ["m.pt2", "m.pt", "m.ckpt"])
def test_files_that_can_run_code_need_trust(tiny, x, tmp_path, name):
    save_script(tiny.weighted().eval(), x[:2], tmp_path / name)
    said = message(tmp_path / name)
    assert said.startswith(f"'{tmp_path / name}' is only opened if you trust where it comes from, because ")
    assert said.endswith("then add --trust-model")


@pytest.mark.parametrize("name", ["m.pt2", "m.ts", "m.onnx"])
def test_a_damaged_file_is_said_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of that kind")
    assert message(tmp_path / name, trust=True).startswith(f"can't open the model '{tmp_path / name}' (")


@pytest.mark.parametrize("name", ["m.pt", "m.pth"])
@pytest.mark.parametrize("trust", [False, True])
def test_an_archive_with_a_wrong_checksum_is_said_in_one_line(tmp_path, name, trust):
    torch.save({"weight": torch.zeros(2)}, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    spoilt = content.replace(b"weight", b"weighs", 1)  # within the pickle
    assert spoilt != content
    (tmp_path / name).write_bytes(spoilt)
    assert str(tmp_path / name) in message(tmp_path / name, trust=trust)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nothing of that kind", b"\x80\x02."])
def test_a_program_that_is_none_is_said_once(tmp_path, capfd, caplog, content):
    (tmp_path / "m.pt2").write_bytes(content)
    assert message(tmp_path / "m.pt2", trust=True).startswith("can't open the model")
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("it was opened",))


@pytest.mark.parametrize("trust", [False, True])
def test_pickles_are_never_opened(tmp_path, trust):
    for name in ("m.pkl", "m.joblib", "m.pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(Explosive()))
        assert message(tmp_path / name, trust=trust) == (
            f"'{tmp_path / name}' is a pickle, which can execute anything when it is opened; name a function "
            "that makes the model: --model file.py:name"
        )
    for name in ("m.pt", "m.pth"):
        torch.save({"model": Explosive()}, tmp_path / name)
        said = message(tmp_path / name, trust=trust)
        assert "is no TorchScript archive but a pickle or another file with objects of" in said


def test_weights_without_their_model_are_told_from_a_pickled_model(tmp_path):
    module = nn.Sequential(nn.Linear(2, 1))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    assert message(tmp_path / "weights.pt") == (
        f"'{tmp_path}/weights.pt' holds weights without their model (a state dict); name a function that "
        "makes the model: --model file.py:name, in which it builds the model and loads them"
    )
    torch.save(module, tmp_path / "module.pt")
    said = message(tmp_path / "module.pt")
    assert "is no TorchScript archive but a pickle or another file with objects of" in said
    assert said.endswith("or name a function that makes the model: --model file.py:name")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("m.safetensors", "'m.safetensors' holds weights without their model; give those of a detector here"),
        ("m.h5", "can't tell what model 'm.h5' is; give a file (.pt2, .ts, .torchscript, .onnx, .ckpt), "),
        ("m", "can't tell what model 'm' is; give a file"),
        ("none.onnx", "there is no file 'none.onnx'; give the path of a model's file with --model"),
        ("none.pt", "there is no file 'none.pt'; give the path of a model's file with --model"),
        ("none.ckpt", "there is no file 'none.ckpt'; give the path of a model's file with --model"),
    ],
)
def test_what_is_not_opened_is_said(spec, said):
    assert message(spec).startswith(said)


def test_a_name_after_a_file_that_takes_none(tmp_path):
    (tmp_path / "m.onnx").touch()
    assert message(f"{tmp_path}/m.onnx:make") == (
        f"'{tmp_path}/m.onnx:make' has a name after its file, which takes none; give {tmp_path}/m.onnx"
    )
