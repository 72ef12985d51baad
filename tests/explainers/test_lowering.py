"""A linear detector whose lowering map is known: its weight is negative where the mark is."""

import pytest
import torch
from torch import nn

from fcdd_audit.detectors import Detector
from fcdd_audit.explainers import EXPLAINERS, lowering, make_explainer, raising, second_opinion
from fcdd_audit.measures.lowering import lowering_pixel_auroc, signed_relevance

SIDE = 4
MASK = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
MASK[..., 2:, :2] = True
WEIGHT = torch.where(MASK, -2.0, 1.0)
X = torch.full((1, 1, SIDE, SIDE), 0.5)  # from black each pixel puts in half of its weight
OPTIONS = {"integrated-gradients": {"baseline": "black"}, "deep-lift": {"baseline": "black"}}
OPTIONS["occlusion"] = {"baseline": "black", "window": 0.25}  # of one pixel
SIGNED = [name for name, kind in EXPLAINERS.items() if kind.signed]


class Weighted(Detector):
    """The score is the weighted sum of the pixels."""

    def __init__(self):
        nn.Module.__init__(self)
        self.stack = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1, bias=False))
        self.stack[1].weight.data = WEIGHT.flatten()[None].clone()

    @property
    def layers(self):
        return self.stack

    def normalise(self, x):
        return x

    def shares(self, outputs):
        return outputs

    def chords(self, after, before):
        return torch.ones_like(after)

    def score(self, x):
        return self.stack(x).flatten(1).sum(dim=1)

    def loss(self, x, label, mask=None):
        raise NotImplementedError


@pytest.mark.parametrize("name", SIGNED)
def test_what_lowers_is_where_the_weight_is_negative(name, explain):
    heat = explain(name, Weighted(), X, **OPTIONS.get(name, {}))
    torch.testing.assert_close(heat, WEIGHT / 2)
    torch.testing.assert_close(lowering(heat), torch.where(MASK, 1.0, 0.0))
    torch.testing.assert_close(raising(heat), torch.where(MASK, 0.0, 0.5))
    assert lowering_pixel_auroc(heat, MASK).item() == 1
    # 4 pixels lower it by 1 each, 12 raise it by a half.
    assert signed_relevance(heat, MASK).item() == pytest.approx(-4 / 10)


def test_nothing_lowers_in_a_map_without_sign():
    assert lowering(torch.tensor([[[[0.0, 2.0]]]])).tolist() == [[[[0.0, 0.0]]]]
    assert lowering(torch.tensor([torch.nan])).isnan().all(), "isn't hidden"


@pytest.mark.parametrize(("baseline", "other"), [("mean", "blur"), ("black", "blur"), ("blur", "mean")])
def test_occlusion_is_asked_twice_with_another_baseline(baseline, other):
    again = second_opinion(make_explainer("occlusion", {"occlusion": {"baseline": baseline, "window": 0.4}}))
    assert (again.baseline, again.window) == (other, 0.4)


@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name != "occlusion"])
def test_others_are_asked_once(name):
    assert second_opinion(make_explainer(name, {})) is None
