"""Trains twins, class by class and artifact by artifact, and judges them together."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.designs.audited import Audited, check_known, describe_data, part_of
from fcdd_audit.designs.twins.conditions import conditions
from fcdd_audit.designs.twins.drawn import curves_table, first_thresholds, heat, most_drawn, scores_table
from fcdd_audit.designs.twins.estimate import estimated_seconds
from fcdd_audit.designs.twins.exporting import check_export, export
from fcdd_audit.designs.twins.journal import Journal
from fcdd_audit.designs.twins.looking import Budget, Course, follow
from fcdd_audit.designs.twins.meeting import met
from fcdd_audit.designs.twins.pictured import examples, kept_at, pictured
from fcdd_audit.designs.twins.plan import asked_of, plan, training_notes
from fcdd_audit.designs.twins.remedied import Remedied, remedied
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.discovery.discover import QUICK
from fcdd_audit.discovery.origin import check_origin
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.finishing import Finished, Finisher, engaged
from fcdd_audit.experiment.identity import scored, trained
from fcdd_audit.experiment.plan import Question, planned_work
from fcdd_audit.experiment.reading import read_heat, read_lowering_heat
from fcdd_audit.experiment.records import key_of
from fcdd_audit.experiment.reuse import check_trained
from fcdd_audit.experiment.searched import quick_search
from fcdd_audit.experiment.setup import Setup, Subject, prepare, subjects
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.tables import costs_table, results_table, with_class_means
from fcdd_audit.experiment.work import Work
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.models.own import own_kind
from fcdd_audit.natural import NATURAL
from fcdd_audit.verdict.evidence import Evidence
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.judge import Asked, judge

T = TypeVar("T")

log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class _Class:
    """What is said of a nominal class, whatever is asked of it."""

    explainers: list[dict[str, Any]]
    origin: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class _Part:
    """What is kept of a nominal class and an artifact once its cells are finished: of its images only the
    examples. detectors: keys of those that were trained, now or before."""

    evidence: list[Evidence]
    tables: dict[str, pd.DataFrame]
    data: dict[str, Any]
    questions: list[dict[str, Any]]
    arrays: dict[str, dict[str, np.ndarray]]
    conditions: dict[str, Any]
    device: str
    trained_on: dict[str, Any]
    detectors: frozenset[str]
    work: dict[str, int]
    torch: frozenset[str]
    closed: str | None


def run(config: AuditConfig, store: Store, quiet: bool, known: Mapping[str, Any] | None = None) -> Audited:
    """Train the twins, class by class, artifact by artifact, look by look, and judge them together.

    What is in the store already is used again. known: see `Design.run`.
    """
    return _run(config, store, quiet, known, known)


def mend(config: AuditConfig, store: Store, quiet: bool, finished: Mapping[str, Any]) -> Audited:
    """Try remedies on a finished run, whose images these must be: only remedied twins are trained. finished:
    its config.json."""
    return _run(config, store, quiet, None, finished)


def _run(
    config: AuditConfig,
    store: Store,
    quiet: bool,
    known: Mapping[str, Any] | None,
    finished: Mapping[str, Any] | None,
) -> Audited:
    """known: of a finished run to which nothing that has to be trained is added. finished: of one that is
    gone on with in any way."""
    classes, each = config.nominal_classes(), subjects(config)
    asked = [(nominal_class, subject) for nominal_class in classes for subject in each]
    if config.run.export is not None:
        check_export(config.run.export)

    def prepared(nominal_class: str | None, subject: Subject) -> Setup:
        setup = prepare(config, nominal_class, progress=not quiet, subject=subject)
        if known is not None:
            setup = setup.trained_elsewhere(part_of(known, "trained_on"))
        return met(config, setup, store, quiet)

    together = Asked(0, 0)
    prints: list[str] = []
    for nominal_class, subject in reversed(asked):  # says what can't be audited beforehand
        setup = prepared(nominal_class, subject)
        questions = plan(config, setup)
        together = Asked(*map(sum, zip(together, asked_of(questions, setup), strict=True)))
        if finished is not None:
            prints.insert(0, setup.fingerprint)
    if finished is not None:
        for index, own in enumerate(_by_class(prints, len(each))):
            check_known(finished, index, _fingerprint(own))
    speeds: dict[str, tuple[float, float]] = {}
    of_classes: list[_Class] = []
    done: list[_Part] = []
    with engaged(config.run, store, quiet) as finisher:
        course = Course(
            config,
            store,
            together,
            Budget(config.design.budget),
            finish=finisher.finish_all,
            estimate=lambda works, setup: estimated_seconds(config, setup, store, works, speeds),
        )
        for index, (nominal_class, subject) in enumerate(asked):
            if index > 0:
                setup = prepared(nominal_class, subject)
                questions = plan(config, setup)
            before = [one for part in done for one in part.evidence]
            journal = _journal(config, setup, questions, store, finished, len(before), together)
            if finished is not None:
                check_trained(_known_work(questions, setup, config, journal).values(), setup, store)
            if index % len(each) == 0:
                of_classes.append(_look_at(course, setup, len(of_classes), quiet))
            done.append(_run_part(course, setup, questions, journal, index, before))
        findings = judge([one for part in done for one in part.evidence], config.design.thresholds, together)
        mended: list[Remedied] = []
        if config.remedies:  # once all verdicts are known, class by class again
            counts = [len(part.evidence) for part in done]
            for first in range(0, len(asked), len(each)):
                setups = [prepared(*one) for one in asked[first : first + len(each)]]
                for place in range(len(each)):
                    start = sum(counts[: first + place])
                    judged = findings[start : start + counts[first + place]]
                    mended.append(_mend(config, setups, place, judged, store, finisher, known is not None))
            findings = [finding for one in mended for finding in one.findings]
    tables = {
        name: pd.concat([part.tables[name] for part in done], ignore_index=True) for name in done[0].tables
    }
    tables["results.csv"] = with_class_means(
        pd.concat([tables["results.csv"], *(one.rows for one in mended)], ignore_index=True)
    )
    if tables["costs.csv"].empty:  # explanations weren't checked
        del tables["costs.csv"]
    torch_versions = sorted(frozenset().union(*(part.torch for part in done)))
    if len(torch_versions) > 1:
        log.warning("this audit mixes what was made with torch %s", " and ".join(torch_versions))
    return Audited(
        findings=findings,
        tables=tables,
        arrays={name: arrays for part in done for name, arrays in part.arrays.items()},
        described={
            "data": [_described(parts) for parts in _by_class(done, len(each))],
            "work": _work_of(done, mended),
            "torch": torch_versions,
            "about": {name: DETECTORS.summary(name) for name in config.detector.detectors},
            "own_code": {
                name: kind.called
                for name in config.detector.detectors
                if (kind := own_kind(name)) is not None
            },
            "trained_on": done[0].trained_on,
            "found": any(subject.probe in NATURAL for subject in each),
            "explainers": [row for one in of_classes for row in one.explainers],
            "questions": [question for part in done for question in part.questions],
            "looks": [look.pairs for look in config.design.looks],
            "searched": {"sample": QUICK.sample, "largest": QUICK.largest},
            "closed": next((part.closed for part in done if part.closed), None),
        },
        device=done[0].device,
        precision=done[0].trained_on["precision"],
        origin=[one.origin for one in of_classes],
        conditions=[part.conditions for part in done],
        files={name: content for one in of_classes for name, content in one.files.items()},
    )


def _by_class(parts: Sequence[T], subjects: int) -> list[Sequence[T]]:
    """Those of a class together, one for each of so many subjects."""
    return [parts[first : first + subjects] for first in range(0, len(parts), subjects)]


def _fingerprint(prints: Sequence[str]) -> str:
    """Of a class, from those of its setups, which differ by artifact."""
    return prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()[:16]


def _described(parts: Sequence[_Part]) -> dict[str, Any]:
    """What config.json says of a class's data."""
    return {
        **parts[0].data,
        "fingerprint": _fingerprint([part.data["fingerprint"] for part in parts]),
        "notes": list(dict.fromkeys(note for part in parts for note in part.data["notes"])),
    }


