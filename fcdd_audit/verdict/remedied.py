"""From the numbers of remedied twins to what is said of remedies, and which one is recommended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fcdd_audit.core.text import number, share
from fcdd_audit.measures.differences import mean_or_value
from fcdd_audit.measures.effects import Twins
from fcdd_audit.measures.remedies import removed, rise
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.remedies import Change, Mending, OtherCue, RemedyFinding
from fcdd_audit.verdict.thresholds import MendLimits

LIMITS = MendLimits()
Half = Callable[[int], bool]  # whether a seed belongs to it


def chooses(seed: int) -> bool:
    """Every other seed chooses a remedy; the others check it."""
    return seed % 2 == 0


def checks(seed: int) -> bool:
    """See `chooses`."""
    return not chooses(seed)


CHANGES = ("shift", "auroc", "recall", "alarms", "harm", "heat")  # of `Tried.numbers`


@dataclass(frozen=True)
class Tried:
    """A remedy and the numbers of its pairs.

    numbers: by name, those of `CHANGES` that there are, of the planted and of the remedied twin of each pair,
    in the order of `seeds`. others: by name, shifts of the audit's other artifacts. The other fields: see
    `RemedyFinding`.
    """

    remedy: str
    does: str
    unfit: str | None = None
    strength: float | None = None
    numbers: Mapping[str, Twins] = field(default_factory=dict)
    others: Mapping[str, Twins] = field(default_factory=dict)
    explainer: str | None = None
    minutes: tuple[float, float] | None = None
    failed: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def pairs(self) -> int:
        """How many have numbers."""
        return len(self.numbers["shift"][0]) if self.numbers else 0

    def of(self, half: Half) -> Tried:
        """The same of some pairs only, by their seeds: a pair that failed moves no other."""
        kept = np.array([half(seed) for seed in self.seeds], bool)

        def cut(twins: Mapping[str, Twins]) -> dict[str, Twins]:
            return {name: (before[kept], after[kept]) for name, (before, after) in twins.items()}

        seeds = tuple(seed for seed in self.seeds if half(seed))
        return replace(self, numbers=cut(self.numbers), others=cut(self.others), seeds=seeds)

    def finding(self) -> RemedyFinding:
        """What findings.json says of it."""
        found = RemedyFinding(self.remedy, self.does, self.unfit, self.strength, failed=self.failed)
        if not self.pairs:
            return found
        changes: dict[str, Any] = {name: change(*twins) for name, twins in self.numbers.items()}
        return replace(
            found,
            **changes,
            pairs=self.pairs,
            removed=removed(*self.numbers["shift"]),
            harm_removed=removed(*self.numbers["harm"]) if "harm" in self.numbers else None,
            explainer=self.explainer,
            others=tuple(
                OtherCue(name, change(*twins), mean_or_value(rise(twins)))
                for name, twins in self.others.items()
            ),
            minutes=self.minutes,
        )


def change(before: np.ndarray, after: np.ndarray) -> Change:
    """Means over pairs and the mean difference, with Student's t intervals."""
    return Change(mean_or_value(before), mean_or_value(after), mean_or_value(after - before))


