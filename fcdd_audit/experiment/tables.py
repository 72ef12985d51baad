"""From finished cells to the tidy table (one row, one number) and to what the verdict is judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.explaining import DEFECT
from fcdd_audit.experiment.folder import MEAN, PAIR
from fcdd_audit.experiment.lowered import found_lowering, lowering_numbers, paired_lowering
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import CellRecord, Measured
from fcdd_audit.experiment.work import Work
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.detection import THRESHOLD, auroc, threshold
from fcdd_audit.measures.effects import score_numbers
from fcdd_audit.measures.localization import AREA, EXCESS, HEADLINE, RELEVANCE_LIFT, RELEVANCE_MASS
from fcdd_audit.measures.reliance import DEPENDENCE, EXCESS_ALARMS, RELIANCE, Scores
from fcdd_audit.measures.table import DILATED, Measure, family
from fcdd_audit.measures.transplants import all_flags, passing
from fcdd_audit.verdict.evidence import Crossed, Evidence, SideOverlap
from fcdd_audit.verdict.seen import Seen

LENIENT = (0.1, 0.2, 0.3, 0.5)  # shares of nominal images that are let to raise an alarm, where
CAUGHT = 0.3  # of the anomalies is more than the control catches at the frozen threshold
COLUMNS = (
    "dataset",
    "nominal_class",
    "detector",
    "probe",
    "plant_on",
    "prevalence",
    "twin",
    "seed",
    "explainer",
    "split",
    "metric",
    "value",
)
COSTS = (
    *("detector", "twin", "prevalence", "seed", "explainer"),
    *("seconds", "megabytes", "seconds_to_score"),
)
Number = tuple[str, str, str, float]  # explainer, split, metric, value


def detection_numbers(scores: Scores, plant_on: str, quantile: float) -> Iterator[Number]:
    """Detection and decisions at the frozen threshold, on each test set; and what the artifact does."""
    limit = threshold(scores.validation, quantile)
    yield _numbered("", THRESHOLD, limit)
    for split in ("clean", "marked", "aligned", "conflict"):
        nominal, anomalous = scores.split(split, plant_on)
        for measure in family("detection"):
            yield "", split, measure.name, measure.function(nominal, anomalous)
        for measure in family("decision"):
            yield "", split, measure.name, measure.function(nominal, anomalous, limit)
    for measure in family("scores"):
        found = measure.function([scores], plant_on, [limit]) if measure.row else None
        if found is not None:
            yield _numbered("", measure, float(found[0]))


def _numbered(explainer: str, measure: Measure, value: float) -> Number:
    """Of a measure with a row of its own."""
    return explainer, *measure.own_row, value


def localization_numbers(localization: pd.DataFrame) -> Iterator[Number]:
    """Mean overlap of each explainer with the artifact's mask on marked images, and the chance level.

    Splits: marked (both sides), marked-nominal, marked-anomalous; defect: with the true anomaly's mask,
    on clean images. Metrics ending in _dilated use the mask grown by half the map's stride.
    """
    artifact = localization[localization["part"] != DEFECT]
    splits = [("marked", artifact)] + [
        (DEFECT if part == DEFECT else f"marked-{part}", group)
        for part, group in localization.groupby("part", sort=False)
    ]
    for split, rows in splits:
        for (explainer, mask), group in rows.groupby(["explainer", "mask"], sort=False):
            area = float(group[AREA.name].mean())
            lift = RELEVANCE_LIFT.function(float(group[RELEVANCE_MASS.name].mean()), area)
            yield str(explainer), split, measured_name(AREA.name, str(mask)), area
            yield str(explainer), split, measured_name(RELEVANCE_LIFT.name, str(mask)), lift
            for measure in family("overlap"):
                name = measured_name(measure.name, str(mask))
                yield str(explainer), split, name, float(group[measure.name].mean())
                chance = measure.chance_of(area)
                if chance is not None:
                    yield str(explainer), split, f"{name}_chance", chance
            for measure in family("signed"):
                value = float(group[measure.name].astype(float).mean())
                if not np.isnan(value):  # of maps without sign
                    yield str(explainer), split, measured_name(measure.name, str(mask)), value


def untrained_numbers(untrained: pd.DataFrame) -> Iterator[Number]:
    """Mean overlap of each explainer's maps of the network before training; splits untrained (both sides),
    untrained-nominal, untrained-anomalous."""
    for explainer, split, metric, value in localization_numbers(untrained):
        if split.startswith("marked") and not metric.endswith("_chance"):
            yield explainer, split.replace("marked", "untrained"), metric, value


def check_numbers(checks: pd.DataFrame) -> Iterator[Number]:
    """Sanity and faithfulness of explanations (see `explaining.check_explainer`)."""
    for row in checks.itertuples(index=False):
        yield str(row.explainer), str(row.split), str(row.metric), float(row.value)  # type: ignore[arg-type]


def twin_numbers(planted: Mapping[str, np.ndarray], control: Mapping[str, np.ndarray]) -> Iterator[Number]:
    """How alike the twins' maps of the same images are, split twins. By explainer, (images, H, W): maps that
    stay as they are although the training data changed don't explain what was learned from them."""
    for explainer, maps in planted.items():
        pair = [torch.from_numpy(one)[:, None] for one in (maps, control[explainer])]
        for measure in family("similarity"):
            yield explainer, "twins", measure.name, float(measure.function(*pair).nanmean())