def _mend(
    config: AuditConfig,
    setups: Sequence[Setup],
    place: int,
    findings: list[Finding],
    store: Store,
    finisher: Finisher,
    known: bool,
) -> Remedied:
    """Remedies for one artifact of a nominal class, the `place`-th; what they do to the others is measured
    too. known: whether nothing may be trained."""
    setup = setups[place]

    def finish(works: Sequence[Work], setup: Setup, words: str) -> Finished:
        if known:
            check_trained(works, setup, store)
        return finisher.finish_all(works, setup, words)

    others = {
        one.probe: replace(one, plantable={**one.plantable, **setup.plantable})
        for one in setups
        if one.probe != setup.probe
    }
    questions = plan(config, setup)
    found = remedied(config, setup, questions, findings, store, finish, others)
    if config.run.export is not None:
        export(config.run.export, setup, questions, found.trials, store)
    return found


def _work_of(done: Sequence[_Part], mended: Sequence[Remedied]) -> dict[str, int]:
    """What config.json says of the work that was done."""
    work = {name: sum(part.work[name] for part in done) for name in done[0].work}
    detectors = frozenset[str]().union(*(part.detectors for part in done))
    added = len(frozenset[str]().union(*(one.detectors for one in mended)) - detectors)
    return {
        **work,
        "detectors": len(detectors) + added,
        "cells": work["cells"] + added,
        "trained": work["trained"] + sum(one.trained for one in mended),
        "measured": work["measured"] + sum(one.measured for one in mended),
    }


