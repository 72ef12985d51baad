"""Found artifacts on test images that came without them."""

import pytest
import torch

from fcdd_audit.datasets import AuditData
from fcdd_audit.experiment.transplanted import (
    LEAST_DONORS,
    RECEIVERS,
    crossed,
    donated,
    receivers,
    removed,
    transplanted,
)
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.measures.transplants import DONOR, PLACEBO, UNSEEN
from fcdd_audit.natural.transplant import cut_out, in_place_of

SIDE = 16
COUNTS = {
    "train_nominal": 30,
    "train_anomalous": 20,
    "validation": 18,
    "test_nominal": 40,
    "test_anomalous": 25,
}
SPOT = (..., slice(4, 8), slice(4, 8))


def images_of(part, count):
    generator = torch.Generator().manual_seed(len(part))
    images = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return ImageSet(images, tuple(f"{part}/{index}" for index in range(count)))


def data_and_masks(bearing):
    """bearing: by part, how many of its images bear a spot; the last ones."""
    data = AuditData("set", "cat", **{part: images_of(part, count) for part, count in COUNTS.items()})
    masks = {}
    for part, count in COUNTS.items():
        masks[part] = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
        masks[part][count - bearing.get(part, 0) :][SPOT] = True
    return data, masks


@pytest.fixture(scope="module")
def stickers():
    """On nominal images: on 10 for training, and on 12 tests."""
    return data_and_masks({"train_nominal": 10, "test_nominal": 12})


def test_what_nominal_images_bear_is_put_on_anomalous_ones(stickers):
    data, masks = stickers
    found = transplanted(data, masks)
    anomalous = found.pairs["anomalous"]
    assert anomalous.names == data.test_anomalous.names
    assert torch.equal(anomalous.variants["clean"], data.test_anomalous.images)
    donors = data.test_nominal.images[28:][SPOT]
    for pixels in anomalous.variants["marked"][SPOT]:
        assert (donors == pixels).flatten(1).all(dim=1).any()
    assert anomalous.mask.flatten(1).sum(dim=1).tolist() == [64] * 25


def test_a_placebo_is_cut_out_of_images_of_the_donors_side_that_do_not_bear_it(stickers):
    data, masks = stickers
    others = data.test_nominal.images[:28][SPOT]
    for pixels in transplanted(data, masks).pairs["anomalous"].variants["placebo"][SPOT]:
        assert (others == pixels).flatten(1).all(dim=1).any()


def test_images_that_bear_it_are_no_receivers(stickers):
    data, masks = stickers
    found = transplanted(data, masks)
    assert found.pairs["nominal"].names == data.test_nominal.names[:28]
    assert found.notes == (
        "12 of 40 nominal test images bear the artifact, and are left out where it is put on others.",
    )


def test_every_donor_is_put_on_every_receiver(stickers):
    found = transplanted(*stickers)
    assert set(found.transplants) == {"anomalous"}
    one = found.transplants["anomalous"]
    assert set(one.variants) == {*map(DONOR.format, range(10)), *map(PLACEBO.format, range(10)), UNSEEN}
    assert all(images.shape == (25, 3, SIDE, SIDE) for images in one.variants.values())
    first = one.variants[DONOR.format(0)][SPOT]
    assert (first == first[:1]).all()


def test_too_few_donors_are_said_of_the_side_that_nothing_can_be_put_on(stickers):
    data, masks = stickers
    found = transplanted(data, masks)
    assert list(found.obstacles) == ["nominal"]
    nominal = found.pairs["nominal"]
    assert torch.equal(nominal.variants["marked"], nominal.variants["clean"])
    assert not nominal.mask.any()
    few, masks = data_and_masks({"train_nominal": 10, "test_nominal": LEAST_DONORS - 1})
    assert transplanted(few, masks).obstacles["anomalous"].startswith("7 nominal test image(s) bear it")


def test_where_one_side_has_too_few_the_other_can_stand_in(stickers):
    data, masks = stickers
    found = transplanted(data, masks, either=True)
    assert found.obstacles == {}
    donors = data.test_nominal.images[28:][SPOT]
    for pixels in found.pairs["nominal"].variants["marked"][SPOT]:
        assert (donors == pixels).flatten(1).all(dim=1).any()
    few, masks = data_and_masks({"train_nominal": 10, "test_nominal": 5, "test_anomalous": 3})
    assert list(transplanted(few, masks, either=True).obstacles) == ["nominal", "anomalous"]


def test_images_that_bear_it_set_no_threshold():
    data, masks = data_and_masks({"train_nominal": 10, "test_nominal": 12, "validation": 6})
    assert transplanted(data, masks).validation.names == data.validation.names[:12]


def test_a_donor_is_no_copy_of_a_training_image_that_bears_it():
    data, masks = data_and_masks({"train_nominal": 10, "test_nominal": 12})
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), SIDE, mode="bicubic").clamp(0, 1)
    data.train_nominal.images[-1] = data.test_nominal.images[-1] = (smooth[0] * 255).byte()
    data.test_nominal.images[-2] = data.test_nominal.images[-3]
    notes = []
    assert len(donated("nominal", data, masks, notes)) == 10
    assert notes[0].startswith("2 nominal test images that bear the artifact are near-copies")


def test_where_all_bear_it_it_is_removed_before_it_is_put_on():
    data, masks = data_and_masks({"train_nominal": 10, "test_nominal": 12, "test_anomalous": 25})
    notes = []
    part = receivers("test_anomalous", data, masks, notes)
    assert len(part) == 25
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    outside[4:8, 4:8] = False
    assert torch.equal(part.images[..., outside], data.test_anomalous.images[..., outside])
    assert not torch.equal(part.images, data.test_anomalous.images)
    assert notes[0].startswith("0 anomalous test images don't bear the artifact")


def test_of_many_images_some_are_receivers():
    many = ImageSet(torch.zeros(250, 3, SIDE, SIDE, dtype=torch.uint8), tuple(map(str, range(250))))
    mask = torch.zeros(2, 1, SIDE, SIDE, dtype=torch.bool)
    mask[SPOT] = True
    donors = cut_out(torch.full((2, 3, SIDE, SIDE), 90, dtype=torch.uint8), mask)
    placebos = in_place_of(donors, torch.full((2, 3, SIDE, SIDE), 60, dtype=torch.uint8))
    found = crossed(many, donors, placebos)
    assert len(found.names) == RECEIVERS
    assert (found.names[0], found.names[-1]) == ("0", "249")
    assert found.variants[UNSEEN][0, 0, 5, 5] == 30
    assert found.content() != crossed(many, placebos, placebos).content()


def test_the_other_half_takes_it_off(stickers):
    found = removed(*stickers)
    assert set(found.pairs["nominal"].variants) == {"clean", "marked", "elsewhere"}
    assert found.transplants == {}