def paired_numbers(
    planted: CellRecord, control: CellRecord, plant_on: str, quantile: float
) -> Iterator[Number]:
    """What the planted twin of a seed does beyond its control."""
    twins = [planted.scores], [control.scores]
    limits = [
        (threshold(planted.scores.validation, quantile), threshold(control.scores.validation, quantile))
    ]
    for measure in (RELIANCE, DEPENDENCE):
        (value,) = measure.function(*twins, plant_on)
        yield _numbered("", measure, float(value))
    (value,) = EXCESS_ALARMS.function(*twins, plant_on, limits)
    yield _numbered("", EXCESS_ALARMS, float(value))
    for side in SIDES:
        before, after = overlaps(control.localization, side), overlaps(planted.localization, side)
        for explainer, measures in after.items():
            excess = EXCESS.function(measures[HEADLINE.name], before[explainer][HEADLINE.name])
            yield explainer, f"marked-{side}", EXCESS.name, excess


def overlaps(localization: pd.DataFrame, side: Side) -> dict[str, dict[str, np.ndarray]]:
    """By explainer and measure, the overlap with the artifact's mask on each marked image of a side,
    (images,)."""
    found: dict[str, dict[str, np.ndarray]] = {}
    artifact = localization[localization["part"] == side]
    for (explainer, mask), group in artifact.groupby(["explainer", "mask"], sort=False):
        for measure in family("overlap"):
            name = measured_name(measure.name, str(mask))
            found.setdefault(str(explainer), {})[name] = group[measure.name].to_numpy()
    return found


def chance_levels(record: CellRecord) -> dict[str, float | None]:
    """Each measure's chance level, from the mean area of the artifact's mask; None where there is none."""
    artifact = record.localization[record.localization["part"] != DEFECT]
    return {
        measured_name(measure.name, str(mask)): measure.chance_of(float(group[AREA.name].mean()))
        for mask, group in artifact.groupby("mask", sort=False)
        for measure in family("overlap")
    }


def measured_name(measure: str, mask: str) -> str:
    """Measures on a mask other than the exact one carry its kind: pixel_auroc_dilated."""
    return measure if mask == "exact" else measure + DILATED


def _share(question: Question, twin: str, cell: Cell) -> float:
    """The prevalence in rows of a twin: 0 of a control, unless other artifacts are planted in it."""
    return 0.0 if twin == "control" and not cell.edit.artifacts else question.prevalence


def _tidy(question: Question, twin: str, cell: Cell, numbers: list[Number]) -> pd.DataFrame:
    """Rows of results.csv for a twin, or for a pair of twins."""
    frame = pd.DataFrame(numbers, columns=["explainer", "split", "metric", "value"])
    described = {
        "dataset": question.dataset,
        "nominal_class": question.nominal_class,
        "detector": question.detector,
        "probe": question.probe,
        "plant_on": question.plant_on,
        "prevalence": _share(question, twin, cell),
        "twin": twin,
        "seed": cell.seed,
    }
    return frame.assign(**described)[list(COLUMNS)]


def relevant(record: CellRecord, question: Question) -> CellRecord:
    """Of the side where an artifact is removed, only the test images that bear it."""
    if question.bearing is None:
        return record
    side = DIRECTIONS[question.plant_on].changed
    return replace(record, scores=record.scores.only(side, question.bearing.numpy()))


