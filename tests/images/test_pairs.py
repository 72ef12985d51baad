"""Paired images: one side's test images in several variants."""

from dataclasses import replace

import pytest
import torch

from fcdd_audit.images.pairs import Pairs

NAMES = ("a", "b", "c")


def images(value):
    """Three images of one value and the image's place."""
    return (torch.arange(3, dtype=torch.uint8) + value)[:, None, None, None].expand(3, 1, 2, 4).clone()


def mask(*bearing):
    """In the first pixel of these images."""
    found = torch.zeros(3, 1, 2, 4, dtype=torch.bool)
    found[list(bearing), :, 0, 0] = True
    return found


@pytest.fixture
def pairs():
    variants = {"clean": images(0), "marked": images(100), "elsewhere": images(200)}
    return Pairs("anomalous", NAMES, variants, mask(0, 2), {"clean": mask(1)})


def test_there_are_as_many_as_names(pairs):
    assert len(pairs) == 3
    empty = Pairs("nominal", (), dict.fromkeys(("clean", "marked"), images(0)[:0]))
    assert len(empty) == 0


def test_a_variants_own_mask_comes_before_the_artifacts(pairs):
    assert torch.equal(pairs.mask_of("clean"), mask(1)), "the true anomaly's"
    assert torch.equal(pairs.mask_of("marked"), mask(0, 2))
    assert torch.equal(pairs.mask_of("elsewhere"), mask(0, 2))
    own = replace(pairs, masks={"elsewhere": mask(1, 2)})
    assert torch.equal(own.mask_of("elsewhere"), mask(1, 2))
    assert own.mask_of("clean") is None, "the artifact isn't on them"


def test_without_a_place_there_is_no_mask_and_nothing_is_known_to_bear_it(pairs):
    bare = replace(pairs, mask=None, masks={})
    assert bare.bearing is None
    assert [bare.mask_of(variant) for variant in bare.variants] == [None] * 3


def test_images_that_bear_it_are_those_with_a_mask(pairs):
    assert pairs.bearing.tolist() == [True, False, True]
    assert replace(pairs, mask=mask()).bearing.tolist() == [False] * 3


@pytest.mark.parametrize("places", [[2, 0], [1], [], [0, 1, 2], [1, 1]])
def test_all_that_is_an_images_comes_with_it(pairs, places):
    chosen = pairs.at(torch.tensor(places, dtype=torch.int64))
    assert (chosen.side, chosen.names) == ("anomalous", tuple(NAMES[place] for place in places))
    for name, value in (("clean", 0), ("marked", 100), ("elsewhere", 200)):
        assert chosen.variants[name][:, 0, 0, 0].tolist() == [value + place for place in places]
    assert torch.equal(chosen.mask, pairs.mask[places])
    assert torch.equal(chosen.mask_of("clean"), mask(1)[places])
    assert replace(pairs, mask=None, masks={}).at(torch.tensor([0])).mask is None


# What is refused


@pytest.mark.parametrize("lacking", ["clean", "marked"])
def test_clean_and_marked_images_are_needed(pairs, lacking):
    variants = {name: kept for name, kept in pairs.variants.items() if name != lacking}
    with pytest.raises(ValueError, match=f"paired images have no variant '{lacking}'"):
        replace(pairs, variants=variants)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d")])
def test_each_image_needs_a_name(pairs, names):
    with pytest.raises(
        ValueError, match=r"paired images are \(N, C, H, W\) with N names, not \(3, 1, 2, 4\)"
    ):
        replace(pairs, names=names)


def test_images_have_four_dimensions():
    flat = torch.zeros(3, 2, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"with N names, not \(3, 2, 4\)"):
        Pairs("nominal", NAMES, {"clean": flat, "marked": flat})


@pytest.mark.parametrize("variant", ["marked", "elsewhere"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (images(0)[:2], r"is torch.uint8 \(2, 1, 2, 4\)"),
        (images(0).float(), r"is torch.float32 \(3, 1, 2, 4\)"),
        (images(0)[..., :3], r"is torch.uint8 \(3, 1, 2, 3\)"),
    ],
)
def test_every_variant_is_like_the_clean_images(pairs, variant, wrong, words):
    message = rf"the variant '{variant}' {words}; it must be uint8 \(3, 1, 2, 4\) like the clean images"
    with pytest.raises(ValueError, match=message):
        replace(pairs, variants={**pairs.variants, variant: wrong})


def test_clean_images_are_stored_ones(pairs):
    with pytest.raises(ValueError, match=r"the variant 'clean' is torch\.float32"):
        replace(pairs, variants={name: kept.float() for name, kept in pairs.variants.items()})


@pytest.mark.parametrize("wrong", [mask()[:2], mask().float(), mask().expand(3, 3, 2, 4), mask()[:, 0]])
def test_masks_have_one_channel_and_are_bool(pairs, wrong):
    for named, changes in (("marked", {"mask": wrong}), ("clean", {"masks": {"clean": wrong}})):
        message = rf"the mask of '{named}' is torch\..*; it must be bool \(3, 1, 2, 4\)"
        with pytest.raises(ValueError, match=message):
            replace(pairs, **changes)


# Content


def test_the_same_images_have_the_same_content(pairs):
    again = Pairs("anomalous", NAMES, dict(pairs.variants), mask(0, 2), {"clean": mask(1)})
    assert pairs.content() == again.content()
    assert pairs.at(torch.arange(3)).content() == pairs.content()


def test_whatever_changes_changes_the_content(pairs):
    pixel = pairs.variants["elsewhere"].clone()
    pixel[2, 0, 1, 3] += 1
    others = [
        replace(pairs, side="nominal"),
        replace(pairs, names=("a", "b", "d")),
        replace(pairs, variants={**pairs.variants, "elsewhere": pixel}),
        replace(pairs, variants={"clean": pairs.variants["clean"], "marked": pairs.variants["marked"]}),
        replace(pairs, mask=mask(0)),
        replace(pairs, mask=None),
        replace(pairs, masks={}),
        replace(pairs, masks={"clean": mask(2)}),
        replace(pairs, masks={"elsewhere": mask(1)}),
        pairs.at(torch.tensor([1, 0, 2])),
    ]
    assert len({pairs.content(), *(other.content() for other in others)}) == 1 + len(others)
