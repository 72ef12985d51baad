"""What a direction is called in a report."""

from __future__ import annotations

from typing import Any

TRAINED = {
    "anomalous": "planted on {share} of the anomalous training images",
    "nominal": "planted on {share} of the nominal training images",
    "oe": "planted on {share} of the outlier exposure and nowhere else",
    "all-but-oe": "planted on {share} of all training images but the outlier exposure",
    "found-on-anomalous": "found on {share} of the anomalous training images",
    "found-on-nominal": "found on {share} of the nominal training images",
}
TESTED = {
    "anomalous": "put on the nominal test images",
    "nominal": "put on the anomalous test images",
    "oe": "put on the nominal test images",
    "all-but-oe": "taken off the nominal test images",
    "found-on-anomalous": "removed from the anomalous test images that bear it",
    "found-on-nominal": "removed from the nominal test images that bear it",
}


def trained(finding: dict[str, Any]) -> str:
    """Where the artifact was in training: `planted on 20 % of the anomalous training images`."""
    return TRAINED[finding["plant_on"]].format(share=f"{100 * finding['prevalence']:.3g} %")


def tested(finding: dict[str, Any]) -> str:
    """What the conflict set does with the artifact: `put on the nominal test images`."""
    return TESTED[finding["plant_on"]]


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
