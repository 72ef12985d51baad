"""The audit, audited: how often is the verdict right where the truth is known?

To say "relies" should be right where the artifact was planted on one side. It is a false alarm where the
twins differ by something else: the artifact at the same rate on both sides, another artifact, or nothing but
their seeds. But what was planted need not be learned, and a detector that learned one mark may fear every
mark. So the truth is measured too: the mean reliance over all seeds of all audits of a kind.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fcdd_audit.auditing import versions
from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.config.calibrated import AUDITS, DECOYS, NULLS
from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.edits.directions import AUTO, DIRECTIONS
from fcdd_audit.experiment.cells import Cell, Setup, cell_key, device_name
from fcdd_audit.experiment.engines import finish_cells
from fcdd_audit.experiment.planning import check_trainable, prepare
from fcdd_audit.experiment.store import RunFolder
from fcdd_audit.measures.reliance import Scores, drop, reliance
from fcdd_audit.measures.statistics import Interval, mean_interval, share
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import make_probe, planted_count
from fcdd_audit.report.figures import rates_figure
from fcdd_audit.studies.error_rates import SCHEMA, conditions
from fcdd_audit.verdict.findings import Evidence, Finding, without_nan
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.thresholds import Thresholds

Twin = tuple[Cell, str]  # and its decoy, or ""
Truth = Literal["planted", "both-sides", "other-artifact", "unrelated-seeds"]

NULL_PREVALENCE = (0.2, 1.0)  # of nulls in which something is planted, in turn
ANY_NULL = "any-null"
FIRST_SEED = 10_000  # far from those of audits


@dataclass(frozen=True)
class Calibration:
    """What is to be calibrated: the audit's data, recipe, probe, detectors, prevalences, seeds, thresholds.

    audits: with the artifact planted, for each detector and prevalence. nulls: of each kind in which
    something is planted; those that compare controls are as many as the controls allow. decoys: what is
    planted as the other artifact, in turn; their options are the audit's. InputError for what can't be.
    """

    audit: AuditConfig
    audits: int = AUDITS
    nulls: int = NULLS
    decoys: tuple[str, ...] = DECOYS

    def __post_init__(self) -> None:
        for name in ("audits", "nulls"):
            if getattr(self, name) < 2:
                raise InputError(f"{name} is {getattr(self, name)}; at least 2 are needed")
        if self.audit.detector.weights is not None:
            raise InputError("a calibration trains its detectors; drop --weights")
        probe, design = self.audit.artifact.probe, self.audit.design
        if probe in NATURAL:
            raise InputError(
                f"'{probe}' is found on images and can't be planted, so it can't be calibrated; "
                "use an artifact that can"
            )
        if not self.decoys or len(set(self.decoys)) < len(self.decoys):
            raise InputError("decoys must be named, each once; name them with --decoy")
        if probe in self.decoys:
            raise InputError(f"the decoy is '{probe}', which is what is probed; name another with --decoy")
        if 0 in self.audit.artifact.prevalence:
            raise InputError("at prevalence 0 nothing is planted; drop it from --prevalence")
        if design.seeds < design.thresholds.min_seeds:
            raise InputError(
                f"seeds is {design.seeds}; fewer than {design.thresholds.min_seeds} give no verdict"
            )
        for decoy in self.decoys:
            if decoy in NATURAL:
                raise InputError(
                    f"the decoy '{decoy}' is found on images and can't be planted; name another with --decoy"
                )
            make_probe(decoy, self.audit.options)

    @property
    def folder(self) -> Path:
        """Where its cells and results are."""
        return self.audit.run.out / (self.audit.run.name or f"calibration-{self.audit.run_name}")

    def seeds(self, index: int) -> range:
        """Those of an audit: no pair of twins is used by two audits of a kind."""
        first = FIRST_SEED + index * self.audit.design.seeds
        return range(first, first + self.audit.design.seeds)


@dataclass(frozen=True)
class Trial:
    """One audit whose truth is known: pairs of twins by seed.

    decoy: what is planted in place of the artifact, or "".
    """

    detector: str
    truth: Truth
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...]
    control: tuple[Cell, ...]
    decoy: str = ""


@dataclass(frozen=True)
class Rate:
    """How often audits of one kind gave each verdict.

    truth: `any-null` for all nulls together. decoy: the other artifact that was planted, or "". prevalence:
    None where nothing is planted, or for all nulls together. says_relies: the share of audits that did, with
    its exact 95 % interval: sensitivity where the artifact was planted, else false alarms.

    reliance, drop: mean over the seeds of all these audits, of the reliance and of the planted twin's own
    drop, with Student's t interval: what the verdicts are about. NaN for `any-null`, which mixes several, and
    for `unrelated-seeds`, where the mean over the ring of controls is 0 by construction. relied_on: whether
    both are over the threshold (`yes`), one of them is under it (`no`), or it isn't clear (`unclear`), by
    these intervals. Another artifact that is learned and carries over to the probed one is no null: such
    audits aren't counted in `any-null`.
    """

    detector: str
    truth: str
    decoy: str
    prevalence: float | None
    audits: int
    verdicts: dict[str, int]
    says_relies: Interval
    reliance: Interval
    drop: Interval
    relied_on: Literal["yes", "no", "unclear"]


@dataclass(frozen=True)
class CalibrationResult:
    """What a calibration found, and where it is written."""

    folder: Path
    rates: list[Rate]
    description: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {**self.description, "rates": [without_nan(asdict(rate)) for rate in self.rates]}


def calibrate(calibration: Calibration, quiet: bool = True) -> CalibrationResult:
    """Run all audits and write `calibration.folder`: calibration.json, calibration.csv (one row an audit) and
    calibration.svg.

    Goes on where an interrupted calibration was. Progress goes to stderr unless `quiet`. InputError for what
    can't be audited, RunError for what fails on the way.
    """
    config = calibration.audit
    run = RunFolder(calibration.folder)
    run.check_writable()
    classes = config.nominal_classes()
    if len(classes) > 1:
        raise InputError(f"{len(classes)} nominal classes can't be calibrated together; name one")
    setup = replace(prepare(config, classes[0], progress=not quiet), explainers=())
    check_trainable(config, setup)
    planned = [
        trial for detector in config.detector.detectors for trial in trials(calibration, setup, detector)
    ]
    with run.opened():
        scores: dict[Twin, Scores] = {}
        for decoy in ("", *calibration.decoys):
            mine = [trial for trial in planned if trial.decoy == decoy]
            probed = replace(setup, decoy=make_probe(decoy, config.options) if decoy else None)
            cells = list(dict.fromkeys(cell for trial in mine for cell in (*trial.control, *trial.planted)))
            finish_cells(cells, probed, run, config.run.workers, quiet)
            scores |= {
                (cell, decoy if cell.decoy else ""): run.read_cell(cell_key(cell, probed)).scores
                for cell in cells
            }
        outcomes = [_outcome(trial, scores, config.design.thresholds) for trial in planned]
        found_rates = rates(outcomes, config.design.thresholds)
        result = CalibrationResult(run.path, found_rates, _describe(calibration, setup))
        found = result.as_json()
        table = pd.DataFrame([outcome.row() for outcome in outcomes])
        run.write_text("calibration.csv", table.to_csv(index=False, lineterminator="\n"))
        run.write_text("calibration.svg", rates_figure(found["rates"], "rates"))
        run.write_text("calibration.json", json.dumps(found, indent=1) + "\n")
        return result


def trials(calibration: Calibration, setup: Setup, detector: str) -> list[Trial]:
    """All audits of a detector, the most telling first.

    A detector that learns from one side only gets none of `both-sides`: for it that is a cue. Those of
    `unrelated-seeds` compare two controls; each is the planted one of one audit and the control of another.
    """
    learns_from = DETECTORS[detector].learns_from
    side = calibration.audit.artifact.plant_on
    if side == AUTO:
        side = "anomalous" if "anomalous" in learns_from else "nominal"
    if DIRECTIONS[side].side not in learns_from:
        raise InputError(
            f"{detector} never sees {DIRECTIONS[side].side} images in training, so nothing planted there can "
            "be calibrated; drop --plant-on"
        )
    for prevalence in (
        *calibration.audit.artifact.prevalence,
        *NULL_PREVALENCE,
    ):  # says what would plant nothing
        planted_count(len(setup.data.parts()[f"train_{DIRECTIONS[side].side}"]), prevalence)
    identity = (
        calibration.audit.data.dataset,
        setup.data.nominal_class,
        detector,
        calibration.audit.artifact.probe,
    )

    def control(index: int) -> tuple[Cell, ...]:
        return tuple(Cell(*identity, "control", seed) for seed in calibration.seeds(index))

    def planted(index: int, plant_on: str, prevalence: float, decoy: bool = False) -> tuple[Cell, ...]:
        return tuple(
            Cell(*identity, "planted", seed, plant_on, prevalence, decoy) for seed in calibration.seeds(index)
        )

    def with_artifact(prevalence: float) -> Iterator[Trial]:
        for index in range(calibration.audits):
            twins = planted(index, side, prevalence)
            yield Trial(detector, "planted", side, prevalence, twins, control(index))

    def nulls() -> Iterator[Trial]:
        controls = max(calibration.audits, calibration.nulls)
        for index in range(controls):
            twins = control((index + 1) % controls)
            yield Trial(detector, "unrelated-seeds", side, 0.0, twins, control(index))
        for index in range(calibration.nulls):
            prevalence = NULL_PREVALENCE[index % len(NULL_PREVALENCE)]
            if len(learns_from) > 1:
                twins = planted(index, "both", prevalence)
                yield Trial(detector, "both-sides", side, prevalence, twins, control(index))
            for decoy in calibration.decoys:
                twins = planted(index, side, prevalence, decoy=True)
                yield Trial(detector, "other-artifact", side, prevalence, twins, control(index), decoy)

    highest, *lower = sorted(calibration.audit.artifact.prevalence, reverse=True)
    return [
        *with_artifact(highest),
        *nulls(),
        *(trial for prevalence in lower for trial in with_artifact(prevalence)),
    ]


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
        reliance = finding.reliance or Interval(float("nan"), float("nan"), float("nan"))
        return {
            "detector": trial.detector,
            "truth": trial.truth,
            "decoy": trial.decoy,
            "prevalence": trial.prevalence,
            "first_seed": trial.control[0].seed,
            "seeds": len(trial.control),
            "verdict": finding.verdict,
            **{f"reliance_{name}": value for name, value in asdict(reliance).items()},
            "control_auroc": finding.control_auroc,
            "planted_auroc": finding.planted_auroc,
            "reason": finding.reason or "",
        }


def _outcome(trial: Trial, scores: dict[Twin, Scores], limits: Thresholds) -> Outcome:
    planted = [scores[twin, trial.decoy if twin.decoy else ""] for twin in trial.planted]
    control = [scores[twin, ""] for twin in trial.control]
    return Outcome(
        trial,
        verdict_on(trial, planted, control, limits),
        reliance(planted, control, trial.plant_on),
        np.array([drop(one, trial.plant_on) for one in planted]),
    )


def verdict_on(trial: Trial, planted: list[Scores], control: list[Scores], limits: Thresholds) -> Finding:
    """What an audit of these twins alone says."""
    cell = trial.control[0]
    evidence = Evidence(
        dataset=cell.dataset,
        nominal_class=cell.nominal_class,
        detector=trial.detector,
        probe=cell.probe,
        plant_on=trial.plant_on,
        prevalence=trial.prevalence,
        images=sum(map(len, control[0].split("clean", trial.plant_on))),
        planted=planted,
        control=control,
        overlaps={},
        chance={},
    )
    return judge([evidence], limits)[0]


def rates(outcomes: Sequence[Outcome], limits: Thresholds) -> list[Rate]:
    """By detector: sensitivity of each prevalence, false alarms of each kind of null and of all together."""
    found = []
    for detector in dict.fromkeys(outcome.trial.detector for outcome in outcomes):
        groups: dict[tuple[str, str, float | None], list[Outcome]] = {}
        for outcome in outcomes:
            trial = outcome.trial
            if trial.detector == detector:
                prevalence = None if trial.truth == "unrelated-seeds" else trial.prevalence
                groups.setdefault((trial.truth, trial.decoy, prevalence), []).append(outcome)
        planted = sorted((key for key in groups if key[0] == "planted"), key=lambda key: key[2] or 0)
        nulls = [key for key in groups if key[0] != "planted"]
        mine = [_rate(detector, key, groups[key], limits) for key in (*planted, *nulls)]
        counted = [
            outcome
            for rate, key in zip(mine[len(planted) :], nulls, strict=True)
            if not carries_over(rate.truth, rate.relied_on)
            for outcome in groups[key]
        ]
        found += [*mine, _rate(detector, (ANY_NULL, "", None), counted, limits)]
    return found


def carries_over(truth: str, relied_on: str) -> bool:
    """Whether the other artifact that was planted is taken for the probed one."""
    return truth == "other-artifact" and relied_on == "yes"


def _rate(
    detector: str, key: tuple[str, str, float | None], outcomes: list[Outcome], limits: Thresholds
) -> Rate:
    verdicts: dict[str, int] = dict(Counter(outcome.finding.verdict for outcome in outcomes))
    if outcomes and key[0] not in ("unrelated-seeds", ANY_NULL):
        pooled = mean_interval(np.concatenate([outcome.reliance for outcome in outcomes]), limits.confidence)
        own = mean_interval(np.concatenate([outcome.drop for outcome in outcomes]), limits.confidence)
    else:
        pooled = own = Interval(float("nan"), float("nan"), float("nan"))
    relied_on: Literal["yes", "no", "unclear"] = "unclear"
    if min(pooled.low, own.low) > limits.reliance:
        relied_on = "yes"
    elif min(pooled.high, own.high) < limits.reliance:
        relied_on = "no"
    hits = share(verdicts.get("relies", 0), len(outcomes))
    return Rate(detector, *key, len(outcomes), verdicts, hits, pooled, own, relied_on)


def _describe(calibration: Calibration, setup: Setup) -> dict[str, Any]:
    """What the rates hold for."""
    config = calibration.audit
    return {
        "schema": SCHEMA,
        **conditions(config, setup),
        "fingerprint": setup.fingerprint,
        "decoys": {name: repr(make_probe(name, config.options)) for name in calibration.decoys},
        "audits": calibration.audits,
        "nulls": calibration.nulls,
        "versions": versions(),
        "device": device_name(setup.device),
    }
