"""`fcdd_audit.discover` of what is handed over, and how its files are called."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

import fcdd_audit
from fcdd_audit import DataRequest, ImageSet, InputError
from fcdd_audit.core.arrays import spread
from fcdd_audit.discovery.candidates import Candidate, Found, Share
from fcdd_audit.discovery.sides import Sides, sides_of_dataset
from fcdd_audit.discovery.written import pictures_of, plain
from fcdd_audit.images.sets import told_apart

QUICK = {"draws": 19, "sensitivity": False}


def images_of(count, seed=0, side=32):
    """Smooth colours with some noise, uint8 (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    smooth = 4 * gaussian_filter(rng.normal(size=(count, side, side, 3)), (0, 2, 2, 0))
    noise = 0.3 * rng.normal(size=(count, side, side, 3))
    return (110 + 40 * (smooth + noise)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def handed():
    anomalous = images_of(30, seed=1)
    anomalous[:12, 22:30, 2:10] = np.random.default_rng(5).integers(0, 256, (8, 8, 3))
    return fcdd_audit.discover(images_of(30), anomalous, **QUICK)


def test_arrays_of_two_sides(handed):
    assert handed.found.images == {"nominal": 30, "anomalous": 30}
    best = handed.candidates[0]
    planted = {f"anomalous {place}" for place in range(12)}
    assert len(planted & set(best.bearers)) >= 10
    assert best in handed.sure
    assert handed.as_json()["candidates"][0]["bearers"] == list(best.bearers)
    assert handed.as_json() == json.loads((handed.folder / "candidates.json").read_text())


def test_a_discovery_for_notebooks(handed, tmp_path):
    assert list(handed.frame["side"][:2]) == ["nominal", "anomalous"]
    assert handed.frame["images"][0] == 30
    assert handed.to_html(tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "#1" in handed._repr_html_()
    assert "repeat" in handed._repr_html_()


def test_tensors_of_one_side_have_no_difference(tmp_path):
    images = torch.from_numpy(images_of(24)).permute(0, 3, 1, 2).float() / 255
    found = fcdd_audit.discover(images, out=tmp_path / "mine", **QUICK)
    assert found.folder == tmp_path / "mine"
    assert found.report.is_file()
    assert found.found.images == {"images": 24}
    assert all(one.difference is None for one in found.candidates)


def test_two_folders_with_files_of_the_same_names(tmp_path):
    for start, name in enumerate(("good", "bad")):  # all but one of the images are in both
        (tmp_path / name).mkdir()
        for index, pixels in enumerate(images_of(31)[start : start + 30]):
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    found = fcdd_audit.discover(tmp_path / "good", tmp_path / "bad", image_size=32, **QUICK)
    (copies,) = (one for one in found.candidates if one.kind == "near-copies")
    assert {f"nominal/{index}.png" for index in range(1, 30)} <= set(copies.bearers)
    assert {f"anomalous/{index}.png" for index in range(29)} <= set(copies.bearers)
    assert (found.folder / "pictures-1.npz").is_file()


def test_a_side_with_too_few_images_is_left_out_with_a_note():
    found = fcdd_audit.discover(images_of(24), images_of(5, seed=1), draws=5, sensitivity=False)
    assert found.found.images == {"nominal": 24}
    assert "Not searched: 5 anomalous images are too few, under 24." in found.content["notes"]
    assert any("With 5 null searches no p can be 0.05 or less" in note for note in found.content["notes"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"images": np.zeros((24, 32, 30, 3), np.uint8)}, "30x32 px"),
        ({"images": np.zeros((24, 12, 12, 3), np.uint8)}, "12 px"),
        ({"images": np.zeros((3, 32, 32, 3), np.uint8)}, "^3 images are too few"),
        ({"images": "nowhere"}, "no folder"),
        ({"images": 5}, "holds no images"),
        ({"images": images_of(24), "draws": 0}, "draws is 0"),
        ({"images": images_of(24), "sample": 5}, "sample is 5"),
        ({"images": images_of(24), "quick": True, "draws": 19}, "quick sets draws"),
        ({"images": images_of(24), "detector": "fcdd"}, "takes no detector"),
        ({"images": images_of(24), "oe": "photos"}, "takes oe for a folder only"),
    ],
)
def test_what_can_not_be_searched_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        fcdd_audit.discover(**arguments)


def test_the_training_images_of_a_data_set_are_searched():
    sides = sides_of_dataset("retina", DataRequest(image_size=32))
    assert list(sides.images) == ["nominal", "anomalous"]
    assert len(sides.side_of) == sum(map(len, sides.images.values()))


def test_outlier_exposure_is_the_anomalous_side_where_it_is_asked_for(tmp_path):
    (tmp_path / "train/good").mkdir(parents=True)
    for index, pixels in enumerate(images_of(3)):
        Image.fromarray(pixels).save(tmp_path / "train/good" / f"{index}.png")
    given = {"data_root": tmp_path, "image_size": 32, "cache": tmp_path / "cache"}
    assert list(sides_of_dataset("folder", DataRequest(**given)).images) == ["nominal"]
    exposed = DataRequest(**given, oe="photos", oe_limit=7)
    assert len(sides_of_dataset("folder", exposed).images["anomalous"]) == 7


def test_names_that_sides_share_are_told_apart():
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    same = told_apart({"nominal": ImageSet(images, ("a", "b")), "anomalous": ImageSet(images, ("b", "c"))})
    assert Sides(same).side_of == {
        "nominal/a": "nominal",
        "nominal/b": "nominal",
        "anomalous/b": "anomalous",
        "anomalous/c": "anomalous",
    }


def test_pictures_of_windows_have_a_box_each():
    images = torch.zeros(14, 1, 16, 16, dtype=torch.uint8)
    names = tuple(f"{place}" for place in range(14))
    boxes = [[0.0, 0.0, 0.25, place / 14] for place in range(14)]
    one = Candidate(
        *("#1", "pasted", names, {"nominal": Share(14, 20)}, "image", None, 0.01, "exchanged"),
        {"windows": boxes},
        Found(images, images[:0]),
    )
    found = pictures_of(one, Sides({"nominal": ImageSet(images, names)}))
    assert found["images"].shape == (12, 1, 16, 16)
    assert set(found["sides"]) == {"nominal"}
    assert found["boxes"].tolist() == [boxes[int(name)] for name in found["names"]]
    assert set(found) == {"images", "names", "sides", "boxes"}


def test_what_json_knows():
    value = {"a": np.float32(0.5), "b": (float("nan"), np.int64(3)), "c": [float("inf"), None, True]}
    assert plain(value) == {"a": 0.5, "b": [None, 3], "c": [None, None, True]}


def test_pictures_are_spread_evenly():
    assert spread(3, 12) == [0, 1, 2]
    assert spread(100, 3) == [0, 50, 99]
    assert spread(0, 12) == []


def test_with_a_model_what_moves_its_scores_is_searched_for_too(tmp_path):
    rng = np.random.default_rng(3)
    nominal, anomalous = (images_of(80, seed).clip(0, 200) for seed in (1, 2))
    for place in range(25):
        top, left = rng.integers(0, 24, 2)
        anomalous[place, top : top + 8, left : left + 8] = 255
    found = fcdd_audit.discover(
        nominal,
        anomalous,
        model=lambda x: (x > 0.9).float().mean((1, 2, 3)) + x.mean((1, 2, 3)) / 1000,
        **QUICK,
    )
    (pasted,) = [one for one in found.candidates if one.kind == "pasted"]
    assert pasted.evidence["direction"] == "raises"
    named = {f"anomalous {place}" for place in range(25)}
    assert len(named & set(pasted.bearers)) >= 0.8 * len(pasted.bearers) > 0
    assert "pasted" in found.report.read_text(encoding="utf-8")


def test_numbers_that_are_there_twice_are_the_same():
    """Help and page are made without torch."""
    from fcdd_audit.cli import discover as command
    from fcdd_audit.discovery import candidates, discover, saying

    assert (command.DRAWS, command.SAMPLE, command.FEWEST) == (
        discover.DRAWS,
        discover.SAMPLED,
        discover.FEWEST,
    )
    assert saying.SURE == candidates.SURE
