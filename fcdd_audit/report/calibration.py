"""The figure of a calibration: reads its folder, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from fcdd_audit.core.files import write_text
from fcdd_audit.report.figures import rates_figure


def draw_rates(folder: Path) -> Path:
    """(Re)write calibration.svg from a calibration's calibration.json; returns its path."""
    rates = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))["rates"]
    return write_text(folder / "calibration.svg", rates_figure(rates, "rates"))
