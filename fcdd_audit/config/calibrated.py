"""What of an audit's settings a calibration takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fcdd_audit.config.layers import Given, Layer, merge
from fcdd_audit.config.settings import settings
from fcdd_audit.core.errors import InputError

# By default.
PREVALENCE = (0.05, 0.2, 1.0)
PAIRS, NULL_PAIRS = 32, 24  # of twins, for each detector and condition
DECOYS = ("bars", "patch")  # one unlike a watermark, and one like it
UNUSED = {  # and why
    **dict.fromkeys(("removal", "halves", "strict"), "it plants its artifacts"),
    "weights": "it trains its detectors",
    "placebos": "it trains twins",
    "calibration": "it makes one",
    **dict.fromkeys(("remedies", "export"), "it mends nothing"),
    **dict.fromkeys(
        ("explainers", "explained", "sanity", "quantile"), "it judges scores and explains nothing"
    ),
}


def merge_calibrated(*layers: Layer | Mapping[str, Any]) -> Given:
    """As `merge`, with a calibration's own defaults. InputError for a setting that it makes no use of."""
    given = merge({"prevalence": PREVALENCE}, *layers)
    for name, reason in UNUSED.items():
        if name in given.values:
            raise InputError(
                f"{given.where(name)}a calibration makes no use of '{settings()[name].called}', since "
                f"{reason}; leave it out"
            )
    return given
