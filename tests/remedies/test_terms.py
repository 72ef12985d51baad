"""Terms of the loss on a detector whose score is a weighted sum of pixels: everything is known by hand."""

import pytest
import torch
from torch import nn

from fcdd_audit.core.sides import SIDES
from fcdd_audit.detectors import Detector, Input, Normalisation
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.remedies import make_remedy

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)


class Weighted(Detector):
    """score(x) = sum of w * x, w = 1 but for the artifact's four pixels, where it is `inside`."""

    def __init__(self, inside):
        super().__init__(Input(SHAPE, Normalisation("nominal", torch.zeros(1), torch.ones(1))))
        weight = torch.ones(SHAPE)
        weight[:, :2, :2] = inside
        self.weight = nn.Parameter(weight)

    def score(self, x):
        return (x * self.weight).sum(dim=(1, 2, 3))

    def loss(self, x, label, mask=None):
        return self.score(x).mean()


@pytest.fixture
def training():
    """Three black nominal images and two anomalous ones, the last of which bears four white pixels."""
    counts = {"nominal": 3, "anomalous": 2}
    images = {side: torch.zeros(count, *SHAPE, dtype=torch.uint8) for side, count in counts.items()}
    where = {side: torch.zeros(count, *SHAPE, dtype=torch.bool) for side, count in counts.items()}
    images["anomalous"][1, :, :2, :2] = 255
    where["anomalous"][1, :, :2, :2] = True
    parts = (ImageSet(images[side], tuple("abc"[: counts[side]])) for side in SIDES)
    return TrainingSet(*parts, planted={"spot": where})


def term(name, training, strength=1.0):
    return make_remedy(name, {name: {"strength": strength}}).term(training, "spot", 0, CPU)


def x_of(training, chosen):
    images = torch.cat([training.nominal.images, training.anomalous.images])
    return images[chosen].float() / 255


def added(name, training, chosen, inside=5.0, strength=1.0, move=lambda tensor: tensor):
    """What a step on these images adds, and its gradient."""
    detector, chosen = Weighted(inside), torch.tensor(chosen)
    value = term(name, training, strength)(detector, x_of(training, chosen), chosen, move)
    if value.requires_grad:
        value.backward()
    return value.item(), detector.weight.grad


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_consistency_is_how_far_the_score_moves_by_the_pasted_artifact(training, strength):
    """The four white pixels weigh 5 each. Around them the bearer is black, as the images are."""
    value, gradient = added("consistency", training, [0, 1, 3], strength=strength)
    assert value == pytest.approx(strength * 20)
    inside = torch.zeros(SHAPE)
    inside[:, :2, :2] = strength
    torch.testing.assert_close(gradient, inside)


def test_images_that_bear_it_are_not_asked(training):
    assert added("consistency", training, [4, 4])[0] == 0
    assert added("consistency", training, [4, 0])[0] == pytest.approx(20)


def test_the_soft_edge_brings_a_part_of_what_is_around_the_artifact(training):
    training.anomalous.images[1][:, 2, 2] = 255  # a white pixel beside it, by 2/3, with weight 1
    assert added("consistency", training, [0])[0] == pytest.approx(20 + 2 / 3)


@pytest.mark.parametrize(("inside", "share"), [(5.0, 100 / 160), (1.0, 4 / 64), (0.0, 0.0)])
def test_outside_is_the_share_of_the_gradients_energy_on_the_artifact(training, inside, share):
    """4 pixels with the energy of `inside` squared, among 60 with 1."""
    value, gradient = added("outside", training, [0, 4, 3], inside=inside, strength=2.0)
    assert value == pytest.approx(2 * share)
    if inside > 0:
        assert (gradient[:, :2, :2] > 0).all(), "a step makes the weights there smaller"
        assert (gradient[:, 2:, 2:] < 0).all()


def test_outside_asks_bearers_only(training):
    assert added("outside", training, [0, 1, 3])[0] == 0


@pytest.mark.parametrize(("name", "value"), [("consistency", 4.0), ("outside", 4 / 160)])
def test_the_artifact_moves_with_its_image(training, name, value):
    """Moved by four pixels it lies where weights are 1."""
    moved = added(name, training, [0, 1, 4], move=lambda tensor: tensor.roll((4, 4), (2, 3)))
    assert moved[0] == pytest.approx(value)


def test_the_same_seed_pastes_the_same(training):
    training.planted["spot"]["anomalous"][0, :, 5, 5] = True  # a second bearer, of nothing
    chosen = torch.arange(3)
    first, again = (
        [one(Weighted(5.0), x_of(training, chosen), chosen, lambda t: t).item() for _ in range(4)]
        for one in (term("consistency", training), term("consistency", training))
    )
    assert first == again
    assert len(set(first)) > 1
