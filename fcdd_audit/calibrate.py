"""The audit, audited: how often is the verdict right where the truth is known?

To say "relies" is right where the artifact was planted on one side. It is a false alarm where the twins
differ by something else: the artifact at the same rate on both sides, another artifact, or nothing but their
seeds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fcdd_audit.audit import versions
from fcdd_audit.cells import Cell, Setup, cell_key, device_name, precision_of
from fcdd_audit.config import AuditConfig
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.engines import finish_cells
from fcdd_audit.errors import InputError
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Interval, share
from fcdd_audit.planning import check_trainable, prepare
from fcdd_audit.probes import make_probe
from fcdd_audit.report.figures import error_rates
from fcdd_audit.runs import RunFolder
from fcdd_audit.verdict import Evidence, Finding, Thresholds, judge

Truth = Literal["planted", "both-sides", "other-artifact", "unrelated-seeds"]

SCHEMA = 1  # of calibration.json
PREVALENCE = (0.05, 0.2, 1.0)  # by default
ANY_NULL = "any-null"
FIRST_SEED = 10_000  # far from those of audits


@dataclass(frozen=True)
class Calibration:
    """What is to be calibrated: the audit's data, recipe, probe, detectors, prevalences, seeds, thresholds.

    audits: with the artifact planted, for each detector and prevalence. nulls: of each kind. decoy: what is
    planted as the other artifact; its options are the audit's. InputError for what can't be.
    """

    audit: AuditConfig
    audits: int = 20
    nulls: int = 14
    decoy: str = "patch"

    def __post_init__(self) -> None:
        for name in ("audits", "nulls"):
            if getattr(self, name) < 2:
                raise InputError(f"{name} is {getattr(self, name)}; at least 2 are needed")
        if self.audit.weights is not None:
            raise InputError("a calibration trains its detectors; drop --weights")
        if self.decoy == self.audit.probe:
            raise InputError(
                f"the decoy is '{self.decoy}', which is what is probed; name another with --decoy"
            )
        if 0 in self.audit.prevalence:
            raise InputError("at prevalence 0 nothing is planted; drop it from --prevalence")
        if self.audit.seeds < self.audit.thresholds.min_seeds:
            raise InputError(
                f"seeds is {self.audit.seeds}; fewer than {self.audit.thresholds.min_seeds} give no verdict"
            )
        make_probe(self.decoy, self.audit.options)

    @property
    def folder(self) -> Path:
        """Where its cells and results are."""
        return self.audit.out / (self.audit.name or f"calibration-{self.audit.run_name}")

    def seeds(self, index: int) -> range:
        """Those of an audit: no pair of twins is used by two audits of a kind."""
        first = FIRST_SEED + index * self.audit.seeds
        return range(first, first + self.audit.seeds)


@dataclass(frozen=True)
class Trial:
    """One audit whose truth is known: pairs of twins by seed."""

    detector: str
    truth: Truth
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...]
    control: tuple[Cell, ...]


@dataclass(frozen=True)
class Rate:
    """How often audits of one kind gave each verdict.

    truth: `any-null` for all nulls together. prevalence: None for nulls. says_relies: the share of audits
    that did, with its exact 95 % interval: sensitivity where the artifact was planted, else false alarms.
    """

    detector: str
    truth: str
    prevalence: float | None
    audits: int
    verdicts: dict[str, int]
    says_relies: Interval


@dataclass(frozen=True)
class CalibrationResult:
    """What a calibration found, and where it is written."""

    folder: Path
    rates: list[Rate]
    description: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {**self.description, "rates": [asdict(rate) for rate in self.rates]}


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
    setup = replace(
        prepare(config, classes[0], progress=not quiet),
        explainers=(),
        decoy=make_probe(calibration.decoy, config.options),
    )
    check_trainable(config, setup)
    planned = [trial for detector in config.detectors for trial in trials(calibration, setup, detector)]
    cells = list(dict.fromkeys(cell for trial in planned for cell in (*trial.control, *trial.planted)))
    with run.opened():
        finish_cells(cells, setup, run, config.workers, quiet)
        scores = {cell: run.read_cell(cell_key(cell, setup)).scores for cell in cells}
        outcomes = pd.DataFrame([_outcome(trial, scores, config.thresholds) for trial in planned])
        result = CalibrationResult(run.path, rates(outcomes), _describe(calibration, setup))
        found = result.as_json()
        run.write_text("calibration.csv", outcomes.to_csv(index=False, lineterminator="\n"))
        run.write_text("calibration.svg", error_rates(found["rates"], "rates"))
        run.write_text("calibration.json", json.dumps(found, indent=1) + "\n")
        return result


def trials(calibration: Calibration, setup: Setup, detector: str) -> list[Trial]:
    """All audits of a detector.

    Nulls with a planted artifact take the prevalences in turn. A detector that learns from one side only gets
    none of `both-sides`: for it that is a cue. Those of `unrelated-seeds` compare two controls; each is the
    planted twin of one audit and the control of the next.
    """
    learns_from = DETECTORS[detector].learns_from
    side = "anomalous" if "anomalous" in learns_from else "nominal"
    identity = (setup.data.name, setup.data.nominal_class, detector, calibration.audit.probe)
    prevalences = calibration.audit.prevalence

    def control(index: int) -> tuple[Cell, ...]:
        return tuple(Cell(*identity, "control", seed) for seed in calibration.seeds(index))

    def planted(index: int, plant_on: str, prevalence: float, decoy: bool = False) -> tuple[Cell, ...]:
        return tuple(
            Cell(*identity, "planted", seed, plant_on, prevalence, decoy) for seed in calibration.seeds(index)
        )

    def all_trials() -> Iterator[Trial]:
        for prevalence in prevalences:
            for index in range(calibration.audits):
                twins = planted(index, side, prevalence)
                yield Trial(detector, "planted", side, prevalence, twins, control(index))
        for index in range(calibration.nulls):
            prevalence = prevalences[index % len(prevalences)]
            if len(learns_from) > 1:
                twins = planted(index, "both", prevalence)
                yield Trial(detector, "both-sides", side, prevalence, twins, control(index))
            twins = planted(index, side, prevalence, decoy=True)
            yield Trial(detector, "other-artifact", side, prevalence, twins, control(index))
            twins = control((index + 1) % calibration.nulls)
            yield Trial(detector, "unrelated-seeds", side, 0.0, twins, control(index))

    return list(all_trials())


def _outcome(trial: Trial, scores: dict[Cell, Scores], limits: Thresholds) -> dict[str, Any]:
    """A row of calibration.csv: what the audit says."""
    finding = verdict_on(trial, scores, limits)
    reliance = finding.reliance or Interval(float("nan"), float("nan"), float("nan"))
    return {
        "detector": trial.detector,
        "truth": trial.truth,
        "prevalence": trial.prevalence,
        "first_seed": trial.control[0].seed,
        "seeds": len(trial.control),
        "verdict": finding.verdict,
        **{f"reliance_{name}": value for name, value in asdict(reliance).items()},
        "control_auroc": finding.control_auroc,
        "planted_auroc": finding.planted_auroc,
        "reason": finding.reason or "",
    }


def verdict_on(trial: Trial, scores: dict[Cell, Scores], limits: Thresholds) -> Finding:
    """What an audit of these twins alone says."""
    cell = trial.control[0]
    planted, control = ([scores[twin] for twin in twins] for twins in (trial.planted, trial.control))
    evidence = Evidence(
        dataset=cell.dataset,
        nominal_class=cell.nominal_class,
        detector=trial.detector,
        probe=cell.probe,
        plant_on=trial.plant_on,
        prevalence=trial.prevalence,
        images=len(control[0].nominal_clean) + len(control[0].anomalous_clean),
        planted=planted,
        control=control,
        overlaps={},
        chance={},
    )
    return judge([evidence], limits)[0]


def rates(outcomes: pd.DataFrame) -> list[Rate]:
    """By detector: sensitivity of each prevalence, false alarms of each kind of null and of all together.

    outcomes: one row an audit, with detector, truth, prevalence and verdict.
    """
    found = []
    for detector, mine in outcomes.groupby("detector", sort=False):
        planted, nulls = mine[mine["truth"] == "planted"], mine[mine["truth"] != "planted"]
        groups: list[tuple[str, float | None, pd.DataFrame]] = [
            ("planted", float(prevalence), planted[planted["prevalence"] == prevalence])
            for prevalence in sorted(planted["prevalence"].unique())
        ]
        groups += [(str(truth), None, rows) for truth, rows in nulls.groupby("truth", sort=False)]
        groups.append((ANY_NULL, None, nulls))
        for truth, prevalence, rows in groups:
            verdicts = dict(Counter(rows["verdict"]))
            hits = share(verdicts.get("relies", 0), len(rows))
            found.append(Rate(str(detector), truth, prevalence, len(rows), verdicts, hits))
    return found


def _describe(calibration: Calibration, setup: Setup) -> dict[str, Any]:
    """What the rates hold for."""
    config = calibration.audit
    return {
        "schema": SCHEMA,
        "dataset": setup.data.name,
        "nominal_class": setup.data.nominal_class,
        "shape": list(setup.data.shape),
        "images": {part: len(images) for part, images in setup.data.parts().items()},
        "fingerprint": setup.fingerprint,
        "probe": repr(setup.probe),
        "decoy": repr(setup.decoy),
        "seeds": config.seeds,
        "audits": calibration.audits,
        "nulls": calibration.nulls,
        "recipe": asdict(config.recipe),
        "options": {name: dict(options) for name, options in config.options.items()},
        "thresholds": asdict(config.thresholds),
        "versions": versions(),
        "device": {"name": device_name(setup.device), "precision": precision_of(config.recipe, setup.device)},
    }
