"""What the terminal shows of a finished detector."""

from __future__ import annotations

from typing import Any

from fcdd_audit.core.text import number, span


def table(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows for the terminal from findings.json, head first."""
    rows: list[tuple[str, ...]] = [
        ("detector", "artifact on", "verdict", "beyond placebos (95 %)", "p", "explanations")
    ]
    for finding in found["findings"]:
        shown = [f"{e['explainer']}: {e['quadrant']}" for e in finding["explainers"]]
        placebo = finding["placebo"]
        numbers = span(finding["reliance"]), number(placebo["p_holm"])
        side = f"{placebo['side']} images"
        rows.append((finding["detector"], side, finding["verdict"], *numbers, ", ".join(shown) or "–"))
    return rows
