"""What holds for every remedy."""

from dataclasses import dataclass, is_dataclass
from typing import ClassVar

import pytest
import torch

from fcdd_audit import InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.as_is import AsIs
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.plant import Plant
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.remedies import REMEDIES, Case, Penalty, make_remedy, mending

PLANT = Plant("frame", ("anomalous",), 0.2)
FIFTH = {"nominal": 0.0, "anomalous": 0.2}
ALL_OF_IT = {"nominal": 0.0, "anomalous": 1.0}
ONE_SIDE = {"nominal": 0.2}
by_loss = [name for name in REMEDIES if make_remedy(name, {}).change() is None]


def case(share=FIFTH, placed=True, own=False):
    return Case("hsc", own, placed, share)


def unfit(of):
    """Which remedies can't work there, and why."""
    reasons = {name: make_remedy(name, {}).unfit(of) for name in REMEDIES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


@pytest.fixture
def training():
    """Four images of each side; the last two anomalous ones bear it in their upper left corner."""
    parts = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=generator)
        parts.append(ImageSet(images, tuple("abcd")))
    where = {side: torch.zeros(4, 1, 8, 8, dtype=torch.bool) for side in SIDES}
    where["anomalous"][2:, :, :2, :2] = True
    return TrainingSet(*parts, bearing=where)


@pytest.mark.parametrize("name", REMEDIES)
def test_it_says_what_it_does_and_either_changes_images_or_adds_to_the_loss(name, training):
    remedy = make_remedy(name, {})
    assert is_dataclass(remedy)
    assert remedy.does
    assert not remedy.does.endswith(".")
    assert REMEDIES.summary(name).endswith(".")
    change, term = remedy.change(), remedy.term(training, "mask", 0, torch.device("cpu"))
    assert (change is None) != (term is None)
    assert change is None or type(change) in {kind for _, kind in EDITS.items()}


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedied_twin_is_the_planted_one_with_one_change(name):
    remedy = make_remedy(name, {})
    edit, penalty = mending(name, remedy, PLANT, "frame")
    if name in by_loss:
        assert (edit, penalty) == (PLANT, Penalty(name, "frame", (("strength", remedy.strength),)))
        assert penalty.strength == remedy.strength
        assert penalty.made() == remedy
    else:
        assert (edit, penalty) == (Mended(PLANT, "frame", remedy.change()), None)
    found, penalty = mending(name, remedy, AsIs(), "mask")
    assert found == (AsIs() if name in by_loss else remedy.change())


def test_every_remedy_can_work_on_a_share_of_one_side_with_a_place():
    assert unfit(case()) == {}


def test_what_cannot_work_says_why():
    assert unfit(case(ALL_OF_IT)) == {
        "drop": "every anomalous training image bears the artifact, and none would be left"
    }
    assert set(unfit(case(placed=False))) == set(REMEDIES) - {"drop"}
    assert set(unfit(case(own=True))) == set(by_loss)
    assert unfit(case(own=True))["outside"] == (
        "your own code trains hsc, and a term can't be added to its loss"
    )
    assert set(unfit(case(ONE_SIDE))) == {"balance", "randomise", "placebo"}
    assert "trained on nominal images only" in unfit(case(ONE_SIDE))["balance"]
    assert set(unfit(case(dict.fromkeys(SIDES, 1.0)))) == set(REMEDIES) - {"inpaint", "outside"}
    full = unfit(case({"nominal": 1.0}))
    assert full.keys() == set(REMEDIES) - {"inpaint", "outside"}
    assert full["consistency"] == "every training image bears the artifact, so that it can be pasted on none"


@pytest.mark.parametrize("name", by_loss)
@pytest.mark.parametrize("strength", [0, -1.0])
def test_a_strength_is_over_0(name, strength):
    with pytest.raises(InputError, match=f"{name} strength is {strength:g}; it must be over 0"):
        make_remedy(name, {name: {"strength": strength}})


def test_an_unknown_remedy_is_refused():
    with pytest.raises(InputError, match="unknown remedy 'balanse'; did you mean 'balance'"):
        make_remedy("balanse", {})


def test_of_a_remedy_of_ones_own_all_options_reach_its_training(monkeypatch):
    """With no more than the documented names; it has no strength."""

    @dataclass(frozen=True)
    class Weighed:
        """Adds a number."""

        does: ClassVar[str] = "a number is added"
        slower: ClassVar[float] = 1.0

        weights: tuple[float, ...] = (1.0,)
        where: str = "edge"

        def unfit(self, case):
            return None

        def change(self):
            return None

        def term(self, training, artifact, seed, device):
            return artifact, self.weights, self.where

    monkeypatch.setitem(REMEDIES._entries, "weighed", Weighed)
    remedy = make_remedy("weighed", {"weighed": {"where": "all"}})
    edit, penalty = mending("weighed", remedy, PLANT, "frame")
    assert (edit, penalty.strength) == (PLANT, None)
    assert penalty.made() == remedy
    assert penalty.made().term(None, "frame", 0, None) == ("frame", (1.0,), "all")
    hash(penalty)