def _journal(
    config: AuditConfig,
    setup: Setup,
    questions: list[Question],
    store: Store,
    known: Mapping[str, Any] | None,
    asked: int,
    together: Asked,
) -> Journal:
    """That of a nominal class and artifact. asked: questions of those before it."""
    if known is not None:
        looks = [part_of(known, "questions", asked + place, "looks") for place in range(len(questions))]
        return Journal.of_finished(
            looks, [look.pairs for look in config.design.looks], part_of(known, "closed")
        )
    pairs = [pair for question in questions for pair in question.pairs[:1]]
    return Journal.opened(
        store.path,
        {
            "looks": [look.pairs for look in config.design.looks],
            "budget": config.design.budget,
            "thresholds": asdict(config.design.thresholds),
            "explainers": {name: list(names) for name, names in setup.explainers.items()},
            "explained": config.explanation.explained,
            "together": list(together),
            "pairs": [[key_of(scored(cell, setup)) for cell in pair] for pair in pairs],
        },
        len(questions),
    )


def _known_work(
    questions: list[Question], setup: Setup, config: AuditConfig, journal: Journal
) -> dict[Cell, Work]:
    """What a finished run did."""
    works: dict[Cell, Work] = {}
    for look, places in zip(config.design.looks, journal.taken, strict=False):
        works |= planned_work([questions[place].first(look.pairs) for place in places], setup)
    return works


def _look_at(course: Course, setup: Setup, index: int, quiet: bool) -> _Class:
    """What is to be said of a nominal class, the `index`-th, before anything is trained."""
    config = course.config
    origin = _check_origin(setup, config)
    searched = quick_search(setup.data, course.store, quiet, len(config.nominal_classes()))
    files = {f"discovery-{index}/{name}": content for name, content in searched.items()}
    return _Class(_explained(config, setup), origin, files)


