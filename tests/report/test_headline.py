"""The first sentences of a report."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.report.headline import BORNE, DOES, LACKS, abouts, headline, rows, scope, several, trust
from fcdd_audit.report.naming import artifact_name, listed

UNTOLD = "inconclusive"
CLEAR = "does-not-rely"


def finding(detector="fcdd", verdict="relies", **changes):
    """A finding; the artifact does harm where it is relied on, unless `changes` say otherwise."""
    made = {
        "nominal_class": "retina",
        "detector": detector,
        "probe": "watermark",
        "plant_on": "anomalous",
        "prevalence": 1.0,
        "verdict": verdict,
        "harm": {"relies": "alarms", "does-not-rely": "none"}.get(verdict),
        "missing": "pairs" if verdict == "inconclusive" else None,
        "pairs_needed": None,
        "images_needed": None,
        "seeds": 5,
        "pairs_relying": 5 if verdict == "relies" else 0,
        "alarms": {"value": 0.96, "low": 0.9, "high": 1.0},
        "effects": [{"measure": "new_alarms", "planted": {"value": 0.98}, "control": {"value": 0.02}}],
        "explainers": [],
    }
    return made | changes


def explainer(name, quadrant="undecided", reveals="inconclusive", judged=True, reference=False):
    return {
        "explainer": name,
        "quadrant": quadrant,
        "reveals": reveals,
        "judged": judged,
        "reference": reference,
    }


def rate(audits, relied_on, null=False, **changes):
    """A kind of audits of a calibration."""
    made = {
        "detector": "fcdd",
        "null": null,
        "independent": True,
        "prevalence": 1.0,
        "audits": audits,
        "verdicts": {},
        "relied_on": relied_on,
        "wrong_clears": 0,
        "carries_over": False,
    }
    return made | changes


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        (
            [finding()],
            "Trained with the watermark on every anomalous image, FCDD learns it and raises false alarms "
            "because of it.",
        ),
        (
            [finding(), finding("hsc"), finding("ae", UNTOLD, missing="working-control")],
            "Trained with the watermark on every anomalous image, FCDD and HSC learn it and raise false "
            "alarms because of it. AE: no verdict, it doesn't detect.",
        ),
        (
            [finding(), finding("hsc"), finding("mine")],
            "Trained with the watermark on every anomalous image, FCDD, HSC and mine learn it and raise "
            "false alarms because of it.",
        ),
        (
            [finding(), finding("ae", CLEAR, plant_on="nominal")],
            "Trained with the watermark on every anomalous image, FCDD learns it and raises false alarms "
            "because of it. Trained with it on every normal image, AE doesn't rely on it.",
        ),
        (
            [finding(prevalence=0.2, harm="none"), finding("hsc", CLEAR, prevalence=0.2)],
            "Trained with the watermark on 20 % of the anomalous images, FCDD learns it, without harm at "
            "this threshold; HSC doesn't rely on it.",
        ),
        (
            [finding("fcdd", verdict, prevalence=share) for verdict, share in ((CLEAR, 0.2), ("relies", 1))],
            "Trained with the watermark on 20 % or 100 % of the anomalous images, FCDD learns it at 100 % "
            "and doesn't rely on it at 20 %.",
        ),
        (
            [finding(harm="open", plant_on="oe", probe="jpeg")],
            "Trained with the JPEG coding on all of the outlier exposure and nowhere else, FCDD learns it; "
            "whether that does harm is open.",
        ),
        (
            [finding("ae", harm="hides", plant_on="all-but-oe", prevalence=0.2)],
            "Trained with the watermark on 20 % of all training images but the outlier exposure, AE learns "
            "it and misses anomalies because of it.",
        ),
        (
            [finding(probe="mask", plant_on="found-on-anomalous", prevalence=0.12)],
            "Trained on anomalous images of which 12 % bear the artifact, FCDD learns it and raises false "
            "alarms because of it.",
        ),
        (
            [
                finding("fcdd", verdict, nominal_class=name)
                for name, verdict in (("cat", "relies"), ("dog", CLEAR), ("ship", UNTOLD))
            ],
            "Trained with the watermark on every anomalous image, FCDD learns it on cat, doesn't rely on it "
            "on dog and gets no verdict on ship.",
        ),
        (
            [finding(nominal_class=name) for name in ("cat", "dog")],
            "Trained with the watermark on every anomalous image, FCDD learns it and raises false alarms "
            "because of it on each of 2 classes.",
        ),
        (
            [finding("fcdd", UNTOLD, pairs_needed=24), finding("hsc", UNTOLD, pairs_needed=24)],
            "Whether the watermark is learned can't be told. FCDD and HSC: no verdict, about 24 pairs of "
            "twins are needed.",
        ),
        (
            [finding("fcdd", UNTOLD, missing="room"), finding("hsc", UNTOLD, missing="room")],
            "Whether the watermark is learned can't be told. FCDD and HSC: no verdict, they have nothing "
            "left to lose.",
        ),
        (
            [finding("fcdd", CLEAR, harm="alarms")],
            "Trained with the watermark on every anomalous image, FCDD doesn't rely on it, yet raises false "
            "alarms.",
        ),
    ],
)
def test_the_headline_says_who_learns_what(findings, said):
    assert " ".join(headline(findings)) == said


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["qaz", "wsx", "edc", "rfv"]),
            st.sampled_from(["relies", CLEAR, UNTOLD]),
            st.sampled_from(["alarms", "hides", "none", "open"]),
            st.sampled_from(list(LACKS)),
            st.sampled_from(list(DIRECTIONS)),
            st.sampled_from([0.05, 0.2, 1.0]),
            st.sampled_from(["cat", "dog"]),
            st.sampled_from([None, 24]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_detector_is_named_once_and_no_sentence_is_empty(drawn):
    findings = [
        finding(
            detector,
            verdict,
            harm=None if verdict == UNTOLD else harm,
            missing=missing if verdict == UNTOLD else None,
            plant_on=plant_on,
            prevalence=prevalence,
            nominal_class=name,
            pairs_needed=needed,
        )
        for detector, verdict, harm, missing, plant_on, prevalence, name, needed in drawn
    ]
    sentences = headline(findings)
    text = " ".join(sentences)
    apart = several(findings, "plant_on")
    for detector in {one["detector"] for one in findings}:
        sides = {one["plant_on"] for one in findings if one["detector"] == detector}
        assert text.count(detector) == (len(sides) if apart else 1)
    assert all(re.fullmatch(r"[A-Za-z]\S* .+\.", sentence) for sentence in sentences)
    assert not re.search(r"  |[{}]| ,|\.\.|None", text)
    learned = re.search(r"learns? it", text) is not None
    assert learned == any(one["verdict"] == "relies" for one in findings)


def test_every_direction_and_every_outcome_has_words():
    assert set(BORNE) == set(DIRECTIONS)
    assert all(len(forms) == 2 and all(forms) for forms in (*DOES.values(), *LACKS.values()))


@pytest.mark.parametrize(
    ("changes", "own_code", "said"),
    [
        (
            {},
            {},
            "This tests a training recipe: the tool planted the watermark itself and trained each detector "
            "anew, with and without it. No finished model of yours was tested.",
        ),
        (
            {},
            {"mine": "train.py:fit"},
            "This tests a training recipe: the tool planted the watermark itself and trained each detector "
            "anew (mine by your own code), with and without it. No finished model was tested.",
        ),
        (
            {"plant_on": "found-on-nominal", "probe": "mask"},
            {},
            "This tests a training recipe: the artifact came with the images, and each detector was trained "
            "anew, on the images as they are and on images rid of it. No finished model of yours was tested.",
        ),
    ],
)
def test_the_scope_is_a_recipe(changes, own_code, said):
    assert scope([finding(**changes)], own_code) == said


def test_a_row_has_the_verdict_alarms_seeds_and_what_explanations_show():
    (row,) = rows(
        [
            finding(
                explainers=[
                    explainer("native", "exposed", "yes"),
                    explainer("gradient", "hidden", "no"),
                    explainer("occlusion"),
                    explainer("lime", judged=False),
                    explainer("random", reference=True),
                ]
            )
        ]
    )
    assert (row.detector, row.about, row.said) == ("FCDD", "", "relies and raises alarms")
    assert (row.planted, row.control, row.effect, row.seeds) == (
        "98 %",
        "2 %",
        "raise a false alarm",
        "5 of 5",
    )
    assert [(chip.explainer, chip.answer, chip.kind) for chip in row.chips] == [
        ("native", "shows it", "yes"),
        ("gradient", "doesn't show it", "no"),
        ("occlusion", "can't tell", "open"),
        ("lime", "not judged", "unjudged"),
    ]


def test_a_row_says_what_varies_and_on_which_side_anomalies_hide():
    found = rows([finding(plant_on="nominal", nominal_class=name, prevalence=0.05) for name in ("a", "b")])
    assert [row.about for row in found] == ["a", "b"]
    assert {row.effect for row in found} == {"of anomalies missed"}
    found = rows([finding(prevalence=share) for share in (0.05, 1)])
    assert [row.about for row in found] == ["5 % of the images", "100 % of the images"]


def test_a_row_of_nothing_scored_is_empty():
    (row,) = rows([finding("ae", UNTOLD, missing="identical", effects=[], seeds=0, pairs_relying=None)])
    assert (row.planted, row.control, row.effect, row.seeds) == ("", "", "", "")


RATES = [
    rate(5, "yes", verdicts={"relies": 4, UNTOLD: 1}),
    rate(3, "no", prevalence=0.2, verdicts={CLEAR: 3}),
    rate(4, "no", null=True, verdicts={"relies": 1, CLEAR: 3}),
    rate(2, "yes", null=True, carries_over=True, verdicts={CLEAR: 1, UNTOLD: 1}, wrong_clears=1),
    rate(7, "unclear", prevalence=0.3, verdicts={"relies": 7}),  # what is true isn't known
    rate(9, "no", null=True, independent=False, verdicts={"relies": 9}),  # shares twins with others
    rate(4, "unclear", null=True, prevalence=None, verdicts={"relies": 1, CLEAR: 3}),  # a sum
]


def test_trust_is_counted_over_audits_whose_truth_is_known():
    assert trust({"rates": RATES, "differs_in": [], "missing": []}) == [
        "Of 14 audits whose truth is known, “relies” was said in 4 of 7 where it is true (FCDD) and in 1 "
        "of 7 where it is false; 1 gave a wrong all-clear.",
        "2 couldn't tell, which is no all-clear.",
    ]


def test_trust_in_rates_of_other_settings_is_qualified():
    found = trust({"rates": RATES, "differs_in": ["data set", "training"], "missing": ["ae"]})
    assert found[2:] == [
        "These are a guide only: this audit has another data set and training.",
        "Not measured for AE.",
    ]


def test_without_rates_nothing_is_claimed():
    assert trust({"rates": [], "differs_in": ["artifact"], "missing": ["mine"]}) == [
        "How often such verdicts are right wasn't measured for these detectors."
    ]


def test_names_and_lists():
    assert artifact_name("logo+jpeg") == "logo with JPEG coding"
    assert artifact_name("logo+mine") == "artifact"
    assert [listed("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_each_artifact_has_a_sentence_of_its_own():
    found = [
        finding(),
        finding("hsc", CLEAR),
        finding(probe="disc", verdict=CLEAR),
        finding("hsc", probe="disc"),
    ]
    assert headline(found) == [
        "Trained with the watermark on every anomalous image, FCDD learns it and raises false alarms because "
        "of it; HSC doesn't rely on it.",
        "Trained with the disc on every anomalous image, FCDD doesn't rely on it; HSC learns it and raises "
        "false alarms because of it.",
    ]
    assert abouts(found) == ["watermark", "watermark", "disc", "disc"]


def test_sides_are_told_apart_where_a_detector_was_asked_about_several():
    found = [
        finding(),
        finding(plant_on="nominal", verdict=CLEAR),
        finding("ae", UNTOLD, missing="identical"),
        finding("ae", UNTOLD, plant_on="nominal", missing="working-control"),
    ]
    assert headline(found) == [
        "Trained with the watermark on every anomalous image, FCDD learns it and raises false alarms because "
        "of it.",
        "AE: no verdict, it can't learn anything from that side.",
        "Trained with the watermark on every normal image, FCDD doesn't rely on it.",
        "AE: no verdict, it doesn't detect.",
    ]
    assert abouts(found) == ["on the anomalous side", "on the nominal side"] * 2
    assert headline(found[3:]) == [
        "Whether the watermark is learned can't be told.",
        "AE: no verdict, it doesn't detect.",
    ]
    untold = [{**one, "verdict": UNTOLD, "missing": "pairs"} for one in found[:2]]
    assert headline(untold)[::2] == [
        "Whether the watermark is learned on the anomalous side can't be told.",
        "Whether the watermark is learned on the nominal side can't be told.",
    ]


def test_the_scope_names_all_that_was_planted_and_whether_at_once():
    found = [finding(), finding(probe="disc"), finding("hsc", probe="disc")]
    assert (
        "the tool planted the watermark and the disc itself and trained each detector anew, with and"
        in scope(found, {})
    )
    together = scope(found, {}, together=True)
    assert (
        "the disc itself, all at once, and trained each detector anew, with all of them and with all"
        in together
    )
