"""Artifacts that are found in the data, not planted: where they are, and audits by their removal."""

import json
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from fcdd_audit.edits.directions import DIRECTIONS
from fcdd_audit.experiment.planning import estimate, plan, prepare
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit import AuditConfig, InputError, Recipe, render_report, run_audit
from fcdd_audit.datasets import AuditData
from fcdd_audit.experiment.cells import train_cell
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.measures.detection import auroc
from fcdd_audit.natural.artifacts import Region
from fcdd_audit.natural.locate import locate, remove
from fcdd_audit.report.figures import roc_curves

COUNTS = {"train_nominal": 8, "train_anomalous": 6, "validation": 3, "test_nominal": 5, "test_anomalous": 4}
SIDE = 12  # px
SPOT = (..., slice(0, 3), slice(0, 3))  # where `Spots` are
DEFECT = (..., slice(5, 8), slice(5, 8))  # where true anomalies are; images are told apart by a pixel more


@dataclass(frozen=True)
class Spots:
    """On the named images, in a corner."""

    bearing: tuple[str, ...]
    asked: list = field(default_factory=list)
    on_outliers: ClassVar[bool] = True
    by_name: ClassVar[bool] = True

    def find(self, names, shape, fit="squash", origins=None):
        self.asked.append((tuple(names), tuple(shape), fit))
        masks = torch.zeros(len(names), 1, *shape, dtype=torch.bool)
        masks[SPOT] = torch.tensor([name in self.bearing for name in names], dtype=torch.bool)[
            :, None, None, None
        ]
        return masks


class OwnSpots(Spots):
    """Not looked for on outlier exposure."""

    on_outliers = False


def images_of(part, count):
    generator = torch.Generator().manual_seed(len(part))
    images = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    masks = None
    if part.endswith("anomalous"):
        masks = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
        masks[DEFECT] = True
        for index in range(count):
            masks[index, 0, 9, index] = True
    return ImageSet(images, tuple(f"{part}/{index}" for index in range(count)), masks, digest="known")


def tiny(**changes):
    parts = {part: images_of(part, count) for part, count in COUNTS.items()}
    return AuditData("set", "cat", **{**parts, **changes})


def spots(**bearing):
    """On the images of each part with these indices."""
    return Spots(tuple(f"{part}/{index}" for part, indices in bearing.items() for index in indices))


def taken_off(removal="drop", **bearing):
    data, artifact = tiny(), spots(**{"test_anomalous": (1, 3), **bearing})
    return data, locate(artifact, data), *remove(data, locate(artifact, data), removal)


def bearing_images(masks):
    return masks.flatten(1).any(dim=1).nonzero().flatten().tolist()


# Where it is


def test_masks_land_on_the_images_that_bear_it():
    where = {
        "train_nominal": [0, 7],
        "train_anomalous": [5],
        "validation": [1],
        "test_nominal": [2, 4],
        "test_anomalous": [0],
    }
    artifact, data = spots(**where), tiny(fit="centre")
    masks = locate(artifact, data)
    assert {part: bearing_images(mask) for part, mask in masks.items()} == where
    for part, mask in masks.items():
        assert mask.shape == (COUNTS[part], 1, SIDE, SIDE)
        assert mask.dtype == torch.bool
        assert mask.sum() == 9 * len(where[part])
    names = tuple(name for part in data.parts().values() for name in part.names)
    assert artifact.asked == [(names, (SIDE, SIDE), "centre")], "all names at once"


def test_the_artifact_is_told_where_each_image_comes_from():
    told = []

    class Told(Spots):
        def find(self, names, shape, fit="squash", origins=None):
            told.extend(zip(names, origins, strict=True))
            return super().find(names, shape, fit, origins)

    photos = tuple(Origin("JPEG", 8, 6 + index, "RGB", 90) for index in range(COUNTS["test_nominal"]))
    data = tiny(test_nominal=replace(images_of("test_nominal", COUNTS["test_nominal"]), origins=photos))
    locate(Told(spots(train_nominal=[0], test_nominal=[0, 1]).bearing), data)
    by_name = dict(told)
    assert [by_name[name] for name in data.test_nominal.names] == list(photos)
    assert by_name[data.train_nominal.names[0]] is None


