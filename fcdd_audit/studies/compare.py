"""Explanations compared on what they are for: which would have shown a Clever Hans, and which cry wolf?

Read from finished runs. The cases are those whose truth is known, because the artifact was planted:

- confirmed: findings that say "relies". An explainer exposes one if the interval of its excess pixel AUROC
  lies above the threshold, and hides it if it lies below; of each explainer alone, as somebody who uses only
  this one would see it, so without what answers pay for looks and for their number.
- relying twins: planted twins whose own dependence is above the threshold, of detectors that work and
  findings that aren't cleared. Exposed if their own excess is above its threshold.
- cleared: findings that say "does not rely". To show the artifact there is a false alarm.
- control pairs: each control in the planted twin's place, beside that of the next seed, of detectors that
  work; neither ever saw the artifact. A false alarm if the first's overlap exceeds the second's by more than
  the threshold. Maps that differ by nothing but chance do so in half of the pairs: that is the worst.

Twins share test images, and several prevalences a control: the exact intervals are as if they were
independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.experiment.folder import MEAN, PAIR, RunFolder
from fcdd_audit.measures.detection import placements
from fcdd_audit.measures.statistics import MIN_AGREEMENT, Interval, interval, share
from fcdd_audit.verdict.findings import without_nan

SCHEMA = 2  # of comparison.json
DRAWS = 2000
CHECKS = ("similarity", "faithfulness")  # families of the measures that maps are checked by
SHARED = ("shift", "reveal", "confidence", "usable_auroc")  # thresholds that runs must have in common
CASE = ["run", "nominal_class", "probe", "plant_on", "prevalence"]
FINDING = (*CASE[1:], "detector", "verdict", "control_auroc", "explainers")
EXPLAINER = ("detector", "explainer", "reference", "unavailable", "field", "stride")


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
    field, stride: pixels of the map's cells, on the first run that has it; None: not known.
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


@dataclass(frozen=True)
class _Run:
    """A finished run. results: without means over classes. explainers, measures: as in config.json."""

    described: dict[str, Any]
    findings: list[dict[str, Any]]
    results: pd.DataFrame
    costs: pd.DataFrame
    explainers: list[dict[str, Any]]
    options: dict[str, Any]
    thresholds: dict[str, float]
    measures: dict[str, dict[str, Any]]
    headline: str


def compare(folders: Sequence[Path]) -> Comparison:
    """Explainers on detectors over all these runs. InputError for a folder that holds no finished run with
    twins, for one given twice, or runs whose thresholds differ."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("a run is given twice; give each once")
    runs = [_read(folder, str(place)) for place, folder in enumerate(folders)]
    if any(run.options != runs[0].options for run in runs):
        raise InputError("the runs have different options of explainers; compare those that share them")
    thresholds = runs[0].thresholds
    if any((run.thresholds, run.headline) != (thresholds, runs[0].headline) for run in runs):
        raise InputError("the runs were judged with different thresholds; compare those that share them")
    findings = pd.DataFrame(
        [
            {
                "run": run.described["id"],
                **{key: one[key] for key in (*CASE[1:], "detector", "verdict", "control_auroc")},
                "explainers": one["explainers"],
            }
            for run in runs
            for one in run.findings
        ]
    )
    results = pd.concat([run.results for run in runs], ignore_index=True)
    costs = pd.concat([run.costs for run in runs], ignore_index=True)
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        for row in run.explainers:
            key = (row["detector"], row["explainer"])
            if key not in known or known[key]["unavailable"] is not None:  # it works in one of the runs
                known[key] = row
    headline = runs[0].headline
    measures = {
        name: measure
        for run in runs
        for name, measure in run.measures.items()
        if name == headline or measure["family"] in CHECKS
    }
    alike = [name for name, measure in measures.items() if measure["family"] == "similarity"]
    rows = [
        _compared(about, findings, results, costs, thresholds, headline, alike) for about in known.values()
    ]
    return Comparison([run.described for run in runs], thresholds, _ranked(rows), measures)


def _read(folder: Path, name: str) -> _Run:
    try:
        return _read_run(RunFolder(folder), name)
    except (OSError, KeyError, ValueError) as error:
        missing = getattr(error, "filename", None) or error
        raise InputError(
            f"'{folder}' is no complete run ({missing}); give the folder that 'fcdd-audit run' wrote"
        ) from error


