"""The first screen of a finished detector, of hand-made findings and of a real audit."""

from html import unescape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.experiment.folder import VARIANTS, RunFolder
from fcdd_audit.report.advice import MOST
from fcdd_audit.report.first import SIZE
from fcdd_audit.report.first_finished import advise, first_screen, headline, picture, scope, trust
from fcdd_audit.report.page import fill_template
from fcdd_audit.report.strips import heat_uri, photo_uri
from fcdd_audit.studies.finished_rates import finished_rates

HARMS = {"nominal": "alarms", "anomalous": "hides"}
PLANT_ON = {"nominal": "anomalous", "anomalous": "nominal"}
WHYS = ("most", "median", "least")
UNTOLD = "inconclusive"
MASK_IT = "Don't let it decide on images that bear the watermark: mask it, or have people look at them."
TRAIN_IT = "Train it on images with the watermark equally on both sides, or without it, and test again."
OTHERS = "Expect the same of other marks in that place, and test some."
CHECK_IT = "It hardly detects on these images: check their size, the normalisation and the sign of the score."
TWINS = "To learn whether your training recipe learns the artifact, train twins with and without it."


def span(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def finding(side="nominal", verdict="vulnerable", alarms=0.62, righted=None, threshold=0.5, **changes):
    """A finding of one side; without a verdict for want of images, unless `changes` say otherwise."""
    made = {
        "detector": "mine.pt",
        "probe": "watermark",
        "plant_on": PLANT_ON[side],
        "verdict": verdict,
        "harm": {"vulnerable": HARMS[side], "robust": "none"}.get(verdict),
        "missing": "images" if verdict == UNTOLD else None,
        "images_needed": None,
        "images": 40,
        "alarms": span(alarms, 0.1, 0.9),
        "specific": UNTOLD,
        "explainers": [],
        "finished": {
            "side": side,
            "threshold": threshold,
            "threshold_from": "as given",
            "righted": None if righted is None else span(righted),
        },
    }
    made |= changes
    made["finished"]["shown"] = {
        one["explainer"]: {"value": span(0.7, *one["overlap"])} for one in made["explainers"]
    }
    return made


def found_on(side, verdict="vulnerable", alarms=0.3, righted=0.1, **changes):
    """The same of an artifact that the images came with."""
    return finding(
        side, verdict, alarms, righted, plant_on=f"found-on-{PLANT_ON[side]}", probe="mask", **changes
    )


def explainer(name, reveals="yes", quadrant="exposed", overlap=(0.5, 0.9)):
    """overlap: limits of the heatmaps' pixel AUROC with the mark."""
    return {"explainer": name, "reveals": reveals, "quadrant": quadrant, "overlap": overlap}


def examples(**changes):
    """Three images of 4 px a side, each of one level in each variant, and their scores."""
    levels = np.arange(18, dtype=np.uint8).reshape(3, 6) * 10
    shown = np.broadcast_to(levels[..., None, None, None], (3, 6, 1, 4, 4))
    made = {
        **dict(zip(VARIANTS, shown, strict=True)),
        "side": np.repeat(["nominal", "anomalous"], 3),
        "name": np.array([f"{side}-{why}" for side in HARMS for why in WHYS]),
        "why": np.array(WHYS * 2),
        "score": np.linspace(0.1, 1.8, 18).reshape(3, 6),
    }
    return made | changes


def drawn(findings, quantile=1.0, **changes):
    return picture({"config": {"explanation": {"quantile": quantile}}}, findings, examples(**changes))


def rate(truth, audits, **verdicts):
    return {"images": 100, "truth": truth, "audits": audits, "verdicts": verdicts}


RATES = [
    rate("over 10 %", 50, vulnerable=45, robust=1),
    rate("under 5 %", 60, vulnerable=2, robust=40),
    rate("0", 30, vulnerable=3, robust=27),
]


def screen(findings, **changes):
    settings = {"explanation": {"quantile": 1.0}, "design": {"thresholds": {"reveal": 0.05}}}
    config = {"config": settings, "error_rates": {"rates": RATES}}
    return first_screen(config, findings, examples(**changes))


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        (
            [finding(), finding("anomalous", alarms=0.31)],
            "mine.pt raises false alarms because of the watermark, on 62.0 % of normal images. "
            "It misses anomalies because of it, 31.0 % of them.",
        ),
        (
            [finding(verdict="robust"), finding("anomalous", "robust")],
            "mine.pt raises no false alarms because of the watermark. It misses no anomalies because of it.",
        ),
        (
            [finding(verdict=UNTOLD, images_needed=400), finding("anomalous", UNTOLD)],
            "mine.pt: whether it raises false alarms because of the watermark can't be told: about 400 "
            "images are needed. Whether it misses anomalies because of it can't be told: more images are "
            "needed.",
        ),
        (
            [
                finding(verdict=UNTOLD, missing="working-control"),
                finding("anomalous", UNTOLD, missing="room"),
            ],
            "mine.pt: whether it raises false alarms because of the watermark can't be told: the detector "
            "doesn't detect. Whether it misses anomalies because of it can't be told: nothing is left to "
            "lose.",
        ),
        (
            [finding(verdict=UNTOLD), finding("anomalous", alarms=1.0, probe="jpeg")],
            "mine.pt: whether it raises false alarms because of the watermark can't be told: more images are "
            "needed. It misses anomalies because of it, 100.0 % of them.",
        ),
        (
            [finding(probe="date"), finding("anomalous", "robust")],
            "mine.pt raises false alarms because of the date stamp, on 62.0 % of normal images. It misses no "
            "anomalies because of it.",
        ),
        (
            [finding("anomalous", alarms=0.4)],
            "mine.pt misses anomalies because of the watermark, 40.0 % of them.",
        ),
        (
            [found_on("nominal"), found_on("anomalous", "robust")],
            "mine.pt decides 30.0 % of normal images wrongly because they bear the artifact. It decides "
            "anomalous images alike with and without it.",
        ),
        (
            [found_on("anomalous", UNTOLD)],
            "mine.pt: whether the artifact changes its decisions on anomalous images can't be told: more "
            "images are needed.",
        ),
    ],
)
def test_the_headline_says_what_the_detector_does_on_each_side(findings, said):
    assert " ".join(headline(findings)) == said


