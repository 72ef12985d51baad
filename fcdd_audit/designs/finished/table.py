"""What the terminal shows of a finished detector."""

from __future__ import annotations

from typing import Any

from fcdd_audit.core.text import share
from fcdd_audit.verdict.words import verdict_words

TURNED = {"nominal": "raise an alarm", "anomalous": "hide"}


def table(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows for the terminal from findings.json, head first."""
    rows: list[tuple[str, ...]] = [
        ("detector", "artifact on", "verdict", "with it only (interval)", "this mark only", "explanations")
    ]
    for finding in found["findings"]:
        numbers, rate = finding["finished"], finding["alarms"]
        interval = f"{share(rate['low'])} to {share(rate['high'])}"
        said = f"{share(rate['value'])} {TURNED[numbers['side']]} ({interval})"
        shown = [f"{one['explainer']}: {one['quadrant']}" for one in finding["explainers"]]
        rows.append(
            (
                finding["detector"],
                f"{numbers['images']} {numbers['side']} images",
                verdict_words(finding),
                said,
                finding["specific"] or "–",
                ", ".join(shown) or "–",
            )
        )
    return rows