def _read_run(run: RunFolder, name: str) -> _Run:
    config, found = run.read_json("config.json"), run.read_json("findings.json")
    if config["design"] != "twins":
        raise InputError(f"'{run.path}' is of a finished detector; compare runs that train twins")
    # As text first: prevalences must match those of the findings to the last bit.
    results = pd.read_csv(run.path / "results.csv", dtype=str, keep_default_na=False)
    results = results[results["nominal_class"] != MEAN]
    numbers = {key: results[key].replace("", "nan").astype(float) for key in ("prevalence", "seed", "value")}
    results = results.assign(run=name, **numbers)
    costs = run.path / "costs.csv"
    settings = config["config"]
    if not found["findings"]:
        raise InputError(f"'{run.path}' has no finding; there is nothing to compare")
    return _Run(
        described={
            "id": name,
            "run": found["run"],
            "dataset": settings["data"]["dataset"],
            "probe": settings["artifact"]["probe"],
            "prevalence": settings["artifact"]["prevalence"],
            "seeds": settings["design"]["seeds"],
            "detectors": settings["detector"]["detectors"],
            "classes": [data["nominal_class"] for data in config["data"]],
            "images": found["findings"][0]["images"],
            "network": settings["detector"]["recipe"]["network"],
            "image_size": settings["data"]["image_size"],
            "explained": settings["explanation"]["explained"],
            "device": config["device"]["name"],
        },
        findings=[{key: one[key] for key in FINDING} for one in found["findings"]],
        results=results,
        costs=pd.read_csv(costs).assign(run=name) if costs.is_file() else pd.DataFrame(columns=["run"]),
        explainers=[{key: row[key] for key in EXPLAINER} for row in config["explainers"]],
        options={
            row["explainer"]: settings["options"][row["explainer"]]
            for row in config["explainers"]
            if settings["options"].get(row["explainer"])
        },
        thresholds={name: settings["design"]["thresholds"][name] for name in SHARED},
        measures=config["measures"],
        headline=config["headline"],
    )


def _ranked(rows: list[Compared]) -> list[Compared]:
    """By detector: the explanations, the best first; those of which nothing is known; reference maps; what
    can't work."""

    def worth(row: Compared) -> tuple[float, float]:
        exposes, alarms = row.exposes_twins.share.value, row.alarms_on_controls.share.value
        gain = np.nan_to_num(exposes) - np.nan_to_num(alarms)
        return -float(gain), -float(np.nan_to_num(row.separation.value))

    ordered: list[Compared] = []
    for detector in dict.fromkeys(row.detector for row in rows):
        own = [row for row in rows if row.detector == detector]
        working = [row for row in own if row.unavailable is None]
        explaining = [row for row in working if not row.reference]
        judged = [row for row in explaining if row.exposes_twins.trials + row.alarms_on_controls.trials]
        for rank, row in enumerate(sorted(judged, key=worth), 1):
            ordered.append(replace(row, rank=rank))
        ordered += [row for row in explaining if row not in judged]
        ordered += [row for row in working if row.reference]
        ordered += [row for row in own if row.unavailable is not None]
    return ordered


