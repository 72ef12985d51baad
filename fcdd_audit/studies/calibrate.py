"""The audit, audited: how often is the verdict right where the truth is known?

To say "relies" should be right where the artifact was planted on one side. It is a false alarm where the
twins differ by something else: the artifact at the same rate on both sides, another artifact, or nothing but
their seeds. But what was planted need not be learned, and a detector that learned one mark may fear every
mark. So the truth is measured too: the mean reliance over all seeds of all audits of a kind.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.config.calibrated import AUDITS, DECOYS, NULLS
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.files import check_writable
from fcdd_audit.core.versions import versions
from fcdd_audit.designs.twins.conditions import conditions
from fcdd_audit.designs.twins.plan import check_trainable, learned_side
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.edits.plant import planted_count
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import device_name
from fcdd_audit.experiment.engines import finish_all
from fcdd_audit.experiment.reading import read_cell
from fcdd_audit.experiment.setup import AS_IS, Setup, prepare
from fcdd_audit.experiment.work import Work
from fcdd_audit.experiment.writer import RunWriter
from fcdd_audit.measures.reliance import Scores, drop, reliance
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import make_probe
from fcdd_audit.studies.error_rates import SCHEMA
from fcdd_audit.studies.rates import Outcome, Rate, rates
from fcdd_audit.studies.trials import NULL_PREVALENCE, Drawing, Trial, all_trials
from fcdd_audit.verdict.findings import Evidence, Finding, without_nan
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.thresholds import Thresholds

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
class CalibrationResult:
    """What a calibration found, and where it is written."""

    folder: Path
    rates: list[Rate]
    description: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {**self.description, "rates": [without_nan(asdict(rate)) for rate in self.rates]}


def calibrate(calibration: Calibration, quiet: bool = True) -> CalibrationResult:
    """Run all audits and write `calibration.folder`: calibration.json and calibration.csv (one row an audit).

    Goes on where an interrupted calibration was. Progress goes to stderr unless `quiet`. InputError for what
    can't be audited, RunError for what fails on the way.
    """
    config = calibration.audit
    folder = RunWriter.at(calibration.folder, config.run.store)
    check_writable(folder.path)
    check_writable(folder.store.path, "--store")
    classes = config.nominal_classes()
    if len(classes) > 1:
        raise InputError(f"{len(classes)} nominal classes can't be calibrated together; name one")
    setup = prepare(config, classes[0], progress=not quiet)
    decoys = {name: make_probe(name, config.options) for name in calibration.decoys}
    plantable = {**setup.plantable, **decoys}
    setup = replace(setup, explainers=(), explained=None, sanity=0, plantable=plantable)
    check_trainable(config, setup)
    planned = [
        trial for detector in config.detector.detectors for trial in trials(calibration, setup, detector)
    ]
    with folder.opened():
        cells = dict.fromkeys(cell for trial in planned for cell in (*trial.control, *trial.planted))
        works = [Work(cell) for cell in cells]
        finished = finish_all(works, setup, folder.store, config.run.workers, quiet)
        scores = {
            work.cell: read_cell(work, setup, folder.store).scores
            for work in works
            if work.cell not in finished.failures
        }
        whole = [trial for trial in planned if {*trial.control, *trial.planted} <= scores.keys()]
        if not whole:
            raise RunError(f"no audit is complete: {next(iter(finished.failures.values()))}")
        outcomes = [_outcome(trial, setup, scores, config.design.thresholds) for trial in whole]
        described = {**_describe(calibration, setup), "incomplete": len(planned) - len(whole)}
        result = CalibrationResult(folder.path, rates(outcomes, config.design.thresholds), described)
        with folder.replacing() as draft:
            draft.write_table("calibration.csv", pd.DataFrame([outcome.row() for outcome in outcomes]))
            draft.write_json("calibration.json", result.as_json())
        return result


def trials(calibration: Calibration, setup: Setup, detector: str) -> list[Trial]:
    """All audits of a detector, the most telling first. InputError for what can't be learned or planted."""
    config = calibration.audit
    plant_on = learned_side(detector, config.artifact.plant_on)
    side = DIRECTIONS[plant_on].side
    if side not in DETECTORS[detector].learns_from:
        raise InputError(
            f"{detector} never sees {side} images in training, so nothing planted there can be calibrated; "
            "drop --plant-on"
        )
    for prevalence in (*config.artifact.prevalence, *NULL_PREVALENCE):  # says what would plant nothing
        planted_count(len(setup.training[AS_IS].of(side)), prevalence)
    return all_trials(
        Drawing(
            detector=detector,
            probe=config.artifact.probe,
            decoys=calibration.decoys,
            plant_on=plant_on,
            prevalences=config.artifact.prevalence,
            audits=calibration.audits,
            nulls=calibration.nulls,
            seeds=calibration.seeds,
        )
    )


def _outcome(trial: Trial, setup: Setup, scores: dict[Cell, Scores], limits: Thresholds) -> Outcome:
    planted, control = ([scores[cell] for cell in cells] for cells in (trial.planted, trial.control))
    return Outcome(
        trial,
        verdict_on(trial, setup, planted, control, limits),
        reliance(planted, control, trial.plant_on),
        np.array([drop(one, trial.plant_on) for one in planted]),
    )


def verdict_on(
    trial: Trial, setup: Setup, planted: list[Scores], control: list[Scores], limits: Thresholds
) -> Finding:
    """What an audit of these twins alone says."""
    evidence = Evidence(
        dataset=setup.data.name,
        nominal_class=setup.data.nominal_class,
        detector=trial.detector,
        probe=setup.probe,
        plant_on=trial.plant_on,
        prevalence=trial.prevalence,
        images=sum(map(len, control[0].split("clean", trial.plant_on))),
        planted=planted,
        control=control,
        overlaps={},
        chance={},
    )
    return judge([evidence], limits)[0]


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
