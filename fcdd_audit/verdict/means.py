"""Means over several nominal classes: they get no verdict of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.verdict.findings import Finding


def class_means(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Per detector, side and prevalence, the means over several nominal classes; empty for one class."""
    grouped: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        own = DIRECTIONS[finding.plant_on].found  # then each class has a share of its own
        prevalence = None if own else finding.prevalence
        key = (finding.dataset, finding.detector, finding.probe, finding.plant_on, prevalence)
        grouped.setdefault(key, []).append(finding)
    names = ("dataset", "detector", "probe", "plant_on", "prevalence")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "classes": len(group),
            "verdicts": dict(Counter(finding.verdict for finding in group)),
            "dependence": _mean(one.dependence.value if one.dependence else None for one in group),
            "alarms": _mean(one.alarms.value if one.alarms else None for one in group),
            "reliance": _mean(one.reliance.value if one.reliance else None for one in group),
            "control_auroc": _mean(one.control_auroc for one in group),
            "planted_auroc": _mean(one.planted_auroc for one in group),
        }
        for key, group in grouped.items()
        if len(group) > 1
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    """None if one is missing."""
    known = list(values)
    return float(np.mean([v for v in known if v is not None])) if None not in known else None
