"""Trains twins, class by class, and judges them together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.designs.audited import Audited, describe_data
from fcdd_audit.designs.twins.conditions import conditions
from fcdd_audit.designs.twins.drawn import curves_table, first_thresholds, scores_table
from fcdd_audit.designs.twins.plan import plan, training_notes
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.discovery.origin import check_origin
from fcdd_audit.experiment.cells import cell_key, precision_of
from fcdd_audit.experiment.engines import finish_cells
from fcdd_audit.experiment.explaining import EXAMPLES
from fcdd_audit.experiment.plan import Question, planned_cells
from fcdd_audit.experiment.setup import Setup, prepare
from fcdd_audit.experiment.store import RunStore
from fcdd_audit.experiment.tables import costs_table, evidence, results_table, with_class_means
from fcdd_audit.verdict.findings import Evidence
from fcdd_audit.verdict.judge import judge

log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class _Class:
    """What is kept of a nominal class once its cells are finished: of its images only the examples."""

    evidence: list[Evidence]
    tables: dict[str, pd.DataFrame]
    explainers: list[dict[str, Any]]
    data: dict[str, Any]
    origin: dict[str, Any]
    questions: list[dict[str, Any]]
    pictures: dict[str, np.ndarray]
    conditions: dict[str, Any]
    device: str
    reused: int


def run(config: AuditConfig, store: RunStore, quiet: bool) -> Audited:
    """Train the twins, class by class, and judge them together.

    Finished cells of an earlier or interrupted run with the same settings are used again.
    """
    classes = config.nominal_classes()
    for nominal_class in reversed(classes):  # what can't be audited is said before anything is trained
        setup = prepare(config, nominal_class, progress=not quiet)
        questions = plan(config, setup)
    done: list[_Class] = []
    asked = 0
    for index, nominal_class in enumerate(classes):
        if index > 0:
            setup = prepare(config, nominal_class, progress=not quiet)
            questions = plan(config, setup)
        done.append(_run_class(config, store, setup, questions, f"examples-{index}.npz", asked, quiet))
        asked += len(questions)
    findings = judge([one for part in done for one in part.evidence], config.design.thresholds)
    tables = {
        name: pd.concat([part.tables[name] for part in done], ignore_index=True) for name in done[0].tables
    }
    tables["results.csv"] = with_class_means(tables["results.csv"])
    if tables["costs.csv"].empty:  # explanations weren't checked
        del tables["costs.csv"]
    return Audited(
        findings=findings,
        tables=tables,
        arrays={f"examples-{index}.npz": part.pictures for index, part in enumerate(done)},
        described={
            "data": [part.data for part in done],
            "cells_reused": sum(part.reused for part in done),
            "explainers": [row for part in done for row in part.explainers],
            "questions": [question for part in done for question in part.questions],
        },
        device=done[0].device,
        precision=precision_of(config.detector.recipe, done[0].device),
        origin=[part.origin for part in done],
        conditions=[part.conditions for part in done],
    )


def _run_class(
    config: AuditConfig,
    store: RunStore,
    setup: Setup,
    questions: list[Question],
    examples: str,
    asked: int,
    quiet: bool,
) -> _Class:
    """Run the cells of one nominal class, or use them again. asked: questions of the classes before it."""
    origin = _check_origin(setup, config)
    cells = planned_cells(questions)
    trained = finish_cells(cells, setup, store, config.run.workers, quiet)
    keys = {cell: cell_key(cell, setup) for cell in cells}
    records = {cell: store.read_cell(key) for cell, key in keys.items()}
    maps = (lambda cell: store.read_heatmaps(keys[cell])) if setup.sanity else None
    quantile = config.design.thresholds.score_quantile
    return _Class(
        evidence=[evidence(question, records, setup.data) for question in questions],
        tables={
            "results.csv": results_table(questions, records, quantile, maps),
            "costs.csv": costs_table(questions, records).assign(nominal_class=setup.data.nominal_class),
            "scores.csv": scores_table(questions, records, setup, asked),
            "curves.csv": curves_table(questions, records, asked),
        },
        explainers=_explained(config, setup),
        data=describe_data(setup.data, setup.fingerprint, training_notes(config, setup)),
        origin=origin,
        questions=[
            {
                "nominal_class": question.nominal_class,
                "detector": question.detector,
                "plant_on": question.plant_on,
                "prevalence": question.prevalence,
                "planted": [keys[cell] for cell in question.planted],
                "control": [keys[cell] for cell in question.control],
                "thresholds": first_thresholds(question, records, quantile),
                "examples": examples,
                "bearing": _bearing(question, setup),
            }
            for question in questions
        ],
        pictures=_examples(setup),
        conditions=conditions(config, setup),
        device=setup.device,
        reused=len(cells) - trained,
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
        for name, explainer in setup.make_explainers().items():
            reason = explainer.unavailable(model)
            grain = None if reason else explainer.grain(model, min(setup.data.shape[1:]))
            rows.append(
                {
                    "nominal_class": setup.data.nominal_class,
                    "detector": detector,
                    "explainer": name,
                    "reference": explainer.reference,
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


def _examples(setup: Setup) -> dict[str, np.ndarray]:
    """The test images that the report shows: the first explained ones of each side, clean and marked."""
    first = [one.pairs.at(torch.arange(min(EXAMPLES, len(one.pairs)))) for one in setup.shown()]
    arrays = {
        variant: torch.cat([pairs.variants[variant] for pairs in first]).numpy()
        for variant in ("clean", "marked")
    }
    masks = [pairs.mask for pairs in first if pairs.mask is not None]
    if masks:  # an artifact without a place has none
        arrays["mask"] = torch.cat(masks).numpy()
    names = [name for pairs in first for name in pairs.names]
    return {**arrays, "name": np.array(names), "side": np.repeat([p.side for p in first], [*map(len, first)])}
