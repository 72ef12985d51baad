"""What a direction is called in a report."""

from __future__ import annotations

from typing import Any

from fcdd_audit.edits.directions import DIRECTIONS


def trained(finding: dict[str, Any]) -> str:
    """Where the artifact was in training: `planted on 20 % of the anomalous training images`."""
    return DIRECTIONS[finding["plant_on"]].trained.format(share=f"{100 * finding['prevalence']:.3g} %")


def tested(finding: dict[str, Any]) -> str:
    """What the conflict set does with the artifact: `put on the nominal test images`."""
    return DIRECTIONS[finding["plant_on"]].tested


def kind_of_audit(rate: dict[str, Any]) -> str:
    """What was known of the audits that a rate is of."""
    truth = rate["truth"]
    share = "" if rate["prevalence"] is None else f" on {100 * rate['prevalence']:.3g} %"
    if truth == "other-artifact":
        spills = ", which carries over" if rate["relied_on"] == "yes" else ""
        return f"{rate['decoy']} planted instead{share}{spills}"
    return {
        "planted": f"artifact planted{share}",
        "both-sides": f"planted{share} of both sides alike",
        "unrelated-seeds": "two clean twins of unrelated seeds",
        "any-null": "all nulls together",
    }[truth]
