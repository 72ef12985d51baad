import gc
import json
import pickle
import subprocess
import sys

import pytest
import torch

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.mapped import BY_FILE, copied, dumps, file_of, mapped


@pytest.fixture
def pixels(tmp_path):
    """A mapped tensor, uint8 (100, 3, 64, 64), larger than what travels in a pickle."""
    path = tmp_path / "pixels.u8"
    values = torch.arange(100 * 3 * 64 * 64).remainder(251).to(torch.uint8)
    path.write_bytes(values.numpy().tobytes())
    return mapped(path, (100, 3, 64, 64))


def test_a_mapped_tensor_is_the_file(pixels, tmp_path):
    assert file_of(pixels) == str(tmp_path / "pixels.u8")
    assert file_of(pixels.clone()) is None
    pixels[0, 0, 0, 0] = 255
    assert (tmp_path / "pixels.u8").read_bytes()[0] == 255


def test_nothing_is_an_empty_tensor(tmp_path):
    assert mapped(tmp_path / "missing", (0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_a_missing_or_short_file_is_refused_and_not_made_up(tmp_path):
    with pytest.raises(FileNotFoundError):
        mapped(tmp_path / "missing", (3,))
    (tmp_path / "short").write_bytes(b"12")
    with pytest.raises(ValueError, match="too short"):
        mapped(tmp_path / "short", (3,))
    with pytest.raises(ValueError, match="too short"):
        mapped(tmp_path / "short", (2,), torch.int16)
    assert [path.name for path in tmp_path.iterdir()] == ["short"]
    assert (tmp_path / "short").read_bytes() == b"12"


# Copies


def test_a_copy_of_a_mapped_tensor_is_mapped_and_independent(pixels, tmp_path):
    before = pixels.clone()
    copy = copied(pixels)
    assert file_of(copy) is not None
    assert torch.equal(copy, before)
    copy[5] = 0
    assert torch.equal(pixels, before)
    assert copy[5].sum() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["pixels.u8"], "its file is gone already"


def test_a_copy_outlives_the_original(pixels, tmp_path):
    copy, expected = copied(pixels[3:5]), pixels[3:5].clone()
    del pixels
    (tmp_path / "pixels.u8").unlink()
    gc.collect()
    assert torch.equal(copy, expected)
    assert torch.equal(copied(copy), expected)


def test_a_copy_that_there_is_no_room_for_is_said_and_does_not_stay(pixels, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(RunError) as error:
            copied(pixels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(error.value) == (
        f"can't write a copy of 100 images to '{tmp_path}': File too large; make room there, or name another "
        "folder with --cache"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["pixels.u8"]


def test_a_copy_of_a_view_has_the_views_order(pixels):
    assert torch.equal(copied(pixels[::3].flip(2)), pixels[::3].flip(2))
    assert torch.equal(copied(pixels.transpose(2, 3)), pixels.transpose(2, 3))
    assert copied(pixels[:0]).shape == (0, 3, 64, 64)


def test_a_copy_of_a_tensor_in_memory_is_in_memory():
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    copy = copied(images)
    copy += 1
    assert images.sum() == 0
    assert file_of(copy) is None


# Between processes


LOOK = """
import json, pickle, sys
from fcdd_audit.core.errors import RunError
from fcdd_audit.core.mapped import file_of
value = pickle.load(open(sys.argv[1], "rb"))
print(json.dumps({n: [file_of(t), list(t.shape), float(t.double().sum())] for n, t in value.items()}))
"""


def test_another_process_maps_the_same_files(pixels, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    value = {
        "mapped": pixels,
        "view": pixels[10:12, 1:2],
        "memory": torch.ones(BY_FILE, dtype=torch.uint8),
        "masks": torch.ones(BY_FILE + 1, 1, dtype=torch.bool),
        "floats": torch.ones(BY_FILE, dtype=torch.float32).t(),
        "small": torch.ones(3),
    }
    pickled = dumps(value, spool)
    assert len(pickled) < 10_000
    (tmp_path / "pickled").write_bytes(pickled)
    command = [sys.executable, "-c", LOOK, str(tmp_path / "pickled")]
    seen = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for name, tensor in value.items():
        assert seen[name][1:] == [list(tensor.shape), float(tensor.double().sum())], name
    assert seen["mapped"][0] == seen["view"][0] == file_of(pixels)
    assert seen["small"][0] is None
    assert {seen[name][0] for name in ("memory", "masks", "floats")} == {
        str(path) for path in spool.iterdir()
    }


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t[7:9],
        lambda t: t[::2],
        lambda t: t[:, 1],
        lambda t: t.transpose(1, 3),
        lambda t: t[:0],
        lambda t: t[2, 1, 3, 4],
    ],
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_views_travel_without_what_they_are_a_view_of(pixels, tmp_path, view, in_memory):
    tensor = view(pixels.clone() if in_memory else pixels)
    pickled = dumps(tensor, tmp_path)
    assert len(pickled) < 1000
    assert torch.equal(pickle.loads(pickled), tensor)


def test_types_travel(tmp_path):
    for dtype in (torch.bool, torch.bfloat16, torch.float64, torch.int64):
        tensor = torch.arange(BY_FILE).remainder(2).to(dtype).reshape(-1, 4)
        back = pickle.loads(dumps(tensor, tmp_path))
        assert back.dtype == dtype
        assert torch.equal(back, tensor)


def test_a_copy_whose_file_is_gone_travels_all_the_same(pixels, tmp_path):
    copy = copied(pixels)
    assert torch.equal(pickle.loads(dumps(copy, tmp_path)), copy)


def test_parameters_and_small_tensors_travel_too(tmp_path):
    layer = torch.nn.Linear(600, 600)
    back = pickle.loads(dumps((layer, torch.ones(3)), tmp_path))
    assert torch.equal(back[0].weight, layer.weight)
    assert back[0].weight.requires_grad
    assert torch.equal(back[1], torch.ones(3))
