"""What a direction is called in a report."""

from __future__ import annotations

from typing import Any

from fcdd_audit.core.directions import DIRECTIONS


def trained(finding: dict[str, Any]) -> str:
    """Where the artifact was in training: `planted on 20 % of the anomalous training images`."""
    return DIRECTIONS[finding["plant_on"]].trained.format(share=f"{100 * finding['prevalence']:.3g} %")


def tested(finding: dict[str, Any]) -> str:
    """What the conflict set does with the artifact: `put on the nominal test images`."""
    return DIRECTIONS[finding["plant_on"]].tested


def changes(finding: dict[str, Any]) -> str:
    """The side whose test images the conflict set changes."""
    return DIRECTIONS[finding["plant_on"]].changed


def kind_of_audit(rate: dict[str, Any]) -> str:
    """What was known of the audits that a rate is of."""
    return f"{rate['label']}, which carries over" if rate["carries_over"] else rate["label"]
