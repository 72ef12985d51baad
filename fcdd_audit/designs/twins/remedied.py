"""Remedied twins: trained beside the pairs of questions whose score relies on the artifact."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import Side
from fcdd_audit.designs.twins.looking import explained_at
from fcdd_audit.designs.twins.plan import sides_learned
from fcdd_audit.edits.base import Edit
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.finishing import Finished
from fcdd_audit.experiment.identity import trained, trained_place
from fcdd_audit.experiment.kept import TRAINING
from fcdd_audit.experiment.plan import Question, usable
from fcdd_audit.experiment.reading import CellRecord, read_cell
from fcdd_audit.experiment.records import key_of
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.tables import COLUMNS, overlaps, relevant, twin_rows
from fcdd_audit.experiment.trainings import needed
from fcdd_audit.experiment.work import Work
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.detection import auroc, threshold
from fcdd_audit.measures.effects import Twins
from fcdd_audit.measures.localization import RELEVANCE_MASS
from fcdd_audit.measures.reliance import Scores, cut, new_alarms, shift
from fcdd_audit.measures.remedies import caught
from fcdd_audit.measures.transplants import transplant_harm
from fcdd_audit.models.own import own_kind
from fcdd_audit.remedies import PLACEBO, Case, Penalty, make_remedy, mending
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.remedied import Tried, recommend
from fcdd_audit.verdict.remedies import Mending

RELIES = "relies"
Finish = Callable[[Sequence[Work], Setup, str], Finished]


@dataclass(frozen=True)
class Trial:
    """A remedy for one question. unfit: why it can't work; then the rest is empty. remedied: its cells, each
    beside the planted one of its pair."""

    remedy: str
    does: str
    unfit: str | None
    edit: Edit | None = None
    term: Penalty | None = None
    planted: tuple[Cell, ...] = ()

    @property
    def remedied(self) -> tuple[Cell, ...]:
        """By pair."""
        if self.edit is None:
            return ()
        return tuple(replace(cell, edit=self.edit, term=self.term) for cell in self.planted)


@dataclass(frozen=True)
class Remedied:
    """findings: of the questions, with what remedies do. trials: by question, empty where there is nothing to
    mend. rows: of results.csv. detectors: keys of the remedied ones. trained, measured: how many cells were,
    and so weren't used again."""

    findings: list[Finding]
    trials: list[list[Trial]]
    rows: pd.DataFrame
    detectors: frozenset[str]
    trained: int
    measured: int


def remedied(
    config: AuditConfig,
    setup: Setup,
    questions: Sequence[Question],
    findings: Sequence[Finding],
    store: Store,
    finish: Finish,
    others: Mapping[str, Setup] | None = None,
) -> Remedied:
    """Train remedied twins where the score relies on the artifact, and say what each remedy does.

    questions, findings: of a nominal class, in the same order. finish: does what is missing of the work, and
    is told what to call it. others: by name, setups of the audit's other artifacts, which share the trainings
    and have test images of their own. RunError where something is missing.
    """
    others = others or {}
    trials = [
        _trials(config, setup, question, finding) if finding.verdict == RELIES else []
        for question, finding in zip(questions, findings, strict=True)
    ]
    works: dict[Cell, Work] = {}
    for finding, tried in zip(findings, trials, strict=True):
        for cell in (cell for one in tried for cell in one.remedied):
            works[cell] = _work(cell, finding, setup, config)
    finished = finish(list(works.values()), setup, "remedies") if works else Finished(0, frozenset(), {})
    failures = dict(finished.failures)
    for name, other in others.items():
        both = dict.fromkeys(
            cell for tried in trials for one in tried for cell in (*one.remedied, *one.planted)
        )
        works_there = [Work(cell) for cell in both if cell not in failures]
        failures |= finish(works_there, other, f"remedies, {name}").failures
    said, frames = [], []
    for question, finding, tried in zip(questions, findings, trials, strict=True):
        if not tried:
            nothing = f"nothing to mend: the verdict is '{finding.verdict}'"
            said.append(replace(finding, mending=Mending("nothing", None, nothing)))
            continue
        read = _Reader(config, setup, store, question, finding, failures, others)
        results = [read.tried(one) for one in tried]
        frames += [read.rows(one) for one in tried if one.remedied]
        said.append(
            replace(
                finding,
                remedies=tuple(one.finding() for one in results),
                mending=recommend(results, PLACEBO),
            )
        )
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)
    detectors = frozenset(key_of(trained(cell, setup)) for cell in works)
    return Remedied(said, trials, rows, detectors, finished.trained, len(finished.measured))


def _trials(config: AuditConfig, setup: Setup, question: Question, finding: Finding) -> list[Trial]:
    """Every remedy that is asked for, on the pairs of the question that have numbers."""
    lost = {one.seed for one in finding.failed}
    pairs = question.first(finding.looks[-1]).planted
    planted = tuple(cell for cell in pairs if cell.seed not in lost)
    case = case_of(setup, planted[0], question)
    found = []
    for name in config.remedies:
        remedy = make_remedy(name, config.options)
        unfit = remedy.unfit(case)
        if unfit is not None:
            found.append(Trial(name, remedy.does, unfit))
        else:
            edit, term = mending(name, remedy, planted[0].edit, question.probe)
            found.append(Trial(name, remedy.does, None, edit, term, planted))
    return found


