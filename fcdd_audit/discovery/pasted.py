"""What raises or lowers a detector's score although nobody named it: a search that needs only scores.

Windows of one side's images, the donors, are pasted at the same place onto images of the other side, the
receivers. A window counts for what it does beyond three things: what windows of the receiving side's own
images do at that place (seams, borders, corners), what the other windows of the same donor do (what the
whole image shows), and chance.

The unit is the donor: its window is chosen on some receivers, and what the window does is estimated on
others. The null exchanges donors between the sides; the receiving side's own images are the other donors. Its
statistic is how much more the strongest tenth of the donors stands out than that of the own donors.

A good detector breaks that null without any artifact, since the sides show different things. So a candidate
must also lie *apart*: the strongest tenth lies further from the other donors of its own side than classes do.
What a class shows moves most of its images; an artifact on some of them makes one tail. There, and for the
ranking, a donor counts together with those whose windows look most like its own: an artifact looks alike on
all that bear it, and what is only noise or one image's oddity doesn't. The limit comes from searches with
detectors that never saw an artifact. An artifact on most of the donors makes no tail and isn't found.

A candidate is no verdict on what was learnt: a detector that never saw an artifact may react to it as to
anything new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.discovery.lookalikes import roots_of, weightiest, with_lookalikes
from fcdd_audit.discovery.plan import Plan, check_images, counts_of, labels_of, one_each
from fcdd_audit.discovery.standing import APART, apart, beyond, exchange_p, standing_of
from fcdd_audit.discovery.windows import Window, floats, paste, windows_of

Direction = Literal["raises", "lowers"]
SIGNS: dict[Direction, int] = {"raises": 1, "lowers": -1}
Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Donor:
    """What one donor's best window does in one direction.

    image: its index among the given donors. unit: its group of near-copies. window: chosen, and where it was
    pasted. chosen, estimated: change of the score, in IQR of the receiving scores, less what own windows do
    there, on the receivers that the window was chosen on and on the others; positive: it raises the score.
    Only `estimated` is free of the choice. standing: the estimate beyond the median of the donor's windows,
    towards the direction, in units of how its windows scatter. strength: the geometric mean of that lead in
    IQR and of `standing`, with the lead's sign, averaged with the mean of the donors whose windows look most
    alike; the order of the ranking. likeness: the group that its window looks like, 0 first; None beyond
    those that are shown.
    """

    image: int
    unit: int
    window: Window
    chosen: float
    estimated: float
    standing: float
    strength: float
    likeness: int | None = None


@dataclass(frozen=True)
class Found:
    """One direction's result.

    p: of the exchange, in (0, 1], times the number of directions, at most 1: family-wise over directions,
    sizes and places. apart: see there, of how donors and their look-alikes stand out; at least 4 for a
    candidate. donors: the strongest first.
    """

    direction: Direction
    p: float
    apart: float
    donors: tuple[Donor, ...]

    def is_candidate(self, level: float = 0.05) -> bool:
        """Whether p is at most the level, and the strongest donors lie apart."""
        return self.p <= level and self.apart >= APART

    def groups(self) -> list[list[Donor]]:
        """The shown donors whose windows look alike, each group with its strongest donor first."""
        grouped: dict[int, list[Donor]] = {}
        for donor in self.donors:
            if donor.likeness is not None:
                grouped.setdefault(donor.likeness, []).append(donor)
        return [grouped[label] for label in sorted(grouped)]


@dataclass(frozen=True)
class Searched:
    """One search: donors of one side on receivers of the other.

    iqr: interquartile range of the receiving scores, the unit of every effect. scored: images that were
    scored. units, own: donors searched, and own donors of the null.
    """

    raises: Found
    lowers: Found
    iqr: float
    scored: int
    units: int
    own: int

    def candidates(self, level: float = 0.05) -> list[Found]:
        """The directions in which there is one."""
        return [found for found in (self.raises, self.lowers) if found.is_candidate(level)]


def scored_images(donors: int, receiving: int, height: int, width: int, plan: Plan | None = None) -> int:
    """How many images a search scores. donors, receiving: units (groups of near-copies) of each side."""
    plan = plan or Plan()
    places = len(windows_of(height, width, plan.parts))
    units, own = counts_of(donors, receiving, plan)
    clean = own + plan.taken
    chosen = (units + own + plan.places) * places * plan.chosen_on
    estimated = (2 * (units + own) + plan.places * places) * plan.estimated_on
    return clean + chosen + estimated


def search(
    score: Score,
    donors: Tensor,
    receiving: Tensor,
    rng: np.random.Generator,
    plan: Plan | None = None,
    donor_groups: np.ndarray | None = None,
    receiving_groups: np.ndarray | None = None,
    device: torch.device | str = "cpu",
    advance: Callable[[int], object] = lambda scored: None,
) -> Searched:
    """Look for windows of `donors` that raise or lower the scores of `receiving`.

    score: from float images (N, C, H, W) in [0, 1] on `device` to (N,), higher is more anomalous. donors,
    receiving: the two sides, (N, C, H, W), uint8 or float in [0, 1]. donor_groups, receiving_groups: int
    (N,), equal for near-copies, on both sides from one numbering; one image of each is searched, and what
    both sides have is left out of the receiving side. None: every image is its own. advance: is told how
    many images were scored.

    The same generator gives the same result. InputError for images, groups or scores that can't be used,
    RunError for scores that aren't finite.
    """
    plan = plan or Plan()
    check_images(donors, receiving)
    height, width = donors.shape[2:]
    windows = windows_of(height, width, plan.parts)
    labels = labels_of(donors, receiving, donor_groups, receiving_groups)
    units = one_each(labels[0], rng)
    others = one_each(labels[1], rng)
    others = others[~np.isin(labels[1][others], labels[0])]
    count, own = counts_of(len(units), len(others), plan)
    units, others = units[:count], others[: plan.taken + own]

    scored = 0

    def scores(images: Tensor) -> np.ndarray:
        nonlocal scored
        values = _scores(score, images, torch.device(device))
        scored += len(values)
        advance(len(values))
        return values

    received = np.concatenate([scores(part) for part in receiving[others].split(plan.batch)])
    iqr = float(np.subtract(*np.percentile(received, [75, 25])))
    if iqr <= 0:
        raise InputError("half of the receiving scores are equal, so that effects have no unit; use others")

    chosen_on, estimated_on = (
        slice(0, plan.chosen_on),
        slice(plan.chosen_on, plan.chosen_on + plan.estimated_on),
    )
    at_places, own_donors = others[plan.taken - plan.places : plan.taken], others[plan.taken :]
    pasted = torch.cat([floats(donors[units]), floats(receiving[own_donors])])
    places = floats(receiving[at_places])

    def effects(of: Tensor, where: slice, window: Window) -> np.ndarray:
        """Mean change of the score in IQR, (D,), of the same window of every donor."""
        onto = floats(receiving[others[where]])
        size = max(1, plan.batch // len(onto))
        changed = [scores(paste(part, onto, window)).reshape(-1, len(onto)) for part in of.split(size)]
        change: np.ndarray = (np.concatenate(changed) - received[where]).mean(axis=1) / iqr
        return change

    first = np.stack([effects(pasted, chosen_on, one) for one in windows], axis=1)
    usual = [
        np.array([effects(places, where, one).mean() for one in windows])
        for where in (chosen_on, estimated_on)
    ]
    first = first - usual[0]
    found = []
    for direction, sign in SIGNS.items():
        best = (sign * first).argmax(axis=1)
        second = np.empty(len(best))
        for index in np.unique(best):
            bearers = np.flatnonzero(best == index)
            second[bearers] = effects(pasted[torch.from_numpy(bearers)], estimated_on, windows[index])
        estimated = second - usual[1][best]
        standing, strength = standing_of(first, estimated, best, sign)
        chosen_windows = [windows[index].of(donors[unit]) for unit, index in zip(units, best, strict=False)]
        roots = roots_of(chosen_windows)
        together = with_lookalikes(strength[:count], roots)
        ranked = np.argsort(-together, kind="stable")
        likeness = weightiest(roots[ranked[: plan.shown]], together[ranked[: plan.shown]])
        listed = tuple(
            Donor(
                int(units[index]),
                int(labels[0][units[index]]),
                windows[best[index]],
                float(first[index, best[index]]),
                float(estimated[index]),
                float(standing[index]),
                float(together[index]),
                int(likeness[place]) if place < len(likeness) else None,
            )
            for place, index in enumerate(ranked)
        )
        p = min(1.0, len(SIGNS) * exchange_p(standing, count, beyond, rng, plan.permutations))
        found.append(Found(direction, p, apart(with_lookalikes(standing[:count], roots)), listed))
    return Searched(found[0], found[1], iqr, scored, count, own)


def _scores(score: Score, images: Tensor, device: torch.device) -> np.ndarray:
    """(N,) float64."""
    x = floats(images.to(device)).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        values = score(x)
    if values.shape != (len(x),):
        raise InputError(
            f"the detector gives values of shape {tuple(values.shape)} for {len(x)} images; it must give one "
            "number an image"
        )
    if not torch.isfinite(values).all():
        raise RunError("the detector gives images with pasted windows scores that aren't finite")
    return values.detach().cpu().double().numpy()
