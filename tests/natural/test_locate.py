"""Artifacts that are found in the data, not planted: where they are, and test images without them."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
import torch

from fcdd_audit import InputError
from fcdd_audit.datasets import AuditData
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.natural.artifacts import Region
from fcdd_audit.natural.locate import bearing_share, counts_note, found_pairs, locate, locate_tested

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


def found(**bearing):
    """The data, the masks, and the pairs, of an artifact on the test images of both sides."""
    data, artifact = tiny(), spots(**{"test_anomalous": (1, 3), **bearing})
    masks = locate(artifact, data)
    return data, masks, found_pairs(data, masks)[0]


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


@pytest.mark.parametrize(("exposure", "share"), [(True, 0), (False, 1)])
def test_a_region_is_on_labelled_anomalies_and_not_on_outlier_exposure(exposure, share):
    data = tiny(outlier_exposure=exposure)
    masks = locate(Region(width=0.25, height=0.25), data)
    for part, mask in masks.items():
        bearing = COUNTS[part] if part != "train_anomalous" else share * COUNTS[part]
        assert len(bearing_images(mask)) == bearing
        assert mask.sum() == 9 * bearing
    assert bearing_share(masks) == {"nominal": 1, "anomalous": share}


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


# On test images alone


def test_on_test_images_it_is_found_as_among_all():
    bearing = {"test_nominal": (0, 3), "test_anomalous": (1, 2)}
    artifact = spots(train_nominal=(0,), validation=(1,), **bearing)
    masks, whole = locate_tested(artifact, tiny()), locate(spots(train_nominal=(0,), **bearing), tiny())
    assert masks.keys() == COUNTS.keys()
    for part, indices in bearing.items():
        assert bearing_images(masks[part]) == list(indices)
        assert torch.equal(masks[part], whole[part])
    for part in COUNTS.keys() - bearing.keys():
        assert masks[part].shape == (COUNTS[part], 1, SIDE, SIDE)
        assert not masks[part].any(), "it isn't looked for there"
    (asked,) = artifact.asked
    assert asked == (
        tuple(f"{part}/{index}" for part in bearing for index in range(COUNTS[part])),
        (SIDE, SIDE),
        "squash",
    )


def test_on_test_images_no_training_image_needs_to_bear_it_nor_to_be_there():
    bare = tiny(**{part: images_of(part, 0) for part in ("train_nominal", "train_anomalous", "validation")})
    for data in (bare, tiny(malformed=True)):
        masks = locate_tested(spots(test_anomalous=(0, 3)), data)
        assert bearing_images(masks["test_anomalous"]) == [0, 3]


def test_on_test_images_one_side_needs_two_that_bear_it():
    with pytest.raises(InputError, match="1 nominal and 1 anomalous test images of 'set' bear the artifact"):
        locate_tested(spots(test_nominal=[0], test_anomalous=[3]), tiny())


def test_names_that_only_training_images_share_do_not_matter_to_tests():
    data = tiny(validation=replace(images_of("validation", 3), names=("train_nominal/0", "a", "b")))
    locate_tested(spots(test_nominal=(0, 1)), data)
    twice = tiny(test_nominal=replace(images_of("test_nominal", 5), names=("a", "a", "b", "c", "d")))
    with pytest.raises(InputError, match="two images of 'set' are called 'a'"):
        locate_tested(spots(test_anomalous=(0, 1)), twice)


# Test images


def test_test_images_that_bear_it_come_first_with_all_that_is_theirs():
    before, masks, pairs = found(train_nominal=[0], test_nominal=[2, 4])
    for side, order in (("nominal", [2, 4, 0, 1, 3]), ("anomalous", [1, 3, 0, 2])):
        part, original = pairs[side], before.parts()[f"test_{side}"]
        assert part.side == side
        assert part.names == tuple(original.names[index] for index in order)
        assert torch.equal(part.variants["marked"], original.images[order])
        assert torch.equal(part.mask, masks[f"test_{side}"][order])
        assert part.bearing.tolist() == [True, True] + [False] * (len(order) - 2)
        if original.masks is None:
            assert part.mask_of("clean") is None
        else:
            assert torch.equal(part.mask_of("clean"), original.masks[order])
        assert set(part.variants) == {"clean", "marked", "elsewhere"}
        assert {len(images) for images in part.variants.values()} == {len(order)}


def test_removal_changes_the_artifact_only_and_what_is_removed_elsewhere_is_as_much():
    for part in found(train_nominal=[0], test_nominal=[2, 4])[2].values():
        images, mask = part.variants["marked"], part.mask
        removed = (part.variants["clean"] != images).any(dim=1, keepdim=True)
        assert not (removed & ~mask).any()
        assert removed.sum() >= 0.8 * mask.sum()
        other = (part.variants["elsewhere"] != images).any(dim=1, keepdim=True)
        assert not (other & mask).any()
        if part.mask_of("clean") is not None:
            assert not (other & part.mask_of("clean")).any(), "nor is the true anomaly removed"
        for area, changed in zip(mask.flatten(1).sum(dim=1), other.flatten(1).sum(dim=1), strict=True):
            assert 0.8 * area <= changed <= area


def test_what_is_removed_elsewhere_is_no_true_anomaly_where_there_is_room():
    masks = torch.ones(4, 1, SIDE, SIDE, dtype=torch.bool)
    masks[:, :, :3] = False  # room in the rows of the artifact only
    data = tiny(test_anomalous=replace(images_of("test_anomalous", 4), masks=masks))
    located = locate(spots(train_nominal=[0], test_anomalous=range(4)), data)
    pairs, _ = found_pairs(data, located)
    variants = pairs["anomalous"].variants
    changed = (variants["elsewhere"] != variants["marked"]).any(dim=1)
    assert changed.flatten(1).any(dim=1).all()
    assert not changed[:, 3:].any()
    assert not changed[SPOT].any()


def test_it_is_said_where_there_is_no_room_elsewhere():
    class Corners(Spots):
        """In two opposite corners, so that there is no other place for both."""

        def find(self, names, shape, fit="squash", origins=None):
            masks = super().find(names, shape, fit)
            return masks | masks.flip(2, 3)

    bearing = tuple(f"{part}/{index}" for part in ("train_nominal", "test_nominal") for index in (0, 1))
    _, notes = found_pairs(tiny(), locate(Corners(bearing), tiny()))
    assert notes == [
        "On 2 test images there is no room to remove as much elsewhere without touching the artifact, so "
        "that what this costs is over-stated."
    ]
    assert found_pairs(tiny(), locate(Spots(bearing), tiny()))[1] == []


def test_shares_are_of_the_training_images_of_each_side():
    bearing = {"train_nominal": (0, 1), "train_anomalous": (2, 3, 5), "validation": [0]}
    masks = locate(spots(**bearing, test_nominal=(1, 2)), tiny())
    assert bearing_share(masks) == {"nominal": 2 / 8, "anomalous": 3 / 6}
    alone = tiny(train_anomalous=images_of("train_anomalous", 0))
    masks = locate(spots(train_nominal=(0, 1), test_nominal=(1, 2)), alone)
    assert bearing_share(masks) == {"nominal": 2 / 8, "anomalous": 0}, "of no image there is no share"


def test_the_note_counts_the_images_of_each_part():
    where = {"train_nominal": (0, 1), "train_anomalous": [5], "validation": range(3)}
    data = tiny()
    assert counts_note(data, locate(spots(**where, test_nominal=(1, 2)), data)) == (
        "The artifact was found on these images: 2 of 8 train nominal, 1 of 6 train anomalous, "
        "3 of 3 validation, 2 of 5 test nominal, 0 of 4 test anomalous."
    )


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
            masks = super().find(names, shape, fit)
            return masks.flatten(1).any(dim=1)[:, None, None, None].expand_as(masks)

    with pytest.raises(InputError, match="covers all of 'test_nominal/1'"):
        locate(Everywhere(("test_nominal/1",)), tiny())