def _run_part(
    course: Course,
    setup: Setup,
    questions: list[Question],
    journal: Journal,
    index: int,
    before: list[Evidence],
) -> _Part:
    """Do the work for one nominal class and artifact, the `index`-th of these, or use it again. before:
    evidence of those before it."""
    config, store = course.config, course.store
    found = follow(questions, setup, course, journal, before)

    def heat_of(work: Work) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return read_heat(work, setup, store)

    quantile, asked = config.design.thresholds.score_quantile, len(before)
    file = f"examples-{index}.npz"
    most = most_drawn(max(map(len, setup.explainers.values())))
    chosen = [pictured(one, setup) for one in found.measured]
    shown, rows = examples([image for own in chosen for image in own], setup)
    drawn = {
        f"heat-{place}.npz": heat(
            one, heat_of, lambda work: read_lowering_heat(work, setup, store), kept_at(own, setup)
        )
        for place, (one, own) in enumerate(zip(found.measured, chosen, strict=True), asked)
        if own and place < most
    }
    return _Part(
        evidence=found.evidence,
        tables={
            "results.csv": results_table(found.measured, quantile, heat_of if setup.sanity else None),
            "costs.csv": costs_table(found.measured).assign(
                nominal_class=setup.data.nominal_class, probe=setup.probe
            ),
            "scores.csv": scores_table(found.measured, setup, asked),
            "curves.csv": curves_table(found.measured, asked),
        },
        data=describe_data(setup.data, setup.fingerprint, training_notes(config, setup)),
        questions=[
            {
                "nominal_class": one.question.nominal_class,
                "detector": one.question.detector,
                "probe": one.question.probe,
                "plant_on": one.question.plant_on,
                "prevalence": one.question.prevalence,
                "seeds": [cell.seed for cell in one.question.control],
                "looks": [look.pairs for look in one.looks],
                "planted": [key_of(trained(cell, setup)) for cell in one.question.planted],
                "control": [key_of(trained(cell, setup)) for cell in one.question.control],
                "thresholds": first_thresholds(one, quantile),
                "examples": file,
                "pictured": [{"row": rows[image], "why": image.why} for image in own],
                "heat": name if (name := f"heat-{place}.npz") in drawn else None,
                "bearing": _bearing(one.question, setup),
            }
            for place, (one, own) in enumerate(zip(found.measured, chosen, strict=True), asked)
        ],
        arrays={file: shown, **drawn},
        conditions=conditions(config, setup),
        device=setup.device,
        trained_on=setup.trained_where,
        detectors=frozenset(key_of(trained(cell, setup)) for cell in found.works if cell.trained),
        work={
            "cells": len(found.works),
            "trained": found.trained,
            "measured": len(found.done),
            "failed": len(found.failures),
        },
        torch=frozenset().union(*(record.torch for one in found.measured for record in one.records.values())),
        closed=journal.closed,
    )


def _bearing(question: Question, setup: Setup) -> list[str] | None:
    """Names of the test images that count on the side where a found artifact is removed."""
    if question.bearing is None:
        return None
    names = setup.pairs[DIRECTIONS[question.plant_on].changed].names
    return [name for name, bears in zip(names, question.bearing.tolist(), strict=True) if bears]


def _explained(config: AuditConfig, setup: Setup) -> list[dict[str, Any]]:
    """Of each detector and explainer: why it can't work, or how fine its map is."""
    rows = []
    for detector in config.detector.detectors:
        model = setup.untrained(detector, 0)
        for name, explainer in setup.make_explainers(detector).items():
            reason = explainer.unavailable(model)
            grain = None if reason else explainer.grain(model, min(setup.data.shape[1:]))
            rows.append(
                {
                    "nominal_class": setup.data.nominal_class,
                    "detector": detector,
                    "explainer": name,
                    "reference": explainer.reference,
                    "unit": explainer.unit,
                    "about": EXPLAINERS.summary(name),
                    "unavailable": reason,
                    "field": None if grain is None else grain.size,
                    "stride": None if grain is None else grain.stride,
                }
            )
    return rows


def _check_origin(setup: Setup, config: AuditConfig) -> dict[str, Any]:
    """Whether the training images of the two sides differ in how they were made; warns if that can be
    learned."""
    found = check_origin(setup.data.train_nominal, setup.data.train_anomalous)
    learners = [name for name in config.detector.detectors if "anomalous" in DETECTORS[name].learns_from]
    summary = found.summary(learners)
    if found.status == "warning" and learners:
        log.warning("%s: %s", setup.data.nominal_class, summary)
    return {
        "nominal_class": setup.data.nominal_class,
        "learners": learners,
        "summary": summary,
        **found.as_json(),
    }
