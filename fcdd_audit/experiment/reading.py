"""Finished cells as they are read back from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.explaining import CHECKED, overlap_columns
from fcdd_audit.experiment.identity import checked_place, scored_place, trained_place
from fcdd_audit.experiment.kept import (
    CHECKS,
    LOWERING,
    MAPS,
    MEASURING,
    OVERLAPS,
    SCORES,
    TRAINING,
    read_frame,
    read_lowering,
    read_maps,
    read_scores,
)
from fcdd_audit.experiment.lowering import COLUMNS as LOWERED
from fcdd_audit.experiment.plan import Question, before, planned_work
from fcdd_audit.experiment.records import Record
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import needed
from fcdd_audit.experiment.work import Work, explained_record, lowered_record
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.verdict.looks import Look


@dataclass(frozen=True)
class Measured:
    """A question and the numbers of its pairs of twins.

    question: with the pairs that both have numbers. looks: those taken. images: at each look, how many test
    images of each side count as explained; None: all. works, records: by cell.
    """

    question: Question
    looks: tuple[Look, ...]
    images: tuple[int | None, ...]
    works: Mapping[Cell, Work]
    records: Mapping[Cell, CellRecord]

    @property
    def planted(self) -> list[CellRecord]:
        return [self.records[cell] for cell in self.question.planted]

    @property
    def control(self) -> list[CellRecord]:
        return [self.records[cell] for cell in self.question.control]


@dataclass(frozen=True)
class CellRecord:
    """A finished cell.

    localization: one row an image, explainer and mask, one column a measure; no rows for an artifact without
    a place. untrained: the same of the network before training, of the one control for which it was asked.
    lowering: where that is asked, rows of `lowering_rows` by explainer.
    checks: rows of explainer, split, metric, value. costs: by explainer, seconds and megabytes a map, and
    seconds to score an image. torch: the versions that it was trained and measured with. steps: of its
    training. tenths: the mean loss of each tenth of them; empty where that isn't recorded.
    """

    cell: Cell
    scores: Scores
    localization: pd.DataFrame
    untrained: pd.DataFrame
    checks: pd.DataFrame
    costs: dict[str, dict[str, float]]
    lowering: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["explainer", *LOWERED]))
    torch: frozenset[str] = field(default_factory=frozenset)
    steps: int | None = None
    tenths: tuple[float, ...] = ()


def read_cell(work: Work, setup: Setup, store: Store, before: Work | None = None) -> CellRecord:
    """A cell's numbers; those of the images that are asked for, where more were explained.

    before: of the network before training. RunError where something is missing.
    """
    cell = work.cell
    scored = needed(store, scored_place(cell, setup))
    explained = _explained(work, setup, store)
    checked = {
        name: needed(store, checked_place(cell, setup, name)) for name in work.explainers if work.checks
    }
    checks = [
        read_frame(record.files[CHECKS]).assign(explainer=name)[["explainer", *CHECKED]]
        for name, record in checked.items()
    ]
    training = needed(store, trained_place(cell, setup)).json(TRAINING)
    lowered = {name: lowered_record(store, work, setup, name) for name in work.lowering}
    all_of_it = [scored, *explained.values(), *checked.values(), *lowered.values()]
    return CellRecord(
        cell,
        read_scores(scored.files[SCORES]),
        localization=_overlaps(explained, work.explained),
        untrained=_empty()
        if before is None
        else _overlaps(_explained(before, setup, store), before.explained),
        checks=pd.concat(checks, ignore_index=True)
        if checks
        else pd.DataFrame(columns=["explainer", *CHECKED]),
        costs={name: record.json(MEASURING)["costs"] for name, record in checked.items()},
        lowering=_lowering(lowered, work.explained),
        torch=frozenset(
            [
                *(record.json(MEASURING)["versions"]["torch"] for record in all_of_it),
                training["versions"]["torch"],
            ]
        ),
        steps=training.get("steps"),
        tenths=tuple(training.get("tenths", ())),
    )


def read_question(
    question: Question,
    looks: Sequence[Look],
    images: Sequence[int | None],
    setup: Setup,
    store: Store,
    failures: Mapping[Cell, str],
) -> Measured:
    """The numbers of a question's pairs after these looks. failures: the cells that have none, and why.

    RunError where something is missing.
    """
    asked = question.first(looks[-1].pairs if looks else 0)
    works = planned_work([asked], setup, images[-1] if images else None)
    whole = asked.without(failures)
    cells = dict.fromkeys(cell for pair in whole.pairs for cell in pair)
    records = {cell: read_cell(works[cell], setup, store, works.get(before(cell))) for cell in cells}
    return Measured(whole, tuple(looks), tuple(images), works, records)


def read_heat(work: Work, setup: Setup, store: Store) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By explainer, the heatmaps of the examples, (images, H, W) float32 on the explainer's own scale, and
    evenly spaced quantiles of its heat on the test images."""
    return {name: read_maps(record.files[MAPS]) for name, record in _explained(work, setup, store).items()}


def _explained(work: Work, setup: Setup, store: Store) -> dict[str, Record]:
    """By explainer."""
    return {name: explained_record(store, work, setup, name) for name in work.explainers}


def read_lowering_heat(work: Work, setup: Setup, store: Store) -> dict[str, np.ndarray]:
    """By explainer with a sign, what in the heatmaps of the examples lowers the score, (images, H, W)."""
    found = {
        name: read_lowering(record.files[MAPS]) for name, record in _explained(work, setup, store).items()
    }
    return {name: lowered for name, lowered in found.items() if lowered is not None}


def _lowering(lowered: dict[str, Record], asked: int | None) -> pd.DataFrame:
    """Rows by explainer. asked: as in `_overlaps`."""
    frames = []
    for name, record in lowered.items():
        frame = read_frame(record.files[LOWERING])
        frames.append(frame[frame["turn"] < (np.inf if asked is None else asked)].assign(explainer=name))
    columns = ["explainer", *LOWERED]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _columns() -> list[str]:
    return ["explainer", *(name for name in overlap_columns() if name != "place")]


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=_columns())


def _overlaps(explained: dict[str, Record], asked: int | None) -> pd.DataFrame:
    """Rows by explainer, part, mask and image, in the order of the images. asked: for how many of each
    side; None: all."""
    frames = []
    for name, record in explained.items():
        frame = read_frame(record.files[OVERLAPS])
        if asked is not None:
            frame = frame[frame["turn"] < asked]
        groups = [group.sort_values("place") for _, group in frame.groupby(["part", "mask"], sort=False)]
        if groups:
            frames.append(pd.concat(groups).assign(explainer=name)[_columns()])
    return pd.concat(frames, ignore_index=True) if frames else _empty()
