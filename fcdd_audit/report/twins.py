"""What the page shows of twins besides config.json and findings.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import SIDES
from fcdd_audit.experiment.folder import MEAN, PAIR, RunFolder
from fcdd_audit.report import drawn as figures
from fcdd_audit.report.discovery import quick_contexts
from fcdd_audit.report.figures import dose_response, roc_curves
from fcdd_audit.report.first import first_screen
from fcdd_audit.report.glossary import Glossary, glossary, read_results
from fcdd_audit.report.headline import abouts, several
from fcdd_audit.report.naming import detector_name, direction_name
from fcdd_audit.report.readings import Reading, reading, scores_by_image
from fcdd_audit.report.remedies import HEAD, limits_words, remedy_tables
from fcdd_audit.report.signed import signed_limit, signed_maps, signed_scale, signed_tiles
from fcdd_audit.report.strips import heat_tiles, mask_list, photos, scales

# Of each family of measures, the splits that are shown of every cell.
BY_SEED = {"detection": ("clean", "conflict"), "decision": ("clean", "marked"), "scores": ("conflict",)}
DOSES = 6  # curves over prevalence
MOST_ROWS = 240  # twins in the table of every one
TWINS, VARIANTS = ("planted", "control"), ("clean", "marked")
LISTED = 12  # features of training images
# What the verdict is about, and of overlaps what an expert asks for beside the headline measure; the others
# are folded, or stand in results.csv alone.
LEADING = ("new_alarms", "score_shift", "drop")
OVERLAPS = ("relevance_mass", "pixel_auroc_dilated")


@dataclass(frozen=True)
class Section:
    """What the page shows of one finding besides its numbers. scales: of its explainers."""

    finding: dict[str, Any]
    shown: list[Shown]
    scales: list[dict[str, Any]]
    roc: Markup | None


@dataclass(frozen=True)
class Shown:
    """An image in the eyes of one detector. image: its file of examples and its row there. why: as in
    `pictured` of config.json. readings: by variant, the scores of both twins of the first seed. maps: by
    explainer and twin."""

    image: tuple[str, int]
    why: str
    readings: dict[str, list[Reading]]
    maps: dict[str, dict[str, dict[str, Any]]]


def context(run: RunFolder, config: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What report.html.j2 shows besides config.json and findings.json."""
    results = read_results(run)
    scores, curves = run.read_table("scores.csv"), run.read_table("curves.csv")
    thresholds = config["config"]["design"]["thresholds"]
    drawn = [question["heat"] is not None or not question["planted"] for question in config["questions"]]
    directions = [DIRECTIONS[finding["plant_on"]] for finding in found["findings"]]
    as_found, removed = any(one.found for one in directions), any(one.removed for one in directions)
    natural = as_found or config.get("found", False)
    names = glossary(config["measures"], found["findings"], results)
    columns, seeds = _by_seed(results, _columns(names, results))
    sections = [
        _section(run, config, finding, index, curves, scores)
        for index, finding in enumerate(found["findings"])
        if drawn[index]
    ]
    places = [place for place, one in enumerate(drawn) if one]
    rates = config["error_rates"]["rates"]
    searched = quick_contexts(run, config)
    return {
        "first": first_screen(run, config, found, scores, searched),
        "alarms_drawn": figures.alarms(found["findings"], results),
        "strips_drawn": figures.strips(found["findings"], config["questions"], places, scores, results),
        "shown_drawn": figures.shown(found["findings"], thresholds["reveal"]),
        "shortcuts_drawn": figures.shortcuts(found["origin"]),
        "trust_drawn": figures.trusted(rates) if rates else None,
        "origin": found["origin"],
        "searched": searched,
        "doses": _doses(found["findings"], thresholds, names),
        "glossary": names,
        "headline": config["headline"],
        "sets": _sets(removed),
        "natural": natural,
        "removed": removed,
        "put_on": natural and not all(one.removed for one in directions),
        "replanted": natural and not as_found,
        "taken_off": not all(
            " put on " in f" {DIRECTIONS[one['plant_on']].tested}" for one in found["findings"]
        ),
        "error_rates": config["error_rates"],
        "listed": LISTED,
        "placed": any(
            "mask" in run.read_arrays(file)
            for file in dict.fromkeys(question["examples"] for question in config["questions"])
        ),
        "sections": sections,
        "pictures": _by_images(run, sections),
        "undrawn": not all(drawn),
        "lowered": any(one.get("map") == "lowers" for f in found["findings"] for one in f["explainers"]),
        "many": len(config["data"]) > 1,
        "artifacts": list(dict.fromkeys(finding["probe"] for finding in found["findings"])),
        "directions": several(found["findings"], "plant_on"),
        "varied": len({finding["prevalence"] for finding in found["findings"]}) > 1,
        "leading": LEADING,
        "overlaps": (config["headline"], *OVERLAPS, *_own_overlaps(names)),
        "quadrants": _quadrants(found["findings"]),
        "remedies": remedy_tables(found["findings"], abouts(found["findings"])),
        "remedies_head": HEAD,
        "remedies_rule": limits_words(),
        "columns": columns,
        "seeds": seeds,
        "most_rows": MOST_ROWS,
    }


