"""Pairs of twins are trained and judged, look by look, until all that is asked is settled."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.errors import InputError
from fcdd_audit.designs.twins.journal import Journal
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.finishing import Finished
from fcdd_audit.experiment.plan import Question, planned_work
from fcdd_audit.experiment.reading import Measured, read_question
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.tables import evidence
from fcdd_audit.experiment.work import Work, missing
from fcdd_audit.verdict.evidence import Evidence
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.judge import Asked, judge
from fcdd_audit.verdict.words import untrained

log = logging.getLogger("fcdd_audit")

IMAGES_A_PAIR, LEAST_IMAGES = 4, 16  # explained of each side: the number grows with that of the pairs
BUDGET = "the time is up"


def explained_at(pairs: int, config: AuditConfig) -> int | None:
    """How many test images of each side count as explained at a look; None: all."""
    asked = config.explanation.explained
    if asked is None:
        return max(LEAST_IMAGES, pairs * IMAGES_A_PAIR // LEAST_IMAGES * LEAST_IMAGES)
    return asked or None


@dataclass
class Budget:
    """The time that an audit may take. seconds: None: any. pace: seconds a cell, once cells were done."""

    seconds: float | None
    started: float = field(default_factory=time.monotonic)
    cells: int = 0
    spent: float = 0.0

    def allows(self, cells: int, estimate: Callable[[], float]) -> bool:
        """Whether so many cells would be done in time. estimate: their seconds, where none was done yet."""
        if self.seconds is None or cells == 0:
            return True
        needed = self.spent / self.cells * cells if self.cells else estimate()
        return time.monotonic() - self.started + needed <= self.seconds

    def note(self, cells: int, seconds: float) -> None:
        """Cells that were done, and how long they took together."""
        self.cells += cells
        self.spent += seconds


@dataclass(frozen=True)
class Course:
    """What is shared by the looks of all nominal classes.

    together: answers that are given together, over all classes. finish: does what is missing of the work, and
    is told what to call it. estimate: seconds for a work.
    """

    config: AuditConfig
    store: Store
    together: Asked
    budget: Budget
    finish: Callable[[Sequence[Work], Setup, str], Finished]
    estimate: Callable[[Sequence[Work], Setup], float]


@dataclass
class Followed:
    """What was done for the questions of a nominal class. measured: in their order. done: the cells that were
    measured, and so weren't used again."""

    measured: list[Measured]
    evidence: list[Evidence]
    trained: int = 0
    done: set[Cell] = field(default_factory=set)
    failures: dict[Cell, str] = field(default_factory=dict)
    works: dict[Cell, Work] = field(default_factory=dict)


def follow(
    questions: Sequence[Question],
    setup: Setup,
    course: Course,
    journal: Journal,
    known: Sequence[Evidence],
) -> Followed:
    """Train and judge pairs until each question is settled, or no further look is planned or paid for.

    A question whose verdict is settled gets one look more if anything else about it is open. known: evidence
    of other nominal classes. InputError if not even the first look fits into the budget.
    """
    config = course.config
    found = Followed([read_question(question, (), (), setup, course.store, {}) for question in questions], [])
    quantile = config.design.thresholds.score_quantile
    found.evidence = [evidence(one, setup.data, quantile) for one in found.measured]
    waiting = [place for place, question in enumerate(questions) if question.planted]
    once_more: set[int] = set()
    findings: list[Finding] = []
    looks = config.design.looks
    for number, look in enumerate(looks):
        if number == len(journal.taken):
            if journal.over or not waiting:
                break
            if not _in_time(questions, waiting, look.pairs, setup, course):
                if number == 0 and not known:
                    raise InputError(
                        f"{look.pairs} pairs of twins, the least that is judged, take longer than --budget "
                        f"{course.budget.seconds:g}s; give more time, or name fewer detectors"
                    )
                log.warning(
                    "%s: no look at %d pairs, which would end after --budget %gs; with more time the audit "
                    "goes on",
                    questions[0].nominal_class,
                    look.pairs,
                    course.budget.seconds,
                )
                journal.close(BUDGET)
                break
            journal.begin(waiting)
        waiting = journal.taken[number]
        _take(
            questions,
            waiting,
            look.pairs,
            setup,
            course,
            found,
            (f"{setup.probe}: " if len(config.artifact.probes) > 1 else "")
            + _words(look.pairs, waiting, questions, findings),
        )
        for place in waiting:
            taken = looks[: number + 1]
            images = [explained_at(one.pairs, config) for one in taken]
            measured = read_question(questions[place], taken, images, setup, course.store, found.failures)
            found.measured[place] = measured
            found.evidence[place] = evidence(measured, setup.data, quantile)
        findings = judge([*known, *found.evidence], config.design.thresholds, course.together)[len(known) :]
        if number == 0 and len(looks) > 1:  # the run may be ended here; after the last look it is said anyway
            for line in untrained([finding.as_json() for finding in findings]):
                log.warning("%s", line)
        waiting = [place for place in waiting if _goes_on(findings[place], place, once_more)]
    return found


def _goes_on(finding: Finding, place: int, once_more: set[int]) -> bool:
    if not finding.settled:
        return True
    again = bool(finding.open) and place not in once_more
    once_more.add(place)
    return again


def _works(
    questions: Sequence[Question], waiting: Sequence[int], pairs: int, setup: Setup, config: AuditConfig
) -> dict[Cell, Work]:
    asked = [questions[place].first(pairs) for place in waiting]
    return planned_work(asked, setup, explained_at(pairs, config))


def _in_time(
    questions: Sequence[Question], waiting: Sequence[int], pairs: int, setup: Setup, course: Course
) -> bool:
    if course.budget.seconds is None:
        return True
    works = _works(questions, waiting, pairs, setup, course.config).values()
    todo = [work for work in works if _is_missing(work, setup, course.store)]
    return course.budget.allows(len(todo), lambda: course.estimate(todo, setup))


def _is_missing(work: Work, setup: Setup, store: Store) -> bool:
    found = missing(work, setup, store)
    return found.trained or found.measured


def _take(
    questions: Sequence[Question],
    waiting: Sequence[int],
    pairs: int,
    setup: Setup,
    course: Course,
    found: Followed,
    words: str,
) -> None:
    """Do what a look needs."""
    works = _works(questions, waiting, pairs, setup, course.config)
    started = time.monotonic()
    finished = course.finish(list(works.values()), setup, words)
    course.budget.note(max(finished.trained, len(finished.measured)), time.monotonic() - started)
    found.trained += finished.trained
    found.done |= finished.measured
    earlier = {cell: reason for cell, reason in found.failures.items() if cell not in works}
    found.failures = earlier | finished.failures  # what was killed is tried again, and may have worked
    found.works |= works


def _words(
    pairs: int, waiting: Sequence[int], questions: Sequence[Question], findings: Sequence[Finding]
) -> str:
    """For the progress bar: what is still open."""
    prevalences = {question.prevalence for question in questions}
    directions: dict[str, set[str]] = {}
    for question in questions:
        directions.setdefault(question.detector, set()).add(question.plant_on)
    open_ones = []
    for place in waiting:
        question = questions[place]
        name = question.detector + (f" {question.prevalence:g}" if len(prevalences) > 1 else "")
        if len(directions[question.detector]) > 1:
            name += f" {question.plant_on}"
        asked = findings[place].open if findings else ()
        open_ones.append(f"{name} ({', '.join(asked)})" if asked else name)
    return f"{pairs} pairs; open: {', '.join(open_ones)}"
