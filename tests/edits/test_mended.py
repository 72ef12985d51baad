"""A change that mends what was planted."""

import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.inpaint import Inpaint
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.plant import Plant

PLANT = Plant("dot", ("anomalous",), 0.5)


def bearers(images):
    """By a white pixel in the first row; the images themselves go up to 249."""
    return (images[:, :, 0] == 255).all(dim=1).any(dim=1)


def test_a_planted_set_says_where_the_artifact_is(training, dot):
    given = training(nominal=[0])
    changed = PLANT.apply(given, {"dot": dot}, 4)
    where = changed.planted["dot"]
    assert torch.equal(where["anomalous"].flatten(1).any(dim=1), bearers(changed.anomalous.images))
    assert where["anomalous"].sum() == 3
    assert not where["nominal"].any()
    assert changed.where("dot") is where
    assert changed.where("mask") is given.bearing, "of what was found"


def test_an_artifact_without_a_place_is_everywhere_on_its_bearers(training):
    class Tone:
        placed = False

        def apply(self, x, generator):
            return x / 2, None

    where = PLANT.apply(training(), {"dot": Tone()}, 4).planted["dot"]["anomalous"]
    assert where.flatten(1).sum(dim=1).sort().values.tolist() == [0] * 3 + [144] * 3


def test_a_dropped_set_is_the_planted_one_without_its_bearers(training, dot):
    given = training()
    planted = PLANT.apply(given, {"dot": dot}, 4)
    mended = Mended(PLANT, "dot", Drop()).apply(given, {"dot": dot}, 4)
    assert bearers(planted.anomalous.images).sum() == 3
    assert not bearers(mended.anomalous.images).any()
    clean = ~bearers(planted.anomalous.images)
    assert torch.equal(mended.anomalous.images[clean], given.anomalous.images[clean])
    kept = {given.anomalous.names[place] for place in clean.nonzero().flatten().tolist()}
    assert set(mended.anomalous.names) == kept
    assert torch.equal(mended.nominal.images, given.nominal.images)


def test_an_inpainted_set_differs_from_the_clean_one_in_the_marks_only(training, dot):
    given = training()
    mended = Mended(PLANT, "dot", Inpaint()).apply(given, {"dot": dot}, 4)
    where = PLANT.apply(given, {"dot": dot}, 4).planted["dot"]
    for side in SIDES:
        differs = (mended.of(side).images != given.of(side).images).any(dim=1, keepdim=True)
        assert not (differs & ~where[side]).any()
    assert not bearers(mended.anomalous.images).any()


def test_it_plants_what_the_first_edit_plants():
    assert Mended(PLANT, "dot", Drop()).artifacts == ("dot",)
