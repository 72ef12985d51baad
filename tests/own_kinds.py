"""Kinds of one's own, in a module outside the package: what `tests/test_extending.py` audits with."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from fcdd_audit import DETECTORS, PROBES, Detector, InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.plant import Plant
from fcdd_audit.measures.table import Chance, Measure, register
from fcdd_audit.studies.planning import Condition
from fcdd_audit.studies.truths import TRUTHS, Truth


@PROBES.register("spot")
@dataclass(frozen=True)
class Spot:
    """A bright spot in the upper left corner."""

    radius: float = 0.2

    placed = True

    def __post_init__(self):
        if not 0 < self.radius <= 0.5:
            raise InputError(f"spot radius is {self.radius:g}; it must be in (0, 0.5]")

    def apply(self, x, generator):
        height, width = x.shape[2:]
        reach = self.radius * width
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        inside = (rows - reach) ** 2 + (columns - reach) ** 2 <= reach**2
        mask = inside.to(x.device).expand(len(x), 1, height, width)
        colour = torch.tensor([1.0, 0.4, 0.1])[: x.shape[1]].to(x)[:, None, None]
        return torch.where(mask, colour, x), mask.clone()


@DETECTORS.register("glance")
class Glance(Detector):
    """Tells anomalies by the mean of a few small filters."""

    learns_from = SIDES

    @dataclass(frozen=True)
    class Options(Detector.Options):
        width: int = 4

    def __init__(self, input, options):
        super().__init__(input, options)
        channels, width = input.shape[0], options.width
        self.features = nn.Sequential(nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.ReLU())
        self.weigh = nn.Linear(width, 1)

    def score(self, x):
        return self.weigh(self.features(self.normalise(x)).mean(dim=(2, 3)))[:, 0].float()

    def loss(self, x, label, mask=None):
        return F.binary_cross_entropy_with_logits(self.score(x), label.float())


def both_twins(planner):
    """Both twins are trained with the artifact, from unrelated seeds."""
    edit = Plant(planner.probe, (planner.side,), 1.0)
    seeds = planner.seeds("both-twins", "", 1.0)
    after, before = planner.cells(seeds[1:], edit), planner.cells(seeds[:-1], edit)
    yield Condition(planner.detector, "both-twins", planner.plant_on, 1.0, after, before)


TRUTHS.register("both-twins")(Truth("both twins trained with it{share}", null=True, trained=both_twins))


def heat_at_top(heatmap, mask):
    """Share of the heat in the upper half of the map."""
    top = heatmap[..., : heatmap.shape[-2] // 2, :].sum(dim=(1, 2, 3)).double()
    return top / heatmap.sum(dim=(1, 2, 3)).clamp(min=1e-30)


register(
    Measure(
        name="heat_at_top",
        label="heat at the top",
        unit=None,
        bounds=(0, 1),
        chance=Chance("0.5", lambda area: 0.5),
        function=heat_at_top,
        source=None,
        family="overlap",
        row=None,
    )
)
