"""A found artifact is put on other training images than came with it."""

import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import described, edit_from
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.plant import Plant
from fcdd_audit.edits.replant import Replant


def test_it_is_taken_off_and_put_on_as_many_as_are_asked_for(training, dot):
    given = training(nominal=[0, 3], anomalous=[1])
    edit = Replant("dot", ("anomalous",), 0.5, "drop")
    found = edit.apply(given, {"dot": dot}, 4)
    rid = Drop().apply(given, {}, 4)
    assert torch.equal(found.nominal.images, rid.nominal.images)
    planted = Plant("dot", ("anomalous",), 0.5).apply(rid, {"dot": dot}, 4)
    assert torch.equal(found.anomalous.images, planted.anomalous.images)
    bearing = found.planted["dot"]["anomalous"].flatten(1).any(dim=1)
    assert int(bearing.sum()) == round(0.5 * len(given.anomalous))


def test_it_comes_back_from_plain_values():
    edit = Replant("dot", SIDES, 0.25, "inpaint")
    assert edit_from(described(edit)) == edit
    assert edit.artifacts == ("dot",)
