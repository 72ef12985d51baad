"""Two audits side by side: what each asks, and whether they ask the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.text import one_line
from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.studies.compare.reading import read_results

ASKED = {
    "dataset": "data set",
    "nominal_class": "nominal class",
    "detector": "detector",
    "probe": "artifact",
    "plant_on": "side",
}
USED = ("prevalence", "verdict", "harm", "missing", "pairs_needed", "images_needed", "control_auroc")
FINISHED = "finished"  # the design of finished detectors
Key = tuple[str, ...]
Finding = dict[str, Any]


@dataclass(frozen=True)
class Audit:
    """A finished run of any design. results: as in results.csv."""

    name: str
    design: str
    config: dict[str, Any]
    findings: list[Finding]
    results: pd.DataFrame

    @property
    def confidence(self) -> float:
        """Of its intervals."""
        return float(self.config["config"]["design"]["thresholds"]["confidence"])

    def asked(self) -> dict[Key, list[Finding]]:
        """Findings by what they ask, apart from the prevalence. Of a finished detector the name is left out:
        it is a file's, and another file is the change."""
        fields = [name for name in ASKED if (self.design, name) != (FINISHED, "detector")]
        grouped: dict[Key, list[Finding]] = {}
        for one in self.findings:
            grouped.setdefault(tuple(one[name] for name in fields), []).append(one)
        return grouped


def read_audit(folder: Path) -> Audit:
    """InputError if the folder holds no finished run."""
    run = RunFolder(folder)
    config, found = run.read_json("config.json"), run.read_json("findings.json")
    try:
        audit = Audit(found["run"], config["design"], config, found["findings"], read_results(run))
        _check(audit)
        return audit
    except (OSError, KeyError, ValueError, TypeError) as error:
        missing = getattr(error, "filename", None) or error
        raise InputError(
            f"'{folder}' is no complete run ({missing}); give the folder that 'fcdd-audit run' wrote"
        ) from error


def _check(audit: Audit) -> None:
    """KeyError if it lacks what a comparison reads."""
    if not audit.findings:
        raise KeyError("it has no finding")
    for finding in audit.findings:
        for name in (*ASKED, *USED, *(["finished"] if audit.design == FINISHED else [])):
            finding[name]
    audit.config["data"], audit.confidence


def obstacle(before: Audit, after: Audit) -> str | None:
    """What the two audits ask differently, in one line; None where they ask the same."""
    if before.design != after.design:
        return f"design {before.design}, then {after.design}"
    first, second = before.asked(), after.asked()
    if first.keys() != second.keys():
        return _unlike(before, after)
    for key, findings in first.items():
        shares = [sorted(_shares(found)) for found in (findings, second[key])]
        if shares[0] != shares[1] and max(map(len, shares)) > 1:
            listed = (", ".join(f"{share:g}" for share in found) for found in shares)
            return f"prevalence {', then '.join(listed)}"
    return None


def _shares(findings: Sequence[Finding]) -> list[float]:
    """Of the training images that bear the artifact; of a finished detector that isn't known."""
    return [one["prevalence"] if one["prevalence"] is not None else 0.0 for one in findings]


def _unlike(before: Audit, after: Audit) -> str:
    said = []
    for name, label in ASKED.items():
        if (before.design, name) == (FINISHED, "detector"):
            continue
        values = [list(dict.fromkeys(one[name] for one in audit.findings)) for audit in (before, after)]
        if set(values[0]) != set(values[1]):
            said.append(f"{label} {', '.join(values[0])}, then {', '.join(values[1])}")
    return one_line("; ".join(said) or "other combinations of detector, class and side")


def matched(before: Audit, after: Audit) -> list[tuple[Finding, Finding]]:
    """The findings on each question, before and after, in the order of `before`; for audits without an
    obstacle. Those of one prevalence belong together, as do the only ones."""
    second = after.asked()
    pairs = []
    for key, findings in before.asked().items():
        ordered = (
            sorted(findings, key=lambda one: _shares([one])),
            sorted(second[key], key=lambda one: _shares([one])),
        )
        pairs += list(zip(*ordered, strict=True))
    return pairs
