"""What a calibration says of an audit's verdicts: its rates, and in what it was made differently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.errors import InputError
from fcdd_audit.verdict.thresholds import Thresholds

SCHEMA = 4  # of calibration.json
RATE = {  # keys of a rate that the page shows
    *("detector", "label", "null", "independent", "prevalence", "pairs", "audits", "verdicts"),
    *("says_relies", "drawn", "known", "relied_on", "harmless", "wrong_clears", "carries_over"),
}
SHIPPED = "retina-watermark.json"  # of the default settings
LABELS = {
    "dataset": "data set",
    "nominal_class": "nominal class",
    "shape": "image shape",
    "images": "number of images",
    "outliers": "outlier exposure",
    "probe": "artifact",
    "plant_on": "side",
    "seeds": "number of pairs",
    "recipe": "training",
    "precision": "precision",
    "options": "options of detectors",
    "thresholds": "thresholds",
}


def read_calibration(path: Path | None) -> dict[str, Any]:
    """A calibration.json, by default the one that comes with the package, of the default settings.

    InputError if it isn't one.
    """
    source = files("fcdd_audit.studies") / "calibrations" / SHIPPED if path is None else path
    try:
        found: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
        if found.get("schema") != SCHEMA:
            raise ValueError(f"schema {found.get('schema')}, not {SCHEMA}")
        missing = {"rates", *LABELS} - found.keys()
        if missing:
            raise ValueError(f"no {min(missing)}")
        for rate in found["rates"]:
            if missing := RATE - rate.keys():
                raise ValueError(f"a rate without {min(missing)}")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"'{source}' is no calibration ({reason}); give what 'fcdd-audit calibrate' wrote"
        ) from None
    return found


def error_rates(
    calibration: Mapping[str, Any], config: AuditConfig, setups: list[dict[str, Any]]
) -> dict[str, Any]:
    """The rates for the audit's detectors, what they hold for, and in what the audit differs from that.

    setups: the `conditions` of each nominal class and artifact.
    """
    # An older calibration lacks thresholds on what is missing, which no verdict depends on.
    known = {**calibration, "thresholds": asdict(Thresholds()) | calibration["thresholds"]}
    differs = [
        label for name, label in LABELS.items() if any(_plain(one[name]) != known[name] for one in setups)
    ]
    return {
        "holds_for": {name: calibration[name] for name in ("dataset", "nominal_class", "probe", "seeds")},
        "differs_in": differs,
        "missing": [
            name
            for name in config.detector.detectors
            if all(rate["detector"] != name for rate in calibration["rates"])
        ],
        "rates": [rate for rate in calibration["rates"] if rate["detector"] in config.detector.detectors],
    }


def _plain(value: Any) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(value))
