"""What a comparison of explainers says, and how it is written down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from fcdd_audit.measures.statistics import Interval, share
from fcdd_audit.verdict.findings import without_nan

SCHEMA = 2  # of comparison.json


@dataclass(frozen=True)
class Count:
    """So many of so many, and the share with its exact interval (NaN without any)."""

    hits: int
    trials: int
    share: Interval

    @classmethod
    def of(cls, hits: Iterable[bool], confidence: float) -> Count:
        found = list(hits)
        number = int(sum(found))
        return cls(number, len(found), share(number, len(found), confidence))


@dataclass(frozen=True)
class Compared:
    """One explainer on one detector. Fractions in [0, 1]; None or NaN: no case to say it of.

    rank: by `exposes_twins` less `alarms_on_controls`, then by separation; 0 for reference maps, and where
    no case is known.
    unavailable: why it can't work on the detector; then there are no numbers.
    exposes, hides: of confirmed findings. exposes_twins: of relying twins. false_alarms: of cleared findings.
    alarms_on_controls: of control pairs.
    separation: chance that a relying twin's map overlaps with the artifact more than a control's, in [0, 1],
    0.5 is chance: what the map tells without a control beside it.
    agreement: Spearman's correlation of excess and dependence over planted twins. Both have limits only where
    a bootstrap over twins varies.
    overlap: mean pixel AUROC of `planted` relying twins, of their `control`s, and of what both were before
    training, `untrained`.
    randomised: similarity with the maps of copies whose last 1, 2, ... layers are redrawn, by measure.
    single: where only the layer counted from the end is. twins, noise: with the control's maps; with those of
    noisy images. deletion, insertion: mean fall and rise of the score, in inter-quartile ranges of nominal
    scores. seconds, megabytes: a map, medians over cells; passes: those seconds, in times that scoring takes.
    field, stride: pixels of the map's cells, on the first run that has it; None: not known. halves: what of
    its maps the cases are judged by, `raises` the score or `lowers` it.
    """

    detector: str
    explainer: str
    reference: bool
    unavailable: str | None
    rank: int
    exposes: Count
    hides: Count
    exposes_twins: Count
    false_alarms: Count
    alarms_on_controls: Count
    separation: Interval
    agreement: Interval
    overlap: dict[str, float]
    randomised: dict[str, list[float]]
    single: dict[str, list[float]]
    twins: dict[str, float]
    noise: dict[str, float]
    deletion: float
    insertion: float
    seconds: float
    megabytes: float
    passes: float
    field: int | None
    stride: int | None
    halves: tuple[str, ...] = ()
    tier: int = 0


@dataclass(frozen=True)
class Comparison:
    """runs: what was read: name, dataset, probe, prevalences, seeds, detectors. rows: explainers by detector,
    the best first, then unranked ones, reference maps, and those that can't work. thresholds: as in the
    runs. measures: those that maps are checked by and the headline, as in the runs' config.json."""

    runs: list[dict[str, Any]]
    thresholds: dict[str, float]
    rows: list[Compared]
    measures: dict[str, dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The content of comparison.json (docs/files.md)."""
        rows = [asdict(row) for row in self.rows]
        return without_nan(
            {
                "schema": SCHEMA,
                "kind": "explainers",
                "runs": self.runs,
                "thresholds": self.thresholds,
                "measures": self.measures,
                "explainers": rows,
            }
        )

    def table(self) -> pd.DataFrame:
        """comparison.csv: one row, one number; low and high where it has an interval, of `n` cases."""
        rows = [
            {"detector": row.detector, "explainer": row.explainer, "rank": row.rank, **number}
            for row in self.rows
            for number in _numbers(row)
        ]
        columns = ["detector", "explainer", "rank", "metric", "value", "low", "high", "n"]
        return pd.DataFrame(rows, columns=columns)


def _numbers(row: Compared) -> Iterator[dict[str, Any]]:
    for name, value in vars(row).items():
        if isinstance(value, Count):
            yield {"metric": name, **vars(value.share), "n": value.trials}
        elif isinstance(value, Interval):
            yield {"metric": name, **vars(value)}
        elif isinstance(value, dict):
            for key, part in value.items():
                listed = part if isinstance(part, list) else [part]
                for place, one in enumerate(listed, 1):
                    yield {"metric": f"{name}_{key}" + (f"_{place}" if listed is part else ""), "value": one}
        elif isinstance(value, float) or name in ("field", "stride"):
            yield {"metric": name, "value": value}