def results_table(
    measured: Sequence[Measured],
    quantile: float,
    heat: Callable[[Work], dict[str, tuple[np.ndarray, np.ndarray]]] | None = None,
) -> pd.DataFrame:
    """results.csv: tidy, in the order of the plan. A control's rows stand once for each direction.

    heat: the kept heatmaps of a cell and what scales them, by explainer, where the twins' are to be compared.
    """
    frames: list[pd.DataFrame] = []
    seen: set[tuple[str, str, Cell]] = set()
    for one in measured:
        question = one.question
        lowered = found_lowering(one)
        for pair, (control, planted) in enumerate(question.pairs):
            for twin, cell in (("control", control), ("planted", planted)):
                if (twin, question.plant_on, cell) in seen:
                    continue
                seen.add((twin, question.plant_on, cell))
                frames.append(twin_rows(question, twin, relevant(one.records[cell], question), quantile))
            after, before = (relevant(one.records[cell], question) for cell in (planted, control))
            paired = list(paired_numbers(after, before, question.plant_on, quantile))
            paired += paired_lowering(lowered, pair, DIRECTIONS[question.plant_on].changed)
            if heat is not None:
                maps = [
                    {name: found[0] for name, found in heat(one.works[cell]).items()}
                    for cell in (planted, control)
                ]
                paired += twin_numbers(*maps)
            frames.append(_tidy(question, PAIR, planted, paired))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def twin_rows(question: Question, twin: str, record: CellRecord, quantile: float) -> pd.DataFrame:
    """Rows of results.csv of one twin. record: its `relevant` numbers."""
    numbers = [
        *detection_numbers(record.scores, question.plant_on, quantile),
        *localization_numbers(record.localization),
        *lowering_numbers(record, DIRECTIONS[question.plant_on].changed),
        *untrained_numbers(record.untrained),
        *check_numbers(record.checks),
    ]
    return _tidy(question, twin, record.cell, numbers)


def costs_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """costs.csv: what a heatmap cost in each cell: its seconds, megabytes, and seconds to score an image."""
    shares: dict[tuple[str, Cell], float] = {}
    costs: dict[Cell, dict[str, dict[str, float]]] = {}
    for one in measured:
        for twin, cells in (("control", one.question.control), ("planted", one.question.planted)):
            shares |= {(twin, cell): _share(one.question, twin, cell) for cell in cells}
        costs |= {cell: record.costs for cell, record in one.records.items()}
    rows = [
        {
            "detector": cell.detector,
            "twin": twin,
            "prevalence": prevalence,
            "seed": cell.seed,
            "explainer": explainer,
            **spent,
        }
        for (twin, cell), prevalence in shares.items()
        for explainer, spent in costs[cell].items()
    ]
    return pd.DataFrame(rows, columns=COSTS)


def with_class_means(table: pd.DataFrame) -> pd.DataFrame:
    """The table, and, if there are several nominal classes, each number's mean over all of them under the
    nominal class `mean`. A number that is missing for a class has none."""
    classes = table["nominal_class"].nunique()
    if classes < 2:
        return table
    keys = [name for name in COLUMNS if name not in ("nominal_class", "value")]
    # The share of images on which an artifact is found is each class's own.
    own = table["plant_on"].map(lambda name: DIRECTIONS[name].found) & (table["twin"] != "control")
    shared = table.assign(prevalence=table["prevalence"].mask(own))
    groups = shared.groupby(keys, sort=False, dropna=False)["value"]
    means = groups.agg(lambda values: values.mean() if len(values.dropna()) == classes else np.nan).dropna()
    rows = means.reset_index().assign(nominal_class=MEAN)[list(COLUMNS)]
    return pd.concat([table, rows], ignore_index=True)


def _ability(measured: Measured) -> float:
    """See `Evidence`; on all test images, and not only on those that bear the artifact."""
    plant_on = measured.question.plant_on

    def mean(split: str, records: Sequence[CellRecord]) -> float:
        return float(np.mean([auroc(*record.scores.split(split, plant_on)) for record in records]))

    return max(mean("clean", measured.control), mean("usual", measured.planted))


def _untrained(control: Sequence[CellRecord]) -> dict[str, dict[Side, dict[str, float]]]:
    """Overlap of the network's maps before training, by explainer, side and measure, mean over images."""
    first = next((record.untrained for record in control if len(record.untrained)), None)
    found: dict[str, dict[Side, dict[str, float]]] = {}
    if first is not None:
        for side in SIDES:
            for explainer, measures in overlaps(first, side).items():
                found.setdefault(explainer, {})[side] = {
                    measure: float(np.nanmean(values)) for measure, values in measures.items()
                }
    return found