@pytest.mark.parametrize(("exposure", "share"), [(True, 0), (False, 1)])
def test_a_region_is_on_labelled_anomalies_and_not_on_outlier_exposure(exposure, share):
    data = tiny(outlier_exposure=exposure)
    masks = locate(Region(width=0.25, height=0.25), data)
    for part, mask in masks.items():
        bearing = COUNTS[part] if part != "train_anomalous" else share * COUNTS[part]
        assert len(bearing_images(mask)) == bearing
        assert mask.sum() == 9 * bearing
    found = remove(data, masks, "auto")[1]
    assert found.share == {"nominal": 1, "anomalous": share}


@pytest.mark.parametrize("exposure", [True, False])
def test_only_what_may_be_on_outliers_is_looked_for_there(exposure):
    everywhere = {part: range(count) for part, count in COUNTS.items()}
    for kind, looked in ((Spots, True), (OwnSpots, not exposure)):
        artifact = kind(spots(**everywhere).bearing)
        masks = locate(artifact, tiny(outlier_exposure=exposure))
        assert len(bearing_images(masks["train_anomalous"])) == looked * COUNTS["train_anomalous"]
        asked = {name.split("/")[0] for name in artifact.asked[0][0]}
        assert asked == set(COUNTS) - (set() if looked else {"train_anomalous"})


def test_an_artifact_that_no_training_image_bears_is_told_so():
    with pytest.raises(InputError) as error:
        locate(spots(validation=range(3), test_nominal=range(5), test_anomalous=range(4)), tiny())
    assert str(error.value) == (
        "none of the 14 training images of 'set' bears the artifact, so that no detector can have learned "
        "it; check the annotations' names (an image is called 'train_nominal/0')"
    )


def test_one_side_needs_two_test_images_that_bear_it():
    with pytest.raises(InputError) as error:
        locate(spots(train_nominal=[0], test_nominal=[0], test_anomalous=[3]), tiny())
    assert str(error.value) == (
        "1 nominal and 1 anomalous test images of 'set' bear the artifact; at least 2 of one side are needed "
        "to see what its removal does"
    )
    locate(spots(train_nominal=[0], test_nominal=[0, 3]), tiny())
    locate(spots(train_anomalous=[0], test_anomalous=[0, 3]), tiny())


# Training images of the control


SOME = st.sets(st.integers(0, 5), max_size=5)  # not all six


@settings(deadline=None, max_examples=30)
@given(nominal=SOME, anomalous=SOME)
def test_dropped_images_give_their_places_to_others_of_their_side(nominal, anomalous):
    if not nominal and not anomalous:
        return
    data, _, _, found, _ = taken_off(train_nominal=nominal, train_anomalous=anomalous)
    assert found.removal == "drop"
    assert found.share == {"nominal": len(nominal) / 8, "anomalous": len(anomalous) / 6}
    for before, after, bears in (
        (data.train_nominal, found.nominal, nominal),
        (data.train_anomalous, found.anomalous, anomalous),
    ):
        assert len(after) == len(before)
        for index, name in enumerate(after.names):
            if index not in bears:
                assert name == before.names[index]
            origin = before.names.index(name)
            assert origin not in bears
            assert torch.equal(after.images[index], before.images[origin])
            if before.masks is not None:
                assert torch.equal(after.masks[index], before.masks[origin])
    assert found.nominal.masks is None


def test_what_takes_the_places_is_drawn_and_the_same_every_time():
    first, again = (taken_off(train_nominal=range(5))[3].nominal for _ in range(2))
    assert first.names == again.names
    assert len(set(first.names[:5])) > 1, "not one for all"
    assert first.names[5:] == tuple(f"train_nominal/{index}" for index in (5, 6, 7))


@pytest.mark.parametrize("side", ["nominal", "anomalous"])
def test_dropping_every_image_of_a_side_is_refused(side):
    part = f"train_{side}"
    with pytest.raises(InputError) as error:
        taken_off(**{part: range(COUNTS[part])})
    assert str(error.value) == (
        f"every {side} training image bears the artifact, and none would be left; use --control inpaint"
    )
    assert taken_off("inpaint", **{part: range(COUNTS[part])})[3].share[side] == 1


def test_inpainting_changes_masked_pixels_of_training_images_only():
    data, masks, _, found, _ = taken_off("inpaint", train_nominal=(1, 2), train_anomalous=(0,))
    assert found.removal == "inpaint"
    for part, after in (("train_nominal", found.nominal), ("train_anomalous", found.anomalous)):
        before = data.parts()[part]
        changed = (after.images != before.images).any(dim=1, keepdim=True)
        assert not (changed & ~masks[part]).any()
        assert changed.sum() >= 0.8 * masks[part].sum()
        assert after.names == before.names
        assert after.content() == replace(after, digest=None).content(), "no digest of other pixels is kept"
        if before.masks is not None:
            assert torch.equal(after.masks, before.masks)


