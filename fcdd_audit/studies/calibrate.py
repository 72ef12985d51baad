"""The audit, audited: how often is the verdict right where the truth is known?

To say "relies" should be right where the artifact was planted on one side. It is a false alarm where the
twins differ by something else: the artifact at the same rate on both sides, another artifact, or nothing but
their seeds. But what was planted need not be learned, and a detector that learned one mark may fear every
mark. So the truth is measured too: means over a pool of pairs, many more than one audit has. Audits are drawn
from the same pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.config.calibrated import DECOYS, NULL_PAIRS, PAIRS
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
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.reading import read_cell
from fcdd_audit.experiment.setup import AS_IS, Setup, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Work
from fcdd_audit.experiment.writer import RunWriter
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import make_probe
from fcdd_audit.studies.drawing import DRAWS
from fcdd_audit.studies.error_rates import SCHEMA
from fcdd_audit.studies.planning import BLOCK, NULL_PREVALENCE, Condition, Planner, all_conditions
from fcdd_audit.studies.pool import Numbers, joined, pair_rows, pools, twin_numbers, with_derived
from fcdd_audit.studies.rates import Rate, rates
from fcdd_audit.verdict.findings import without_nan

TOGETHER = 16  # pairs whose twins may be trained in one step


@dataclass(frozen=True)
class Calibration:
    """What is to be calibrated: the audit's data, recipe, probe, detectors, prevalences, looks, thresholds.

    pairs: of twins with the artifact planted, for each detector and prevalence. null_pairs: for each detector
    and null. decoys: what is planted as the other artifact; their options are the audit's. draws: how many
    audits are drawn from each pool. InputError for what can't be.
    """

    audit: AuditConfig
    pairs: int = PAIRS
    null_pairs: int = NULL_PAIRS
    decoys: tuple[str, ...] = DECOYS
    draws: int = DRAWS

    def __post_init__(self) -> None:
        if self.audit.detector.weights is not None:
            raise InputError("a calibration trains its detectors; drop --weights")
        artifact, design = self.audit.artifact, self.audit.design
        if len(artifact.probes) > 1 or len(artifact.plant_on) > 1 or artifact.together:
            raise InputError(
                "a calibration is of one artifact on one side; name one with --probe and one with "
                "--plant-on, and drop --together"
            )
        probe = artifact.probe
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
        if design.most_pairs < design.thresholds.min_seeds:
            raise InputError(
                f"an audit has {design.most_pairs} pairs; fewer than {design.thresholds.min_seeds} give no "
                "verdict"
            )
        for flag, count in (("--pairs", self.pairs), ("--null-pairs", self.null_pairs)):
            if not design.most_pairs <= count <= BLOCK:
                raise InputError(
                    f"{flag} is {count}; it must be at least {design.most_pairs}, the pairs that one audit "
                    f"may need, and at most {BLOCK}"
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
    """Train all pairs and write `calibration.folder`: calibration.json and calibration.csv (the pool).

    Goes on where an interrupted calibration was. Progress goes to stderr unless `quiet`. InputError for what
    can't be audited, RunError for what fails on the way.
    """
    config = calibration.audit
    folder = RunWriter.at(calibration.folder, config.run.store)
    check_writable(folder.path)
    check_writable(folder.store.path, "--store")
    setup = calibration_setup(calibration, quiet)
    planned = conditions_of(calibration, setup)
    with folder.opened():
        cells = dict.fromkeys(cell for one in planned for pair in one.pairs for cell in pair)
        works = [Work(cell) for cell in cells]
        with engaged(config.run, folder.store, quiet) as finisher:
            finished = finisher.finish_all(works, setup)
        whole = [work for work in works if work.cell not in finished.failures]
        numbers = cell_numbers(whole, planned, setup, folder.store, calibration)
        table = joined([pair_rows(one, numbers, setup.data.name) for one in planned])
        if table.empty:
            raise RunError(f"no pair is complete: {next(iter(finished.failures.values()))}")
        missing = sum(not {*pair} <= numbers.keys() for one in planned for pair in one.pairs)
        table = with_derived(table)
        description = {**describe(calibration, setup), "incomplete": missing}
        result = CalibrationResult(folder.path, rates_of(table, calibration), description)
        with folder.replacing() as draft:
            draft.write_table("calibration.csv", table)
            draft.write_json("calibration.json", result.as_json())
        return result


def calibration_setup(calibration: Calibration, quiet: bool = True) -> Setup:
    """The audit's data and artifact, with the decoys, and nothing explained. InputError for what can't be
    audited."""
    config = calibration.audit
    classes = config.nominal_classes()
    if len(classes) > 1:
        raise InputError(f"{len(classes)} nominal classes can't be calibrated together; name one")
    setup = prepare(config, classes[0], progress=not quiet)
    decoys = {name: make_probe(name, config.options) for name in calibration.decoys}
    plantable = {**setup.plantable, **decoys}
    setup = replace(setup, explainers={}, sanity=0, plantable=plantable)
    check_trainable(config, setup)
    return replace(setup, seed_groups=seed_groups(conditions_of(calibration, setup)))


def conditions_of(calibration: Calibration, setup: Setup) -> list[Condition]:
    """All conditions, detector by detector. InputError for what can't be learned or planted."""
    return [
        condition
        for detector in calibration.audit.detector.detectors
        for condition in all_conditions(_planner(calibration, setup, detector))
    ]