def case_of(setup: Setup, planted: Cell, question: Question) -> Case:
    """What is to be mended, told from what the first planted twin is trained on."""
    where = setup.trained_on(planted.edit, planted.seed).where(question.probe)
    share: dict[Side, float] = {
        side: float(where[side].flatten(1).any(dim=1).float().mean())
        for side in sides_learned(planted.detector, setup)
    }
    placed = setup.pairs["nominal"].mask is not None
    return Case(planted.detector, own_kind(planted.detector) is not None, placed, share)


def _explainer(cell: Cell, setup: Setup) -> str | None:
    """The first that tells something of the detector, where the artifact has a place."""
    if setup.pairs["nominal"].mask is None:
        return None
    return next((name for name in usable(cell.detector, setup) if not EXPLAINERS[name].reference), None)


def _work(cell: Cell, finding: Finding, setup: Setup, config: AuditConfig) -> Work:
    """A remedied twin is scored, and explained by one explainer on as many images as its pair was."""
    explainer = _explainer(cell, setup)
    return Work(
        cell, () if explainer is None else (explainer,), False, explained_at(finding.looks[-1], config)
    )


@dataclass(frozen=True)
class _Reader:
    """Reads the numbers of one question's remedied twins."""

    config: AuditConfig
    setup: Setup
    store: Store
    question: Question
    finding: Finding
    failures: Mapping[Cell, str]
    others: Mapping[str, Setup]

    def tried(self, trial: Trial) -> Tried:
        about = Tried(
            trial.remedy, trial.does, trial.unfit, None if trial.term is None else trial.term.strength
        )
        pairs = self._pairs(trial)
        failed = tuple(
            f"seed {cell.seed}: {self.failures[cell]}"
            for pair in zip(trial.planted, trial.remedied, strict=False)
            for cell in pair
            if cell in self.failures
        )
        if not pairs:
            return replace(about, failed=failed)
        whole = [tuple(self._whole(cell) for cell in pair) for pair in pairs]
        records = [tuple(relevant(one, self.question) for one in pair) for pair in whole]
        numbers = {name: _both(records, measure) for name, measure in self._measures().items()}
        return replace(
            about,
            # What a remedy costs is told on all images: those that bear the artifact are what it mends.
            numbers={**{name: _both(whole, measure) for name, measure in self._costs().items()}, **numbers},
            seeds=tuple(planted.seed for planted, _ in pairs),
            others={name: self._other(pairs, setup) for name, setup in self.others.items()},
            explainer=_explainer(pairs[0][0], self.setup),
            minutes=(self._minutes([pair[0] for pair in pairs]), self._minutes([pair[1] for pair in pairs])),
            failed=failed,
        )

    def rows(self, trial: Trial) -> pd.DataFrame:
        """Of results.csv."""
        quantile = self.config.design.thresholds.score_quantile
        frames = [
            twin_rows(
                self.question,
                f"remedied-{trial.remedy}",
                relevant(self._whole(cell), self.question),
                quantile,
            )
            for _, cell in self._pairs(trial)
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)

    def _pairs(self, trial: Trial) -> list[tuple[Cell, Cell]]:
        """Planted and remedied cells that both have numbers."""
        both = zip(trial.planted, trial.remedied, strict=False)
        return [pair for pair in both if not any(cell in self.failures for cell in pair)]

    def _whole(self, cell: Cell) -> CellRecord:
        """Of all test images."""
        work = _work(cell, self.finding, self.setup, self.config)
        return read_cell(work, self.setup, self.store)

    def _limit(self, scores: Scores) -> float:
        return threshold(scores.validation, self.config.design.thresholds.score_quantile)

    def _costs(self) -> dict[str, Callable[[CellRecord], float]]:
        plant_on = self.question.plant_on
        return {
            "auroc": lambda one: auroc(*one.scores.split("clean", plant_on)),
            "recall": lambda one: caught(one.scores, plant_on, self._limit(one.scores)),
        }

    def _measures(self) -> dict[str, Callable[[CellRecord], float]]:
        """What the artifact does."""
        plant_on = self.question.plant_on
        side = DIRECTIONS[plant_on].changed

        def heat(record: CellRecord) -> float:
            for measures in overlaps(record.localization, side).values():
                return float(np.nanmean(measures[RELEVANCE_MASS.name]))
            return float("nan")  # no image of that side bears it

        found: dict[str, Callable[[CellRecord], float]] = {
            "shift": lambda one: float(cut(np.array(shift(one.scores, plant_on)))),
            "alarms": lambda one: new_alarms(one.scores, plant_on, self._limit(one.scores)),
        }

        def harm(record: CellRecord) -> float:
            flagged = transplant_harm([record.scores], plant_on, [self._limit(record.scores)])
            return float("nan") if flagged is None else float(flagged[0])

        if side in self.setup.transplants:
            found["harm"] = harm
        placed = _explainer(self.question.planted[0], self.setup) is not None
        return {**found, "heat": heat} if placed else found

    def _other(self, pairs: Sequence[tuple[Cell, Cell]], setup: Setup) -> Twins:
        """Shifts by another artifact of the audit."""
        scores = [tuple(read_cell(Work(cell), setup, self.store) for cell in pair) for pair in pairs]
        return _both(scores, lambda one: float(cut(np.array(shift(one.scores, self.question.plant_on)))))

    def _minutes(self, cells: Sequence[Cell]) -> float:
        """Of a training, mean."""
        records = (needed(self.store, trained_place(cell, self.setup)).json(TRAINING) for cell in cells)
        return statistics.fmean(record["seconds"] for record in records) / 60


def _both(records: Sequence[tuple[CellRecord, ...]], measure: Callable[[CellRecord], float]) -> Twins:
    before, after = np.array([[measure(one) for one in pair] for pair in records]).T
    return before, after
