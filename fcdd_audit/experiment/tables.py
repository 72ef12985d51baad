"""From finished cells to the tidy table (one row, one number) and to what the verdict is judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.datasets import AuditData
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.explaining import DEFECT
from fcdd_audit.experiment.folder import MEAN, PAIR
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import CellRecord
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.detection import THRESHOLD, auroc, threshold
from fcdd_audit.measures.localization import AREA, EXCESS, HEADLINE, RELEVANCE_LIFT, RELEVANCE_MASS
from fcdd_audit.measures.reliance import RELIANCE, Scores
from fcdd_audit.measures.table import DILATED, Measure, family
from fcdd_audit.verdict.findings import Evidence

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
            yield _numbered("", measure, found.value)


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


def untrained_numbers(untrained: pd.DataFrame) -> Iterator[Number]:
    """Mean overlap of each explainer's maps of the network before training, split untrained."""
    for explainer, split, metric, value in localization_numbers(untrained):
        if split == "marked" and not metric.endswith("_chance"):
            yield explainer, "untrained", metric, value


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


def paired_numbers(planted: CellRecord, control: CellRecord, plant_on: str) -> Iterator[Number]:
    """What the planted twin of a seed does beyond its control."""
    (reliance,) = RELIANCE.function([planted.scores], [control.scores], plant_on)
    yield _numbered("", RELIANCE, float(reliance))
    before, after = overlaps(control.localization), overlaps(planted.localization)
    for explainer, measures in after.items():
        excess = EXCESS.function(measures[HEADLINE.name], before[explainer][HEADLINE.name])
        yield _numbered(explainer, EXCESS, excess)


def overlaps(localization: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """By explainer and measure, the overlap with the artifact's mask on each marked image, (images,)."""
    found: dict[str, dict[str, np.ndarray]] = {}
    artifact = localization[localization["part"] != DEFECT]
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


def _tidy(question: Question, twin: str, seed: int, numbers: list[Number]) -> pd.DataFrame:
    """Rows of results.csv for a twin, or for a pair of twins."""
    frame = pd.DataFrame(numbers, columns=["explainer", "split", "metric", "value"])
    described = {
        "dataset": question.dataset,
        "nominal_class": question.nominal_class,
        "detector": question.detector,
        "probe": question.probe,
        "plant_on": question.plant_on,
        "prevalence": 0.0 if twin == "control" else question.prevalence,
        "twin": twin,
        "seed": seed,
    }
    return frame.assign(**described)[list(COLUMNS)]


def relevant(record: CellRecord, question: Question) -> CellRecord:
    """Of the side where an artifact is removed, only the test images that bear it."""
    if question.bearing is None:
        return record
    side = DIRECTIONS[question.plant_on].changed
    return replace(record, scores=record.scores.only(side, question.bearing.numpy()))


def results_table(
    questions: list[Question],
    records: dict[Cell, CellRecord],
    quantile: float,
    heat: Callable[[Cell], dict[str, tuple[np.ndarray, np.ndarray]]] | None = None,
) -> pd.DataFrame:
    """results.csv: tidy, in the order of the plan. A control's rows stand once.

    heat: the kept heatmaps of a cell and what scales them, by explainer, where the twins' are to be compared.
    """
    frames: list[pd.DataFrame] = []
    seen: set[tuple[str, Cell]] = set()
    for question in questions:
        for control, planted in question.pairs:
            for twin, cell in (("control", control), ("planted", planted)):
                if (twin, cell) in seen:
                    continue
                seen.add((twin, cell))
                record = relevant(records[cell], question)
                numbers = [
                    *detection_numbers(record.scores, question.plant_on, quantile),
                    *localization_numbers(record.localization),
                    *untrained_numbers(record.untrained),
                    *check_numbers(record.checks),
                ]
                frames.append(_tidy(question, twin, cell.seed, numbers))
            after, before = (relevant(records[cell], question) for cell in (planted, control))
            paired = list(paired_numbers(after, before, question.plant_on))
            if heat is not None:
                maps = [{name: found[0] for name, found in heat(cell).items()} for cell in (planted, control)]
                paired += twin_numbers(*maps)
            frames.append(_tidy(question, PAIR, planted.seed, paired))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def costs_table(questions: list[Question], records: dict[Cell, CellRecord]) -> pd.DataFrame:
    """costs.csv: what a heatmap cost in each cell: its seconds, megabytes, and seconds to score an image."""
    shares: dict[tuple[str, Cell], float] = {}
    for question in questions:
        shares |= {("control", cell): 0.0 for cell in question.control}
        shares |= {("planted", cell): question.prevalence for cell in question.planted}
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
        for explainer, spent in records[cell].costs.items()
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


def _ability(question: Question, records: dict[Cell, CellRecord]) -> float:
    """See `Evidence`; on all test images, and not only on those that bear the artifact."""

    def mean(split: str, cells: Sequence[Cell]) -> float:
        sets = [records[cell].scores.split(split, question.plant_on) for cell in cells]
        return float(np.mean([auroc(*scores) for scores in sets]))

    return max(mean("clean", question.control), mean("usual", question.planted))


def _untrained(control: Sequence[CellRecord]) -> dict[str, dict[str, float]]:
    """Overlap of the network's maps before training, by explainer and measure, mean over images and seeds."""
    by_seed = [overlaps(record.untrained) for record in control]
    return {
        explainer: {
            measure: float(np.nanmean([found[explainer][measure] for found in by_seed]))
            for measure in measures
        }
        for explainer, measures in (by_seed[0] if by_seed else {}).items()
    }


def evidence(question: Question, records: dict[Cell, CellRecord], data: AuditData) -> Evidence:
    """What the verdict on one question is judged on."""
    planted = [relevant(records[cell], question) for cell in question.planted]
    control = [relevant(records[cell], question) for cell in question.control]
    by_seed = [
        (overlaps(p.localization), overlaps(c.localization)) for p, c in zip(planted, control, strict=True)
    ]
    explainers = by_seed[0][0] if by_seed else {}
    return Evidence(
        dataset=data.name,
        nominal_class=data.nominal_class,
        detector=question.detector,
        probe=question.probe,
        plant_on=question.plant_on,
        prevalence=question.prevalence,
        images=sum(map(len, planted[0].scores.split("usual", question.plant_on)))
        if planted
        else len(data.test_nominal) + len(data.test_anomalous),
        planted=[record.scores for record in planted],
        control=[record.scores for record in control],
        overlaps={
            explainer: {
                measure: (
                    np.stack([p[explainer][measure] for p, _ in by_seed]),
                    np.stack([c[explainer][measure] for _, c in by_seed]),
                )
                for measure in measures
            }
            for explainer, measures in explainers.items()
        },
        chance=chance_levels(planted[0]) if planted else {},
        untrained=_untrained(control),
        references=tuple(name for name in explainers if EXPLAINERS[name].reference),
        either_way=tuple(name for name in explainers if EXPLAINERS[name].either_way),
        obstacle=question.obstacle,
        ability=None if question.bearing is None or not planted else _ability(question, records),
        failed=question.failed,
    )
