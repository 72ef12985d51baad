"""What the cells of a nominal class share: images, artifact, training sets."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from fcdd_audit import DATASETS, AuditData, ImageSet, InputError, make_config
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.inpaint import Inpaint
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.explaining import DEFECT
from fcdd_audit.experiment.identity import scored, trained
from fcdd_audit.experiment.setup import AS_IS, drawn, prepare
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import PROBES

COUNTS = {"train_nominal": 8, "train_anomalous": 6, "validation": 3, "test_nominal": 5, "test_anomalous": 4}
SIDE = 12  # px


def bearing_frame(images, originals):
    """How many bear the frame."""
    changed = (images != originals).any(dim=1)
    assert not changed[:, 8:-8, 8:-8].any(), "a frame"
    return int(changed.flatten(1).any(dim=1).sum())


# An artifact that is planted


def test_test_images_are_paired_with_marked_ones(exposed_config):
    setup = prepare(exposed_config)
    assert list(setup.pairs) == list(SIDES)
    for side, pairs in setup.pairs.items():
        part = setup.data.parts()[f"test_{side}"]
        assert (pairs.side, pairs.names) == (side, part.names)
        assert list(pairs.variants) == ["clean", "marked"]
        assert torch.equal(pairs.variants["clean"], part.images)
        assert bearing_frame(pairs.variants["marked"], part.images) == len(part)
        assert pairs.bearing.all()
        assert pairs.mask_of("clean") is None, "no true anomaly has a mask"


def test_nothing_is_found_and_only_the_probe_can_be_planted(exposed_config):
    setup = prepare(exposed_config)
    assert (setup.share, setup.removal) == (None, None)
    assert (setup.probe, list(setup.plantable)) == ("frame", ["frame"])
    assert setup.plantable["frame"] is setup.artifact
    assert list(setup.training) == [AS_IS]


def test_a_twin_is_trained_on_its_edit_of_the_images_as_loaded(exposed_config):
    setup = prepare(exposed_config)
    as_loaded = setup.trained_on(AS_IS, 5)
    assert as_loaded.nominal is setup.data.train_nominal
    assert as_loaded.anomalous is setup.data.train_anomalous
    edit = Plant("frame", ("anomalous",), 0.5)
    planted, again, other = (setup.trained_on(edit, seed) for seed in (5, 5, 6))
    assert bearing_frame(planted.anomalous.images, as_loaded.anomalous.images) == 5
    assert planted.nominal is as_loaded.nominal
    assert planted.content() == again.content() != other.content()


def test_validation_images_are_marked_where_images_in_use_are(exposed_config):
    setups = {
        plant_on: prepare(exposed_config.having(plant_on=plant_on)) for plant_on in ("oe", "all-but-oe")
    }
    clean, with_it = (setup.validation for setup in setups.values())
    assert torch.equal(prepare(exposed_config).validation.images, clean.images)
    assert bearing_frame(with_it.images, clean.images) == len(clean) == 4
    assert with_it.names == clean.names
    assert with_it.content() != clean.content()
    assert setups["oe"].data.fingerprint() == setups["all-but-oe"].data.fingerprint()
    for side in SIDES:
        assert setups["oe"].pairs[side].content() == setups["all-but-oe"].pairs[side].content()
    control = Cell("fcdd", 0, AS_IS)
    one, other = setups.values()
    assert scored(control, one) != scored(control, other), "another threshold is measured again"
    assert trained(control, one) == trained(control, other), "and not trained again"


@pytest.mark.parametrize("plant_on", ["oe", "all-but-oe"])
@pytest.mark.parametrize("without", ["labelled", "none"])
def test_without_outlier_exposure_it_is_refused(exposed_config, tmp_path, plant_on, without):
    if without == "labelled":
        root, folder = tmp_path / "labelled", exposed_config.data.data_root
        root.mkdir()
        for part in ("train/nominal", "test"):
            (root / part).parent.mkdir(exist_ok=True)
            (root / part).symlink_to(folder / part)
        (root / "train/anomalous").symlink_to(folder / "test/anomalous")
        asked = exposed_config.having(data_root=root, oe=None, oe_limit=None)
    else:
        asked = exposed_config.having(oe="none", oe_limit=None, detectors=("ae",))
    with pytest.raises(InputError) as error:
        prepare(asked.having(plant_on=plant_on))
    assert str(error.value) == (
        f"--plant-on {plant_on} tells outlier exposure from a data set's own images, and 'folder' is trained "
        "without any here; use --plant-on anomalous or nominal"
    )
    prepare(asked.having(plant_on="nominal"))


# An artifact that is found


@dataclass(frozen=True)
class Spots:
    """On the first so many images of each part, in a corner."""

    nominal: int = 0
    anomalous: int = 0
    on_outliers: ClassVar[bool] = True
    by_name: ClassVar[bool] = True

    def find(self, names, shape, fit="squash", origins=None):
        bearing = [f"train_nominal/{index}" for index in range(self.nominal)]
        bearing += [f"train_anomalous/{index}" for index in range(self.anomalous)]
        bearing += ["test_nominal/2", "test_nominal/4", "test_anomalous/1"]
        masks = torch.zeros(len(names), 1, *shape, dtype=torch.bool)
        masks[torch.tensor([name in bearing for name in names]), :, :3, :3] = True
        return masks


class Tiny:
    """Noise, and no files."""

    def load(self, request):
        parts = {}
        for part, count in COUNTS.items():
            images = torch.randint(
                0,
                256,
                (count, 3, SIDE, SIDE),
                dtype=torch.uint8,
                generator=torch.Generator().manual_seed(count),
            )
            parts[part] = ImageSet(images, tuple(f"{part}/{index}" for index in range(count)))
        return AuditData("tiny", "cat", **parts)


@pytest.fixture
def found(monkeypatch):
    """Prepares an audit of spots on so many training images of each side."""
    monkeypatch.setitem(DATASETS._entries, "tiny", Tiny)
    monkeypatch.setitem(NATURAL._entries, "spots", Spots)

    def make(nominal, anomalous, removal="auto"):
        options = {"spots": {"nominal": nominal, "anomalous": anomalous}}
        return prepare(make_config(dataset="tiny", probe="spots", options=options, removal=removal))

    return make


@pytest.mark.parametrize(
    ("nominal", "anomalous", "expected"),
    [(4, 3, "drop"), (1, 0, "drop"), (5, 0, "inpaint"), (0, 4, "inpaint"), (5, 4, "inpaint")],
)
def test_by_default_images_are_dropped_where_half_of_each_side_is_left(found, nominal, anomalous, expected):
    setup = found(nominal, anomalous)
    assert setup.removal == {"drop": Drop(), "inpaint": Inpaint()}[expected]
    assert setup.share == {"nominal": nominal / 8, "anomalous": anomalous / 6}
    note = setup.data.notes[0]
    assert note.startswith(
        f"The artifact was found on these images: {nominal} of 8 train nominal, "
        f"{anomalous} of 6 train anomalous, "
    )
    assert note.endswith(f"For the control twin {setup.removal.removal}.")
    assert ("dropped" in note, "filled in" in note) == (expected == "drop", expected == "inpaint")


@pytest.mark.parametrize(("control", "edit"), [("drop", Drop()), ("inpaint", Inpaint())])
def test_training_images_are_rid_of_it_once_for_all_twins_and_in_the_way_that_is_asked_for(
    found, control, edit
):
    setup = found(2, 1, control)
    assert setup.removal == edit
    assert list(setup.training) == [AS_IS, edit]
    cleaned = setup.trained_on(edit, 3)
    assert cleaned is setup.training[edit]
    as_found = setup.trained_on(AS_IS, 3)
    assert cleaned.content() == edit.apply(as_found, {}, 0).content()
    assert as_found.nominal is setup.data.train_nominal
    assert setup.plantable == {}


def test_test_images_as_found_are_the_marked_ones_and_validation_stays(found):
    setup = found(2, 1)
    assert setup.pairs["nominal"].names[:2] == ("test_nominal/2", "test_nominal/4")
    assert set(setup.pairs["nominal"].variants) == {"clean", "marked", "elsewhere"}
    assert torch.equal(setup.pairs["nominal"].variants["marked"][0], setup.data.test_nominal.images[2])
    assert setup.validation is setup.data.validation


def test_what_was_made_of_the_data_is_in_the_fingerprint(found):
    prints = {found(2, 1, "drop").fingerprint, found(2, 1, "inpaint").fingerprint, found(3, 1).fingerprint}
    assert len(prints) == 3
    assert found(2, 1, "drop").fingerprint == found(2, 1, "auto").fingerprint
    assert found(2, 1, "drop").data.fingerprint() == found(3, 1).data.fingerprint(), "the data stay"


def test_the_planted_twin_is_trained_on_what_was_found_and_its_control_on_cleaned_images(squares_config):
    for removal in ("inpaint", "drop"):
        setup = prepare(squares_config.having(removal=removal))
        as_found, cleaned = (setup.trained_on(edit, 0) for edit in (AS_IS, setup.removal))
        nominal, anomalous = as_found.nominal.images, as_found.anomalous.images
        assert torch.equal(nominal, setup.data.train_nominal.images)
        assert torch.equal(anomalous, setup.data.train_anomalous.images)
        assert (anomalous[:, 0, 2:8, 2:8] == 240).flatten(1).all(dim=1).sum() == 6
        assert torch.equal(cleaned.nominal.images, nominal), "nothing was on them"
        without = cleaned.anomalous.images
        assert len(without) == 8
        assert not (without[:, 0, 2:8, 2:8] == 240).flatten(1).all(dim=1).any()
        unmarked = [1, 5]
        assert torch.equal(without[unmarked], anomalous[unmarked])
        if removal == "drop":
            assert all(any(torch.equal(image, anomalous[i]) for i in unmarked) for image in without)
        else:
            assert torch.equal(without[:, :, 8:], anomalous[:, :, 8:])


# What records are known by


def test_contents_are_of_all_images_and_of_where_a_found_artifact_is(found, exposed_config):
    parts = {f"{kind} {side}" for kind in ("train", "test") for side in SIDES} | {"validation"}
    assert set(prepare(exposed_config).contents) == parts
    setup, fewer = found(3, 1, "drop"), found(2, 1, "drop")
    assert set(setup.contents) == parts | {f"bearing {side}" for side in SIDES}
    assert setup.contents["train nominal"] == setup.data.train_nominal.pixels()
    assert len(set(setup.contents.values())) == len(setup.contents)
    changed = {part for part, content in setup.contents.items() if content != fewer.contents[part]}
    assert changed == {"bearing nominal"}
    assert setup.contents == found(3, 1, "inpaint").contents, "what an edit makes of them is its own"


def test_planted_test_images_are_among_the_contents_and_training_images_are_as_loaded(exposed_config):
    one, other = (prepare(exposed_config.having(probe=probe)).contents for probe in ("frame", "bars"))
    assert {part for part in one if one[part] != other[part]} == {"test nominal", "test anomalous"}


def test_an_artifact_is_known_by_its_words_and_its_looks(exposed_config):
    setup = prepare(exposed_config)
    known = setup.drawn["frame"]
    assert known == drawn(setup.artifact, (1, 32, 32))
    assert known["is"] == repr(setup.artifact)
    wide, white = (drawn(PROBES["frame"](**options), (1, 32, 32)) for options in ({"width": 0.3}, {}))
    assert wide["looks"] != white["looks"]
    assert drawn(setup.artifact, (3, 32, 32))["looks"] != known["looks"]


@pytest.fixture(scope="module")
def looks():
    """Of every artifact."""
    return {name: drawn(probe(), (3, 64, 64))["looks"] for name, probe in PROBES.items()}


@pytest.mark.parametrize("name", list(PROBES))
def test_looks_are_the_same_each_time_and_differ_between_artifacts(looks, name):
    assert drawn(PROBES[name](), (3, 64, 64))["looks"] == looks[name]
    assert looks[name] not in {one for other, one in looks.items() if other != name}


def test_where_detectors_were_trained_is_kept_beside_where_they_are_measured(exposed_config):
    setup = prepare(exposed_config)
    assert set(setup.measuring_device) == {"type", "name"}
    assert setup.measuring_device["type"] == "cpu"
    assert setup.training_device == {
        **setup.measuring_device,
        "precision": setup.training_device["precision"],
    }
    card = {"type": "cuda", "name": "Card", "precision": "bfloat16"}
    moved = replace(setup, trained_on_device=card)
    assert moved.training_device == card
    assert moved.measuring_device == setup.measuring_device


# What is explained


def test_marked_images_of_both_sides_are_explained_in_one_order_however_many(exposed_config):
    for explained in (2, 0):
        setup = prepare(exposed_config.having(explained=explained))
        assert [(one.part, one.variant) for one in setup.marked] == [
            ("nominal", "marked"),
            ("anomalous", "marked"),
        ]
        for one, places in zip(setup.marked, ([0, 4, 2, 1, 3], [0, 2, 1, 3]), strict=True):
            assert one.pairs is setup.pairs[one.part]
            assert one.order.tolist() == places
            assert torch.equal(one.images(0, 2), one.pairs.variants["marked"][places[:2]])
        assert setup.defects == []


def test_of_images_on_which_an_artifact_was_found_only_these_are_explained(squares_config):
    nominal, anomalous = prepare(squares_config).marked
    for one in (nominal, anomalous):
        assert one.pairs.bearing[one.order].all()
        assert sorted(one.order.tolist()) == one.pairs.bearing.nonzero().flatten().tolist()
    assert len(nominal.order) == 2
    assert len(anomalous.order) == 3


def test_clean_images_with_a_true_anomaly_are_explained_too(exposed_config):
    setup = prepare(exposed_config)
    truth = torch.zeros(4, 1, 32, 32, dtype=torch.bool)

    def having(truth):
        pairs = replace(setup.pairs["anomalous"], masks={"clean": truth})
        return replace(setup, pairs={**setup.pairs, "anomalous": pairs}).defects

    assert having(truth) == [], "no mask marks anything"
    truth[[0, 1, 3], :, 12:20, 12:20] = True
    (defects,) = having(truth)
    assert (defects.part, defects.variant) == (DEFECT, "clean")
    assert defects.order.tolist() == [0, 3, 1]
    assert torch.equal(defects.images(0, 1), setup.pairs["anomalous"].variants["clean"][[0]])


def test_explainers_are_in_the_order_of_their_registry(exposed_config):
    asked = exposed_config.having(explainers=("edges", "gradient", "native"))
    assert prepare(asked).explainers == {"fcdd": ("native", "gradient", "edges")}
    assert list(prepare(asked).make_explainers("fcdd")) == ["native", "gradient", "edges"]


def test_each_detector_may_have_explainers_of_its_own(exposed_config):
    asked = exposed_config.having(detectors=("fcdd", "hsc"), explainers=("auto", "lrp"))
    setup = prepare(asked)
    assert setup.explainers == {name: asked.explainers_of(name) for name in ("fcdd", "hsc")}
    assert "lrp" in setup.make_explainers("fcdd")
    assert setup.make_explainers("ae") == {}, "it isn't audited"


def test_twins_begin_as_the_same_network_with_the_standardisation_of_the_images_as_loaded(found):
    setup = found(2, 1, "drop")
    first, again, other = (setup.untrained("fcdd", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    pixels = setup.data.train_nominal.images.float() / 255
    torch.testing.assert_close(first["mean"].flatten(), pixels.mean(dim=(0, 2, 3)))
