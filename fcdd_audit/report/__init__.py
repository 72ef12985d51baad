"""The HTML report: reads the run folder, and nothing else."""

from fcdd_audit.core.late import import_matplotlib

import_matplotlib()  # before the figures do

from fcdd_audit.report.page import render_report  # noqa: E402

__all__ = ["render_report"]