def test_of_decisions_changed_both_ways_by_a_found_artifact_the_larger_share_is_said():
    (said,) = headline([found_on("anomalous", alarms=0.05, righted=0.4)])
    assert said.startswith("mine.pt decides 40.0 % of anomalous images ")


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([finding(specific="yes")], "Other marks in its place do less."),
        (
            [finding(specific="no")] * 2,
            "Many other marks in its place do as much.",
        ),
        (
            [finding(specific="yes"), finding(verdict="robust", specific="no")],
            "Other marks in its place do less.",
        ),
        ([finding(specific="yes"), finding("anomalous", specific="no")], None),
        ([finding(specific=UNTOLD)], None),
        ([finding(specific=None)], None),
        ([finding(verdict="robust", specific="no")], None),
    ],
)
def test_whether_other_marks_do_as_much_is_said_where_it_is_clear(findings, said):
    sentences = headline(findings)
    assert sentences[len(findings) :] == ([] if said is None else [said])


def test_the_scope_is_these_weights_at_one_threshold():
    both = [finding(threshold=-0.25), finding("anomalous", images=12)]
    assert scope(both) == (
        "This tests the finished model as it is, on 40 normal and 12 anomalous images, at the threshold "
        "−0.25 (as given). Nothing was trained."
    )
    assert "on 12 anomalous images, at" in scope(both[1:])


def test_trust_is_counted_by_what_is_true():
    said = trust(RATES[::-1], "watermark")
    assert said == [
        "Of audits with 100 images of detectors whose truth is known, “vulnerable” was said in 45 of 50 "
        "where the watermark turns over 10 % of the decisions wrong, and in 2 of 60 where it turns under "
        "5 %; “robust” in 27 of 30 where it turns none, and in 1 of 50 where over 10 %.",
        "“Can't tell” is no all-clear.",
    ]
    assert trust(RATES, "date stamp") == [*said, "Those audits were of the watermark alone."]


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([finding(), finding("anomalous")], [MASK_IT, TRAIN_IT]),
        ([finding(specific="no"), finding("anomalous", specific="no")], [MASK_IT, TRAIN_IT, OTHERS]),
        ([finding(verdict="robust", specific="no"), finding("anomalous")], [MASK_IT, TRAIN_IT]),
        (
            [finding(), finding("anomalous", UNTOLD, images_needed=400)],
            [MASK_IT, TRAIN_IT, "Use about 400 anomalous test images."],
        ),
        (
            [finding(verdict=UNTOLD), finding("anomalous", UNTOLD)],
            ["Use more normal test images.", "Use more anomalous test images."],
        ),
        ([finding(side, UNTOLD, missing="working-control") for side in HARMS], [CHECK_IT]),
        (
            [finding(side, UNTOLD, missing="room") for side in HARMS],
            ["Check the threshold: at this one hardly any decision can be turned wrong."],
        ),
        (
            [
                finding(
                    explainers=[
                        explainer("native", "no", "hidden"),
                        explainer("gradient"),
                        explainer("lime", "no", "hidden"),
                    ]
                )
            ],
            [MASK_IT, TRAIN_IT, "Don't look for the watermark in heatmaps of native and lime."],
        ),
        (
            [finding(side, "robust", probe="date") for side in HARMS],
            ["Robust holds for the date stamp at this threshold only; try another artifact."],
        ),
        ([finding(verdict="robust", probe="watermark+jpeg+frame")], []),
        (
            [
                finding(specific="no", explainers=[explainer("native", "no", "hidden")]),
                finding("anomalous", UNTOLD),
            ],
            [MASK_IT, TRAIN_IT, OTHERS, "Use more anomalous test images."],
        ),
    ],
)
def test_advice_follows_from_the_findings_and_ends_with_twins(findings, said):
    assert [one.text for one in advise(findings)] == [*said, TWINS]


