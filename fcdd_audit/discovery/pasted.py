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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor

from fcdd_audit.core.errors import InputError, RunError

Direction = Literal["raises", "lowers"]
SIGNS: dict[Direction, int] = {"raises": 1, "lowers": -1}
Score = Callable[[Tensor], Tensor]

SMALLEST = 2  # px, a window's side
FLOOR = 0.02  # IQR, added to how an image's windows scatter: less is no difference
TAIL = 0.1  # the strongest share of donors, which the tests are about
LOW = 15  # percentile below the median that says how donors scatter
NORMAL = 1.4826  # a normal distribution's standard deviation, in median absolute deviations
LEVELS = {1: 17, 3: 5}  # of a channel in a histogram, by the number of channels
LOOKALIKES = 5  # other donors that count together with one
UNALIKE = 0.3  # distance of histograms, in [0, 1], from which groups of windows aren't joined
# Of `apart`, for a candidate. Set on FCDD and HSC trained on CIFAR-10 (frogs against all, cats against dogs):
# without artifacts, where they passed the exchange test, they reached 2.6; with discs on a fifth, 6.4 to 18.
APART = 4.0


@dataclass(frozen=True)
class Plan:
    """How much is searched.

    parts: windows of the smaller side / part. chosen_on, estimated_on: receivers that windows are chosen on,
    and others that effects are estimated on. places: own images that say what a paste does at a place; they
    are no donors. donors, own: units of each side that are searched at most, and fewest at least.
    permutations: of the null. shown: donors a direction that are sorted into groups. batch: images scored at
    a time. InputError for a number that makes no search.
    """

    parts: tuple[int, ...] = (4, 2)
    chosen_on: int = 4
    estimated_on: int = 8
    places: int = 12
    donors: int = 200
    own: int = 60
    fewest: int = 20
    permutations: int = 999
    shown: int = 60
    batch: int = 256

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in vars(self).items() if name != "parts"}
        for name, value in {**numbers, "part": min(self.parts, default=0)}.items():
            if value < 1:
                raise InputError(f"{name.replace('_', ' ')} is {value}; a search needs at least 1")

    @property
    def taken(self) -> int:
        """Images of the receiving side that are no donors."""
        return self.chosen_on + self.estimated_on + self.places


@dataclass(frozen=True)
class Window:
    """A square part of an image, in pixels."""

    top: int
    left: int
    side: int

    def of(self, images: Tensor) -> Tensor:
        """The same part of every image, (..., C, H, W): a view."""
        return images[..., self.top : self.top + self.side, self.left : self.left + self.side]


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