@pytest.mark.parametrize(
    ("nominal", "anomalous", "expected"),
    [(4, 3, "drop"), (1, 0, "drop"), (5, 0, "inpaint"), (0, 4, "inpaint"), (5, 4, "inpaint")],
)
def test_by_default_images_are_dropped_where_half_of_each_side_is_left(nominal, anomalous, expected):
    bearing = {"train_nominal": range(nominal), "train_anomalous": range(anomalous)}
    _, _, data, found, _ = taken_off("auto", **bearing)
    assert found.removal == expected
    note = data.notes[0]
    assert note.startswith(
        f"The artifact was found on these images: {nominal} of 8 train nominal, "
        f"{anomalous} of 6 train anomalous, "
    )
    assert ("dropped" in note, "filled in" in note) == (expected == "drop", expected == "inpaint")


@pytest.mark.parametrize("removal", ["auto", "drop", "inpaint"])
def test_there_need_be_no_anomalous_training_images(removal):
    data = tiny(train_anomalous=images_of("train_anomalous", 0))
    masks = locate(spots(train_nominal=(0, 1), test_nominal=(1, 2)), data)
    found = remove(data, masks, removal)[1]
    assert found.share == {"nominal": 0.25, "anomalous": 0}
    assert len(found.anomalous) == 0


# Test images


def test_test_images_that_bear_it_come_first_with_all_that_is_theirs():
    before, _, data, found, as_found = taken_off(train_nominal=[0], test_nominal=[2, 4])
    for side, order in (("nominal", [2, 4, 0, 1, 3]), ("anomalous", [1, 3, 0, 2])):
        part, original = data.parts()[f"test_{side}"], before.parts()[f"test_{side}"]
        assert part.names == tuple(original.names[index] for index in order)
        assert torch.equal(getattr(as_found, side), original.images[order])
        assert bearing_images(getattr(as_found, f"{side}_mask")) == [0, 1]
        if original.masks is not None:
            assert torch.equal(part.masks, original.masks[order])
        assert len(getattr(found, f"{side}_elsewhere")) == len(order)
    for part in ("train_nominal", "train_anomalous", "validation"):
        assert data.parts()[part] is before.parts()[part], "as found"


def test_removal_changes_the_artifact_only_and_what_is_removed_elsewhere_is_as_much():
    _, _, data, found, as_found = taken_off(train_nominal=[0], test_nominal=[2, 4])
    for side in ("nominal", "anomalous"):
        part = data.parts()[f"test_{side}"]
        images, mask = getattr(as_found, side), getattr(as_found, f"{side}_mask")
        removed = (part.images != images).any(dim=1, keepdim=True)
        assert not (removed & ~mask).any()
        assert removed.sum() >= 0.8 * mask.sum()
        other = (getattr(found, f"{side}_elsewhere") != images).any(dim=1, keepdim=True)
        assert not (other & mask).any()
        if part.masks is not None:
            assert not (other & part.masks).any(), "nor is the true anomaly removed"
        for area, changed in zip(mask.flatten(1).sum(dim=1), other.flatten(1).sum(dim=1), strict=True):
            assert 0.8 * area <= changed <= area


def test_what_is_removed_elsewhere_is_no_true_anomaly_where_there_is_room():
    masks = torch.ones(4, 1, SIDE, SIDE, dtype=torch.bool)
    masks[:, :, :3] = False  # room in the rows of the artifact only
    data = tiny(test_anomalous=replace(images_of("test_anomalous", 4), masks=masks))
    located = locate(spots(train_nominal=[0], test_anomalous=range(4)), data)
    _, found, as_found = remove(data, located, "drop")
    changed = (found.anomalous_elsewhere != as_found.anomalous).any(dim=1)
    assert changed.flatten(1).any(dim=1).all()
    assert not changed[:, 3:].any()
    assert not changed[SPOT].any()


