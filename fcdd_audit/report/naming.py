"""What people call detectors and artifacts, and how they list things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fcdd_audit.core.directions import DIRECTIONS

DETECTORS = {"fcdd": "FCDD", "hsc": "HSC", "dsvdd": "Deep SVDD", "ae": "AE"}
ARTIFACTS = {
    "watermark": "watermark",
    "date": "date stamp",
    "logo": "logo",
    "patch": "patch",
    "frame": "frame",
    "bars": "pattern of bars",
    "grid": "grid",
    "ruler": "ruler",
    "line": "line",
    "disc": "disc",
    "tint": "tint",
    "brightness": "change of brightness",
    "blur": "blur",
    "jpeg": "JPEG coding",
    "noise": "noise",
    "resize": "resizing",
}


def detector_name(name: str) -> str:
    """A detector's name for people; a user's own stays as it is."""
    return DETECTORS.get(name, name)


def direction_name(plant_on: str) -> str:
    """What tells a direction from others: `anomalous side`, or `removed from nominal images`."""
    return DIRECTIONS[plant_on].label.removeprefix("on the ")


def artifact_name(probe: str) -> str:
    """An artifact's name, such as `watermark`; `artifact` of a found one and of a user's own."""
    parts = [ARTIFACTS.get(part) for part in probe.split("+")]
    return " with ".join(part for part in parts if part) if all(parts) else "artifact"


def artifacts_named(probes: Iterable[str], last: str = "and") -> str:
    """Each once, to stand behind "the": `watermark`, or `watermark and the disc`."""
    first, *others = dict.fromkeys(map(artifact_name, probes))
    return listed([first, *(f"the {other}" for other in others)], last)


def map_name(explainer: Mapping[str, Any]) -> str:
    """An explainer's name, and which half of its map is judged where that isn't what raises the score.

    explainer: as in findings.json; in older ones there is no half.
    """
    half = ", what lowers" if explainer.get("map") == "lowers" else ""
    return f"{explainer['explainer']}{half}"


def unjudged(explainer: Mapping[str, Any]) -> str:
    """Why it isn't judged what an explainer shows. explainer: as in findings.json, one that isn't."""
    why = explainer.get("unjudged") or "the artifact lowers the score, and a heatmap shows what raises it"
    return str(why)


def listed(words: Iterable[str], last: str = "and") -> str:
    """`A`, `A and B`, or `A, B and C`."""
    *others, final = words
    return f"{', '.join(others)} {last} {final}" if others else final


def one_of(words: Sequence[str], one: str, several: str) -> str:
    """The form of a word that agrees with the number of `words`."""
    return one if len(words) == 1 else several
