"""A small run's findings and tables, made by hand."""

import pandas as pd
import pytest


def span(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def shown(explainer, reveals="yes", judged=True, reference=False, side="nominal"):
    return {
        "explainer": explainer,
        "reference": reference,
        "reveals": reveals,
        "judged": judged,
        "side": side,
        "excess_pixel_auroc": span(0.32, 0.02, 0.65),
    }


@pytest.fixture
def finding():
    """One of FCDD with two pairs, of which one raises alarms."""
    return {
        "nominal_class": "cat",
        "detector": "fcdd",
        "probe": "watermark",
        "plant_on": "anomalous",
        "prevalence": 0.2,
        "alarms": span(0.42, 0.068, 1.0),
        "dependence": span(4.67, 2.9, 5.0),
        "reliance": span(0.54, 0.1, 1.0),
        "effects": [{"measure": "new_alarms", "planted": span(0.47), "control": span(0.05)}],
        "explainers": [
            shown("native"),
            shown("grad-cam", "no"),
            shown("occlusion", "inconclusive", judged=False),
            shown("edges", reference=True),
        ],
    }


@pytest.fixture
def results():
    """The rows of results.csv that belong to it, and others."""
    cell = {
        "nominal_class": "cat",
        "detector": "fcdd",
        "probe": "watermark",
        "plant_on": "anomalous",
        "explainer": "",
        "split": "conflict",
        "metric": "new_alarms",
    }
    kinds = (("planted", 0.2), ("planted", 1.0), ("control", 0.0))
    shares = {("planted", 0.2): (0.9, 0.04), ("planted", 1.0): (1.0, 1.0), ("control", 0.0): (0.02, 0.08)}
    rows = [
        {**cell, "twin": twin, "prevalence": dose, "seed": seed, "value": shares[twin, dose][seed]}
        for twin, dose in kinds
        for seed in (0, 1)
    ]
    levels = {"planted": 2.0, "control": 4.0}
    rows += [
        {
            **cell,
            "twin": twin,
            "prevalence": dose,
            "seed": seed,
            "split": "validation",
            "metric": "threshold",
            "value": levels[twin] + seed + (10 if dose == 1 else 0),
        }
        for twin, dose in kinds
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)