def test_it_is_said_where_there_is_no_room_elsewhere():
    class Corners(Spots):
        """In two opposite corners, so that there is no other place for both."""

        def find(self, names, shape, fit="squash", origins=None):
            masks = super().find(names, shape, fit, origins)
            return masks | masks.flip(2, 3)

    bearing = tuple(f"{part}/{index}" for part in ("train_nominal", "test_nominal") for index in (0, 1))
    data, _, _ = remove(tiny(), locate(Corners(bearing), tiny()), "drop")
    assert data.notes[-1].startswith("On 2 test images there is no room to remove as much elsewhere")
    clear, *_ = remove(tiny(), locate(Spots(bearing), tiny()), "drop")
    assert len(clear.notes) == len(data.notes) - 1


def test_confetti_on_nominal_images_bears_the_artifact_too():
    with pytest.raises(InputError, match="is confetti on its nominal training images"):
        locate(Spots(("train_nominal/0",)), tiny(malformed=True))


def test_annotations_cannot_tell_images_of_the_same_name_apart():
    data = tiny(validation=replace(images_of("validation", 3), names=("train_nominal/0", "a", "b")))
    with pytest.raises(InputError, match="two images of 'set' are called 'train_nominal/0'"):
        locate(Spots(("train_nominal/0",)), data)


def test_an_artifact_all_over_an_image_is_refused_by_the_images_name():
    class Everywhere(Spots):
        def find(self, names, shape, fit="squash", origins=None):
            masks = super().find(names, shape, fit, origins)
            return masks.flatten(1).any(dim=1)[:, None, None, None].expand_as(masks)

    with pytest.raises(InputError, match="covers all of 'test_nominal/1'"):
        locate(Everywhere(("test_nominal/1",)), tiny())


def test_removed_data_have_another_fingerprint():
    before, _, data, _, _ = taken_off(train_nominal=[0])
    assert data.fingerprint() != before.fingerprint()


# From the data to the verdict


def picture(rng, root, part, name, square=False, defect=False):
    """Grey noise, with a bright square near the corner, whose mask is written too, or a defect."""
    pixels = rng.normal(110, 15, (32, 32))
    if defect:
        pixels[12:22, 12:22] += 70
    if square:
        pixels[2:8, 2:8] = 240
        mask = np.zeros((32, 32), np.uint8)
        mask[2:8, 2:8] = 255
        (root / "marks" / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / "marks" / part / f"{name}.png")
    (root / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / part / f"{name}.png")


def audit_of(root, **changes):
    settings = {
        "dataset": "folder",
        "data_root": root,
        "image_size": 32,
        "probe": "mask",
        "options": {"mask": {"masks": str(root / "marks")}},
        "detectors": ("fcdd",),
        "explainers": ("native",),
        "seeds": 1,
        "workers": 1,
        "recipe": Recipe(epochs=1, batch_size=8),
    }
    return AuditConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corner square on 6 of 8 anomalous training images, and on test images of both sides."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for index in range(20):
        picture(rng, root, "train/nominal", index)
    for index in range(8):
        picture(rng, root, "train/anomalous", index, square=index not in (1, 5), defect=index % 2 == 0)
    for index in range(6):
        picture(rng, root, "test/nominal", index, square=index in (3, 5))
        picture(rng, root, "test/anomalous", index, square=index in (1, 2, 4), defect=True)
    return root


@pytest.fixture(scope="module")
def audited(folder, tmp_path_factory):
    config = audit_of(folder, detectors=("fcdd", "ae"), seeds=3, out=tmp_path_factory.mktemp("out"))
    return config, run_audit(config)


def test_the_planted_twin_is_trained_on_what_was_found_and_its_control_on_cleaned_images(folder, monkeypatch):
    given = {}

    def spy(detector, nominal, anomalous, *_, **__):
        given[cell.twin] = nominal, anomalous
        raise StopIteration

    monkeypatch.setattr("fcdd_audit.experiment.cells.fit", spy)
    for removal in ("inpaint", "drop"):
        config = audit_of(folder, control=removal)
        setup = prepare(config)
        (question,) = plan(config, setup)
        for cell in (*question.planted, *question.control):
            with pytest.raises(StopIteration):
                train_cell(cell, setup, torch.device("cpu"))
        nominal, anomalous = given["planted"]
        assert torch.equal(nominal, setup.data.train_nominal.images)
        assert torch.equal(anomalous, setup.data.train_anomalous.images)
        assert (anomalous[:, 0, 2:8, 2:8] == 240).flatten(1).all(dim=1).sum() == 6
        cleaned, without = given["control"]
        assert torch.equal(cleaned, nominal), "nothing was on them"
        assert len(without) == 8
        assert not (without[:, 0, 2:8, 2:8] == 240).flatten(1).all(dim=1).any()
        unmarked = [1, 5]
        assert torch.equal(without[unmarked], anomalous[unmarked])
        if removal == "drop":
            assert all(any(torch.equal(image, anomalous[i]) for i in unmarked) for image in without)
        else:
            assert torch.equal(without[:, :, 8:], anomalous[:, :, 8:])


