"""Statistical figures as inline SVG that takes its ink from the page: pure functions, a file a family."""

from fcdd_audit.report.figures.comparison import cascade_curves
from fcdd_audit.report.figures.dumbbell import dumbbell, dumbbell_rows
from fcdd_audit.report.figures.finished import among_placebos, dose_figure, places_figure
from fcdd_audit.report.figures.forest import forest, forest_rows
from fcdd_audit.report.figures.origin import origin_dots, origin_rows
from fcdd_audit.report.figures.prevalence import dose_response, rates_figure
from fcdd_audit.report.figures.roc import roc_curves
from fcdd_audit.report.figures.strips import score_strips, score_strips_rows, strip_thresholds
from fcdd_audit.report.figures.style import INK
from fcdd_audit.report.figures.trust import trust_bars, trust_rows

__all__ = [
    "INK",
    "among_placebos",
    "cascade_curves",
    "dose_figure",
    "dose_response",
    "dumbbell",
    "dumbbell_rows",
    "forest",
    "forest_rows",
    "origin_dots",
    "origin_rows",
    "places_figure",
    "rates_figure",
    "roc_curves",
    "score_strips",
    "score_strips_rows",
    "strip_thresholds",
    "trust_bars",
    "trust_rows",
]
