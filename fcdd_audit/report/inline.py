"""Verdicts for a notebook."""

from __future__ import annotations

from typing import Any

from fcdd_audit.report.page import fill_template


def inline(found: dict[str, Any]) -> str:
    """A small table of the findings, from findings.json."""
    return fill_template("inline.html.j2", findings=found["findings"])
