import dataclasses
import json

import numpy as np
import pytest

from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.measures.table import family
from fcdd_audit.verdict.findings import QUADRANTS, Evidence
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.thresholds import Thresholds

IMAGES = 20


def scored(
    validation,
    nominal_clean,
    nominal_marked,
    anomalous_clean,
    anomalous_marked,
    nominal_elsewhere=None,
    anomalous_elsewhere=None,
):
    named = dict(list(locals().items())[1:])
    return Scores(
        validation, {tuple(name.split("_")): values for name, values in named.items() if values is not None}
    )


def rescored(scores, **of):
    """The same with some of them replaced: nominal_marked=..."""
    changed = {tuple(name.split("_")): values for name, values in of.items()}
    return dataclasses.replace(scores, of={**scores.of, **changed})


def scores(drop=0.0, clean=1.0):
    """Scores without scatter, so that every bootstrap draw of images says the same.

    Nominal images have 0, anomalous ones 1; the stamp lifts nominal images to 2 (drop 1), 1 (0.5) or 0.
    `clean` 0.5: all scores are the same.
    """
    half, one = np.zeros(IMAGES // 2), np.ones(IMAGES // 2)
    anomalous = one if clean == 1 else half
    return scored(half, half, half + 2 * drop, anomalous, anomalous)


def overlap(planted, control=0.5, seeds=3):
    return {"pixel_auroc": (np.full((seeds, IMAGES), planted), np.full((seeds, IMAGES), control))}


def evidence(drops, **changes):
    item = Evidence(
        dataset="textures",
        nominal_class="grass",
        detector="fcdd",
        probe="watermark",
        plant_on="anomalous",
        prevalence=1.0,
        images=IMAGES,
        planted=[scores(drop) for drop in drops],
        control=[scores() for _ in drops],
        overlaps={},
        chance={measure.name: 0.5 for measure in family("overlap")},
    )
    return dataclasses.replace(item, **changes)


def judge_one(drops, limits=Thresholds(), **changes):  # noqa: B008 (frozen)
    (finding,) = judge([evidence(drops, **changes)], limits)
    return finding


def test_a_sure_drop_beyond_the_controls_is_reliance():
    finding = judge_one([0.5, 0.5, 1.0, 1.0])
    assert (finding.verdict, finding.reason) == ("relies", None)
    assert finding.reliance.value == pytest.approx(3 / 4)
    # standard error 0.5 / sqrt(12), Student's t with 3 degrees of freedom: 3.182
    assert finding.reliance.low == pytest.approx(3 / 4 - 3.182 * 0.5 / np.sqrt(12), abs=0.01)
    assert finding.reliance.high == 1, "a drop of more isn't possible, and the control's is 0"
    assert (finding.seeds, finding.images) == (4, IMAGES)
    assert (finding.control_auroc, finding.planted_auroc) == (1, 1)


@pytest.mark.parametrize("control", [0.0, 0.5])
def test_a_drop_that_the_control_has_too_is_none(control):
    finding = judge_one([control] * 3, control=[scores(control)] * 3)
    assert finding.verdict == "does-not-rely"
    assert finding.reliance == Interval(0, 0, 0)


def test_a_control_that_already_loses_all_to_the_mark_leaves_no_room_for_an_all_clear():
    finding = judge_one([1.0] * 3, control=[scores(1.0)] * 3)
    assert finding.verdict == "inconclusive"
    assert finding.reason.startswith("saturated")
    assert finding.reliance == Interval(0, 0, 0)


def test_a_destroyed_planted_twin_is_no_all_clear():
    broken = rescored(scores(), anomalous_clean=np.full(IMAGES // 2, -1.0))
    finding = judge_one([0.0] * 3, planted=[broken] * 3)
    assert finding.verdict == "inconclusive"
    assert finding.reason.startswith("saturated")


def test_a_stamp_that_helps_the_control_is_no_reliance_of_the_planted_twin():
    overlapping = np.linspace(-1, 1, IMAGES // 2)
    plain = scored(overlapping, overlapping, overlapping, overlapping + 0.5, overlapping + 0.5)
    helped = rescored(plain, nominal_marked=overlapping - 1)
    finding = judge_one([0.0] * 3, planted=[plain] * 3, control=[helped] * 3)
    assert finding.reliance.low > 0.05
    assert finding.verdict == "inconclusive"
    assert finding.reason.startswith("the twins differ because the mark helps the control")


def test_a_map_of_the_control_that_finds_the_artifact_leaves_no_room_to_be_hidden():
    finding = judge_one([1.0] * 3, overlaps={"native": overlap(0.95, control=0.95)})
    assert finding.explainers[0].reveals == "inconclusive"


def test_what_explanations_show_is_not_judged_for_an_artifact_that_lowers_the_score():
    finding = judge_one([0.0] * 3, plant_on="nominal", overlaps={"native": overlap(0.5)})
    assert (finding.explainers[0].reveals, finding.explainers[0].quadrant) == ("inconclusive", "undecided")


def test_reference_maps_stand_in_no_quadrant():
    finding = judge_one([1.0] * 3, overlaps={"random": overlap(0.5)}, references=("random",))
    assert (finding.explainers[0].reveals, finding.explainers[0].quadrant) == ("inconclusive", "undecided")


def test_an_artifact_on_the_nominal_side_is_judged_by_the_anomalies_that_it_hides():
    hiding = rescored(scores(), anomalous_marked=np.full(IMAGES // 2, -1.0))
    assert judge_one([0] * 3, planted=[hiding] * 3, plant_on="nominal").verdict == "relies"
    assert judge_one([0] * 3, planted=[hiding] * 3, plant_on="anomalous").verdict == "does-not-rely"


def test_seeds_that_disagree_are_inconclusive_and_the_reason_says_what_helps():
    finding = judge_one([0.0, 0.0, 1.0])
    assert finding.verdict == "inconclusive"
    assert finding.reliance.low < 0
    assert finding.reliance.high == 1
    assert "3 seeds" in finding.reason
    assert f"about {finding.seeds_needed} would do" in finding.reason
    assert (finding.seeds_relying, finding.seeds) == (1, 3)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_too_few_seeds_are_inconclusive_and_the_reason_says_how_many_are_needed(seeds):
    finding = judge_one(
        [1.0] * seeds, Thresholds(min_seeds=5), overlaps={"native": overlap(0.9, seeds=seeds)}
    )
    assert finding.verdict == "inconclusive"
    assert f"{seeds} seed" in finding.reason
    assert "at least 5" in finding.reason
    assert finding.reliance.value == 1
    assert np.isnan([finding.reliance.low, finding.reliance.high]).all()
    (explainer,) = finding.explainers
    assert (explainer.reveals, explainer.quadrant) == ("inconclusive", "undecided")
    assert np.isnan(explainer.excess_pixel_auroc.low)


def test_a_control_that_detects_nothing_gives_no_verdict():
    finding = judge_one([1.0] * 3, control=[scores(clean=0.5)] * 3)
    assert finding.verdict == "inconclusive"
    assert "not a working detector" in finding.reason
    assert "0.50" in finding.reason
    assert finding.control_auroc == 0.5
    assert judge_one([1.0] * 3, Thresholds(usable_auroc=1.0)).verdict == "relies"


def test_twins_identical_by_construction_get_the_reason_and_no_number():
    finding = judge_one([], obstacle="identical by construction: ae never sees anomalous images")
    assert finding.verdict == "inconclusive"
    assert finding.reason.startswith("identical by construction")
    assert finding.reliance is finding.control_auroc is finding.planted_auroc is None
    assert finding.explainers == ()


# Mean 2/3, standard error 0.517 / sqrt(6) = 0.211. That is 2.92 standard errors above 0.05: p = 0.0165 with 5
# degrees of freedom, under the 0.025 of a 95 % interval, over it once doubled.
DOUBTFUL = [0.0] * 2 + [1.0] * 4
MANY_DRAWS = Thresholds(draws=20000)


def test_holm_makes_a_doubtful_verdict_inconclusive_among_several():
    assert judge_one(DOUBTFUL, MANY_DRAWS).verdict == "relies"
    doubtful, clear, sure = judge([evidence(DOUBTFUL), evidence([0.0] * 6), evidence([1.0] * 6)], MANY_DRAWS)
    assert doubtful.verdict == "inconclusive"
    assert "3 verdict" in doubtful.reason
    assert doubtful.reliance.low > 0.05  # the interval shown isn't corrected
    assert (clear.verdict, sure.verdict) == ("does-not-rely", "relies")


def test_evidence_without_a_verdict_costs_the_others_nothing():
    doubtful, few = judge([evidence(DOUBTFUL), evidence([0.0])], MANY_DRAWS)
    assert (doubtful.verdict, few.verdict) == ("relies", "inconclusive")


@pytest.mark.parametrize("count", [1, 10, 60])
def test_sure_verdicts_stay_sure_however_many_are_given_together(count):
    assert {f.verdict for f in judge([evidence([1.0] * 5)] * count, Thresholds())} == {"relies"}


def test_what_explanations_show_is_corrected_for_their_number():
    rng = np.random.default_rng(0)
    excess = np.array([0.0] * 2 + [0.5] * 4)[:, None] + 1e-3 * rng.normal(size=(6, IMAGES))
    shown = {"pixel_auroc": (0.4 + excess, np.full_like(excess, 0.4))}
    alone = judge_one([1.0] * 6, MANY_DRAWS, overlaps={"native": shown})
    assert alone.explainers[0].reveals == "yes"
    maps = dict.fromkeys(("native", "gradient", "edges"), shown)
    together = judge_one([1.0] * 6, MANY_DRAWS, overlaps=maps, references=("edges",)).explainers
    assert [shown.reveals for shown in together] == ["inconclusive"] * 3
    assert together[0].excess_pixel_auroc.low > 0.05, "the interval shown isn't corrected"


@pytest.mark.parametrize(("verdict", "drop"), [("relies", 1.0), ("does-not-rely", 0.0)])
@pytest.mark.parametrize(("reveals", "planted"), [("yes", 0.9), ("no", 0.5)])
def test_verdict_and_explanation_make_the_quadrant(verdict, drop, reveals, planted):
    finding = judge_one([drop] * 3, overlaps={"native": overlap(planted), "edges": overlap(0.5)})
    native, edges = finding.explainers
    assert (finding.verdict, native.reveals) == (verdict, reveals)
    by_hand = {
        ("relies", "yes"): "exposed",
        ("relies", "no"): "hidden",
        ("does-not-rely", "yes"): "false-alarm",
        ("does-not-rely", "no"): "clear",
    }
    assert native.quadrant == QUADRANTS[verdict, reveals] == by_hand[verdict, reveals]
    assert edges.quadrant == by_hand[verdict, "no"]
    assert native.excess_pixel_auroc.value == pytest.approx(planted - 0.5)


def test_an_inconclusive_verdict_leaves_the_quadrant_undecided():
    (explainer,) = judge_one([0.0, 0.0, 1.0], overlaps={"native": overlap(0.9)}).explainers
    assert (explainer.reveals, explainer.quadrant) == ("yes", "undecided")


def test_the_excess_overlap_is_paired_by_image_and_seed():
    rng = np.random.default_rng(0)
    control = rng.uniform(0.2, 0.6, (3, IMAGES))
    (explainer,) = judge_one([1.0] * 3, overlaps={"native": overlap(control + 0.3, control)}).explainers
    excess = explainer.excess_pixel_auroc
    assert (excess.value, excess.low, excess.high) == pytest.approx((0.3, 0.3, 0.3))
    (shown,) = explainer.overlaps
    assert shown.measure == "pixel_auroc"
    assert shown.chance == 0.5
    assert shown.planted.high - shown.planted.low > 0.01
    assert shown.control.value == pytest.approx(control.mean())


def test_lift_is_the_planted_overlap_over_chance():
    mass = overlap(0.3, 0.2)["pixel_auroc"]
    maps = {**overlap(0.9), "relevance_mass": mass, "pointing_game": mass}
    chance = {"pixel_auroc": 0.5, "relevance_mass": 0.1, "pointing_game": None}
    (explainer,) = judge_one([1.0] * 3, overlaps={"native": maps}, chance=chance).explainers
    lifts = {one.measure: one.lift for one in explainer.overlaps}
    assert lifts == {"pixel_auroc": None, "relevance_mass": pytest.approx(3), "pointing_game": None}


def test_images_without_a_value_are_left_out_of_the_mean():
    control = np.full((3, IMAGES), 0.5)
    control[1, 4] = np.nan
    planted = np.where(np.isnan(control), 99, 0.9)
    (explainer,) = judge_one([1.0] * 3, overlaps={"native": overlap(planted, control)}).explainers
    assert explainer.excess_pixel_auroc.value == pytest.approx(0.4)
    assert explainer.reveals == "yes"


def test_agreement_pools_seeds_and_prevalences_of_a_detector_and_follows_their_order():
    rising = np.array([[0.6], [0.7], [0.8]])
    overlaps = {"native": overlap(rising), "random": overlap(0.6), "gradient": overlap(-rising)}
    low, high = (evidence([0.0, 0.5, 1.0], prevalence=share, overlaps=overlaps) for share in (0.2, 1.0))
    for finding in judge([low, high], Thresholds()):
        assert [e.agreement for e in finding.explainers] == [pytest.approx(1), None, pytest.approx(-1)]
    assert judge([low], Thresholds())[0].explainers[0].agreement is None  # three points only


def test_reference_maps_are_marked():
    finding = judge_one(
        [1.0] * 3, overlaps={"native": overlap(0.9), "random": overlap(0.5)}, references=("random",)
    )
    assert [(e.explainer, e.reference) for e in finding.explainers] == [("native", False), ("random", True)]


FINDING_KEYS = {
    *("dataset", "nominal_class", "detector", "probe", "plant_on", "prevalence"),
    *("verdict", "reliance", "seeds", "images", "explainers"),
}


def test_json_has_the_documented_keys_and_no_nan():
    everything = [
        evidence([1.0] * 3, overlaps={"native": overlap(0.9)}),
        evidence([1.0], overlaps={"native": overlap(np.nan, seeds=1)}),
        evidence([], obstacle="identical by construction"),
    ]
    for finding in judge(everything, Thresholds()):
        found = json.loads(json.dumps(finding.as_json(), allow_nan=False))
        assert found.keys() >= FINDING_KEYS
        assert found["verdict"] in ("relies", "does-not-rely", "inconclusive")
        assert found["reliance"] is None or found["reliance"].keys() == {"value", "low", "high"}
        for explainer in found["explainers"]:
            assert explainer.keys() >= {"explainer", "reveals", "excess_pixel_auroc", "quadrant"}
            assert explainer["reveals"] in ("yes", "no", "inconclusive")
            assert explainer["excess_pixel_auroc"].keys() == {"value", "low", "high"}


def test_a_number_that_is_not_there_is_null_in_json():
    found = judge_one([1.0], overlaps={"native": overlap(0.75, seeds=1)}).as_json()
    assert found["reliance"] == {"value": 1.0, "low": None, "high": None}
    assert found["explainers"][0]["excess_pixel_auroc"] == {"value": 0.25, "low": None, "high": None}
    assert found["explainers"][0]["agreement"] is None


def test_findings_come_in_the_order_of_the_evidence_and_the_same_every_time():
    items = [evidence([drop] * 3, prevalence=drop) for drop in (1.0, 0.0, 0.5)]
    findings = judge(items, Thresholds())
    assert [finding.prevalence for finding in findings] == [1.0, 0.0, 0.5]
    again = judge(items, Thresholds())
    assert [one.as_json() for one in again] == [one.as_json() for one in findings]


def test_effects_are_those_of_the_twins_with_intervals():
    finding = judge_one([0.5] * 4, control=[scores(0.25)] * 4)
    effects = {effect.measure: effect for effect in finding.effects}
    for measure, planted, control in (
        ("clean_auroc", 1, 1),
        ("aligned_auroc", 1, 1),
        (
            "conflict_auroc",
            0.5,
            1,
        ),  # marked nominal scores: 1, as anomalous ones, and 0.5
        ("drop", 0.5, 0),
        ("flip_rate", 1, 1),  # the frozen threshold is 0
    ):
        shown = effects[measure]
        assert (shown.planted.value, shown.control.value) == (planted, control), measure
        assert shown.difference == Interval(planted - control, planted - control, planted - control)
    assert np.isnan(effects["score_shift"].planted.value), "all clean nominal scores are the same"
    few = judge_one([0.5]).effects[0]
    assert few.planted.value == 1
    assert np.isnan(few.planted.low)


def test_intervals_stay_within_what_is_possible():
    finding = judge_one([0.0, 1.0, 1.0], overlaps={"native": overlap(np.array([[0.1], [0.9], [0.9]]))})
    conflict = next(effect for effect in finding.effects if effect.measure == "conflict_auroc").planted
    assert (conflict.low, conflict.high) == (0, 1)
    (shown,) = finding.explainers[0].overlaps
    assert (shown.planted.low, shown.planted.high) == (0, 1)
    assert (shown.excess.low, shown.excess.high) == (-0.5, 0.5), "the control has 0.5"


def test_the_least_detectable_reliance_falls_with_more_seeds():
    few, many = (judge_one([0.5, 1.0] * pairs) for pairs in (2, 8))
    assert 0.05 < many.minimum_detectable < few.minimum_detectable
    assert judge_one([0.5]).minimum_detectable is None


@pytest.mark.parametrize("limit", [0.2, 0.4])
def test_the_thresholds_decide(limit):
    finding = judge_one(
        [0.5] * 3,
        Thresholds(reliance=limit + 0.2, reveal=limit),
        overlaps={"native": overlap(0.8)},
    )
    assert finding.verdict == ("relies" if limit == 0.2 else "does-not-rely")
    assert finding.explainers[0].reveals == ("yes" if limit == 0.2 else "no")


def test_the_seeds_needed_allow_for_the_verdicts_given_together():
    alone = judge_one(DOUBTFUL, MANY_DRAWS)
    together, _, _ = judge([evidence(DOUBTFUL), evidence([0.0] * 6), evidence([1.0] * 6)], MANY_DRAWS)
    assert alone.seeds_needed == alone.seeds == 6
    assert together.verdict == "inconclusive"
    assert together.seeds_needed > 6, "else the advice would be to use as many as there are"
    assert f"about {together.seeds_needed} would do" in together.reason
    assert together.minimum_detectable > alone.minimum_detectable


# What is found on the images, or on all but one source of them


def in_use(lost, plant_on, elsewhere=0.0, worthless=False):
    """Nominal scores 0 and anomalous ones 1 with the artifact on; without it, `lost` of the AUROC is gone.

    elsewhere: as much for what is removed at another place. worthless: 0.5 of it is gone with it on, too.
    """
    half = np.zeros(IMAGES // 2)
    nominal, anomalous = half, half if worthless else half + 1
    natural = (nominal, anomalous) if plant_on.startswith("found") else ()
    found = scored(half, nominal, nominal, anomalous, anomalous, *natural)
    without, other = (
        {"nominal": nominal + 2 * share, "anomalous": anomalous - 2 * share}[
            "nominal" if plant_on != "found-on-anomalous" else "anomalous"
        ]
        for share in (lost, elsewhere)
    )
    side = "anomalous" if plant_on == "found-on-anomalous" else "nominal"
    found = rescored(found, **{f"{side}_clean": without})
    return rescored(found, **{f"{side}_elsewhere": other}) if natural else found


IN_USE = ["found-on-anomalous", "found-on-nominal", "all-but-oe"]


@pytest.mark.parametrize("plant_on", IN_USE)
def test_what_is_lost_without_the_artifact_is_reliance(plant_on):
    found = plant_on.startswith("found")
    items = {
        "plant_on": plant_on,
        "planted": [in_use(1.0, plant_on, elsewhere=0.5)] * 4,
        "control": [in_use(0.0, plant_on)] * 4,
    }
    finding = judge_one([0] * 4, **items)
    assert (finding.verdict, finding.reliance.value) == ("relies", 1)
    effects = {effect.measure: (effect.planted.value, effect.control.value) for effect in finding.effects}
    assert effects["usual_auroc"] == (1, 1) == (finding.planted_auroc, finding.control_auroc)
    assert effects["conflict_auroc"] == (0, 1)
    assert effects["clean_auroc"] == (0, 1)
    assert effects.get("drop_elsewhere") == ((0.5, 0) if found else None)
    assert judge_one([0] * 4, **{**items, "planted": items["control"]}).verdict == "does-not-rely"


@pytest.mark.parametrize("plant_on", IN_USE)
def test_a_control_must_work_without_the_artifact(plant_on):
    planted = [in_use(1.0, plant_on)] * 4
    misled = in_use(0.0, plant_on)
    misled = rescored(misled, nominal_marked=misled.of["nominal", "marked"] + 2)
    finding = judge_one([0] * 4, plant_on=plant_on, planted=planted, control=[misled] * 4)
    assert (finding.control_auroc, finding.verdict) == (0, "relies"), "in use only the artifact misleads it"
    worthless = [in_use(0.0, plant_on, worthless=True)] * 4
    finding = judge_one([0] * 4, plant_on=plant_on, planted=planted, control=worthless)
    assert finding.verdict == "inconclusive"
    assert finding.reason == "not a working detector here: the control's clean AUROC is 0.500, under 0.6"


def test_a_planted_twin_that_is_worthless_in_use_is_no_all_clear():
    worthless = [in_use(0.0, "found-on-anomalous", worthless=True)] * 4
    control = [in_use(0.5, "found-on-anomalous")] * 4
    finding = judge_one(
        [0] * 4,
        Thresholds(usable_auroc=0.0),
        plant_on="found-on-anomalous",
        planted=worthless,
        control=control,
    )
    assert finding.verdict == "inconclusive"
    assert "saturated: the planted twin's AUROC less its control's drop leaves 0.00" in finding.reason


@pytest.mark.parametrize(
    ("plant_on", "judged"),
    [
        ("oe", True),
        ("found-on-anomalous", True),
        ("all-but-oe", False),
        ("found-on-nominal", False),
        ("anomalous", True),
        ("nominal", False),
    ],
)
def test_an_explanation_is_judged_where_the_artifact_raises_the_score(plant_on, judged):
    twins = [in_use(0.0, plant_on)] * 3
    finding = judge_one(
        [0] * 3, plant_on=plant_on, planted=twins, control=twins, overlaps={"native": overlap(0.9)}
    )
    assert finding.explainers[0].reveals == ("yes" if judged else "inconclusive")
