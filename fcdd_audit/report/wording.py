"""What a direction is called in a report."""

from __future__ import annotations

from typing import Any

from fcdd_audit.core.directions import DIRECTIONS

MEASURES = {
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "relevance_mass": "relevance mass",
    "relevance_rank": "relevance rank",
    "pointing_game": "pointing game",
    "top_k_intersection": "top-k intersection",
    "iou_at_mask_area": "IoU at the mask's area",
    "aupro": "AUPRO",
}


def trained(finding: dict[str, Any]) -> str:
    """Where the artifact was in training: `planted on 20 % of the anomalous training images`."""
    return DIRECTIONS[finding["plant_on"]].trained.format(share=f"{100 * finding['prevalence']:.3g} %")


def tested(finding: dict[str, Any]) -> str:
    """What the conflict set does with the artifact: `put on the nominal test images`."""
    return DIRECTIONS[finding["plant_on"]].tested


def kind_of_audit(rate: dict[str, Any]) -> str:
    """What was known of the audits that a rate is of."""
    return f"{rate['label']}, which carries over" if rate["carries_over"] else rate["label"]


def measure_name(key: str) -> str:
    """A measure's name for people."""
    base = key.removesuffix("_dilated")
    return MEASURES[base] + (", mask grown by half a stride" if base != key else "")