def _own_overlaps(names: Glossary) -> tuple[str, ...]:
    """Overlaps that somebody's own module measures: they are asked for."""
    return tuple(
        name
        for name, entry in names.entries.items()
        if entry["family"] == "overlap" and not entry["where"].startswith("fcdd_audit/")
    )


def _quadrants(findings: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Which detector and explainer stands in which field of the 2x2; reference maps aren't explanations."""
    fields: dict[str, list[str]] = {
        name: [] for name in ("exposed", "hidden", "false-alarm", "clear", "undecided")
    }
    many = len({finding["prevalence"] for finding in findings}) > 1
    classes = len({finding["nominal_class"] for finding in findings}) > 1
    probes = len({finding["probe"] for finding in findings}) > 1
    directions = several(findings, "plant_on")
    for finding in findings:
        for explainer in finding["explainers"]:
            if not explainer["reference"]:
                label = f"{detector_name(finding['detector'])} · {explainer['explainer']}"
                if classes:
                    label = f"{finding['nominal_class']} · {label}"
                if probes:
                    label += f" · {finding['probe']}"
                if directions:
                    label += f" · {direction_name(finding['plant_on'])}"
                if many:
                    label += f" · prevalence {finding['prevalence']:g}"
                fields[explainer["quadrant"]].append(label)
    return fields


def _doses(findings: list[dict[str, Any]], limits: dict[str, float], names: Glossary) -> list[dict[str, Any]]:
    """A curve for each class, artifact, direction and detector with several prevalences."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for finding in findings:
        if finding["reliance"]:
            key = tuple(finding[name] for name in ("nominal_class", "probe", "detector", "plant_on"))
            groups.setdefault(key, []).append(finding)
    drawn = [(key, group) for key, group in groups.items() if len(group) > 1][:DOSES]
    many, probes = (len({key[place] for key in groups}) > 1 for place in (0, 1))
    return [
        {
            "name": detector_name(detector)
            + (f" on {nominal_class}" if many else "")
            + (f", {probe}" if probes else ""),
            "side": side,
            "svg": Markup(dose_response(group, limits, names.label, f"dose-{index}")),
        }
        for index, ((nominal_class, probe, detector, side), group) in enumerate(drawn)
    ]


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


def _by_seed(
    results: pd.DataFrame, columns: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The columns that vary, and the numbers of every cell in them."""
    rows: list[dict[str, Any]] = []
    keys = ["nominal_class", "probe", "detector", "plant_on", "prevalence", "twin", "seed"]
    cells = results[
        (results["twin"] != PAIR) & (results["nominal_class"] != MEAN) & (results["explainer"] == "")
    ]
    for values, cell in cells.groupby(keys, sort=False):
        found = cell.set_index(["split", "metric"])["value"].to_dict()
        rows.append({**dict(zip(keys, values, strict=True)), "found": found})
    varying = [one for one in columns if len({row["found"].get(one["row"]) for row in rows}) > 1]
    for row in rows:
        row["values"] = [row["found"].get(one["row"]) for one in varying]
    return varying, rows


def _by_images(run: RunFolder, sections: list[Section]) -> list[dict[str, Any]]:
    """Each image that is shown once, with the sections that show it."""
    shown: dict[tuple[str, int], list[tuple[Section, Shown]]] = {}
    for section in sections:
        for one in section.shown:
            shown.setdefault(one.image, []).append((section, one))
    files = {file: run.read_arrays(file) for file, _ in shown}
    return [
        {**photo, "shown": eyes, "nominal_class": eyes[0][0].finding["nominal_class"]}
        for (file, row), eyes in shown.items()
        for photo in photos(files[file], VARIANTS, [row])
    ]


def _section(
    run: RunFolder,
    config: dict[str, Any],
    finding: dict[str, Any],
    index: int,
    curves: pd.DataFrame,
    scores: pd.DataFrame,
) -> Section:
    question = config["questions"][index]
    if not question["planted"]:
        return Section(finding, [], [], None)
    heat, examples = run.read_arrays(question["heat"]), run.read_arrays(question["examples"])
    units = {one["explainer"]: one["unit"] for one in config["explainers"]}
    # Maps that know nothing of the model are the same for both twins, and tell nothing here.
    references = {one["explainer"] for one in config["explainers"] if one["reference"]}
    kept = [name.removeprefix("maps.planted.") for name in heat if name.startswith("maps.planted.")]
    names = [name for name in kept if name not in references]
    lowers = [one["explainer"] for one in finding["explainers"] if one.get("map") == "lowers"]
    signed = {name: found for name in names if name in lowers and (found := signed_maps(heat, name))}
    maps = {
        name: {
            twin: heat[f"maps.{twin}.{name}"].astype(np.float32) * heat[f"scale.{twin}.{name}"]
            for twin in TWINS
        }
        for name in names
        if name not in signed
    }
    reference = {name: np.concatenate([heat[f"levels.{twin}.{name}"] for twin in TWINS]) for name in maps}
    rows = [one["row"] for one in question["pictured"]]
    quantile = config["config"]["explanation"]["quantile"]
    masks = mask_list(examples, rows)
    tiles = heat_tiles(maps, masks, reference, quantile)
    tops = {name: signed_limit(heat, name, quantile) for name in signed}
    for name, by_twin in signed.items():
        drawn_signed = {twin: signed_tiles(found, masks, tops[name]) for twin, found in by_twin.items()}
        for turn, own in enumerate(tiles):
            own[name] = {twin: shown[turn] for twin, shown in drawn_signed.items()}
    shown = [
        Shown(
            (question["examples"], one["row"]),
            one["why"],
            _readings(question, index, scores, examples, one["row"]),
            own,
        )
        for one, own in zip(question["pictured"], tiles, strict=True)
    ]
    drawn = curves[curves["question"] == index]
    of_maps = {one["name"]: one for one in scales(reference, units, quantile)}
    of_maps |= {name: signed_scale(name, units[name], top) for name, top in tops.items()}
    return Section(
        finding, shown, [of_maps[name] for name in names], Markup(roc_curves(drawn, f"roc-{index}"))
    )


def _readings(
    question: dict[str, Any], index: int, scores: pd.DataFrame, examples: dict[str, np.ndarray], row: int
) -> dict[str, list[Reading]]:
    """By variant, of the twins with a score of that image."""
    side, name = str(examples["side"][row]), str(examples["name"][row])
    known = scores_by_image(scores, index, side)
    return {
        variant: [
            reading(twin, known[twin, variant, name], question["thresholds"][twin], side)
            for twin in TWINS
            if (twin, variant, name) in known
        ]
        for variant in VARIANTS
    }


def _taken_off(plant_on: str) -> bool:
    """Whether the conflict set lacks the artifact that the images bear in use."""
    direction = DIRECTIONS[plant_on]
    return direction.conflict[SIDES.index(direction.changed)] == "clean"


def _sets(removed: bool) -> str:
    """What the test sets are called, in a sentence or two."""
    if removed:
        return (
            "In use: as found. Clean: the artifact removed wherever it is. Conflict: removed from the side "
            "where training had it, of which only images that bore it count; aligned: from the other side."
        )
    return (
        "Conflict: the artifact on the side where training did not have it; aligned: on the side where it "
        "had it."
    )
