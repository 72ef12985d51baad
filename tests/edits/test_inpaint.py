"""A found artifact is filled in from around it."""

from dataclasses import replace

import pytest
import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.inpaint import Inpaint


def test_masked_pixels_change_and_no_others(training):
    before = training(nominal=(1, 2), anomalous=(0,))
    changed = Inpaint().apply(before, {}, 0)
    for side in SIDES:
        images, after, mask = before.of(side), changed.of(side), before.bearing[side]
        different = (after.images != images.images).any(dim=1, keepdim=True)
        assert not (different & ~mask).any()
        assert different.sum() >= 0.8 * mask.sum()
        assert after.names == images.names
        assert after.content() == replace(after, digest=None).content(), "no digest of other pixels is kept"
        if images.masks is not None:
            assert torch.equal(after.masks, images.masks)


def test_on_an_even_image_the_artifact_is_gone(training):
    before = training(nominal=[3])
    even = torch.full_like(before.nominal.images, 100)
    even[3, :, :3, :3] = 240
    changed = Inpaint().apply(before.having("nominal", replace(before.nominal, images=even)), {}, 0)
    assert (changed.nominal.images == 100).all()


@pytest.mark.parametrize("side", SIDES)
def test_every_image_of_a_side_may_bear_it(training, side):
    before = training(**{side: range(len(training().of(side)))})
    changed = Inpaint().apply(before, {}, 0)
    assert (changed.of(side).images != before.of(side).images).flatten(1).any(dim=1).all()


def test_there_need_be_no_anomalous_images(training):
    before = training({"nominal": 8, "anomalous": 0}, nominal=(0, 1))
    assert len(Inpaint().apply(before, {}, 0).anomalous) == 0