def test_commands_are_those_that_were_meant():
    robust, untold, useless = (
        [finding(verdict=verdict, missing=missing)]
        for verdict, missing in (("robust", None), (UNTOLD, "room"), (UNTOLD, "working-control"))
    )
    assert [advise(findings)[0].command for findings in (robust, untold, useless)] == [
        "--probe jpeg",
        "--threshold X",
        "--image-size, --mean, --std",
    ]


SIDE = st.fixed_dictionaries(
    {
        "verdict": st.sampled_from(["vulnerable", "robust", UNTOLD]),
        "missing": st.sampled_from(["images", "room", "working-control"]),
        "specific": st.sampled_from(["yes", "no", UNTOLD, None]),
        "images_needed": st.sampled_from([None, 400]),
        "explainers": st.sampled_from([[], [explainer("native", "no", "hidden")], [explainer("native")]]),
    }
)


@given(st.dictionaries(st.sampled_from(list(HARMS)), SIDE, min_size=1))
def test_there_are_at_most_five_things_to_do_and_none_twice(sides):
    advice = advise([finding(side, **changes) for side, changes in sides.items()])
    assert len(set(advice)) == len(advice) <= MOST == 5
    assert advice[-1].text == TWINS


def test_a_row_has_the_verdict_the_share_and_whether_it_is_this_mark():
    found = screen(
        [finding(specific="no"), finding("anomalous", "robust", 0.03, specific="yes"), finding(specific=None)]
    )
    seen = [(row.detector, row.said, row.planted, row.effect, row.seeds) for row in found.rows]
    assert seen == [
        (
            "normal images",
            "vulnerable: it raises alarms",
            "62.0 % (10.0 to 90.0 %)",
            "raise a false alarm",
            "no, others too",
        ),
        ("anomalous images", "robust", "3.0 % (10.0 to 90.0 %)", "are missed", "–"),
        (
            "normal images",
            "vulnerable: it raises alarms",
            "62.0 % (10.0 to 90.0 %)",
            "raise a false alarm",
            "–",
        ),
    ]


def test_heatmaps_that_light_up_on_any_mark_are_not_said_to_hide_it():
    explainers = [
        explainer("native"),
        explainer("gradient", "no", "hidden"),
        explainer("lime", "no", "undecided", overlap=(0.56, 0.9)),
        explainer("occlusion", UNTOLD, "undecided", overlap=(0.6, 0.9)),
    ]
    (row,) = screen([finding(explainers=explainers)]).rows
    assert [(chip.explainer, chip.answer, chip.kind) for chip in row.chips] == [
        ("native", "shows it", "yes"),
        ("gradient", "doesn't show it", "no"),
        ("lime", "lights up on any mark", "open"),
        ("occlusion", "can't tell", "open"),
    ]


@pytest.mark.parametrize(
    ("nominal", "anomalous", "shown"),
    [
        (("vulnerable", 0.3), ("vulnerable", 0.7), "anomalous"),
        (("vulnerable", 0.7), ("vulnerable", 0.3), "nominal"),
        ((UNTOLD, 0.9), ("vulnerable", 0.3), "anomalous"),
        (("robust", 0.02), (UNTOLD, 0.08), "anomalous"),
        (("robust", 0.0), ("robust", 0.0), "nominal"),
    ],
)
def test_the_picture_is_the_median_one_of_the_side_with_most_harm(nominal, anomalous, shown):
    seen = drawn([finding("nominal", *nominal), finding("anomalous", *anomalous)])
    assert (seen.side, seen.name, seen.why) == (shown, f"{shown}-median", "median")
    arrays, row = examples(), 1 if shown == "nominal" else 4
    for view, variant in zip(seen.views, ("clean", "marked"), strict=True):
        assert view.uri == photo_uri(arrays[variant][row], size=SIZE)


