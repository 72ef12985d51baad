"""Findings in plain words, from findings.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fcdd_audit.core.text import share

HARM = {
    "alarms": "relies and raises alarms",
    "hides": "relies and hides anomalies",
    "none": "relies, no harm at this threshold",
    "open": "relies; whether it does harm is open",
}
STILL = {"alarms": ", yet raises alarms", "hides": ", yet hides anomalies"}
OF_FINISHED = {
    ("vulnerable", "alarms"): "vulnerable: it raises alarms",
    ("vulnerable", "hides"): "vulnerable: it hides anomalies",
}
LACKS = {
    "pairs": "more pairs of twins are needed",
    "images": "more images are needed",
    "failed-pairs": "too many trainings failed",
    "working-control": "the detector doesn't detect",
    "training": "the training wasn't enough",
    "room": "nothing is left to lose",
    "identical": "the twins are identical",
}


def verdict_words(finding: Mapping[str, Any]) -> str:
    """The verdict and what the artifact does, or what a clear answer lacks."""
    if finding["verdict"] in ("vulnerable", "robust"):
        return OF_FINISHED.get((finding["verdict"], finding["harm"]), finding["verdict"])
    if finding["verdict"] == "relies":
        return HARM.get(finding["harm"], "relies")
    if finding["verdict"] == "does-not-rely":
        return f"does not rely{STILL.get(finding['harm'], '')}"
    if finding["missing"] is None:
        return "can't tell"
    if finding["missing"] == "pairs" and finding["pairs_needed"]:
        return f"can't tell: about {finding['pairs_needed']} pairs of twins are needed"
    if finding["missing"] == "images" and finding["images_needed"]:
        return f"can't tell: about {finding['images_needed']} images are needed"
    return f"can't tell: {LACKS[finding['missing']]}"


def training_words(finding: Mapping[str, Any]) -> str | None:
    """Why the control twins' training wasn't enough, and what to do; None: it was, or that isn't known."""
    training = finding.get("training")  # older runs have none
    return None if training is None else training["said"]


def untrained(findings: Sequence[Mapping[str, Any]], name: Callable[[str], str] = str) -> list[str]:
    """To be said first: whose control twins weren't trained enough, and what to do; each line once, since
    controls are shared. name: what a detector is called."""
    many = len({finding["nominal_class"] for finding in findings}) > 1
    lines = [
        f"{finding['nominal_class'] + ', ' if many else ''}{name(finding['detector'])}: {said}"
        for finding in findings
        if (said := training_words(finding)) is not None
    ]
    return list(dict.fromkeys(lines))


def alarms_of(finding: Mapping[str, Any]) -> tuple[float, float] | None:
    """Mean share of new alarms of the planted and of the control twins; None where nothing was scored."""
    for effect in finding["effects"]:
        if effect["measure"] == "new_alarms":
            return effect["planted"]["value"], effect["control"]["value"]
    return None


def caught_words(finding: Mapping[str, Any]) -> str | None:
    """How often images raise an alarm with a transplanted artifact and with a placebo, of both twins; None
    where nothing was transplanted."""
    if not finding.get("transplants"):  # runs of before have no such key
        return None
    both = {one["measure"]: (one["planted"]["value"], one["control"]["value"]) for one in finding["effects"]}
    (with_it, control), (placebo, control_placebo) = both["alarms_transplanted"], both["alarms_placebo"]
    nominal = finding["transplants"][0]["side"] == "nominal"
    image, does = ("a nominal image", "raises an alarm") if nominal else ("an anomaly", "is caught")
    return (
        f"{image} with it {does} {share(with_it)} of the time, with something else in its place "
        f"{share(placebo)}; of the twin {share(control)} and {share(control_placebo)}"
    )


def taken(looks: Sequence[int]) -> str:
    """Looks in words: `looks at 4 and 6 pairs`."""
    if len(looks) == 1:
        return f"one look at {looks[0]} pair{'' if looks[0] == 1 else 's'}"
    return f"looks at {', '.join(map(str, looks[:-1]))} and {looks[-1]} pairs"