def _compared(
    about: dict[str, Any],
    findings: pd.DataFrame,
    results: pd.DataFrame,
    costs: pd.DataFrame,
    limits: dict[str, float],
    headline: str,
    alike: Sequence[str],
) -> Compared:
    """headline: the measure of overlap. alike: those of similarity."""
    detector, name = about["detector"], about["explainer"]
    judged = findings[findings["detector"] == detector]
    shown = judged.assign(
        excess=[
            next((_alone(one, headline) for one in each if one["explainer"] == name), None)
            for each in judged["explainers"]
        ]
    ).dropna(subset=["excess"])
    works = shown["control_auroc"].astype(float) >= limits["usable_auroc"]
    shown = shown.assign(possible=works & (shown["verdict"] != "does-not-rely"))
    confirmed, cleared = (shown[shown["verdict"] == verdict] for verdict in ("relies", "does-not-rely"))
    own = results[results["detector"] == detector]
    mine = own[own["explainer"] == name]
    planted = _twins(own, mine, shown, headline)
    relying = planted[planted["possible"] & (planted["dependence"] > limits["shift"])]
    controls = _overlap_of(mine, "control", headline)
    spent = costs[(costs["detector"] == detector) & (costs["explainer"] == name)] if len(costs) else costs
    cascade = _by_depth(mine, "cascade", alike)
    single = _by_depth(mine, "layer", alike)
    checks = mine.groupby(["split", "metric"])["value"].mean()

    def count(hits: Iterable[bool]) -> Count:
        return Count.of(hits, limits["confidence"])

    def check(split: str, metric: str) -> float:
        return float(checks.get((split, metric), np.nan))

    def cost_of(column: str) -> float:
        return float(spent[column].median()) if len(spent) else float("nan")

    passes = (spent["seconds"] / spent["seconds_to_score"]).median() if len(spent) else np.nan
    return Compared(
        detector=detector,
        explainer=name,
        reference=about["reference"],
        unavailable=about["unavailable"],
        rank=0,
        exposes=count(_low(one) > limits["reveal"] for one in confirmed["excess"]),
        hides=count(_high(one) < limits["reveal"] for one in confirmed["excess"]),
        exposes_twins=count(relying["excess"] > limits["reveal"]),
        false_alarms=count(_low(one) > limits["reveal"] for one in cleared["excess"]),
        alarms_on_controls=count(_control_pairs(controls, shown[works]) > limits["reveal"]),
        separation=_separation(relying, controls, limits["confidence"]),
        agreement=_agreement(planted, limits["confidence"]),
        overlap={
            "planted": float(relying["overlap"].mean()),
            "control": float((relying["overlap"] - relying["excess"]).mean()),
            "untrained": _untrained(mine, relying, headline),
        },
        randomised=cascade,
        single=single,
        twins={metric: check("twins", metric) for metric in alike},
        noise={metric: check("noise", metric) for metric in alike},
        deletion=check("deletion", "mean_fall"),
        insertion=check("insertion", "mean_rise"),
        seconds=cost_of("seconds"),
        megabytes=cost_of("megabytes"),
        passes=float(passes),
        field=about["field"],
        stride=about["stride"],
    )


def _alone(explainer: dict[str, Any], headline: str) -> dict[str, float | None] | None:
    """Its excess on the side that is judged, with the interval for one explainer at one look; None where it
    can't be asked."""
    if not (explainer["reference"] or explainer["judged"]):
        return None
    return next(
        (
            overlap["excess"]
            for overlap in explainer["overlaps"]
            if (overlap["side"], overlap["measure"]) == (explainer["side"], headline)
        ),
        None,
    )


def _low(excess: dict[str, float | None]) -> float:
    return -np.inf if excess["low"] is None else excess["low"]


def _high(excess: dict[str, float | None]) -> float:
    return np.inf if excess["high"] is None else excess["high"]


def _twins(own: pd.DataFrame, mine: pd.DataFrame, shown: pd.DataFrame, headline: str) -> pd.DataFrame:
    """A row a planted twin of the findings in `shown`: dependence, excess, overlap, whether it may rely."""
    keys = [*CASE, "seed"]
    paired = own[own["twin"] == PAIR]
    found = paired[paired["metric"] == "dependence"][[*keys, "value"]].rename(columns={"value": "dependence"})
    excess = mine[(mine["twin"] == PAIR) & (mine["metric"] == "excess_pixel_auroc") & _judged(mine)]
    found = found.merge(excess[[*keys, "value"]].rename(columns={"value": "excess"}), on=keys)
    found = found.merge(_overlap_of(mine, "planted", headline), on=keys)
    return found.merge(shown[[*CASE, "possible"]], on=CASE)


def _judged(rows: pd.DataFrame, split: str = "marked") -> pd.Series:
    """Whether each is of the side that heat is judged on: the one that the conflict set changes."""
    sides = rows["plant_on"].map(lambda name: DIRECTIONS[name].changed)
    return rows["split"] == split + "-" + sides


def _overlap_of(mine: pd.DataFrame, twin: str, headline: str) -> pd.DataFrame:
    chosen = mine[(mine["twin"] == twin) & _judged(mine) & (mine["metric"] == headline)]
    return chosen[[*CASE, "seed", "value"]].rename(columns={"value": "overlap"})


