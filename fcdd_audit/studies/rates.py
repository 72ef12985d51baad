"""How often audits whose truth is known say what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fcdd_audit.measures.statistics import Interval, mean_interval, share
from fcdd_audit.studies.trials import Trial
from fcdd_audit.studies.truths import TRUTHS
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.thresholds import Thresholds

ANY_NULL = "any-null"
NOTHING = Interval(float("nan"), float("nan"), float("nan"))
Kind = tuple[str, str, float | None]  # truth, decoy, prevalence


@dataclass(frozen=True)
class Rate:
    """How often audits of one kind gave each verdict.

    truth: an entry of TRUTHS, or `any-null` for all nulls together. label: the same in words. null: whether
    "relies" would be a false alarm. decoy: the other artifact that was planted, or "". prevalence: None where
    nothing is planted, or for all nulls together. says_relies: the share of audits that did, with its exact
    95 % interval: sensitivity where the artifact was planted, else false alarms.

    reliance, drop: mean over the seeds of all these audits, of the reliance and of the planted twin's own
    drop, with Student's t interval: what the verdicts are about. NaN for `any-null`, which mixes several, and
    for truths that aren't `measured`: the mean over a ring of controls is 0 by construction. relied_on:
    whether both are over the threshold (`yes`), one of them is under it (`no`), or it isn't clear
    (`unclear`), by these intervals. carries_over: another artifact was learned and is taken for the probed
    one, so that these audits aren't counted in `any-null`.
    """

    detector: str
    truth: str
    label: str
    null: bool
    decoy: str
    prevalence: float | None
    audits: int
    verdicts: dict[str, int]
    says_relies: Interval
    reliance: Interval
    drop: Interval
    relied_on: Literal["yes", "no", "unclear"]
    carries_over: bool


@dataclass(frozen=True)
class Outcome:
    """What an audit says, and each of its seeds' reliance and planted twin's drop, both (seeds,)."""

    trial: Trial
    finding: Finding
    reliance: np.ndarray
    drop: np.ndarray

    def row(self) -> dict[str, Any]:
        """A row of calibration.csv."""
        trial, finding = self.trial, self.finding
        return {
            "detector": trial.detector,
            "truth": trial.truth,
            "decoy": trial.decoy,
            "prevalence": trial.prevalence,
            "first_seed": trial.control[0].seed,
            "seeds": len(trial.control),
            "verdict": finding.verdict,
            **{f"reliance_{name}": value for name, value in asdict(finding.reliance or NOTHING).items()},
            "control_auroc": finding.control_auroc,
            "planted_auroc": finding.planted_auroc,
            "reason": finding.reason or "",
        }


def rates(outcomes: Sequence[Outcome], limits: Thresholds) -> list[Rate]:
    """By detector: sensitivity of each prevalence, false alarms of each kind of null and of all together."""
    found = []
    for detector in dict.fromkeys(outcome.trial.detector for outcome in outcomes):
        groups: dict[Kind, list[Outcome]] = {}
        for outcome in outcomes:
            trial = outcome.trial
            if trial.detector == detector:
                prevalence = trial.prevalence if TRUTHS[trial.truth].measured else None
                groups.setdefault((trial.truth, trial.decoy, prevalence), []).append(outcome)
        planted = sorted((key for key in groups if not TRUTHS[key[0]].null), key=lambda key: key[2] or 0)
        nulls = [key for key in groups if TRUTHS[key[0]].null]
        mine = {key: _rate(detector, key, groups[key], limits) for key in (*planted, *nulls)}
        counted = [outcome for key in nulls if not mine[key].carries_over for outcome in groups[key]]
        found += [*mine.values(), _rate(detector, (ANY_NULL, "", None), counted, limits)]
    return found


def _rate(detector: str, kind: Kind, outcomes: list[Outcome], limits: Thresholds) -> Rate:
    name, decoy, prevalence = kind
    truth = None if name == ANY_NULL else TRUTHS[name]
    verdicts: dict[str, int] = dict(Counter(outcome.finding.verdict for outcome in outcomes))
    pooled = own = NOTHING
    if outcomes and truth is not None and truth.measured:
        pooled = mean_interval(np.concatenate([outcome.reliance for outcome in outcomes]), limits.confidence)
        own = mean_interval(np.concatenate([outcome.drop for outcome in outcomes]), limits.confidence)
    relied_on: Literal["yes", "no", "unclear"] = "unclear"
    if min(pooled.low, own.low) > limits.reliance:
        relied_on = "yes"
    elif min(pooled.high, own.high) < limits.reliance:
        relied_on = "no"
    shown = "" if prevalence is None else f" on {100 * prevalence:.3g} %"
    return Rate(
        detector,
        name,
        "all nulls together" if truth is None else truth.label.format(share=shown, decoy=decoy),
        truth is None or truth.null,
        decoy,
        prevalence,
        len(outcomes),
        verdicts,
        share(verdicts.get("relies", 0), len(outcomes)),
        pooled,
        own,
        relied_on,
        carries_over=truth is not None and truth.may_carry_over and relied_on == "yes",
    )