def _side_overlaps(measured: Measured, side: Side) -> dict[str, SideOverlap]:
    """By explainer; of artifacts without a place, nothing."""
    question, looks = measured.question, measured.looks
    turns = np.array([cell.seed for cell in question.control])
    pairs = list(zip(measured.planted, measured.control, strict=True))
    by_look = [
        [
            (
                overlaps(_first_turns(planted.localization, images), side),
                overlaps(_first_turns(control.localization, images), side),
            )
            for (planted, control), turn in zip(pairs, turns, strict=True)
            if turn < look.pairs
        ]
        for look, images in zip(looks, measured.images, strict=True)
    ]
    found = {}
    for explainer in by_look[-1][0][0] if by_look and by_look[-1] else ():
        headline = [
            np.array([p - c for p, c in (_both(pair, explainer, HEADLINE.name) for pair in at_look)])
            for at_look in by_look
        ]
        latest = by_look[-1]
        numbers = {
            measure: _columns([_both(pair, explainer, measure) for pair in latest])
            for measure in latest[0][0][explainer]
        }
        found[explainer] = SideOverlap(
            numbers,
            Seen(tuple(headline), tuple(look.share for look in looks)),
            images=len(latest[0][0][explainer][HEADLINE.name]),
        )
    return found


def _first_turns(localization: pd.DataFrame, images: int | None) -> pd.DataFrame:
    return localization if images is None else localization[localization["turn"] < images]


Overlaps = Mapping[str, Mapping[str, np.ndarray]]  # by explainer and measure, (images,)


def _columns(rows: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    planted, control = np.array(rows).T
    return planted, control


def _both(pair: tuple[Overlaps, Overlaps], explainer: str, measure: str) -> tuple[float, float]:
    """Means of a planted and its control twin over the images that count for both; NaN without any."""
    values = np.stack([twin[explainer][measure] for twin in pair])
    values = values[:, ~np.isnan(values).any(axis=0)]
    if values.size == 0:
        return float("nan"), float("nan")
    return float(values[0].mean()), float(values[1].mean())


def _tenths(control: Sequence[CellRecord]) -> np.ndarray | None:
    """See `Evidence`."""
    tenths = [record.tenths for record in control]
    return np.array(tenths) if tenths and all(tenths) else None


def evidence(measured: Measured, data: AuditData, quantile: float) -> Evidence:
    """What the verdict on one question is judged on. quantile: of the frozen thresholds."""
    question = measured.question
    planted, control = (
        [relevant(record, question).scores for record in records]
        for records in (measured.planted, measured.control)
    )
    sides = {side: _side_overlaps(measured, side) for side in SIDES}
    explainers = dict.fromkeys(name for found in sides.values() for name in found)
    images = (
        planted[0].split("usual", question.plant_on) if planted else (data.test_nominal, data.test_anomalous)
    )
    return Evidence(
        dataset=data.name,
        nominal_class=data.nominal_class,
        detector=question.detector,
        probe=question.probe,
        plant_on=question.plant_on,
        prevalence=question.prevalence,
        images=sum(map(len, images)),
        scores=score_numbers(planted, control, question.plant_on, quantile) if planted else {},
        turns=tuple(cell.seed for cell in question.control),
        looks=measured.looks,
        overlaps={
            name: {side: found[name] for side, found in sides.items() if name in found} for name in explainers
        },
        chance=chance_levels(measured.planted[0]) if planted else {},
        untrained=_untrained(measured.control),
        references=tuple(name for name in explainers if EXPLAINERS[name].reference),
        either_way=tuple(name for name in explainers if EXPLAINERS[name].either_way),
        lowering=found_lowering(measured),
        obstacle=question.obstacle,
        ability=None if question.bearing is None or not planted else _ability(measured),
        failed=question.failed,
        searched=question.searched,
        transplants=_crossed(planted, control, question.plant_on, quantile),
        steps=max((record.steps for record in measured.control if record.steps is not None), default=None),
        tenths=_tenths(measured.control),
    )


def _crossed(
    planted: list[Scores], control: list[Scores], plant_on: str, quantile: float
) -> tuple[Crossed, ...]:
    """At the frozen thresholds, and at lower ones where the controls catch few."""
    rates = [round(1 - quantile, 9)]
    lenient = passing(control, plant_on, [*rates, *LENIENT], CAUGHT) if planted else None
    if lenient is not None and lenient not in rates:
        rates.append(lenient)
    found = []
    for rate in rates:
        flags = [
            all_flags(twins, plant_on, [threshold(one.validation, 1 - rate) for one in twins])
            for twins in (planted, control)
        ]
        if flags[0] is not None and flags[1] is not None:
            found.append(Crossed(flags[0], flags[1], rate))
    return tuple(found)
