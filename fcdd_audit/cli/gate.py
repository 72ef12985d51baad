"""The exit code of a gate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fcdd_audit.core.errors import InputError

if TYPE_CHECKING:
    from fcdd_audit.verdict.findings import Finding

GATES = ("relies",)  # what --fail-on can look for: verdicts
PASSED, FOUND, INCONCLUSIVE = 0, 1, 3


def check_gate(wanted: str | None) -> None:
    """InputError for an unknown gate; None is none."""
    if wanted not in (None, *GATES):
        raise InputError(f"--fail-on: unknown gate '{wanted}' (known: {', '.join(GATES)})")


def gate_code(wanted: str | None, findings: Iterable[Finding]) -> int:
    """1 if a finding has the verdict that is looked for, else 3 if one is inconclusive, else 0."""
    verdicts: set[str] = {finding.verdict for finding in findings}
    if wanted is None:
        return PASSED
    if wanted in verdicts:
        return FOUND
    return INCONCLUSIVE if "inconclusive" in verdicts else PASSED