def test_each_twin_gets_the_masks_of_the_true_anomalies_that_it_is_trained_on(folder, monkeypatch):
    given = {}

    def spy(*_, masks, **__):
        given[cell.twin] = masks
        raise StopIteration

    monkeypatch.setattr("fcdd_audit.experiment.cells.fit", spy)
    config = audit_of(folder, control="drop")
    setup = prepare(config)
    as_found, cleaned = (torch.full((8, 1, 32, 32), value) for value in (True, False))
    setup = replace(
        setup,
        data=replace(setup.data, train_anomalous=replace(setup.data.train_anomalous, masks=as_found)),
        found=replace(setup.found, anomalous=replace(setup.found.anomalous, masks=cleaned)),
    )
    (question,) = plan(config, setup)
    for cell in (*question.planted, *question.control):
        with pytest.raises(StopIteration):
            train_cell(cell, setup, torch.device("cpu"))
    assert given["planted"] is as_found
    assert given["control"] is cleaned


def test_a_finding_says_where_the_artifact_was_found_and_what_removing_as_much_elsewhere_does(audited):
    _, result = audited
    fcdd, ae = result.findings
    assert (fcdd.plant_on, fcdd.prevalence, fcdd.probe) == ("found-on-anomalous", 6 / 8, "mask")
    measures = [effect.measure for effect in fcdd.effects]
    assert measures == [
        "clean_auroc",
        "usual_auroc",
        "aligned_auroc",
        "conflict_auroc",
        "drop",
        "drop_elsewhere",
        "flip_rate",
        "score_shift",
    ]
    assert np.isfinite(fcdd.reliance.value)
    effects = {effect.measure: effect for effect in fcdd.effects}
    assert fcdd.control_auroc == effects["usual_auroc"].control.value
    assert fcdd.planted_auroc == effects["usual_auroc"].planted.value
    assert ae.reason == (
        "identical by construction: no nominal training image, from which ae learns, bears it"
    )
    assert (ae.plant_on, ae.prevalence, ae.reliance, ae.verdict) == (
        "found-on-nominal",
        0,
        None,
        "inconclusive",
    )
    assert json.loads((result.folder / "findings.json").read_text()) == result.as_json()


def test_of_the_side_where_it_is_removed_only_images_that_bear_it_count(audited):
    _, result = audited
    config = json.loads((result.folder / "config.json").read_text())
    question, other = config["questions"]
    bearing = [f"test/anomalous/{index}.png" for index in (1, 2, 4)]
    assert question["bearing"] == bearing
    assert other["bearing"] is None
    table = pd.read_csv(result.folder / "results.csv")
    assert set(table["split"]) >= {"clean", "marked", "aligned", "conflict", "elsewhere", "validation"}
    for twin in ("planted", "control"):
        for seed, key in enumerate(question[twin]):
            scores = pd.read_csv(result.folder / "cells" / key / "scores.csv")

            def of(part, variant, scores=scores):
                mine = scores[(scores["part"] == part) & (scores["variant"] == variant)]
                return mine[mine["image"].isin(bearing) | (part == "nominal")]["score"].to_numpy()

            assert len(of("anomalous", "clean")) == 3
            usual = auroc(of("nominal", "marked"), of("anomalous", "marked"))
            conflict = auroc(of("nominal", "marked"), of("anomalous", "clean"))
            elsewhere = auroc(of("nominal", "marked"), of("anomalous", "elsewhere"))
            rows = table[(table["twin"] == twin) & (table["seed"] == seed) & table["explainer"].isna()]
            found = rows.set_index(["split", "metric"])["value"]
            assert found["marked", "auroc"] == pytest.approx(usual, abs=1e-12)
            assert found["conflict", "auroc"] == pytest.approx(conflict, abs=1e-12)
            assert found["conflict", "drop"] == pytest.approx(usual - conflict, abs=1e-12)
            assert found["elsewhere", "drop"] == pytest.approx(usual - elsewhere, abs=1e-12)


