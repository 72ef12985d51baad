"""What a direction and an artifact are called in a report."""

from __future__ import annotations

import ast
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


def artifact_words(probe: str) -> str:
    """A probe, as its `repr` notes it, for people: `watermark: text © PHOTO, corner lower-left`;
    several, with commas between, one after the other."""
    try:
        parsed = ast.parse(probe, mode="eval").body
        calls = parsed.elts if isinstance(parsed, ast.Tuple) else [parsed]
        return "; ".join(map(_call_words, calls))
    except (SyntaxError, ValueError):  # a probe from outside the package may call itself anything
        return probe


def _call_words(call: ast.expr) -> str:
    """Of one probe; ValueError if it isn't noted as a call."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("no call")
    options = [(option.arg or "", ast.literal_eval(option.value)) for option in call.keywords]
    named = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options)
    return call.func.id.lower() + (f": {named}" if named else "")


def telling_digits(effect: dict[str, Any]) -> int:
    """How many digits after the point tell something: about three in all of the larger twin's value."""
    largest = max(abs(effect[twin]["value"] or 0) for twin in ("planted", "control"))
    return 2 if largest < 10 else 1 if largest < 100 else 0


def kind_of_audit(rate: dict[str, Any]) -> str:
    """What was known of the audits that a rate is of."""
    return f"{rate['label']}, which carries over" if rate["carries_over"] else rate["label"]