def _untrained(mine: pd.DataFrame, relying: pd.DataFrame, headline: str) -> float:
    """Mean overlap of the networks before training, of runs and classes in which twins rely, as often as they
    do; NaN without any. Of each run and class one network is explained before, or a few."""
    keys = ["run", "nominal_class", "probe"]
    chosen = mine[_judged(mine, "untrained") & (mine["metric"] == headline)]
    means = chosen.groupby(keys, as_index=False)["value"].mean()
    return float(relying[keys].merge(means, on=keys)["value"].mean())


def _control_pairs(controls: pd.DataFrame, shown: pd.DataFrame) -> np.ndarray:
    """Overlap of each control less that of the next seed's, the last one's less the first's."""
    judged = set(zip(shown["run"], shown["nominal_class"], strict=True))
    pairs: list[float] = []
    for case, group in controls.groupby(["run", "nominal_class"], sort=False):
        overlap = group.sort_values("seed")["overlap"].to_numpy()
        if case in judged and len(overlap) > 1:
            pairs.extend(overlap - np.roll(overlap, -1))
    return np.array(pairs)


def _separation(relying: pd.DataFrame, controls: pd.DataFrame, confidence: float) -> Interval:
    """Within a run and class, relying twins against controls; the mean over all such pairs."""
    groups = []
    for key, group in relying.groupby(["run", "nominal_class"], sort=False):
        here = controls[(controls["run"] == key[0]) & (controls["nominal_class"] == key[1])]
        if len(here):
            groups.append((here["overlap"].to_numpy(), group["overlap"].to_numpy()))
    if not groups:
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = numpy_generator(0, "bootstrap of separation")
    pairs = np.array([len(control) * len(twins) for control, twins in groups])

    def mean(chosen: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        found = [placements(control, twins)[1].mean() for control, twins in chosen]
        return float(np.average(found, weights=pairs))

    draws = [
        mean(
            [(rng.choice(control, len(control)), rng.choice(twins, len(twins))) for control, twins in groups]
        )
        for _ in range(DRAWS)
    ]
    return _bootstrapped(mean(groups), np.array(draws), confidence, (0, 1))


def _bootstrapped(
    value: float, draws: np.ndarray, confidence: float, bounds: tuple[float, float]
) -> Interval:
    """No limits where all draws are the same: so few twins say nothing of how sure that is."""
    if len(draws) == 0 or np.ptp(draws) == 0:
        return Interval(value, float("nan"), float("nan"))
    return interval(value, draws, confidence, bounds)


def _agreement(planted: pd.DataFrame, confidence: float) -> Interval:
    """Rank correlation over planted twins, with a bootstrap over them; NaN for fewer than 5, or where one of
    the two doesn't vary."""
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    pair = planted[["excess", "dependence"]].to_numpy().T
    if pair.shape[1] < MIN_AGREEMENT or (np.ptp(pair, axis=1) == 0).any():
        return nothing
    rng = numpy_generator(0, "bootstrap of agreement")
    drawn = pair[:, rng.integers(pair.shape[1], size=(DRAWS, pair.shape[1]))]  # (2, draws, twins)
    ranks = stats.rankdata(drawn, axis=2)
    centred = ranks - ranks.mean(axis=2, keepdims=True)
    spread = np.sqrt(np.square(centred).sum(axis=2).prod(axis=0))
    draws = (centred[0] * centred[1]).sum(axis=1)[spread > 0] / spread[spread > 0]
    return _bootstrapped(float(stats.spearmanr(*pair).statistic), draws, confidence, (-1, 1))


def _by_depth(mine: pd.DataFrame, kind: str, alike: Sequence[str]) -> dict[str, list[float]]:
    """Mean similarity by measure, over the layers in order."""
    rows = mine[mine["split"].str.match(rf"{kind}-\d+$")]
    depth = rows["split"].str.extract(r"(\d+)$", expand=False).astype(int)
    means = rows.assign(depth=depth).groupby(["metric", "depth"])["value"].mean()
    return {
        metric: means[metric].sort_index().tolist()
        for metric in alike
        if metric in means.index.get_level_values(0)
    }
