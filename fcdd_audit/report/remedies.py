"""What the page and the terminal say of remedies, from findings.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fcdd_audit.core.text import number, share, span
from fcdd_audit.report.naming import detector_name
from fcdd_audit.verdict.thresholds import MendLimits

Finding = Mapping[str, Any]
ANSWERS = {"mended": "yes", "open": "not sure yet", "none": "no"}  # is it mended?
HEAD = (
    "remedy",
    "removed",
    "shift",
    "AUROC",
    "caught",
    "new alarms",
    "heat on it",
    "other artifacts",
    "minutes",
)
LIMITS = MendLimits()


@dataclass(frozen=True)
class Row:
    """A remedy in a line. cells: as in `HEAD` from `removed` on; empty where it can't work, and `unfit` says
    why."""

    remedy: str
    does: str
    unfit: str | None
    cells: tuple[str, ...]
    recommended: bool
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The remedies of one finding. about: whose. said: the recommendation, whole sentences."""

    about: str
    said: str
    rows: tuple[Row, ...]
    explainer: str | None


def remedy_tables(findings: Sequence[Finding], labels: Sequence[str]) -> list[Table]:
    """A table for each finding with remedies. labels: what tells each finding from others of its detector."""
    return [
        Table(
            _called(finding, label),
            answered(finding),
            tuple(_row(one, _recommended(finding["mending"])) for one in finding["remedies"]),
            next((one["explainer"] for one in finding["remedies"] if one["explainer"]), None),
        )
        for finding, label in zip(findings, labels, strict=True)
        if finding.get("remedies")
    ]


def mended(findings: Sequence[Finding], labels: Sequence[str]) -> list[str]:
    """A sentence for each finding on which remedies were tried; one for all where there was nothing to mend,
    or where something relies and nothing was tried; else nothing."""
    found = [
        f"{_called(finding, label)}: {answered(finding)}"
        for finding, label in zip(findings, labels, strict=True)
        if finding.get("remedies")
    ]
    if found:
        return found
    if any(finding.get("mending") for finding in findings):
        return ["There is nothing to mend: no detector surely relies on it."]
    relies = any(finding["verdict"] == "relies" for finding in findings)
    return ["Nothing was tried yet: fcdd-audit remedy RUN --how all trains the same twins mended."] * relies


def answered(finding: Finding) -> str:
    """Whether it is mended, and by what: `yes: balance removes 91 % ...`."""
    mending = finding["mending"]
    return f"{ANSWERS[mending['answer']]}: {mending['said'].rstrip('.')}."


def limits_words() -> str:
    """The rule of a recommendation."""
    return (
        f"under {share(LIMITS.left)} of the shift is left, the AUROC falls by no more than "
        f"{number(LIMITS.auroc)}, and no other artifact moves the score further by more than "
        f"{number(LIMITS.rise, 1)}"
    )


def _called(finding: Finding, label: str) -> str:
    return detector_name(finding["detector"]) + (f", {label}" if label else "")


def _recommended(mending: Mapping[str, Any]) -> str | None:
    """The remedy that surely mends; None where none does, or it isn't sure yet."""
    return mending["remedy"] if mending["answer"] == "mended" else None


def _row(one: Mapping[str, Any], recommended: str | None) -> Row:
    about = one["remedy"], one["does"], one["unfit"]
    cells: tuple[str, ...] = ()
    if one["pairs"]:
        others = ", ".join(
            f"{cue['artifact']} {_to(cue['shift'], 2)}: {span(cue['rise'])} further" for cue in one["others"]
        )
        cells = (
            _percent(one["removed"]),
            _to(one["shift"], 2),
            f"{_to(one['auroc'], 3)}; {_difference(one['auroc'], 3)}",
            f"{_shares(one['recall'])}; {_points(one['recall'])}",
            _shares(one["alarms"]) + _harm(one),
            _shares(one["heat"]),
            others or "–",
            " → ".join(number(value, 1) for value in one["minutes"]),
        )
    return Row(*about, cells, one["remedy"] == recommended, tuple(one["failed"]))


def _to(change: Mapping[str, Any], digits: int) -> str:
    return f"{number(change['before']['value'], digits)} → {number(change['after']['value'], digits)}"


def _harm(one: Mapping[str, Any]) -> str:
    """Of an artifact that was put on images which came without it, in percentage points."""
    if one.get("harm") is None:
        return ""
    before, after = (number(100 * one["harm"][when]["value"], 0) for when in ("before", "after"))
    gone = one["harm_removed"]
    return f"; harm {before} → {after} points" + (f", {_percent(gone)} removed" if gone else "")


def _shares(change: Mapping[str, Any] | None) -> str:
    if change is None:
        return "–"
    return f"{share(change['before']['value'])} → {share(change['after']['value'])}"


def _difference(change: Mapping[str, Any], digits: int) -> str:
    return f"change {span(change['difference'], digits)}"


def _points(change: Mapping[str, Any]) -> str:
    """A difference of shares, in percentage points."""
    scaled = {key: None if value is None else 100 * value for key, value in change["difference"].items()}
    return f"change {span(scaled, 0)} points"


def _percent(found: Mapping[str, float | None] | None) -> str:
    """`91 % (78 to 100)`."""
    if found is None or found["value"] is None:
        return "–"
    low, high = (number(100 * (found[end] or 0), 0) for end in ("low", "high"))
    return f"{share(found['value'])} ({low} to {high})"
