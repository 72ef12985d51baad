"""A candidate of a discovery, read from its files."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fcdd_audit import InputError, make_config
from fcdd_audit.natural import Promoted, make_artifact

SIDE = 6


def entry(**changes):
    return {
        "id": "#1",
        "kind": "repeated",
        "bearers": ["train/anomalous/a.png", "train/anomalous/b.png"],
        "share": {"nominal": 0.0, "anomalous": 0.5},
        "counts": {"nominal": [0, 4], "anomalous": [2, 4]},
        "difference": None,
        "view": "image",
        "box": [0.5, 0.5, 1 / 3, 1 / 3],
        "p": 0.005,
        "null": "mirrored",
        "mark": "mark-1.png",
        "masks": "masks-1",
        "template": None,
        "evidence": {},
    } | changes


def written(folder, *entries, **changes):
    content = {"schema": 1, "dataset": "folder", "shape": [1, SIDE, SIDE], "candidates": list(entries)}
    file = folder / "candidates.json"
    file.write_text(json.dumps(content | changes), encoding="utf-8")
    return f"{file}#1"


def with_mark(folder):
    """A mark of 2 x 2 px: grey 255 at alpha 255 and 51, nothing, and grey 0 at alpha 255.

    It is on a at (3, 3); on b it is moved beyond the lower right corner.
    """
    pixels = np.array([[[255, 255], [255, 51]], [[0, 0], [0, 255]]], np.uint8)
    grey, alpha = pixels[..., 0], pixels[..., 1]
    Image.fromarray(np.dstack([grey, grey, grey, alpha])).save(folder / "mark-1.png")
    (folder / "masks-1/train/anomalous").mkdir(parents=True)
    for name, top, left in (("a", 3, 3), ("b", 5, 5)):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[top : top + 2, left : left + 2] = (alpha > 0)[: SIDE - top, : SIDE - left] * 255
        Image.fromarray(mask).save(folder / "masks-1/train/anomalous" / f"{name}.png")
    return written(folder, entry())


def test_masks_are_those_of_bearers(tmp_path):
    artifact = Promoted(with_mark(tmp_path))
    found = artifact.find(["train/nominal/x.png", "train/anomalous/a.png"], (SIDE, SIDE))
    assert found.shape == (2, 1, SIDE, SIDE)
    assert not found[0].any()
    assert found[1, 0].nonzero().tolist() == [[3, 3], [3, 4], [4, 4]]
    large = artifact.find(["train/anomalous/a.png"], (2 * SIDE, 2 * SIDE))
    assert large.sum() == 4 * 3
    assert (artifact.dataset, artifact.shape, artifact.id) == ("folder", (1, SIDE, SIDE), "#1")
    assert artifact.template is None


def test_the_mark_lies_where_its_bearers_have_it(tmp_path):
    probe = Promoted(with_mark(tmp_path)).probe((SIDE, SIDE))
    assert probe.paint.shape == (2, 1, SIDE, SIDE)
    assert probe.alpha[0, 0, 3:5, 3:5].tolist() == [[1.0, pytest.approx(0.2)], [0.0, 1.0]]
    assert probe.paint[0, 0, 3:5, 3:5].tolist() == [[1.0, pytest.approx(0.2)], [0.0, 0.0]]
    assert probe.mask[1].nonzero().tolist() == [[0, 5, 5]]  # what lies beyond the border is cut off
    assert probe.alpha[1, 0, 5, 5] == 1


def test_a_mark_beyond_the_upper_left_border_is_cut_off(tmp_path):
    file = with_mark(tmp_path)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[0, 0] = 255  # its lower right pixel
    Image.fromarray(mask).save(tmp_path / "masks-1/train/anomalous/b.png")
    probe = Promoted(file).probe((SIDE, SIDE))
    assert probe.mask[1].nonzero().tolist() == [[0, 0, 0]]
    assert (probe.alpha[1, 0, 0, 0], probe.paint[1, 0, 0, 0]) == (1, 0)


def test_without_a_mark_the_box_of_its_bearers_is_cut_out(tmp_path):
    file = written(tmp_path, entry(mark=None, masks=None))
    images = torch.arange(2 * SIDE * SIDE).reshape(2, 1, SIDE, SIDE).to(torch.uint8)
    names = np.array(entry()["bearers"])
    np.savez(tmp_path / "pictures-1.npz", images=images.numpy(), names=names)
    probe = Promoted(file).probe((SIDE, SIDE))
    assert torch.equal(probe.mask, probe.alpha.bool())
    assert probe.mask[0, 0].nonzero().tolist() == [[3, 3], [3, 4], [4, 3], [4, 4]]
    assert (probe.paint[1, 0, 3, 3] * 255).round() == images[1, 0, 3, 3]
    assert probe.paint[1, 0, 0, 0] == 0


def test_pasted_windows_have_a_place_on_each_bearer(tmp_path):
    windows = [[0, 0, 1 / 3, 1 / 3], [2 / 3, 0, 1 / 3, 0.5]]
    given = entry(kind="pasted", box=None, mark=None, masks=None, evidence={"windows": windows})
    found = Promoted(written(tmp_path, given)).find(given["bearers"], (SIDE, SIDE))
    assert [int(one.sum()) for one in found] == [4, 6]
    assert found[1, 0, :3, 4:].all()


def test_a_folder_stands_for_its_file(tmp_path):
    with_mark(tmp_path)
    assert Promoted(f"{tmp_path}#1").bearers == entry()["bearers"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "near-copies"}, "#1 can't be audited: near-copies are images"),
        ({"kind": "placeless", "bearers": []}, "it has no place"),
        ({"bearers": []}, "has no images that bear it"),
        ({"kind": "other"}, "has no images that bear it"),
        ({"id": "#2"}, r"has no candidate #1 \(known: #2\)"),
    ],
)
def test_what_is_no_artifact_is_refused(tmp_path, given, said):
    with pytest.raises(InputError, match=said):
        Promoted(written(tmp_path, entry(**given)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "schema: Input should be 1"),
        ({"candidates": [{"id": 3}]}, "isn't what 'fcdd-audit discover' writes"),
        ({"candidates": None}, "isn't what"),
        ({"shape": [3]}, "isn't what"),
        ({"dataset": 3}, "dataset: "),
        *(
            ({"candidates": [entry(**given)]}, "isn't what")
            for given in (
                {"mark": 5},
                {"masks": None},
                {"box": None, "mark": None, "masks": None},
                {"box": [1, 2]},
                {"evidence": {"windows": [[0, 0, 1, 1]]}},
                {"evidence": {"windows": "none"}},
                {"bearers": [3]},
                {"masks": ".."},
                {"template": "../template-1.npz"},
            )
        ),
    ],
)
def test_other_files_are_refused(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        Promoted(written(tmp_path, entry(), **changes))


def test_how_it_is_named(tmp_path):
    with pytest.raises(InputError, match="no candidate is named"):
        make_artifact("candidate", {})
    with pytest.raises(InputError, match="write its number too"):
        Promoted("found/candidates.json")
    with pytest.raises(InputError, match=r"can't read candidates .* \(No such file"):
        Promoted(f"{tmp_path}/nothing.json#1")
    (tmp_path / "candidates.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="isn't what"):
        Promoted(f"{tmp_path}#1")


@pytest.mark.parametrize("name", ["../mark-1.png", "mark.txt", "/etc/mark-1.png", ".", ""])
def test_no_file_outside_its_folder_is_named(tmp_path, name):
    with pytest.raises(InputError, match=r"candidates\.0\.mark: String should match"):
        Promoted(written(tmp_path, entry(mark=name)))


def test_damaged_files_are_named(tmp_path):
    file = with_mark(tmp_path)
    (tmp_path / "mark-1.png").write_bytes(b"none")
    with pytest.raises(InputError, match=r"mark-1.png' can't be read"):
        Promoted(file).probe((SIDE, SIDE))
    (tmp_path / "masks-1/train/anomalous/a.png").unlink()
    with pytest.raises(InputError, match=r"a.png"):
        Promoted(file).find(["train/anomalous/a.png"], (SIDE, SIDE))
    file = written(tmp_path, entry(mark=None, masks=None))
    for content in (None, b"", b"PK\x03\x04 cut", b"none"):
        if content is not None:
            (tmp_path / "pictures-1.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"pictures-1.npz' can't be read"):
            Promoted(file).probe((SIDE, SIDE))


def test_what_is_known_from_a_corner_alone_has_to_have_a_mark(tmp_path):
    file = written(tmp_path, entry(mark=None, masks=None, view="lower-left"))
    with pytest.raises(InputError, match="known from the view lower-left alone"):
        Promoted(file).probe((SIDE, SIDE))


def test_settings_name_it(tmp_path):
    file = with_mark(tmp_path)
    config = make_config(candidate=file)
    assert config.artifact.probe == "candidate"
    assert config.run_name == "retina-candidate-1"
    assert config.make_artifact() == Promoted(file)
    assert config.having(seeds=4).make_artifact() == Promoted(file)
    with pytest.raises(InputError, match="--candidate and --probe logo both name an artifact"):
        make_config(candidate=file, probe="logo")
    with pytest.raises(InputError, match="takes no --plant-on"):
        make_config(candidate=file, plant_on="nominal")
    with pytest.raises(InputError, match="has no candidate #7"):
        make_config(candidate=file.replace("#1", "#7"))
