import re

import numpy as np
import pandas as pd
import pytest

from fcdd_audit.report.figures import INK, roc_curves, score_distributions


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame({"part": part, "image": "x", "variant": variant, "score": rng.random(9)})
        for part in ("validation", "nominal", "anomalous")
        for variant in (("clean",) if part == "validation" else ("clean", "stamped"))
    ]
    return pd.concat(frames, ignore_index=True)


def figures(scores: pd.DataFrame) -> dict[str, str]:
    return {
        "a": score_distributions(
            {"planted": scores, "control": scores}, {"planted": 0.5, "control": 0.5}, "a"
        ),
        "b": roc_curves(
            {"planted": [scores] * 2, "control": [scores] * 2},
            {"nominal": "stamped", "anomalous": "clean"},
            "b",
        ),
    }


def test_figures_take_their_ink_from_the_page_and_keep_text_as_text(scores):
    for svg in figures(scores).values():
        assert svg.startswith("<svg viewBox=")
        assert INK not in svg
        assert "currentColor" in svg
        assert "planted twin" in svg


def test_ids_carry_the_prefix_so_that_figures_can_share_a_page(scores):
    for prefix, svg in figures(scores).items():
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert ids
        assert all(name.startswith(f"{prefix}-") for name in ids)
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_the_same_numbers_give_the_same_figure(scores):
    assert figures(scores) == figures(scores)


def test_constant_scores_still_make_a_figure(scores):
    for svg in figures(scores.assign(score=1.0)).values():
        assert "</svg>" in svg
