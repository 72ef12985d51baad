"""From the run folder to one HTML file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fcdd_audit.config.parts import MEAN
from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.origin import plain
from fcdd_audit.edits.directions import DIRECTIONS, Direction
from fcdd_audit.experiment.store import RunFolder, read_scores
from fcdd_audit.measures.detection import threshold
from fcdd_audit.report.display import normalise, share_inside, shown_limits
from fcdd_audit.report.figures import dose_response, rates_figure, roc_curves, score_distributions
from fcdd_audit.report.finished import finished_context
from fcdd_audit.report.strips import heat_uri, photo_uri
from fcdd_audit.report.wording import kind_of_audit, tested, trained

WORDS = {
    "relies": ("✖", "relies"),
    "does-not-rely": ("✔", "does not rely"),
    "inconclusive": ("?", "inconclusive"),
}
EFFECTS = {
    "clean_auroc": "AUROC, clean",
    "usual_auroc": "AUROC, in use",
    "aligned_auroc": "AUROC, aligned",
    "conflict_auroc": "AUROC, conflict",
    "drop": "drop: in use less conflict",
    "drop_elsewhere": "drop, as much removed elsewhere",
    "flip_rate": "flips",
    "score_shift": "shift",
}
DRAWN = 6  # findings with pictures and plots: with all classes of a data set the page would be too large
FEW = 5  # explainers; with more, fewer findings are drawn
LISTED = 12  # features of training images
MEASURES = {
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "relevance_mass": "relevance mass",
    "relevance_rank": "relevance rank",
    "pointing_game": "pointing game",
    "top_k_intersection": "top-k intersection",
    "iou_at_mask_area": "IoU at the mask's area",
    "aupro": "AUPRO",
}


def template_folder() -> Path:
    """The templates: inside the package in a wheel, beside it in an editable install."""
    package = Path(__file__).parents[1]
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / "report.html.j2").is_file():
            return folder
    raise FileNotFoundError("the report templates are missing; install fcdd-audit again")


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; a dash for none."""
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) != 0 else text.lstrip("-")


def span(interval: dict[str, float | None] | None, digits: int = 2) -> str:
    """`0.45 (0.40 to 0.49)`, or the value alone where there is no interval."""
    if interval is None:
        return "–"
    value = number(interval["value"], digits)
    if interval["low"] is None:
        return value
    return f"{value} ({number(interval['low'], digits)} to {number(interval['high'], digits)})"


def measure_name(key: str) -> str:
    """A measure's name for people."""
    base = key.removesuffix("_dilated")
    return MEASURES[base] + (", mask grown by half a stride" if base != key else "")


@dataclass(frozen=True)
class Section:
    """What the page shows of one finding besides its numbers."""

    finding: dict[str, Any]
    strips: list[dict[str, Any]]
    explainers: list[dict[str, Any]]
    distributions: Markup | None
    roc: Markup | None


def render_report(path: Path) -> Path:
    """(Re)write `path`/report.html from the other files of the run folder; returns its path.

    InputError if the folder holds no finished audit.
    """
    run = RunFolder(path)
    config, found = run.read_json("config.json"), run.read_json("findings.json")
    finished = config["null"] == "placebos"
    try:
        context = finished_context(run, config, found) if finished else _twins_context(run, config, found)
    except (OSError, KeyError, ValueError) as error:
        missing = getattr(error, "filename", None) or error
        raise InputError(
            f"'{path}' is no complete run ({missing}); a report needs the whole folder that 'fcdd-audit run' "
            "wrote, with its cells"
        ) from error
    page = fill_template(
        "finished.html.j2" if finished else "report.html.j2",
        config=config,
        found=found,
        words=WORDS,
        thresholds=config["config"]["design"]["thresholds"],
        quantile=config["config"]["explanation"]["quantile"],
        findings_json=script_json(found),
        **context,
    )
    return run.write_text("report.html", page)


def fill_template(name: str, **context: Any) -> str:
    """A page from a template of that name; what comes from outside is escaped."""
    environment = Environment(
        loader=FileSystemLoader(template_folder()),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": number,
        "span": span,
        "measure": measure_name,
        "plain": plain,
        "kind": kind_of_audit,
        "trained": trained,
        "tested": tested,
    }
    css = Markup((template_folder() / "report.css").read_text(encoding="utf-8"))
    return environment.get_template(name).render(css=css, **context)


