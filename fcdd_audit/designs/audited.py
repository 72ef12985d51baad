"""What a design leaves of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import AuditData
from fcdd_audit.verdict.findings import Finding


@dataclass(frozen=True)
class Audited:
    """What is to be written of an audit, once it is judged.

    tables: by file name. arrays: by file name, images and heatmaps that the page shows. files: further
    ones, by name, those of searches in folders of their own. described: what config.json says besides
    settings, versions and times. precision: what was calculated in. origin: for each nominal class,
    whether its training images differ in how they were made, as in findings.json. conditions: for each and
    each artifact, what the error rates of its verdicts depend on; empty where none are known.
    """

    findings: list[Finding]
    tables: dict[str, pd.DataFrame]
    arrays: dict[str, dict[str, np.ndarray]]
    described: dict[str, Any]
    device: str
    precision: str
    origin: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def check_known(known: Mapping[str, Any], index: int, fingerprint: str) -> None:
    """InputError unless a finished run was on the same data. known: its config.json. index: of the nominal
    class. fingerprint: as in `describe_data`."""
    if part_of(known, "data", index, "fingerprint") != fingerprint:
        raise InputError(
            f"the images of the run '{part_of(known, 'run')}' have changed since; run the audit "
            "again with the explainers that you want"
        )


def part_of(known: Mapping[str, Any], *keys: str | int) -> Any:
    """What stands in a finished run's config.json. InputError if nothing does."""
    found: Any = known
    try:
        for key in keys:
            found = found[key]
    except (KeyError, IndexError, TypeError):
        raise InputError(
            f"the run's config.json isn't whole (no {'.'.join(map(str, keys))}); run the audit again"
        ) from None
    return found


def describe_data(data: AuditData, fingerprint: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """What config.json says of a nominal class's data. notes: added to the data's own."""
    return {
        "name": data.name,
        "nominal_class": data.nominal_class,
        "fingerprint": fingerprint,
        "shape": list(data.shape),
        "images": {part: len(images) for part, images in data.parts().items()},
        "notes": [*data.notes, *notes],
    }
