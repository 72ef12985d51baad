"""Audits drawn from a pool of pairs of twins: they look, and stop, as audits do.

Two ways. *Disjoint* audits use the pairs one after the other, each pair once: they are independent, and few.
*Drawn* audits take pairs in a random order, many times: they overlap, and the error of their mean rate is
that of the pool, not of the number of draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.studies.pool import Pool
from fcdd_audit.verdict.evidence import Evidence
from fcdd_audit.verdict.findings import Harm, Missing, Verdict
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.looks import Look
from fcdd_audit.verdict.thresholds import Thresholds

DRAWS = 1000


@dataclass(frozen=True)
class Audit:
    """What one audit says, after so many pairs."""

    verdict: Verdict
    harm: Harm | None
    missing: Missing | None
    pairs: int


def audit(pool: Pool, order: np.ndarray, looks: Sequence[Look], limits: Thresholds) -> Audit:
    """Judges the pairs in that order, look by look, until the verdict is settled or no look is left.

    order: places in the pool, as many as the last look has pairs or more.
    """
    for number, look in enumerate(looks, 1):
        finding = judge([_evidence(pool, order[: look.pairs], looks[:number])], limits)[0]
        if finding.settled:
            break
    return Audit(finding.verdict, finding.harm, finding.missing, look.pairs)


def _evidence(pool: Pool, places: np.ndarray, looks: Sequence[Look]) -> Evidence:
    """Of those pairs alone: neither the number of images nor what is explained has a say in the verdict."""
    return Evidence(
        dataset=pool.dataset,
        nominal_class="",
        detector=pool.detector,
        probe="",
        plant_on=pool.plant_on,
        prevalence=pool.prevalence,
        images=0,
        scores={name: (planted[places], control[places]) for name, (planted, control) in pool.scores.items()},
        turns=tuple(range(len(places))),
        looks=tuple(looks),
    )


def disjoint_audits(pool: Pool, looks: Sequence[Look], limits: Thresholds) -> list[Audit]:
    """One audit after the other, each pair once. One begins only while as many pairs are left as it may need:
    else those that need many would be missing."""
    audits: list[Audit] = []
    left = np.arange(pool.pairs)
    while len(left) >= looks[-1].pairs:
        audits.append(audit(pool, left, looks, limits))
        left = left[audits[-1].pairs :]
    return audits


@dataclass(frozen=True)
class Drawn:
    """Audits of pairs in random orders. orders: the places of the pairs that each might use, (draws, most)
    with `most` those of the last look; no rows where the pool has fewer pairs. pool: how many it has."""

    audits: tuple[Audit, ...]
    orders: np.ndarray
    pool: int

    def says(self, verdict: Verdict) -> np.ndarray:
        """Whether each audit does: 0 or 1, (draws,)."""
        return np.array([one.verdict == verdict for one in self.audits], float)

    def error(self, verdict: Verdict) -> float:
        """Standard error of the mean share of a verdict."""
        return jackknife_error(self.says(verdict), self.orders, self.pool)

    @property
    def mean_pairs(self) -> float:
        """How many are used in the mean."""
        return float(np.mean([one.pairs for one in self.audits]))


def drawn_audits(pool: Pool, looks: Sequence[Look], limits: Thresholds, draws: int = DRAWS) -> Drawn:
    """Audits of pairs in random orders without replacement, always the same ones."""
    most = looks[-1].pairs
    if pool.pairs < most:
        return Drawn((), np.empty((0, most), int), pool.pairs)
    generator = numpy_generator(0, "drawn audits")
    orders = np.array([generator.permutation(pool.pairs)[:most] for _ in range(draws)])
    return Drawn(tuple(audit(pool, order, looks, limits) for order in orders), orders, pool.pairs)


def jackknife_error(values: np.ndarray, orders: np.ndarray, pool: int) -> float:
    """Standard error of a mean over draws from a pool of that many pairs, by a delete-one jackknife over the
    pairs: the replicate without a pair is the mean over those draws that don't have it.

    The replicates also scatter since draws are few; what that comes to is taken off (as Wager, Hastie & Efron
    2014 do for the bootstrap). values: (draws,). orders: the pairs in each draw, (draws, pairs). NaN where a
    pair is in every draw, and where all values are the same, which says nothing of how sure that is.
    """
    absent = np.ones((len(values), pool))
    np.put_along_axis(absent, orders, 0.0, axis=1)
    counts = absent.sum(axis=0)
    if (counts == 0).any() or np.ptp(values) == 0:
        return float("nan")
    replicates = values @ absent / counts
    squared = (pool - 1) / pool * ((replicates - replicates.mean()) ** 2).sum()
    by_chance = (pool - 1) / pool * (values.var(ddof=1) * (1 / counts - 1 / len(values))).sum()
    return float(np.sqrt(max(squared - by_chance, 0.0)))
