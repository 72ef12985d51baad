"""What the page shows of twins besides config.json and findings.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.experiment.folder import MEAN, PAIR, RunFolder
from fcdd_audit.report.figures import dose_response, rates_figure, roc_curves, score_distributions
from fcdd_audit.report.glossary import Glossary, glossary, read_results
from fcdd_audit.report.strips import picture_rows

# Of each family of measures, the splits that are shown of every cell.
BY_SEED = {"detection": ("clean", "conflict"), "decision": ("clean", "marked"), "scores": ("conflict",)}
DOSES = 6  # curves over prevalence
LISTED = 12  # features of training images


@dataclass(frozen=True)
class Section:
    """What the page shows of one finding besides its numbers."""

    finding: dict[str, Any]
    strips: list[dict[str, Any]]
    explainers: list[dict[str, Any]]
    distributions: Markup | None
    roc: Markup | None


def context(run: RunFolder, config: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What report.html.j2 shows besides config.json and findings.json."""
    results = read_results(run)
    scores, curves = run.read_table("scores.csv"), run.read_table("curves.csv")
    drawn = [question["heat"] is not None or not question["planted"] for question in config["questions"]]
    natural = any(DIRECTIONS[finding["plant_on"]].found for finding in found["findings"])
    names = glossary(config["measures"], found["findings"], results)
    columns = _columns(names, results)
    return {
        "origin": found["origin"],
        "doses": _doses(found["findings"], config["config"]["design"]["thresholds"], names),
        "glossary": names,
        "headline": config["headline"],
        "sets": _sets(natural),
        "natural": natural,
        "error_rates": _error_rates(config),
        "listed": LISTED,
        "placed": "mask" in run.read_arrays(config["questions"][0]["examples"]),
        "sections": [
            _section(run, config, finding, index, scores, curves)
            for index, finding in enumerate(found["findings"])
            if drawn[index]
        ],
        "undrawn": not all(drawn),
        "many": len(config["data"]) > 1,
        "quadrants": _quadrants(found["findings"]),
        "columns": columns,
        "seeds": _by_seed(results, columns),
    }


def _error_rates(config: dict[str, Any]) -> dict[str, Any]:
    """With their figure, where there are any."""
    noted: dict[str, Any] = config["error_rates"]
    if not noted["rates"]:
        return noted
    return {**noted, "svg": Markup(rates_figure(noted["rates"], "rates"))}


def _quadrants(findings: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Which detector and explainer stands in which field of the 2x2; reference maps aren't explanations."""
    fields: dict[str, list[str]] = {
        name: [] for name in ("exposed", "hidden", "false-alarm", "clear", "undecided")
    }
    many = len({finding["prevalence"] for finding in findings}) > 1
    classes = len({finding["nominal_class"] for finding in findings}) > 1
    for finding in findings:
        for explainer in finding["explainers"]:
            if not explainer["reference"]:
                label = f"{finding['detector']} · {explainer['explainer']}"
                if classes:
                    label = f"{finding['nominal_class']} · {label}"
                if many:
                    label += f" · prevalence {finding['prevalence']:g}"
                fields[explainer["quadrant"]].append(label)
    return fields


def _doses(findings: list[dict[str, Any]], limits: dict[str, float], names: Glossary) -> list[dict[str, Any]]:
    """A curve for each class and detector with several prevalences."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for finding in findings:
        if finding["reliance"]:
            key = (finding["nominal_class"], finding["detector"], finding["plant_on"])
            groups.setdefault(key, []).append(finding)
    many = len({nominal_class for nominal_class, _, _ in groups}) > 1
    return [
        {
            "name": f"{detector} on {nominal_class}" if many else detector,
            "side": side,
            "svg": Markup(dose_response(group, limits, names.label, f"dose-{index}")),
        }
        for index, ((nominal_class, detector, side), group) in enumerate(groups.items())
        if len(group) > 1
    ][:DOSES]


def _columns(names: Glossary, results: pd.DataFrame) -> list[dict[str, Any]]:
    """What is shown of every cell: measures of the scores, each with its split and metric in results.csv."""
    there = set(zip(results["split"], results["metric"], strict=True))
    return [
        {"measure": name, "split": split, "row": row, "digits": 3 if family == "detection" else 2}
        for family, splits in BY_SEED.items()
        for name, entry in names.entries.items()
        if entry["family"] == family
        for split in splits
        if (row := tuple(entry["row"] or (split, name))) in there and row[0] == split
    ]


def _by_seed(results: pd.DataFrame, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The numbers of every cell, by column."""
    rows: list[dict[str, Any]] = []
    keys = ["nominal_class", "detector", "plant_on", "prevalence", "twin", "seed"]
    cells = results[
        (results["twin"] != PAIR) & (results["nominal_class"] != MEAN) & (results["explainer"] == "")
    ]
    for values, cell in cells.groupby(keys, sort=False):
        found = cell.set_index(["split", "metric"])["value"].to_dict()
        rows.append(
            {**dict(zip(keys, values, strict=True)), "values": [found.get(one["row"]) for one in columns]}
        )
    return rows


def _section(
    run: RunFolder,
    config: dict[str, Any],
    finding: dict[str, Any],
    index: int,
    scores: pd.DataFrame,
    curves: pd.DataFrame,
) -> Section:
    question = config["questions"][index]
    if not question["planted"]:
        return Section(finding, [], [], None, None)
    twins = ("planted", "control")
    heat = run.read_arrays(question["heat"])
    names = [name.removeprefix("maps.planted.") for name in heat if name.startswith("maps.planted.")]
    maps = {
        name: {
            twin: heat[f"maps.{twin}.{name}"].astype(np.float32) * heat[f"scale.{twin}.{name}"]
            for twin in twins
        }
        for name in names
    }
    reference = {name: np.concatenate([heat[f"levels.{twin}.{name}"] for twin in twins]) for name in names}
    examples = run.read_arrays(question["examples"])
    quantile = config["config"]["explanation"]["quantile"]
    strips, explainers = picture_rows(examples, ("clean", "marked"), maps, reference, quantile)
    first, drawn = (table[table["question"] == index] for table in (scores, curves))
    return Section(
        finding,
        strips,
        explainers,
        Markup(score_distributions(first, question["thresholds"], f"scores-{index}")),
        Markup(roc_curves(drawn, f"roc-{index}")),
    )


def _sets(natural: bool) -> str:
    """What the test sets are called, in a sentence or two."""
    if natural:
        return (
            "In use: as found. Clean: the artifact removed wherever it is. Conflict: removed from the side "
            "where training had it, of which only images that bore it count; aligned: from the other side."
        )
    return (
        "Conflict: the artifact on the side where training did not have it; aligned: on the side where it "
        "had it."
    )
