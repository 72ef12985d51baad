"""The first screen of a twins' report: the answer, one picture, a row a detector, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.report.advice import Advice, advise
from fcdd_audit.report.display import normalise, shown_limits
from fcdd_audit.report.headline import Row, abouts, headline, rows, scope, trust
from fcdd_audit.report.naming import artifact_name, detector_name
from fcdd_audit.report.readings import Reading, reading, scores_by_image
from fcdd_audit.report.remedies import mended
from fcdd_audit.report.signed import signed_limit, signed_maps, signed_uri
from fcdd_audit.report.strips import heat_uri, photo_uri
from fcdd_audit.verdict.words import untrained, verdict_words

SIZE = 256  # of the pictures, in pixels
TWINS = ("planted", "control")
WITHOUT = {False: "without the {name}", True: "with the {name} removed"}  # by whether it is removed


@dataclass(frozen=True)
class View:
    """One image, enlarged, and what the twins say of it."""

    label: str
    uri: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Heat:
    """Heat of both twins on the image with the artifact, by twin, on one scale from `low` to `high`.

    shows: whether the explanation surely shows the artifact. signed: whether it is of what raises and of what
    lowers the score, in two colours.
    """

    explainer: str
    uris: Mapping[str, str]
    low: float
    high: float
    shows: bool
    signed: bool = False


@dataclass(frozen=True)
class Picture:
    """An image without and with the artifact, in the eyes of a detector's first pair of twins. why: that
    image, as in `pictured` of config.json."""

    detector: str
    about: str
    verdict: str
    side: str
    name: str
    why: str
    views: tuple[View, View]
    heat: Heat | None


@dataclass(frozen=True)
class First:
    """All that first.html.j2 shows. finished: whether it is of a finished detector, and not of twins.
    warnings: what is said before the answer. mended: what remedies do, in sentences; empty where none were
    asked for."""

    answer: list[str]
    scope: str
    picture: Picture | None
    rows: list[Row]
    trust: list[str]
    advice: list[Advice]
    finished: bool = False
    warnings: tuple[str, ...] = ()
    mended: Sequence[str] = ()


def first_screen(
    run: RunFolder,
    config: Mapping[str, Any],
    found: Mapping[str, Any],
    scores: pd.DataFrame,
    searched: Sequence[Mapping[str, Any]] = (),
) -> First:
    """The first screen. scores: the run's scores.csv. searched: as in `advise`."""
    findings = found["findings"]
    return First(
        headline(findings),
        scope(
            findings,
            config.get("own_code", {}),
            config["config"]["artifact"].get("together", False),
            config.get("found", False),
        ),
        picture(run, config, findings, scores),
        rows(findings),
        trust(config["error_rates"]),
        advise(found, config, searched),
        warnings=tuple(f"{line}." for line in untrained(findings, detector_name)),
        mended=mended(findings, abouts(findings)),
    )


def picture(
    run: RunFolder, config: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], scores: pd.DataFrame
) -> Picture | None:
    """Of the finding that does most harm, the median image of the side that the conflict set changes.

    Most harm: a finding that relies comes before all others; then that with the most new alarms (or hidden
    anomalies) beyond the control's; then the first. A picture needs the scores of both twins of the image
    with and without the artifact; findings without such an image are passed over. None if there is no other.
    """
    labels = abouts(findings)
    for index in _by_harm(findings):
        drawn = _drawn(run, config, findings[index], labels[index], index, scores)
        if drawn is not None:
            return drawn
    return None


def _by_harm(findings: Sequence[Mapping[str, Any]]) -> list[int]:
    """The places of the findings with new alarms, the most harmful first."""
    measured = [index for index, finding in enumerate(findings) if finding["alarms"] is not None]
    return sorted(
        measured,
        key=lambda index: (
            findings[index]["verdict"] != "relies",
            -(findings[index]["alarms"]["value"] or 0),
        ),
    )


def _drawn(
    run: RunFolder,
    config: Mapping[str, Any],
    finding: Mapping[str, Any],
    about: str,
    index: int,
    scores: pd.DataFrame,
) -> Picture | None:
    question, direction = config["questions"][index], DIRECTIONS[finding["plant_on"]]
    examples = run.read_arrays(question["examples"])
    side, name = direction.changed, artifact_name(finding["probe"])
    known = scores_by_image(scores, index, side)
    turns = sorted(range(len(question["pictured"])), key=lambda turn: _typical(question["pictured"][turn]))
    for turn in turns:
        row, why = question["pictured"][turn]["row"], question["pictured"][turn]["why"]
        image = str(examples["name"][row])
        if examples["side"][row] == side and _known(image, known):
            clean, marked = (
                View(
                    label,
                    photo_uri(examples[variant][row], size=SIZE),
                    tuple(
                        reading(twin, known[twin, variant, image], question["thresholds"][twin], side)
                        for twin in TWINS
                    ),
                )
                for variant, label in (
                    ("clean", WITHOUT[direction.removed].format(name=name)),
                    ("marked", f"with the {name}"),
                )
            )
            quantile = config["config"]["explanation"]["quantile"]
            heat = _heat(run, question["heat"], finding, turn, quantile)
            detector = detector_name(finding["detector"])
            return Picture(detector, about, verdict_words(finding), side, image, why, (clean, marked), heat)
    return None


def _typical(pictured: Mapping[str, Any]) -> int:
    """The median image first, since it stands for the others."""
    return ("median", "most", "least", "other").index(pictured["why"])


def _known(image: str, scores: Mapping[tuple[str, str, str], float]) -> bool:
    """Whether there are scores of both twins, with and without the artifact."""
    return all((twin, variant, image) in scores for twin in TWINS for variant in ("clean", "marked"))


def _heat(
    run: RunFolder, file: str | None, finding: Mapping[str, Any], turn: int, quantile: float
) -> Heat | None:
    """Of the first explainer that shows the artifact, else of the first that is judged, else of the first
    that isn't a reference map."""
    if file is None:
        return None
    arrays = run.read_arrays(file)
    drawn = [
        one
        for one in finding["explainers"]
        if not one["reference"] and all(f"maps.{twin}.{one['explainer']}" in arrays for twin in TWINS)
    ]
    if not drawn:
        return None
    judged = next((one for one in drawn if one["judged"]), drawn[0])
    best = next((one for one in drawn if one["quadrant"] == "exposed"), judged)
    name, shows = best["explainer"], best["quadrant"] == "exposed"
    if best.get("map") == "lowers" and (signed := signed_maps(arrays, name)):
        top = signed_limit(arrays, name, quantile)
        uris = {twin: signed_uri(found[turn], top) for twin, found in signed.items()}
        return Heat(name, uris, -top, top, shows, signed=True)
    maps = np.stack(
        [
            arrays[f"maps.{twin}.{name}"][turn].astype(np.float32) * arrays[f"scale.{twin}.{name}"]
            for twin in TWINS
        ]
    )
    levels = np.concatenate([arrays[f"levels.{twin}.{name}"] for twin in TWINS])
    shown, ends = normalise(maps, quantile, levels), shown_limits(levels, quantile)
    return Heat(
        name,
        {twin: heat_uri(one) for twin, one in zip(TWINS, shown, strict=True)},
        ends["low"],
        ends["high"],
        shows,
    )
