"""What all figures of the twins' page have in common."""

import re
import xml.etree.ElementTree as ET
from html import escape

import pandas as pd
import pytest
from matplotlib.figure import Figure

from fcdd_audit.report.figures import dumbbell, forest, origin_dots, score_strips, trust_bars
from fcdd_audit.report.figures.style import ANSWERS, INK, LIMIT, ON_COLOUR, SERIES, TWINS, to_svg

HOSTILE = '<script>alert("1")</script> & $x_1$'
LEVELS = pd.DataFrame({"question": 0, "twin": ["planted", "control"], "seed": 0, "threshold": [2.0, 4.0]})
SCORES = pd.DataFrame(
    [
        (0, twin, part, variant, score)
        for twin in TWINS
        for part in ("nominal", "anomalous")
        for variant in ("clean", "marked")
        for score in (1.0, 2.0, 3.0, 8.0)
    ],
    columns=["question", "twin", "part", "variant", "score"],
)


@pytest.fixture
def draw(finding, results):
    """All figures, with a name in them, as a page would ask for them."""

    def drawn(name="fcdd", narrow=False):
        one = {**finding, "detector": name}
        feature = {"feature": "x", "group": "file", "label": name, "unit": "px", "nominal": 3, "anomalous": 4}
        span = {"value": 0.7, "low": 0.6, "high": 0.8}
        origin = {
            "nominal_class": name,
            "summary": "They differ.",
            "groups": [{"group": "file", "auroc": span}],
            "features": [{**feature, "auroc": span}],
            "limits": {"separates": 0.6},
        }
        rate = {"detector": name, "truth": "planted", "label": "planted on 20 %", "null": False, "audits": 3}
        rate |= {"verdicts": {"relies": 3}, "carries_over": False, "relied_on": "yes"}
        cells = results.assign(detector=name)
        return {
            "d1": dumbbell([one], cells, "d1", narrow=narrow),
            "s-2": score_strips(SCORES, LEVELS, {0: name}, "s-2", narrow=narrow),
            "f3": forest([one], 0.05, "f3", narrow=narrow),
            "o4": origin_dots([origin], "o4", narrow=narrow),
            "t5": trust_bars([rate], "t5", narrow=narrow),
        }

    return drawn


@pytest.mark.parametrize("narrow", [False, True])
def test_each_has_a_title_and_a_description_and_ids_of_its_own(draw, narrow):
    for prefix, svg in draw(narrow=narrow).items():
        start = rf'<svg viewBox="[^"]+" role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
        start += rf'<title id="{prefix}-title">[^<]+</title><desc id="{prefix}-desc">[^<]+</desc>'
        assert re.match(start, svg)
        assert "aria-hidden" not in svg
        assert INK not in svg
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(name.startswith(f"{prefix}-") for name in ids)
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)) <= {
            pair for name in ids for pair in ((name, ""), ("", name))
        }


def test_the_same_numbers_give_the_same_figures(draw):
    assert draw() == draw()
    assert draw(narrow=True) == draw(narrow=True)


@pytest.mark.parametrize("narrow", [False, True])
def test_markup_and_formulas_in_names_stay_text(draw, narrow):
    for svg in draw(HOSTILE, narrow).values():
        assert "<script" not in svg
        words = " ".join("".join(ET.fromstring(svg.replace("xlink:", "")).itertext()).split())  # noqa: S314
        assert "alert(" in words
        assert "$x_1$" in words


def test_names_of_other_scripts_warn_nobody(draw):
    for svg in draw("猫の検出器").values():
        assert "猫の検出器" in svg


@pytest.mark.parametrize("name", ["d", "fcdd"])
def test_a_phones_variant_is_narrow_and_says_the_same(draw, name):
    wide, narrow = draw(name), draw(name, narrow=True)
    for prefix, svg in narrow.items():
        assert re.search('viewBox="0 0 ([0-9.]+) ', svg)[1] == "244.8"
        assert re.search('viewBox="0 0 ([0-9.]+) ', wide[prefix])[1] == "518.4"
        numbers = [set(re.findall(r"\d+\.\d+ \(", one)) for one in (svg, wide[prefix])]
        assert numbers[0] == numbers[1]


def test_an_odd_prefix_still_makes_ids(finding, results):
    svg = dumbbell([finding], results, 'a "b>')
    assert 'aria-labelledby="a_20__22_b_3e_-title a_20__22_b_3e_-desc"' in svg


def test_no_data_give_no_figure(results):
    levels = LEVELS[:0]
    assert dumbbell([], results, "x") == score_strips(SCORES[:0], levels, {}, "x") == ""
    assert forest([], 0.05, "x") == origin_dots([], "x") == trust_bars([], "x") == ""


@pytest.mark.parametrize("colour", [*TWINS.values(), LIMIT, *ANSWERS.values(), *SERIES])
def test_colours_stand_out_on_both_pages(colour):
    assert min(contrast(colour, paper) for paper in ("#fbfaf7", "#16181b")) >= 3


def test_counts_in_bars_can_be_read():
    assert min(contrast(colour, ON_COLOUR) for colour in ANSWERS.values()) >= 4.5


def test_no_colour_has_two_meanings():
    colours = [*TWINS.values(), LIMIT, *ANSWERS.values(), *SERIES]
    assert len(colours) == len(set(colours))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    """Relative luminance, WCAG 2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_markup_is_escaped_in_titles():
    svg = to_svg(Figure(), "x", HOSTILE, HOSTILE)
    assert f">{escape(HOSTILE)}</title>" in svg
    assert f">{escape(HOSTILE)}</desc>" in svg