def test_without_a_median_image_the_most_affected_is_drawn():
    whys = np.array(["most", "least", "other"] * 2)
    assert drawn([finding("anomalous")], why=whys).name == "anomalous-most"


@pytest.mark.parametrize(
    ("side", "below", "above"), [("nominal", "ok", "ALARM"), ("anomalous", "missed", "CAUGHT")]
)
def test_scores_are_told_from_the_threshold(side, below, above):
    score = np.zeros((3, 6))
    score[:, [1, 4]] = [[0.5], [0.6], [9]]  # of both sides' median images, by variant
    clean, marked = (view.readings for view in drawn([finding(side)], score=score).views)
    assert [(one.twin, one.ratio, one.word) for one in clean] == [("score", 1, below)]
    assert [(one.twin, one.ratio, one.word) for one in marked] == [("score", pytest.approx(1.2), above)]
    assert [one.wrong for one in (*clean, *marked)] == [side == "anomalous", side == "nominal"]


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_over_a_threshold_that_is_not_positive_there_is_no_ratio(threshold):
    score = np.full((3, 6), threshold - 1)
    score[1] += 2
    seen = drawn([finding(threshold=threshold)], score=score)
    readings = [one for view in seen.views for one in view.readings]
    assert [(one.ratio, one.word) for one in readings] == [(None, "ok"), (None, "ALARM")]


def test_a_found_artifact_was_removed():
    assert [view.label for view in drawn([finding()]).views] == [
        "without the watermark",
        "with the watermark",
    ]
    assert [view.label for view in drawn([found_on("nominal")]).views] == [
        "with the artifact removed",
        "with the artifact",
    ]


def test_heat_is_of_the_explainer_that_shows_the_artifact_else_of_the_first():
    cold, hot = np.zeros((3, 6, 4, 4), np.float16), np.zeros((3, 6, 4, 4), np.float16)
    hot[1, 1] = 1  # the median nominal image with the artifact
    arrays = {
        "heat.native": cold,
        "scale.native": np.float32(2),
        "heat.lime": hot,
        "scale.lime": np.float32(4),
    }
    seen = drawn([finding(explainers=[explainer("native", "no", "hidden"), explainer("lime")])], **arrays)
    assert (seen.heat.explainer, seen.heat.shows) == ("lime", True)
    assert seen.heat.uris == {
        "without": heat_uri(np.zeros((4, 4))),
        "with it": heat_uri(np.ones((4, 4))),
    }
    assert (seen.heat.low, seen.heat.high) == (0, 4)
    seen = drawn([finding(explainers=[explainer("lime", "no", "undecided")])], **arrays)
    assert (seen.heat.explainer, seen.heat.shows) == ("native", False)
    assert drawn([finding()]).heat is None


def test_the_partial_says_all_of_it_and_nothing_of_twins():
    found = screen([finding(specific="no", explainers=[explainer("native")]), finding("anomalous", UNTOLD)])
    page = unescape(fill_template("first.html.j2", first=found))
    for words in (*found.answer, found.scope, *found.trust, *(row.said for row in found.rows)):
        assert words in page
    for view in found.picture.views:
        assert view.uri in page
    assert page.count("<li>") == len(found.advice)
    assert "native: shows it" in page
    assert not any(word in page for word in ("Planted", "control", "trainings", " vs "))


def test_text_from_outside_stays_text():
    evil = "<script>alert(1)</script>"
    found = screen([finding(detector=evil, explainers=[explainer(evil)])], name=np.array([evil] * 6))
    page = fill_template("first.html.j2", first=found)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_a_run_has_a_first_screen(vulnerable):
    run = RunFolder(vulnerable)
    config, findings = run.read_json("config.json"), run.read_json("findings.json")["findings"]
    arrays = run.read_arrays(config["questions"][0]["examples"])
    found = first_screen(config, findings, arrays)
    assert found.answer[0] == (
        "own_models.py:Vulnerable raises false alarms because of the patch, on 100.0 % of normal images."
    )
    assert "Other marks in its place do less." in found.answer
    assert found.trust == trust(finished_rates(20), "patch")
    seen, limit = found.picture, findings[0]["finished"]["threshold"]
    assert (seen.side, seen.why) == ("nominal", "median")
    (row,) = np.flatnonzero((arrays["name"] == seen.name) & (arrays["side"] == "nominal"))
    readings = [one for view in seen.views for one in view.readings]
    assert [one.ratio for one in readings] == pytest.approx((arrays["score"][:2, row] / limit).tolist())
    assert [one.word for one in readings] == ["ok", "ALARM"]
    assert (seen.heat.explainer, seen.heat.shows) == ("native", True)
    assert fill_template("first.html.j2", first=found) in (vulnerable / "report.html").read_text("utf-8")
