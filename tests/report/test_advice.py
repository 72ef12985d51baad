"""What a report says is to be done next."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.report.advice import MOST, REMEDIES, Advice, advise

UNTOLD = "inconclusive"
CLEAR = "does-not-rely"
WEAK = {"short": "detects-little", "said": "they detect little", "steps_advised": 1000}
FALLING = {"short": "still-falling", "said": "they were still learning", "steps_advised": 3000}
LAST = Advice("Test the model that you use, on the same data.", "fcdd-audit run --model FILE")


def finding(detector="fcdd", verdict="relies", **changes):
    """A finding; the artifact does harm where it is relied on, unless `changes` say otherwise."""
    made = {
        "detector": detector,
        "probe": "watermark",
        "plant_on": "anomalous",
        "verdict": verdict,
        "harm": {"relies": "alarms", "does-not-rely": "none"}.get(verdict),
        "missing": "pairs" if verdict == UNTOLD else None,
        "pairs_needed": None,
        "images_needed": None,
        "seeds": 5,
        "explainers": [],
    }
    return made | changes


def explainer(name, quadrant="undecided"):
    return {"explainer": name, "quadrant": quadrant}


def settings(seeds="auto", budget=None, **recipe):
    """config.json, as far as advice depends on it."""
    return {
        "config": {
            "artifact": {"candidate": None},
            "data": {"image_size": 64},
            "design": {"seeds": seeds, "budget": budget, "thresholds": {"min_seeds": 3}},
            "detector": {"recipe": {"epochs": 5, "steps": None} | recipe},
        }
    }


def origin(status, *features):
    return {
        "nominal_class": "retina",
        "status": status,
        "groups": [
            {"group": "appearance", "content_free": False},
            {"group": "file", "content_free": True},
        ],
        "features": [
            {"group": group, "label": label, "unit": "px", "nominal": 32, "anomalous": 64}
            for group, label in features
        ],
    }


def advised(*findings, origins=(), **config):
    return advise({"findings": findings, "origin": list(origins)}, settings(**config))


@pytest.mark.parametrize(
    ("findings", "config", "first"),
    [
        (
            [finding(), finding("hsc")],
            {},
            Advice(
                "If images that you train FCDD and HSC on bear the watermark, remove it or put it equally "
                "on normal and anomalous ones."
            ),
        ),
        (
            [finding(probe="mask", plant_on="found-on-anomalous")],
            {},
            Advice(
                "Remove the artifact from the training images of FCDD, or put it equally on normal and "
                "anomalous ones, and run the same audit again."
            ),
        ),
        (
            [finding("fcdd", UNTOLD, pairs_needed=20), finding("hsc", UNTOLD, pairs_needed=24)],
            {},
            Advice("Train about 24 pairs of twins of FCDD and HSC.", "--max-seeds 24"),
        ),
        (
            [finding("fcdd", UNTOLD, pairs_needed=20)],
            {"seeds": 8, "budget": "3m"},
            Advice("Train about 20 pairs of twins of FCDD, with a larger budget.", "--seeds 20"),
        ),
        (
            [finding("fcdd", UNTOLD, seeds=2)],
            {"seeds": 2},
            Advice("Train more pairs of twins of FCDD, until it can be told.", "--seeds auto"),
        ),
        (
            [finding("fcdd", UNTOLD)],
            {},
            Advice("Use more images for FCDD: more pairs alone won't settle it."),
        ),
        (
            [finding("fcdd", UNTOLD, missing="images", images_needed=300)],
            {},
            Advice("Use about 300 test images for FCDD."),
        ),
        (
            [finding("ae", UNTOLD, missing="working-control")],
            {},
            Advice("Train AE longer or on more images, or leave it out.", "--epochs 10"),
        ),
        (
            [finding(name, UNTOLD, missing="working-control") for name in ("ae", "hsc")],
            {"epochs": None, "steps": 100},
            Advice("Train AE and HSC longer or on more images, or leave them out.", "--steps 200"),
        ),
        (
            [finding("fcdd", UNTOLD, missing="working-control", training=WEAK)],
            {},
            Advice(
                "Train FCDD longer, on more images, or at a larger size than 64 px: the control detects "
                "little.",
                "--steps 1000",
            ),
        ),
        (
            [finding(name, UNTOLD, missing="training", training=FALLING) for name in ("fcdd", "hsc")],
            {},
            Advice("Train FCDD and HSC longer: the loss was still falling.", "--steps 3000"),
        ),
        (
            [finding("fcdd", CLEAR, training={**WEAK, "steps_advised": None})],
            {},
            Advice(
                "Train FCDD longer, on more images, or at a larger size than 64 px: the control detects "
                "little.",
                "--epochs 10",
            ),
        ),
        (
            [finding("fcdd", UNTOLD, missing="room")],
            {},
            Advice("Try a milder artifact on FCDD: it already confuses the control."),
        ),
        (
            [finding("fcdd", UNTOLD, missing="failed-pairs")],
            {},
            Advice("Mend what made trainings of FCDD fail, then run the same again."),
        ),
        (
            [finding("ae", UNTOLD, missing="identical")],
            {},
            Advice("Put the artifact on a side that AE can learn from.", "--plant-on auto"),
        ),
        (
            [finding("fcdd", CLEAR, harm="hides")],
            {},
            Advice("Have people look at images with the watermark that FCDD lets pass."),
        ),
        (
            [finding("fcdd", CLEAR)],
            {},
            Advice(
                "All clear holds for the watermark and this recipe only: another artifact may be learned."
            ),
        ),
    ],
)
def test_the_first_thing_to_do(findings, config, first):
    found = advised(*findings, **config)
    assert found[0] == first
    assert found[-1] == LAST


def test_alarms_are_to_be_looked_at():
    assert advised(finding(), finding("hsc"))[1] == Advice(
        "Have people look at alarms of FCDD and HSC on images with the watermark."
    )


def test_a_shortcut_in_the_training_images_is_named_by_what_has_nothing_to_do_with_what_is_shown():
    features = ("appearance", "sharpness"), ("file", "original width")
    found = advised(finding(), origins=[origin("note", *features), origin("warning", *features)])
    assert found[1] == Advice(
        "Look at the other shortcut in the training images: original width (32 px on normal, 64 px on "
        "anomalous images) gives the anomalous ones away."
    )
    assert advised(finding(), origins=[origin("warning")])[1] == Advice(
        "Look at the other shortcut in the training images."
    )
    assert not any("shortcut" in one.text for one in advised(finding(), origins=[origin("note", *features)]))


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ([explainer("native", "exposed")], "native shows it"),
        ([explainer("native")], "none that was tried surely shows it"),
    ],
)
def test_heatmaps_that_hide_the_artifact_are_not_to_be_trusted(shown, words):
    hiding = [explainer("gradient", "hidden"), explainer("lime", "hidden")]
    assert advised(finding(explainers=[*hiding, *shown]))[1] == Advice(
        f"Don't look for the artifact in heatmaps of gradient and lime of FCDD: {words}."
    )


@pytest.mark.parametrize(
    ("probe", "commands"),
    [
        ("frame", ["fcdd-audit run --probe watermark"]),
        ("watermark", ["fcdd-audit run --probe jpeg"]),
        ("watermark+jpeg+frame", []),
    ],
)
def test_after_an_all_clear_another_artifact_is_tried(probe, commands):
    found = advised(finding("fcdd", CLEAR, probe=probe))
    assert [one.command for one in found[1:-1]] == commands
    assert "another artifact may be learned" in found[0].text


def test_there_is_no_all_clear_where_one_detector_has_no_verdict():
    assert not any("All clear" in one.text for one in advised(finding("fcdd", CLEAR), finding("hsc", UNTOLD)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["fcdd", "hsc", "ae"]),
            st.sampled_from(["relies", CLEAR, UNTOLD]),
            st.sampled_from(["alarms", "hides", "none", "open"]),
            st.sampled_from([*REMEDIES, None]),
            st.sampled_from([None, 24]),
            st.sampled_from([["hidden"], ["hidden", "exposed"], []]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_there_are_at_most_five_and_all_are_sentences(drawn):
    findings = [
        finding(
            detector,
            verdict,
            harm=None if verdict == UNTOLD else harm,
            missing=missing if verdict == UNTOLD else None,
            pairs_needed=needed,
            explainers=[explainer("native", quadrant) for quadrant in quadrants],
        )
        for detector, verdict, harm, missing, needed, quadrants in drawn
    ]
    found = advised(*findings, origins=[origin("warning", ("file", "original width"))])
    assert len(found) <= MOST
    assert found[-1] == LAST
    assert all(one.text[0].isupper() and one.text.endswith(".") and "None" not in one.text for one in found)
    relying = any(one["verdict"] == "relies" for one in findings)
    assert any("put it equally" in one.text for one in found) == relying


def test_a_mark_that_nobody_named_is_to_be_audited():
    shown = {"where": "the lower left", "shares": "0 of 40 normal and 9 of 50 anomalous images"}
    cards = [
        SimpleNamespace(about={"p": None}, command=None, **shown),
        SimpleNamespace(about={"p": 0.01}, command="fcdd-audit run --candidate FILE#2", **shown),
    ]
    found = {"findings": [finding(verdict=CLEAR)], "origin": []}
    wanted = Advice(
        "Audit the mark that repeats in the training images, at the lower left, on 0 of 40 normal and 9 of "
        "50 anomalous images.",
        "fcdd-audit run --candidate FILE#2",
    )
    assert advise(found, settings(), [{"cards": cards}])[0] == wanted
    assert wanted not in advise(found, settings(), [{"cards": cards[:1]}])
    about_it = settings()
    about_it["config"]["artifact"]["candidate"] = "FILE#2"
    assert wanted not in advise(found, about_it, [{"cards": cards}]), "the audit is of it"


def test_what_never_sees_a_found_artifact_is_left_out_of_its_audit():
    blind = finding("ae", UNTOLD, missing="identical", plant_on="transplanted-from-nominal")
    assert advised(blind)[0] == Advice("Leave AE out: it never sees the artifact in training.")
    planted = finding("ae", UNTOLD, missing="identical")
    assert advised(planted)[0].command == "--plant-on auto"


def test_advice_names_the_artifacts_that_it_is_about():
    found = advised(finding(), finding(probe="disc"), finding("hsc", CLEAR, probe="frame"))
    assert "bear the watermark or the disc, remove it" in found[0].text
    clear = advised(finding(verdict=CLEAR), finding(verdict=CLEAR, probe="jpeg"))
    assert "All clear holds for the watermark and the JPEG coding and this recipe only" in clear[0].text
    assert clear[1].command == "fcdd-audit run --probe frame"


def test_a_side_that_a_detector_cannot_learn_from_needs_no_advice_where_it_was_asked_about_the_other():
    lone = finding("ae", UNTOLD, missing="identical")
    assert any(one.command == "--plant-on auto" for one in advised(lone))
    assert not any(
        one.command == "--plant-on auto" for one in advised(lone, finding("ae", plant_on="nominal"))
    )


def test_a_training_that_was_not_enough_comes_before_all_else_and_once():
    found = [
        finding("fcdd", training=WEAK),
        finding("hsc", UNTOLD, missing="training", training=FALLING),
        finding("ae", UNTOLD, missing="pairs", pairs_needed=9),
    ]
    first, *others = [one.text for one in advise({"findings": found, "origin": []}, settings())]
    assert first.startswith("Train FCDD and HSC longer, on more images, or at a larger size")
    assert [text for text in others if "HSC" in text] == [], "no number of pairs, nor the same again"
    assert "Train about 9 pairs of twins of AE." in others