def test_the_report_speaks_of_what_was_found(audited):
    _, result = audited
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    for text in (
        "In training it was found on 75 % of the anomalous training images",
        "removed from the anomalous test images that bear it",
        "In use: as found.",
        "AUROC, in use",
        "drop, as much removed elsewhere",
        "For the control twin the artifact is filled in from around it.",
        "identical by construction: no nominal training image, from which ae learns, bears it",
    ):
        assert text in words, text
    before = result.report.read_bytes()
    assert render_report(result.folder).read_bytes() == before


def test_curves_are_of_the_images_that_count(audited, monkeypatch):
    drawn = []

    def spy(twins, direction, prefix):
        drawn.append((twins, direction))
        return roc_curves(twins, direction, prefix)

    monkeypatch.setattr("fcdd_audit.report.page.roc_curves", spy)
    render_report(audited[1].folder)
    ((twins, direction),) = drawn
    assert direction == DIRECTIONS["found-on-anomalous"]
    for frame in (frame for frames in twins.values() for frame in frames):
        counts = frame[frame["variant"] == "clean"].groupby("part")["image"].nunique()
        assert counts.to_dict() == {"anomalous": 3, "nominal": 6, "validation": 4}


def test_pictures_and_heatmaps_are_of_images_that_bear_it(audited):
    _, result = audited
    with np.load(result.folder / "examples-0.npz") as examples:
        assert examples["mask"].any(axis=(1, 2, 3)).all()
        assert examples["name"].tolist() == [
            "test/nominal/3.png",
            "test/nominal/5.png",
            "test/anomalous/1.png",
            "test/anomalous/2.png",
        ]
        changed = (examples["clean"] != examples["marked"]).any(axis=1, keepdims=True)
        assert not (changed & ~examples["mask"]).any()
    question = json.loads((result.folder / "config.json").read_text())["questions"][0]
    overlaps = pd.read_csv(result.folder / "cells" / question["planted"][0] / "localization.csv")
    counts = overlaps[overlaps["mask"] == "exact"].groupby("part")["image"].nunique()
    assert counts.to_dict() == {"nominal": 2, "anomalous": 3}


def test_finished_cells_are_used_again_and_another_control_makes_others(audited):
    config, result = audited
    before = (result.folder / "results.csv").read_bytes()
    run_audit(config)
    assert json.loads((result.folder / "config.json").read_text())["cells_reused"] == 6
    assert (result.folder / "results.csv").read_bytes() == before
    assert estimate(config).finished == 6
    assert estimate(replace(config, control="inpaint")).finished == 6, "what auto chose"
    assert estimate(replace(config, control="drop")).finished == 0


def test_too_few_test_images_of_the_side_that_a_detector_learned_it_from_give_words(folder):
    config = audit_of(folder, detectors=("fcdd", "ae"))
    setup = prepare(config)
    one = setup.nominal_mask.clone()
    one[1:] = False
    mostly_nominal = replace(setup.found, share={"nominal": 0.9, "anomalous": 0.75})
    for question in plan(config, replace(setup, nominal_mask=one, found=mostly_nominal)):
        assert (question.plant_on, question.prevalence) == ("found-on-nominal", 0.9)
        assert question.identical == (
            "1 nominal test image(s) bear it, and at least 2 are needed to see what its removal does"
        )
    for question in plan(config, replace(setup, found=mostly_nominal)):
        assert question.identical is None
        assert question.bearing.tolist() == [True, True, False, False, False, False]


def test_a_mark_that_alone_means_normal_is_relied_on(tmp_path):
    """Nominal images bear it and anomalous ones don't; else they are the same noise."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    counts = {"train/nominal": 40, "train/anomalous": 24, "test/nominal": 40, "test/anomalous": 40}
    for part, count in counts.items():
        for index in range(count):
            picture(rng, root, part, index, square=part.endswith("nominal") and index % 8 > 0)
    config = audit_of(
        root,
        detectors=("hsc",),
        explainers=("grad-cam",),
        seeds=3,
        recipe=Recipe(epochs=8, batch_size=8),
        out=tmp_path,
    )
    (finding,) = run_audit(config).findings
    assert (finding.verdict, finding.plant_on) == ("relies", "found-on-nominal")
    effects = {effect.measure: effect.planted.value for effect in finding.effects}
    assert effects["usual_auroc"] > 0.95
    assert effects["conflict_auroc"] < 0.6, "without it, there is nothing to tell them by"
    assert effects["drop_elsewhere"] == pytest.approx(0, abs=0.05)
    assert finding.reliance.low > 0.05
