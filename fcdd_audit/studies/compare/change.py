"""Two audits that ask the same question: what was, what is, and the difference, with intervals.

Of twins the unit is the pair: planted minus control, one number a seed. Where both audits have at least two
seeds in common, the difference is paired by seed, over these (Student's t); else it is one of two independent
means (Welch's t). Of finished detectors there are counts of images: Newcombe's interval, images not paired.
The intervals are each for one number, and allow neither for looks nor for how many numbers there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.core.directions import CLEAN, DIRECTIONS, MARKED
from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.folder import PAIR
from fcdd_audit.measures.differences import (
    clipped,
    mean_or_value,
    share_difference,
    unpaired_difference,
    wilson,
)
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.studies.compare.differing import differing
from fcdd_audit.studies.compare.questions import (
    FINISHED,
    Audit,
    Finding,
    matched,
    obstacle,
    read_audit,
)
from fcdd_audit.studies.compare.results import SCHEMA
from fcdd_audit.studies.compare.saying import said_of_alarms
from fcdd_audit.verdict.findings import without_nan
from fcdd_audit.verdict.words import verdict_words

NAN = float("nan")
LEAST = 2  # seeds in common that a paired difference takes
BOUNDS = {"alarms": (-1.0, 1.0), "dependence": (-5.0, 5.0), "control_auroc": (0.0, 1.0)}
METRICS = {"alarms": "excess_alarms", "dependence": "dependence"}  # in results.csv, of pairs


@dataclass(frozen=True)
class Number:
    """A number before and after, and after minus before."""

    before: Interval
    after: Interval
    difference: Interval


@dataclass(frozen=True)
class Stage:
    """One of the two audits on a question. verdict: as in findings.json; said: in words. cases: pairs of
    twins, or images, that its numbers are of."""

    detector: str
    prevalence: float | None
    verdict: str
    said: str
    cases: int


@dataclass(frozen=True)
class Changed:
    """One question. how: `paired` by seed, `unpaired` twins, or `counts` of images. alarms: new alarms (of an
    artifact on the nominal side: anomalies that hide), of twins beyond the control's. dependence: the score
    shift. control_auroc: of a finished detector its own. said: what became of new alarms, in a sentence."""

    dataset: str
    nominal_class: str
    probe: str
    plant_on: str
    before: Stage
    after: Stage
    how: str
    alarms: Number
    dependence: Number
    control_auroc: Number
    said: str


@dataclass(frozen=True)
class Change:
    """Audits before and after. runs: their names and designs. differs: settings that differ, by name."""

    runs: list[dict[str, Any]]
    confidence: float
    differs: list[dict[str, Any]]
    questions: list[Changed]

    def as_json(self) -> dict[str, Any]:
        """The content of comparison.json (docs/files.md)."""
        return without_nan({"schema": SCHEMA, "kind": "change", **asdict(self)})

    def table(self) -> pd.DataFrame:
        """comparison.csv: one row, one number."""
        return pd.DataFrame([row for one in self.questions for row in _rows(one)])


def _rows(one: Changed) -> Iterator[dict[str, Any]]:
    about = {
        "dataset": one.dataset,
        "nominal_class": one.nominal_class,
        "probe": one.probe,
        "plant_on": one.plant_on,
    }
    for metric in BOUNDS:
        for stage, found in vars(getattr(one, metric)).items():
            of = one.before if stage == "before" else one.after
            yield {
                **about,
                "detector": of.detector,
                "prevalence": of.prevalence,
                "metric": metric,
                "stage": stage,
                **vars(found),
                "how": one.how if stage == "difference" else "",
            }


def change(before: Path, after: Path) -> Change:
    """InputError if one holds no finished run, or the two don't ask the same."""
    return changed(read_audit(before), read_audit(after))


def changed(before: Audit, after: Audit) -> Change:
    """InputError if the two don't ask the same."""
    if (why := obstacle(before, after)) is not None:
        raise InputError(f"the two runs don't ask the same question ({why}); compare runs that do")
    confidence = max(before.confidence, after.confidence)
    several = len({one["nominal_class"] for one in before.findings}) > 1
    return Change(
        runs=[{"run": audit.name, "design": audit.design} for audit in (before, after)],
        confidence=confidence,
        differs=differing(before.config, after.config),
        questions=[
            _of_finished(*pair, confidence, several)
            if before.design == FINISHED
            else _of_twins(before, after, pair, confidence, several)
            for pair in matched(before, after)
        ],
    )