def windows_of(height: int, width: int, parts: Sequence[int] = Plan.parts) -> tuple[Window, ...]:
    """Windows of all sizes, each on a grid with half overlap of which, but for halves and the whole, every
    second place is left out, as on a chessboard: neighbours on both sides cover it.

    InputError where a window has less than 2 px a side.
    """
    found = []
    for part in parts:
        side = min(height, width) // part
        if side < SMALLEST:
            raise InputError(
                f"a window of 1/{part} of images of {width}x{height} px has under {SMALLEST} px a side; "
                "use larger windows or images"
            )
        step = max(1, side // 2)
        found += [
            Window(top, left, side)
            for row, top in enumerate(range(0, height - side + 1, step))
            for column, left in enumerate(range(0, width - side + 1, step))
            if part <= 2 or (row + column) % 2 == 0
        ]
    return tuple(found)


def scored_images(donors: int, receiving: int, height: int, width: int, plan: Plan | None = None) -> int:
    """How many images a search scores. donors, receiving: units (groups of near-copies) of each side."""
    plan = plan or Plan()
    places = len(windows_of(height, width, plan.parts))
    units, own = _counts(donors, receiving, plan)
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
    _check_images(donors, receiving)
    height, width = donors.shape[2:]
    windows = windows_of(height, width, plan.parts)
    labels = _labels(donors, receiving, donor_groups, receiving_groups)
    units = _one_each(labels[0], rng)
    others = _one_each(labels[1], rng)
    others = others[~np.isin(labels[1][others], labels[0])]
    count, own = _counts(len(units), len(others), plan)
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
    pasted = torch.cat([_floats(donors[units]), _floats(receiving[own_donors])])
    places = _floats(receiving[at_places])

    def effects(of: Tensor, where: slice, window: Window) -> np.ndarray:
        """Mean change of the score in IQR, (D,), of the same window of every donor."""
        onto = _floats(receiving[others[where]])
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
        standing, strength = _standing(first, estimated, best, sign)
        chosen_windows = [windows[index].of(donors[unit]) for unit, index in zip(units, best, strict=False)]
        roots = _roots(chosen_windows)
        together = _with_lookalikes(strength[:count], roots)
        ranked = np.argsort(-together, kind="stable")
        likeness = _likeness(roots[ranked[: plan.shown]], together[ranked[: plan.shown]])
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
        found.append(Found(direction, p, apart(_with_lookalikes(standing[:count], roots)), listed))
    return Searched(found[0], found[1], iqr, scored, count, own)


def paste(donors: Tensor, receivers: Tensor, window: Window) -> Tensor:
    """Every donor's window on every receiver, (D * R, C, H, W): a donor's images follow one another.

    donors: (D, C, H, W). receivers: (R, C, H, W), alike in type.
    """
    images = receivers[None].repeat(len(donors), 1, 1, 1, 1)
    window.of(images)[:] = window.of(donors)[:, None]
    return images.flatten(0, 1)


def beyond(donors: np.ndarray, own: np.ndarray) -> float:
    """How much more the strongest tenth of the donors stands out than that of the own donors, each (N,)."""
    return _tail(donors) - _tail(own)


def apart(donors: np.ndarray) -> float:
    """How far the strongest tenth of the donors, (N,), lies from the others; at least 0, typically 2 to 3.

    Distance of the tail's mean from the median, in units of the distance from the 15th percentile to the
    median (1.04 standard deviations of a normal distribution, for which it is 1.7). Shift and scale change
    nothing. A fifth of donors with an artifact hardly moves the unit, as it would one of the upper half.
    """
    low, middle = np.percentile(donors, [LOW, 50])
    return float((_tail(donors) - middle) / max(middle - low, np.finfo(float).tiny))


def exchange_p(
    values: np.ndarray,
    count: int,
    statistic: Callable[[np.ndarray, np.ndarray], float],
    rng: np.random.Generator,
    permutations: int = Plan.permutations,
) -> float:
    """p of a statistic where donors are exchanged between the sides, in (0, 1].

    values: (N,), of the donors, `count`, and then of the own donors. statistic: of both, large where they
    differ. p = (1 + exchanges at least as large) / (1 + exchanges), valid where values are exchangeable.
    """
    observed = statistic(values[:count], values[count:])
    drawn = (rng.permutation(values) for _ in range(permutations))
    large = sum(statistic(mixed[:count], mixed[count:]) >= observed for mixed in drawn)
    return (1 + large) / (1 + permutations)


def alike(windows: Sequence[Tensor]) -> np.ndarray:
    """Which windows look alike: group labels, int (N,), numbered by first appearance.

    windows: (C, h, w) each, in [0, 1] or uint8, of any size. Colour histograms are compared by the
    Bhattacharyya coefficient, so that a disc is alike wherever it lies in its window; groups are joined while
    the mean of 1 - coefficient between them is under 0.3.
    """
    return _grouped(_roots(windows))


def _grouped(roots: np.ndarray) -> np.ndarray:
    if len(roots) < 2:
        return np.zeros(len(roots), int)
    clustering = AgglomerativeClustering(
        None, metric="precomputed", linkage="average", distance_threshold=UNALIKE
    )
    raw = clustering.fit_predict((1 - roots @ roots.T).clip(0, 1))
    _, firsts, inverse = np.unique(raw, return_index=True, return_inverse=True)
    labels: np.ndarray = np.argsort(np.argsort(firsts))[inverse]
    return labels


def _likeness(roots: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Groups as in `alike`, numbered by their weight: mean strength times the root of how many they are."""
    labels = _grouped(roots)
    sizes = np.bincount(labels)
    weight = np.bincount(labels, strength) / np.sqrt(sizes)
    place: np.ndarray = np.argsort(np.argsort(-weight, kind="stable"))[labels]
    return place


def _roots(windows: Sequence[Tensor]) -> np.ndarray:
    """Roots of colour histograms, (N, bins): their products sum up to the Bhattacharyya coefficient."""
    return np.sqrt(np.stack([_histogram(_floats(one)) for one in windows])) if windows else np.empty((0, 1))


def _histogram(window: Tensor) -> np.ndarray:
    """Shares of colours, (bins,). A pixel is shared out to the levels on both sides of its value, so that a
    small difference makes no other colour."""
    channels, levels = len(window), LEVELS[len(window)]
    values = window.reshape(channels, -1).double().numpy() * (levels - 1)
    below = np.floor(values).clip(0, levels - 2).astype(int)
    above = values - below
    counts = np.zeros(levels**channels)
    for corner in np.ndindex(*(2,) * channels):
        index = np.zeros(values.shape[1], int)
        weight = np.ones(values.shape[1])
        for channel, up in enumerate(corner):
            index = index * levels + below[channel] + up
            weight = weight * (above[channel] if up else 1 - above[channel])
        counts += np.bincount(index, weight, len(counts))
    shares: np.ndarray = counts / values.shape[1]
    return shares


def _with_lookalikes(values: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Each donor's value, (D,), averaged with the mean of the donors that look most alike."""
    likeness = roots @ roots.T
    np.fill_diagonal(likeness, -1)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :LOOKALIKES]
    together: np.ndarray = (values + values[nearest].mean(axis=1)) / 2
    return together


def _standing(
    first: np.ndarray, estimated: np.ndarray, best: np.ndarray, sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """How far each donor's window stands out, and its strength alone: (D,) each.

    first: effects of all windows where they are chosen, (D, W). estimated: of the chosen ones, `best`, on the
    other receivers. The donor's other windows are those of `first`: their noise isn't that of the estimate.
    """
    middle = np.median(first, axis=1)
    scatter = NORMAL * np.median(np.abs(first - middle[:, None]), axis=1) + FLOOR
    lead = sign * (estimated - middle)
    return lead / scatter, lead / np.sqrt(scatter)


def _tail(values: np.ndarray) -> float:
    count = max(1, round(TAIL * len(values)))
    return float(np.partition(values, len(values) - count)[-count:].mean())


def _scores(score: Score, images: Tensor, device: torch.device) -> np.ndarray:
    """(N,) float64."""
    x = _floats(images.to(device)).contiguous(memory_format=torch.channels_last)
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


def _floats(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def _check_images(donors: Tensor, receiving: Tensor) -> None:
    for name, images in (("donors", donors), ("receiving", receiving)):
        if images.ndim != 4 or images.shape[1] not in LEVELS:
            raise InputError(
                f"{name} images have the shape {tuple(images.shape)}; it must be (N, C, H, W), C 1 or 3"
            )
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise InputError(f"{name} images are {images.dtype}; they must be uint8, or float in [0, 1]")
        if images.is_floating_point() and not ((images >= 0) & (images <= 1)).all():
            raise InputError(f"{name} images have values outside [0, 1]; divide those of 8 bits by 255")
    if donors.shape[1:] != receiving.shape[1:]:
        raise InputError(
            f"donors are {tuple(donors.shape[1:])} and receiving images {tuple(receiving.shape[1:])}; "
            "windows are pasted at the same place, so both must have one shape"
        )


def _labels(
    donors: Tensor,
    receiving: Tensor,
    donor_groups: np.ndarray | None,
    receiving_groups: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Group ids of both sides, int (N,) each; where there are none, every image has its own."""
    given = donor_groups, receiving_groups
    if (donor_groups is None) != (receiving_groups is None):
        raise InputError("groups of near-copies are given for one side only; give them for both, or for none")
    if donor_groups is None or receiving_groups is None:
        return np.arange(len(donors)), len(donors) + np.arange(len(receiving))
    for name, groups, images in zip(("donors", "receiving"), given, (donors, receiving), strict=True):
        ids = np.asarray(groups)
        if ids.shape != (len(images),) or not np.issubdtype(ids.dtype, np.integer):
            raise InputError(
                f"groups of {name} images are {ids.dtype} of shape {ids.shape}; they must be {len(images)} "
                "whole numbers"
            )
    return np.asarray(donor_groups), np.asarray(receiving_groups)


def _one_each(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices of one random image of each group, in random order."""
    order = rng.permutation(len(labels))
    _, firsts = np.unique(labels[order], return_index=True)
    return order[np.sort(firsts)]


def _counts(donors: int, receiving: int, plan: Plan) -> tuple[int, int]:
    """How many donors and own donors are searched; InputError where there are too few."""
    needed = plan.taken + plan.fewest
    for name, have, need in (("donor", donors, plan.fewest), ("receiving", receiving, needed)):
        if have < need:
            raise InputError(
                f"there are {have} different {name} images, and a search of pasted windows takes {need}"
            )
    return min(donors, plan.donors), min(receiving - plan.taken, plan.own)
