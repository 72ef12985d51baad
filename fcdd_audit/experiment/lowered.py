"""What explainers say lowered the score, from finished cells to what the verdict is given on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import Side
from fcdd_audit.experiment.folder import second_name
from fcdd_audit.experiment.lowering import FIRST, SECOND
from fcdd_audit.experiment.reading import CellRecord, Measured
from fcdd_audit.measures.effects import Twins
from fcdd_audit.measures.lowering import (
    LOWERING,
    LOWERING_ABOVE_CHANCE,
    LOWERING_CHANCE,
    LOWERING_EXCESS,
    SIGNED_RELEVANCE,
)
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import interquartile_range
from fcdd_audit.verdict.lowering import Lowering, Opinion
from fcdd_audit.verdict.seen import Seen

SPARED = 4  # one image in so many is never judged: its scores say whether the artifact lowers the score


def found_lowering(measured: Measured) -> dict[str, Lowering]:
    """By explainer with a sign; nothing where the artifact doesn't stand for a low score, or has no place."""
    question, planted = measured.question, measured.planted
    if DIRECTIONS[question.plant_on].side != "nominal" or not planted or not len(planted[0].lowering):
        return {}
    side = DIRECTIONS[question.plant_on].changed
    counting = np.ones(len(planted[0].scores.of[side, "clean"]), bool)
    if question.bearing is not None:
        counting &= question.bearing.numpy()
    judged = [_judged_turns(images, int(counting.sum())) for images in measured.images]
    rows = planted[0].lowering
    own = np.zeros_like(counting)
    own[rows[rows["turn"] < judged[-1]]["place"].to_numpy(int)] = True

    def relevance(record: CellRecord, explainer: str) -> float:
        return _own(record, explainer, side, judged[-1], SIGNED_RELEVANCE.name)

    return {
        explainer: Lowering(
            tuple(
                _opinion(measured, explainer, opinion, side, judged)
                for opinion in dict.fromkeys(rows[rows["explainer"] == explainer]["opinion"])
            ),
            relevance=_twins(measured, partial(relevance, explainer=explainer)),
            change=_twins(measured, lambda record: -_moved(record.scores, question.plant_on, own)),
            elsewhere=np.array([_moved(one.scores, question.plant_on, counting & ~own) for one in planted]),
            images=int(own.sum()),
        )
        for explainer in map(str, dict.fromkeys(rows["explainer"]))
    }


def _twins(measured: Measured, number: Callable[[CellRecord], float]) -> Twins:
    """A number of each twin."""
    return np.array([*map(number, measured.planted)]), np.array([*map(number, measured.control)])


def _judged_turns(asked: int | None, images: int) -> int:
    """How many of the images, in turn, are judged. asked: so many are explained; None: all."""
    most = images - max(1, images // SPARED)
    return most if asked is None else min(asked, most)


def _moved(scores: Scores, plant_on: str, places: np.ndarray) -> float:
    """Median change of the score by the artifact, of the images at these places, bool (images,)."""
    side = DIRECTIONS[plant_on].changed
    moved = (scores.of[side, "marked"] - scores.of[side, "clean"])[places]
    unit = interquartile_range(scores.split("usual", plant_on)[0])
    return float(np.median(moved)) / unit if len(moved) else float("nan")


def _opinion(measured: Measured, explainer: str, opinion: str, side: Side, judged: Sequence[int]) -> Opinion:
    turns = np.array([cell.seed for cell in measured.question.control])

    def at(judged_turns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        planted, control = _twins(measured, lambda one: _value(one, explainer, opinion, side, judged_turns))
        own = [_of(one, explainer, opinion, judged_turns)[LOWERING_CHANCE.name] for one in measured.planted]
        return planted, control, np.array([_mean(values) for values in own])

    by_look = [at(one) for one in judged]
    planted, control, chance = by_look[-1]
    return Opinion(
        planted,
        control,
        chance,
        _seen([p - c for p, c, _ in by_look], turns, measured),
        _seen([p - chance for p, _, chance in by_look], turns, measured),
    )


def _seen(by_look: Sequence[np.ndarray], turns: np.ndarray, measured: Measured) -> Seen:
    """As `seen`, of numbers that each look has of its own."""
    looks = measured.looks
    return Seen(
        tuple(values[turns < look.pairs] for values, look in zip(by_look, looks, strict=True)),
        tuple(look.share for look in looks),
    )


def _value(record: CellRecord, explainer: str, opinion: str, side: Side, judged: int) -> float:
    """Mean `lowering_pixel_auroc` on marked images."""
    if opinion == FIRST:
        return _own(record, explainer, side, judged, LOWERING.name)
    return _mean(_of(record, explainer, opinion, judged)[LOWERING.name])


def _own(record: CellRecord, explainer: str, side: Side, judged: int, measure: str) -> float:
    """Mean of a measure of the explainer's own maps of the first so many marked images."""
    rows = record.localization
    chosen = (rows["explainer"] == explainer) & (rows["part"] == side) & (rows["mask"] == "exact")
    return _mean(rows[chosen & (rows["turn"] < judged)][measure])


def _of(record: CellRecord, explainer: str, opinion: str, judged: int) -> pd.DataFrame:
    rows = record.lowering
    return rows[(rows["explainer"] == explainer) & (rows["opinion"] == opinion) & (rows["turn"] < judged)]


def _mean(values: pd.Series) -> float:
    """NaN without any."""
    return float(values.astype(float).mean())


Row = tuple[str, str, str, float]  # explainer, split, metric, value


def paired_lowering(found: Mapping[str, Lowering], pair: int, side: Side) -> Iterator[Row]:
    """What the planted twin of a pair, by its place among them, has beyond its control and its own chance."""
    for explainer, one in found.items():
        for name, opinion in zip((explainer, second_name(explainer)), one.opinions, strict=False):
            yield name, f"marked-{side}", LOWERING_EXCESS.name, float(opinion.excess.last[pair])
            yield name, f"marked-{side}", LOWERING_ABOVE_CHANCE.name, float(opinion.above.last[pair])


def lowering_numbers(record: CellRecord, side: Side) -> Iterator[Row]:
    """Of a twin, beside what `localization_numbers` has of its explainers' signs: levels of chance, and what
    second opinions say; split `marked-SIDE`, all images that are explained."""
    for (explainer, opinion), rows in record.lowering.groupby(["explainer", "opinion"], sort=False):
        name = str(explainer) if opinion == FIRST else second_name(str(explainer))
        if opinion == SECOND:
            yield name, f"marked-{side}", LOWERING.name, _mean(rows[LOWERING.name])
        yield name, f"marked-{side}", LOWERING_CHANCE.name, _mean(rows[LOWERING_CHANCE.name])
