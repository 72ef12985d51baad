"""How often verdicts on finished detectors are right, by the benchmark of detectors whose truth is known."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def finished_rates(images: int) -> list[dict[str, Any]]:
    """Counts of audits of at most so many images of a side, or of the fewest that were counted.

    Of each true rate (`over 10 %` of the images turned wrong, `under 5 %`, `0`): `images`, `truth`, `audits`,
    and of these how often each of the `verdicts` was given. One audit a detector and side.
    """
    source = files("fcdd_audit.studies") / "calibrations" / "finished.json"
    rates: list[dict[str, Any]] = json.loads(source.read_text(encoding="utf-8"))["rates"]
    sizes = sorted({rate["images"] for rate in rates})
    size = max([one for one in sizes if one <= images], default=sizes[0])
    return [rate for rate in rates if rate["images"] == size]