def seed_groups(planned: Sequence[Condition]) -> tuple[tuple[int, ...], ...]:
    """Seeds of a condition whose twins may be trained together: always as many, so that more pairs leave the
    stacks of the first ones as they are."""
    found: list[tuple[int, ...]] = []
    for one in planned:
        for twins in zip(*one.pairs, strict=True):
            seeds = sorted({cell.seed for cell in twins})
            found += [tuple(seeds[first : first + TOGETHER]) for first in range(0, len(seeds), TOGETHER)]
    return tuple(dict.fromkeys(found))


def _planner(calibration: Calibration, setup: Setup, detector: str) -> Planner:
    artifact = calibration.audit.artifact
    (asked,) = artifact.plant_on
    plant_on = learned_side(DETECTORS[detector].learns_from, asked)
    side = DIRECTIONS[plant_on].side
    if side not in DETECTORS[detector].learns_from:
        raise InputError(
            f"{detector} never sees {side} images in training, so nothing planted there can be calibrated; "
            "drop --plant-on"
        )
    for prevalence in (*artifact.prevalence, *NULL_PREVALENCE):  # says what would plant nothing
        planted_count(len(setup.training[AS_IS].of(side)), prevalence)
    return Planner(
        detector=detector,
        probe=artifact.probe,
        decoys=calibration.decoys,
        plant_on=plant_on,
        prevalences=artifact.prevalence,
        pairs=calibration.pairs,
        null_pairs=calibration.null_pairs,
    )


def cell_numbers(
    works: Sequence[Work],
    planned: Sequence[Condition],
    setup: Setup,
    store: Store,
    calibration: Calibration,
) -> Mapping[Cell, Numbers]:
    """What is judged of each finished cell. RunError where something is missing."""
    sides = {one.detector: one.plant_on for one in planned}
    quantile = calibration.audit.design.thresholds.score_quantile
    return {
        work.cell: twin_numbers(read_cell(work, setup, store).scores, sides[work.cell.detector], quantile)
        for work in works
    }


def rates_of(table: pd.DataFrame, calibration: Calibration) -> list[Rate]:
    """What audits of a pool's pairs say, look by look as the calibrated audit does."""
    design = calibration.audit.design
    return rates(pools(table), design.looks, design.thresholds, calibration.draws)


def describe(calibration: Calibration, setup: Setup) -> dict[str, Any]:
    """What the rates hold for."""
    config = calibration.audit
    return {
        "schema": SCHEMA,
        **conditions(config, setup),
        "fingerprint": setup.fingerprint,
        "decoys": {name: repr(make_probe(name, config.options)) for name in calibration.decoys},
        "pairs": calibration.pairs,
        "null_pairs": calibration.null_pairs,
        "draws": calibration.draws,
        "versions": versions(),
        "device": device_name(setup.device),
    }
