"""Verdicts and candidates for a notebook."""

from __future__ import annotations

from typing import Any

from fcdd_audit.discovery.saying import answer, kind_words, p_words, place_words, shares_words
from fcdd_audit.report.naming import detector_name
from fcdd_audit.report.page import fill_template
from fcdd_audit.verdict.words import untrained


def inline(found: dict[str, Any]) -> str:
    """A small table of the findings, from findings.json."""
    findings = found["findings"]
    return fill_template("inline.html.j2", findings=findings, warnings=untrained(findings, detector_name))


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
