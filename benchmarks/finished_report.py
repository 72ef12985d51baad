"""What the rows of the benchmark of finished detectors come to, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.core.text import number, percent, share
from fcdd_audit.measures.statistics import Interval, mean_interval
from fcdd_audit.measures.statistics import share as exact_share
from fcdd_audit.verdict.findings import without_nan

ANSWERS = ("yes", "no", "inconclusive")
REFUSED = ["working-control", "room"]  # what is missing where no verdict could be given at all
SAID = (["vulnerable"], ["robust"], ["images"], REFUSED)
VERDICTS = [word for words in SAID for word in words]
SIDE_WORDS: dict[Side, str] = {"nominal": "new alarms", "anomalous": "newly hidden"}
ASKED = ("native", "grad-cam", "gradient")  # explainers


@dataclass(frozen=True)
class Target:
    """What is to be said, of the detectors whose truth is so. goal: for people."""

    words: str
    holds: Callable[[pd.Series], pd.Series]
    verdict: str
    goal: str


TARGETS = (
    Target("over 10 %", lambda truth: truth > 0.1, "vulnerable", "at least 95 %"),
    Target("under 5 %", lambda truth: truth < 0.05, "vulnerable", "at most 2.5 %"),
    Target("0", lambda truth: truth == 0, "robust", "at least 95 %"),
)


def report(table: pd.DataFrame) -> list[str]:
    """All tables; the rows may be any part of the whole."""
    if table.empty:
        return ["No detector has been judged yet."]
    table = table.assign(audits=table[VERDICTS].sum(axis=1))
    largest = table[table["size"] == table["size"].max()]
    return [*against_targets(table), "", *by_kind(largest), "", *asked_besides(largest)]


def rates_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What the package says of itself: by number of images and true rate, how often each verdict was given in
    the detectors' first audits, both sides together."""
    return [
        {
            "images": int(size),
            "truth": target.words,
            "audits": len(held),
            "verdicts": {word: int((held["first"] == word).sum()) for word in ("vulnerable", "robust")},
        }
        for size, own in table.groupby("size")
        for target in TARGETS
        if len(held := own[target.holds(own["truth"])])
    ]


def lines_of(head: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def against_targets(table: pd.DataFrame) -> list[str]:
    """How often the targets are met, all kinds together."""
    head = ("true rate", "side", "images", "detectors", "called", "goal", "of first audits", "of all audits")
    return lines_of((*head, "refused", "of those not refused"), _target_rows(table))


def _target_rows(table: pd.DataFrame) -> Iterator[Sequence[str]]:
    for target in TARGETS:
        for (size, side), own in table.groupby(["size", "side"], sort=False):
            held = own[target.holds(own["truth"])]
            if len(held):
                judged = not_refused(held)
                yield (
                    *(target.words, SIDE_WORDS[side], str(size), str(len(held))),
                    *(target.verdict, target.goal, first_audits(held, target.verdict)),
                    *(all_audits(held, [target.verdict]), all_audits(held, REFUSED)),
                    f"{all_audits(judged, [target.verdict])} of {len(judged)}",
                )


def not_refused(rows: pd.DataFrame) -> pd.DataFrame:
    """The detectors that aren't refused in all audits, with the audits in which they aren't."""
    left = rows.assign(audits=rows["audits"] - rows[REFUSED].sum(axis=1))
    return left[left["audits"] > 0]


def first_audits(rows: pd.DataFrame, word: str) -> str:
    """In how many of the detectors' first audits it is said, with the exact interval of its share."""
    said = int((rows["first"] == word).sum())
    return f"{said} of {len(rows)}: {percent(without_nan(asdict(exact_share(said, len(rows)))))}"


def all_audits(rows: pd.DataFrame, words: list[str]) -> str:
    """In what share of all audits it is said, with its interval over detectors; none where all say the
    same. A dash without audits."""
    if rows.empty:
        return percent(None)
    return percent(without_nan(asdict(over_detectors(shares(rows, words)))))


def shares(rows: pd.DataFrame, words: list[str]) -> np.ndarray:
    """Of each detector's audits, how many say one of the words."""
    return (rows[words].sum(axis=1) / rows["audits"]).to_numpy()


def over_detectors(values: np.ndarray) -> Interval:
    """The mean with its interval by the jackknife over detectors, within [0, 1]."""
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(float(values.mean()), float("nan"), float("nan"))
    found = mean_interval(values)
    return Interval(found.value, max(0.0, found.low), min(1.0, found.high))


def by_kind(table: pd.DataFrame) -> list[str]:
    """The truth of each kind, and what is said of it."""
    size = table["size"].iloc[0]
    head = ("data", "detectors", "number", "AUROC (median)", "side", "true rate: least, median, largest")
    targets = tuple(f"{one.words}: {one.verdict}" for one in TARGETS)
    verdicts = ("vulnerable", "robust", "open", "no verdict")
    said = lines_of((*head, *verdicts, *targets), _kind_rows(table))
    return [f"Audits of {size} images of a side:", "", *said]


def _kind_rows(table: pd.DataFrame) -> Iterator[Sequence[str]]:
    for (dataset, kind, side), rows in table.groupby(["dataset", "kind", "side"], sort=False):
        truth = rows["truth"].quantile([0, 0.5, 1])
        yield (
            *(str(dataset), str(kind), str(len(rows)), number(rows["auroc"].median())),
            *(SIDE_WORDS[side], ", ".join(f"{100 * value:.1f}" for value in truth) + " %"),
            *(
                share(shares(rows, words).mean())
                for words in (["vulnerable"], ["robust"], ["images"], REFUSED)
            ),
            *(_met(rows[target.holds(rows["truth"])], target.verdict) for target in TARGETS),
        )


def _met(rows: pd.DataFrame, word: str) -> str:
    return f"{share(shares(rows, [word]).mean())} of {len(rows)}" if len(rows) else "–"


def asked_besides(table: pd.DataFrame) -> list[str]:
    """How often the first audit says that it is this mark, on either side, and that heatmaps show it."""
    asked = table[table["specific"] != ""]
    head = ("data", "detectors", *(f"specific, {SIDE_WORDS[side]}" for side in SIDES), *ASKED)
    return ["Yes, no, inconclusive:", "", *lines_of(head, _asked_rows(asked))]


def _asked_rows(asked: pd.DataFrame) -> Iterator[Sequence[str]]:
    for (dataset, kind), own in asked.groupby(["dataset", "kind"], sort=False):
        nominal, anomalous = (own[own["side"] == side] for side in SIDES)
        yield (
            *(str(dataset), str(kind), _counted(nominal["specific"]), _counted(anomalous["specific"])),
            *(_counted(nominal[name]) for name in ASKED),
        )


def _counted(answers: pd.Series) -> str:
    if (answers == "").all():
        return ""
    return ", ".join(str((answers == answer).sum()) for answer in ANSWERS)