def _of_twins(
    before: Audit, after: Audit, pair: tuple[Finding, Finding], confidence: float, several: bool
) -> Changed:
    tables = [pairs_of(audit.results, one) for audit, one in zip((before, after), pair, strict=True)]
    shared = tables[0].index.intersection(tables[1].index)
    paired = len(shared) >= LEAST
    if paired:
        tables = [table.loc[shared] for table in tables]
    numbers = {name: _number(tables[0][name], tables[1][name], name, confidence, paired) for name in BOUNDS}
    return _changed(
        pair, [len(table) for table in tables], "paired" if paired else "unpaired", numbers, several
    )


def pairs_of(results: pd.DataFrame, finding: Finding) -> pd.DataFrame:
    """The numbers of BOUNDS by seed, one row a pair of twins that has them."""
    own = results["explainer"] == ""
    for name in ("nominal_class", "detector", "probe", "plant_on"):
        own &= results[name] == finding[name]
    rows = results[own]
    paired = rows[
        (rows["twin"] == PAIR) & (rows["split"] == "conflict") & (rows["prevalence"] == finding["prevalence"])
    ]
    columns = {
        name: paired[paired["metric"] == metric].set_index("seed")["value"]
        for name, metric in METRICS.items()
    }
    control = rows[
        (rows["twin"] == "control")
        & rows["prevalence"].isin((0.0, finding["prevalence"]))  # with others planted in it, as of its pair
        & (rows["metric"] == "auroc")
        & (rows["split"] == _usual(finding["plant_on"]))
    ]
    columns["control_auroc"] = control.set_index("seed")["value"]
    return pd.DataFrame(columns, dtype=float).dropna().sort_index()


def _by_seed(rows: pd.DataFrame, metric: str) -> pd.Series:
    return rows[rows["metric"] == metric].set_index("seed")["value"]


def _usual(plant_on: str) -> str:
    """The split of the test images as they are in use."""
    direction = DIRECTIONS[plant_on]
    return {CLEAN: "clean", MARKED: "marked"}.get(direction.usual, "aligned")


def _number(before: pd.Series, after: pd.Series, name: str, confidence: float, paired: bool) -> Number:
    low, high = BOUNDS[name]
    first, second = before.to_numpy(), after.to_numpy()
    difference = (
        mean_or_value(second - first, confidence)
        if paired
        else unpaired_difference(first, second, confidence)
    )
    return Number(
        clipped(mean_or_value(first, confidence), low, high),
        clipped(mean_or_value(second, confidence), low, high),
        clipped(difference, *_possible(name, difference.value)),
    )


def _possible(name: str, value: float) -> tuple[float, float]:
    """Limits of a difference. One of alarms is cut off at 100 points: beyond, controls would have to raise
    alarms too."""
    low, high = BOUNDS[name]
    most = 1.0 if name == "alarms" else high - low
    return min(-most, value), max(most, value)


def _of_finished(before: Finding, after: Finding, confidence: float, several: bool) -> Changed:
    counts = [
        (round(one["finished"]["rate"]["value"] * one["finished"]["images"]), one["finished"]["images"])
        for one in (before, after)
    ]
    alarms = Number(
        wilson(*counts[0], confidence),
        wilson(*counts[1], confidence),
        share_difference(counts[0], counts[1], confidence),
    )
    numbers = {
        "alarms": alarms,
        "dependence": _bare(before["finished"]["shift"], after["finished"]["shift"]),
        "control_auroc": _bare(before["control_auroc"], after["control_auroc"]),
    }
    return _changed((before, after), [trials for _, trials in counts], "counts", numbers, several)


def _bare(before: float | None, after: float | None) -> Number:
    """Of one detector each, without intervals."""
    first, second = (NAN if value is None else value for value in (before, after))
    return Number(Interval(first, NAN, NAN), Interval(second, NAN, NAN), Interval(second - first, NAN, NAN))


def _changed(
    pair: tuple[Finding, Finding], cases: list[int], how: str, numbers: dict[str, Number], several: bool
) -> Changed:
    before, after = (
        Stage(one["detector"], one["prevalence"], one["verdict"], verdict_words(one), count)
        for one, count in zip(pair, cases, strict=True)
    )
    about, alarms = pair[0], numbers["alarms"]
    named = [after.detector, *([about["nominal_class"]] if several else [])]
    return Changed(
        dataset=about["dataset"],
        nominal_class=about["nominal_class"],
        probe=about["probe"],
        plant_on=about["plant_on"],
        before=before,
        after=after,
        how=how,
        alarms=alarms,
        dependence=numbers["dependence"],
        control_auroc=numbers["control_auroc"],
        said=said_of_alarms(
            named, about["plant_on"], alarms.before.value, alarms.after.value, alarms.difference
        ),
    )
