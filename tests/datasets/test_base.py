from dataclasses import replace

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import AuditData, DataRequest
from fcdd_audit.datasets.base import MIN_TEST, MIN_TRAIN, check_parts
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet

PARTS = ("train_nominal", "train_anomalous", "validation", "test_nominal", "test_anomalous")


def image_set(count, first=0, masks=None):
    pixels = torch.arange(count * 12).reshape(count, 3, 2, 2).to(torch.uint8) + first
    return ImageSet(pixels, tuple(f"{first}-{i}" for i in range(count)), masks)


@pytest.fixture
def data():
    masks = torch.zeros(3, 1, 2, 2, dtype=torch.bool)
    return AuditData(
        "set",
        "cat",
        image_set(8),
        image_set(2, 9),
        image_set(2, 17),
        image_set(3, 33),
        image_set(3, 65, masks),
    )


def test_the_parts_come_in_a_fixed_order(data):
    assert tuple(data.parts()) == PARTS
    assert data.parts()["validation"] is data.validation
    assert [len(part) for part in data.parts().values()] == [8, 2, 2, 3, 3]


def test_the_shape_is_channels_height_width():
    wide = ImageSet(torch.zeros(1, 3, 4, 5, dtype=torch.uint8), ("a",))
    assert AuditData("set", "cat", *[wide] * 5).shape == (3, 4, 5)


def test_a_set_has_as_many_origins_as_images():
    with pytest.raises(ValueError, match="1 origins of 2 images"):
        replace(image_set(2), origins=(Origin("PNG", 2, 2, "RGB"),))


def test_images_are_taken_with_all_that_is_theirs():
    masks = torch.arange(4).reshape(4, 1, 1, 1).expand(4, 1, 2, 2) % 2 == 1
    origins = tuple(Origin("PNG", width, 2, "RGB") for width in range(4))
    whole = replace(image_set(4, masks=masks), origins=origins)
    taken = whole.take([3, 0])
    assert torch.equal(taken.images, whole.images[[3, 0]])
    assert taken.names == ("0-3", "0-0")
    assert taken.masks.flatten(1).any(dim=1).tolist() == [True, False]
    assert [origin.width for origin in taken.origins] == [3, 0]
    bare = image_set(4).take(range(2))
    assert (bare.masks, bare.origins) == (None, None)
    assert bare.content() == image_set(2).content()


def test_equal_data_has_an_equal_fingerprint_however_it_lies_in_memory(data):
    nominal = data.train_nominal
    strided = nominal.images.clone(memory_format=torch.channels_last)
    assert not strided.is_contiguous()
    assert replace(data, train_nominal=ImageSet(strided, nominal.names)).fingerprint() == data.fingerprint()
    assert len(data.fingerprint()) == 16
    int(data.fingerprint(), 16)


@pytest.mark.parametrize("part", PARTS)
def test_the_fingerprint_changes_with_any_pixel_name_or_order_of_any_part(data, part):
    images = getattr(data, part)
    pixels = images.images.clone()
    pixels[-1, -1, -1, -1] ^= 1
    renamed = (*images.names[:-1], "other")
    changed = [
        replace(images, images=pixels),
        replace(images, names=renamed),
        replace(images, images=images.images.flip(0), names=images.names[::-1]),
    ]
    prints = {replace(data, **{part: other}).fingerprint() for other in changed}
    assert len(prints | {data.fingerprint()}) == 4


def test_the_fingerprint_changes_with_the_masks(data):
    masks = data.test_anomalous.masks.clone()
    masks[1, 0, 0, 1] = True
    moved = masks.roll(1, dims=0)
    prints = [
        replace(data, test_anomalous=replace(data.test_anomalous, masks=other)).fingerprint()
        for other in (None, masks, moved)
    ]
    assert len({*prints, data.fingerprint()}) == 4


def test_the_fingerprint_changes_when_images_change_sides(data):
    swapped = replace(data, test_nominal=data.validation, validation=data.test_nominal)
    assert swapped.fingerprint() != data.fingerprint()


def test_data_with_enough_images_passes_unchanged(data):
    assert check_parts(data) == data
    small = replace(data, train_anomalous=image_set(0), test_nominal=image_set(MIN_TEST, 100))
    assert check_parts(small) == small


@pytest.mark.parametrize("part", ["train_nominal", "train_anomalous", "validation"])
def test_a_test_image_that_is_also_learnt_from_is_noted(data, part):
    leaking = replace(data, test_nominal=image_set(3, {"train_nominal": 0}.get(part, 33)))
    leaking = replace(leaking, **{part: data.parts()[part] if part == "train_nominal" else image_set(2, 33)})
    (note,) = check_parts(leaking).notes
    assert note.startswith(f"{3 if part == 'train_nominal' else 2} of 6 test images")


@pytest.mark.parametrize(
    ("part", "least"),
    [("train_nominal", MIN_TRAIN), ("test_nominal", MIN_TEST), ("test_anomalous", MIN_TEST)],
)
def test_a_part_with_too_few_images_is_named(data, part, least):
    with pytest.raises(InputError) as error:
        check_parts(replace(data, **{part: image_set(least - 1)}))
    where = part.replace("_", " ")
    expected = (
        f"'set' ({data.nominal_class}) has {least - 1} images in {where}; an audit needs at least {least}"
    )
    assert expected in str(error.value)


def test_a_request_says_how_files_are_read(tmp_path, refused):
    request = DataRequest(cache=tmp_path, skip_corrupt=True, bit_depth=12, progress=True)
    assert request.reading == Reading(tmp_path, True, 12, True)
    assert DataRequest().reading == Reading()
    with refused("bit depth is 17", "8 to 16"):
        DataRequest(bit_depth=17)
