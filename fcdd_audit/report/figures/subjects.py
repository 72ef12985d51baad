"""What findings are called beside a figure's marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fcdd_audit.core.text import share
from fcdd_audit.report.naming import detector_name, direction_name


def subjects(findings: Sequence[dict[str, Any]]) -> list[str]:
    """The detector of each, with the class and the artifact where there are several, and the prevalence and
    the direction where they vary by detector.

    findings: as in findings.json.
    """
    classes = len({one["nominal_class"] for one in findings}) > 1
    probes = len({one["probe"] for one in findings}) > 1
    doses = _vary(findings, "prevalence")
    sides = _vary(findings, "plant_on")
    return [
        detector_name(one["detector"])
        + (f" on {one['nominal_class']}" if classes else "")
        + (f", {one['probe']}" if probes else "")
        + (f", {share(one['prevalence'])}" if doses else "")
        + (f", {direction_name(one['plant_on'])}" if sides else "")
        for one in findings
    ]


def _vary(findings: Sequence[dict[str, Any]], key: str) -> bool:
    """Whether a detector on a class was asked about several."""
    asked: dict[tuple[str, str], set[Any]] = {}
    for one in findings:
        asked.setdefault((one["nominal_class"], one["detector"]), set()).add(one[key])
    return any(len(values) > 1 for values in asked.values())
