"""Verdicts and candidates for a notebook."""

from __future__ import annotations

from typing import Any

from fcdd_audit.discovery.saying import answer, kind_words, p_words, place_words, shares_words
from fcdd_audit.report.page import fill_template


def inline(found: dict[str, Any]) -> str:
    """A small table of the findings, from findings.json."""
    return fill_template("inline.html.j2", findings=found["findings"])


def inline_candidates(content: dict[str, Any]) -> str:
    """A small table of a discovery's candidates, from candidates.json."""
    return fill_template(
        "discovered.html.j2",
        answer=answer(content),
        candidates=content["candidates"],
        kind=kind_words,
        place=place_words,
        shares=shares_words,
        p=p_words,
    )