def recommend(
    tried: Sequence[Tried],
    placebo: str,
    limits: MendLimits = LIMITS,
    halves: tuple[Half, Half] = (chooses, checks),
) -> Mending:
    """The remedy that leaves least on one half of the pairs and costs nothing there, and whether that surely
    holds on the other half. placebo: the name of the one that is no remedy."""
    named = [one for one in tried if one.remedy != placebo]
    able = [one for one in named if one.pairs]
    if not able:
        lost = "all trainings failed" if any(one.failed for one in named) else "nothing could be tried"
        return Mending("none", None, f"{lost}. {_unable(named)}".strip())
    firsts = {one.remedy: one.of(halves[0]) for one in able}
    good = [one for one in able if not _flaws(firsts[one.remedy], limits)]
    left = {name: _left(*one.numbers["shift"]) for name, one in firsts.items()}
    chosen_on = max(one.pairs for one in firsts.values())
    if not good:
        best = min(able, key=lambda one: _rank(left[one.remedy]))
        flaws = " and ".join(_flaws(firsts[best.remedy], limits))
        return Mending(
            "none",
            None,
            f"none of {_listed([one.remedy for one in able])} mends it: the best, {best.remedy}, {flaws}. "
            f"{_unable(named)}".strip(),
            chosen_on,
        )
    best = min(good, key=lambda one: _rank(left[one.remedy]))
    rest = best.of(halves[1])
    mending = Mending("open", best.remedy, "", firsts[best.remedy].pairs, rest.pairs)
    if rest.pairs < limits.least:
        said = (
            f"{best.remedy} may mend it, and leaves {share(left[best.remedy])} of it on {mending.chosen_on} "
            f"of the trainings; {rest.pairs} more are too few to check that: use --seeds {2 * limits.checks}"
        )
        return replace(mending, said=said)
    doubts = _doubts(rest, limits)
    numbers = (
        f"{best.remedy} removes {_percent(removed(*rest.numbers['shift']))} of it; AUROC "
        f"{number(float(rest.numbers['auroc'][0].mean()))} before, "
        f"{number(float(rest.numbers['auroc'][1].mean()))} after; "
    )
    null = [one.of(halves[1]) for one in tried if one.remedy == placebo and one.pairs]
    gone = [removed(*one.numbers["shift"]) for one in null]
    beside = [f"; the placebo removes {_percent(one)}" for one in gone if one is not None]
    checked = f"checked on {rest.pairs} trainings that didn't choose it{''.join(beside)}"
    if doubts:
        return replace(mending, said=f"{numbers}{checked}: not sure that {' and that '.join(doubts)}")
    return replace(mending, answer="mended", said=numbers + checked)


def _rank(left: float) -> tuple[bool, float]:
    """What isn't known comes last."""
    return bool(np.isnan(left)), left


def _left(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the effect that is left, >= 0."""
    scale = abs(float(before.mean()))
    return abs(float(after.mean())) / scale if scale else float("inf")


def _loss(one: Tried) -> np.ndarray:
    before, after = one.numbers["auroc"]
    return before - after


def _flaws(one: Tried, limits: MendLimits) -> list[str]:
    """What speaks against it, by means over its pairs."""
    found = []
    left = _left(*one.numbers["shift"])
    if not left < limits.left:
        found.append("leaves an unknown share of it" if np.isnan(left) else f"leaves {share(left)} of it")
    if (loss := float(_loss(one).mean())) > limits.auroc:
        found.append(f"costs {number(loss)} of the AUROC")
    for name, twins in one.others.items():
        if float(rise(twins).mean()) > limits.rise:
            found.append(f"has the score follow {name} more")
    return found


def _doubts(one: Tried, limits: MendLimits) -> list[str]:
    """What isn't sure of it, by the ends of intervals."""
    found = []
    gone = removed(*one.numbers["shift"])
    if gone is None or not 1 - gone.low < limits.left:
        found.append(f"under {share(limits.left)} of it is left")
    if not mean_or_value(_loss(one)).high <= limits.auroc:
        found.append(f"at most {number(limits.auroc)} of the AUROC is lost")
    for name, twins in one.others.items():
        if not mean_or_value(rise(twins)).high <= limits.rise:
            found.append(f"the score doesn't follow {name} more")
    return found


def _unable(tried: Sequence[Tried]) -> str:
    """Which can't work here, and why."""
    reasons: dict[str, list[str]] = {}
    for one in tried:
        if one.unfit is not None:
            reasons.setdefault(one.unfit, []).append(one.remedy)
    return " ".join(f"{_listed(names).capitalize()} can't work: {why}." for why, names in reasons.items())


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _percent(found: Interval | None) -> str:
    """`91 % (78 to 100)`."""
    if found is None:
        return "an unknown share"
    low, high = (number(100 * end, 0) for end in (found.low, found.high))
    return f"{share(found.value)} ({low} to {high})"