def _twins_context(run: RunFolder, config: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What report.html.j2 shows besides config.json and findings.json."""
    results = pd.read_csv(run.path / "results.csv", keep_default_na=False, na_values={"value": [""]})
    questions = zip(config["questions"], found["findings"], strict=True)
    drawn = max(1, DRAWN * FEW // max(FEW, len(config["config"]["explanation"]["explainers"])))
    natural = any(finding["plant_on"].startswith("found-on") for finding in found["findings"])
    return {
        "provenance": found["provenance"],
        "doses": _doses(found["findings"], config["config"]["design"]["thresholds"]),
        "effects": EFFECTS,
        "sets": _sets(natural),
        "natural": natural,
        "error_rates": _error_rates(config),
        "listed": LISTED,
        "placed": "mask" in run.read_arrays(config["questions"][0]["examples"]),
        "sections": [
            _section(run, config, question, finding, index)
            for index, (question, finding) in enumerate(islice(questions, drawn))
        ],
        "undrawn": len(found["findings"]) > drawn,
        "many": len(config["data"]) > 1,
        "quadrants": _quadrants(found["findings"]),
        "seeds": _by_seed(results),
    }


def _error_rates(config: dict[str, Any]) -> dict[str, Any]:
    """With their figure, where there are any."""
    noted: dict[str, Any] = config["error_rates"]
    if not noted["rates"]:
        return noted
    return {**noted, "svg": Markup(rates_figure(noted["rates"], "rates"))}


def script_json(value: Any) -> Markup:
    """For a script element of type application/json."""
    # "<" never closes the script element early, whatever a file is called.
    return Markup(json.dumps(value).replace("<", "\\u003c"))


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


def _doses(findings: list[dict[str, Any]], limits: dict[str, float]) -> list[dict[str, Any]]:
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
            "svg": Markup(dose_response(group, limits, f"dose-{index}")),
        }
        for index, ((nominal_class, detector, side), group) in enumerate(groups.items())
        if len(group) > 1
    ][:DRAWN]


def _by_seed(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Clean and conflict AUROC, flip rate and score shift of every cell."""
    wanted = {
        ("clean", "auroc"): "clean",
        ("conflict", "auroc"): "conflict",
        ("conflict", "flip_rate"): "flip_rate",
        ("conflict", "score_shift"): "score_shift",
        ("clean", "fpr"): "fpr_clean",
        ("marked", "fpr"): "fpr_marked",
        ("clean", "fnr"): "fnr_clean",
        ("marked", "fnr"): "fnr_marked",
    }
    if results.empty:
        return []
    rows: list[dict[str, Any]] = []
    keys = ["nominal_class", "detector", "plant_on", "prevalence", "twin", "seed"]
    cells = results[(results["twin"] != "planted-control") & (results["nominal_class"] != MEAN)]
    for values, cell in cells.groupby(keys, sort=False):
        row = dict(zip(keys, values, strict=True))
        for (split, metric), name in wanted.items():
            chosen = cell[(cell["split"] == split) & (cell["metric"] == metric)]["value"]
            row[name] = float(chosen.iloc[0])
        rows.append(row)
    return rows


def _section(
    run: RunFolder,
    config: dict[str, Any],
    question: dict[str, Any],
    finding: dict[str, Any],
    index: int,
) -> Section:
    if not question["planted"]:
        return Section(finding, [], [], None, None)
    quantile = config["config"]["design"]["thresholds"]["score_quantile"]
    direction = DIRECTIONS[question["plant_on"]]
    twins = {
        twin: [
            _relevant(read_scores(run.cell_folder(key)), direction, question["bearing"])
            for key in question[twin]
        ]
        for twin in ("planted", "control")
    }
    first = {twin: frames[0] for twin, frames in twins.items()}
    limits = {
        twin: threshold(frame.loc[frame["part"] == "validation", "score"].to_numpy(), quantile)
        for twin, frame in first.items()
    }
    maps = {twin: run.read_heatmaps(question[twin][0]) for twin in twins}
    examples = run.read_arrays(question["examples"])
    levels = [run.read_levels(question[twin][0]) for twin in twins]
    reference = {name: np.concatenate([level[name] for level in levels]) for name in levels[0]}
    strips, explainers = _strips(examples, maps, reference, config["config"]["explanation"]["quantile"])
    return Section(
        finding,
        strips,
        explainers,
        Markup(score_distributions(first, limits, f"scores-{index}")),
        Markup(roc_curves(twins, direction, f"roc-{index}")),
    )


def _relevant(scores: pd.DataFrame, direction: Direction, bearing: list[str] | None) -> pd.DataFrame:
    """Of the side where a found artifact is removed, only the test images that bear it."""
    if bearing is None:
        return scores
    return scores[(scores["part"] != direction.changed) | scores["image"].isin(bearing)]


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


def _strips(
    examples: dict[str, np.ndarray],
    maps: dict[str, dict[str, np.ndarray]],
    reference: dict[str, np.ndarray],
    quantile: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of pictures, and each explainer with the range of heat that its twins' maps share.

    maps: by twin and explainer, (images, H, W), one for each example. reference: by explainer, the heat that
    sets that range.
    """
    # An artifact without a place has no mask.
    masks = list(examples["mask"][:, 0]) if "mask" in examples else [None] * len(examples["name"])
    tiles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    explainers = []
    for name in maps["planted"]:
        explainers.append({"name": name, **shown_limits(reference[name], quantile)})
        tiles[name] = {twin: _tiles(maps[twin][name], masks, quantile, reference[name]) for twin in maps}
    strips = [
        {
            "name": str(examples["name"][row]),
            "side": str(examples["side"][row]),
            "area": None if mask is None else float(mask.mean()),
            "clean": photo_uri(examples["clean"][row]),
            "marked": photo_uri(examples["marked"][row], mask),
            "maps": {
                name: {twin: shown[row] for twin, shown in by_twin.items()} for name, by_twin in tiles.items()
            },
        }
        for row, mask in enumerate(masks)
    ]
    return strips, explainers


def _tiles(
    heat: np.ndarray, masks: list[np.ndarray | None], quantile: float, reference: np.ndarray
) -> list[dict[str, Any]]:
    """Each map on the scale of `reference` and on its own, and its share of heat in the mask, or None."""
    return [
        {
            "shared": heat_uri(shared, mask),
            "own": heat_uri(own, mask),
            "share": None if mask is None else share_inside(one, mask),
        }
        for one, mask, shared, own in zip(
            heat, masks, normalise(heat, quantile, reference), normalise(heat, quantile), strict=True
        )
    ]
