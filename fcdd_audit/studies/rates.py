"""How often audits whose truth is known say what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fcdd_audit.measures.statistics import Interval, share
from fcdd_audit.studies.drawing import (
    DRAWS,
    Audit,
    Drawn,
    disjoint_audits,
    drawn_audits,
)
from fcdd_audit.studies.known import NOTHING, UNKNOWN, Known, Means, means_of
from fcdd_audit.studies.pool import Pool
from fcdd_audit.studies.truths import TRUTHS, Truth
from fcdd_audit.verdict.findings import Verdict
from fcdd_audit.verdict.looks import Look
from fcdd_audit.verdict.thresholds import Thresholds

ANY_NULL = "any-null"
VERDICTS: tuple[Verdict, ...] = ("relies", "does-not-rely", "inconclusive")


@dataclass(frozen=True)
class DrawnRates:
    """Mean shares of the verdicts over audits of random pairs of a pool, with jackknife intervals of 95 %.

    NaN where the pool has fewer pairs than an audit may need; no interval where it has no more. pairs: how
    many are used in the mean.
    """

    relies: Interval
    does_not_rely: Interval
    inconclusive: Interval
    pairs: float


@dataclass(frozen=True)
class Rate:
    """How often audits of one kind gave each verdict, and what is known of their pairs.

    truth: an entry of TRUTHS, or `any-null` for all nulls of a detector together. label: the same in words.
    null: whether "relies" would be a false alarm. independent: whether its audits share no twin with those of
    other nulls; else they aren't in `any-null`. decoy: the other artifact that was planted, or "".
    prevalence: 0 where nothing is planted, None for all nulls together. pairs: in the pool.

    audits: disjoint ones. verdicts, harms: how many of them gave each. says_relies, says_does_not_rely: the
    share that did, with its exact 95 % interval: of "relies", sensitivity or false alarms. drawn: of audits
    drawn at random from the same pairs.

    known: means over the pool's pairs; NaN for `any-null`, which mixes several. relied_on, harmless: what
    they say. wrong_clears: disjoint audits that say "does not rely" where that is wrong.
    carries_over: another artifact was learned and is taken for the probed one, so that these audits aren't
    counted in `any-null`.
    """

    detector: str
    truth: str
    label: str
    null: bool
    independent: bool
    decoy: str
    prevalence: float | None
    pairs: int
    audits: int
    verdicts: dict[str, int]
    harms: dict[str, int]
    says_relies: Interval
    says_does_not_rely: Interval
    drawn: DrawnRates
    known: Means
    relied_on: Known
    harmless: Known
    wrong_clears: int
    carries_over: bool


@dataclass(frozen=True)
class Sampled:
    """A pool and the audits that were made of it."""

    pool: Pool
    disjoint: tuple[Audit, ...]
    drawn: Drawn
    known: Means

    @property
    def truth(self) -> Truth:
        return TRUTHS[self.pool.truth]


def rates(found: Sequence[Pool], looks: Sequence[Look], limits: Thresholds, draws: int = DRAWS) -> list[Rate]:
    """By detector: sensitivity of each prevalence, false alarms of each null and of all together."""
    sampled = [
        Sampled(
            pool,
            tuple(disjoint_audits(pool, looks, limits)),
            drawn_audits(pool, looks, limits, draws),
            means_of(pool, limits),
        )
        for pool in found
    ]
    rows = []
    for detector in dict.fromkeys(pool.detector for pool in found):
        mine = [one for one in sampled if one.pool.detector == detector]
        planted = sorted((one for one in mine if not one.truth.null), key=lambda one: one.pool.prevalence)
        nulls = [one for one in mine if one.truth.null]
        counted = [one for one in nulls if one.truth.derived is None and not _carries_over(one, limits)]
        rows += [_rate(one, limits) for one in (*planted, *nulls)]
        rows.append(_any_null(detector, counted))
    return rows


def _rate(one: Sampled, limits: Thresholds) -> Rate:
    pool, truth = one.pool, one.truth
    shown = f" on {100 * pool.prevalence:.3g} %" if pool.prevalence else ""
    verdicts = _counted(one.disjoint)
    wrong = one.known.clear_is_wrong(limits)
    return Rate(
        pool.detector,
        pool.truth,
        truth.label.format(share=shown, decoy=pool.decoy),
        truth.null,
        truth.derived is None,
        pool.decoy,
        pool.prevalence,
        pool.pairs,
        *_of_disjoint(one.disjoint),
        _of_drawn([one.drawn]),
        one.known,
        one.known.relied_on(limits),
        one.known.harmless(limits),
        verdicts.get("does-not-rely", 0) if wrong else 0,
        _carries_over(one, limits),
    )


def _any_null(detector: str, counted: Sequence[Sampled]) -> Rate:
    return Rate(
        detector,
        ANY_NULL,
        "all nulls together",
        True,
        True,
        "",
        None,
        sum(one.pool.pairs for one in counted),
        *_of_disjoint([audit for one in counted for audit in one.disjoint]),
        _of_drawn([one.drawn for one in counted]),
        UNKNOWN,
        "unclear",
        "unclear",
        0,
        False,
    )


def _carries_over(one: Sampled, limits: Thresholds) -> bool:
    return one.truth.may_carry_over and one.known.relied_on(limits) == "yes"


def _counted(audits: Sequence[Audit]) -> dict[str, int]:
    return dict(Counter(audit.verdict for audit in audits))


def _of_disjoint(
    audits: Sequence[Audit],
) -> tuple[int, dict[str, int], dict[str, int], Interval, Interval]:
    verdicts = _counted(audits)
    harms: dict[str, int] = dict(Counter(audit.harm for audit in audits if audit.harm is not None))
    exact = [share(verdicts.get(verdict, 0), len(audits)) for verdict in VERDICTS[:2]]
    return len(audits), verdicts, harms, exact[0], exact[1]


def _of_drawn(pools: Sequence[Drawn], confidence: float = 0.95) -> DrawnRates:
    """Means over pools that share no pair, so that the squares of their errors add up; of those that have
    enough pairs for an audit."""
    drawn = [one for one in pools if one.audits]
    if not drawn:
        return DrawnRates(NOTHING, NOTHING, NOTHING, NOTHING.value)
    quantile = float(stats.norm.ppf((1 + confidence) / 2))
    shares = []
    for verdict in VERDICTS:
        value = float(np.mean([one.says(verdict).mean() for one in drawn]))
        margin = quantile * float(np.linalg.norm([one.error(verdict) for one in drawn])) / len(drawn)
        low, high = np.clip([value - margin, value + margin], 0, 1)
        shares.append(Interval(value, float(low), float(high)))
    relies, does_not_rely, inconclusive = shares
    pairs = float(np.mean([one.mean_pairs for one in drawn]))
    return DrawnRates(relies, does_not_rely, inconclusive, pairs)
