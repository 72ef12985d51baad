"""The HTML report: reads the run folder, and nothing else."""

from fcdd_audit.report.page import render_report

__all__ = ["render_report"]
