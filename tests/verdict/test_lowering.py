"""Judged on constructed numbers: what lowers the score shows the artifact, or doesn't."""

import dataclasses

import numpy as np
import pytest

from fcdd_audit.verdict.evidence import NO_SIGN, NOT_LOWERED, Evidence, SideOverlap
from fcdd_audit.verdict.judge import Asked, asked, judge
from fcdd_audit.verdict.looks import single_look
from fcdd_audit.verdict.lowering import Lowering, Opinion
from fcdd_audit.verdict.seen import seen
from fcdd_audit.verdict.thresholds import Thresholds

LIMITS = Thresholds()
PAIRS = 6
SCATTER = 0.01 * np.array([1, -1, 1, -1, 1, -1])


def opinion(planted, control, chance):
    planted, control, chance = (
        value + SCATTER * at for value, at in ((planted, 1), (control, 2), (chance, 0))
    )
    looks = single_look(PAIRS)
    return Opinion(
        planted,
        control,
        chance,
        seen(planted - control, range(PAIRS), looks),
        seen(planted - chance, range(PAIRS), looks),
    )


def lowered(*opinions, elsewhere=-2.0):
    """opinions: of the planted twins, the control's and chance."""
    each = np.full(PAIRS, 1.0)
    return Lowering(
        tuple(opinion(*one) for one in opinions),
        relevance=(-0.4 * each, -0.1 * each),
        change=(2 * each, 0.5 * each),
        elsewhere=elsewhere * each,
        images=12,
    )


def evidence(lowering, plant_on="nominal", **changes):
    """A score that surely relies; the raising half of the map avoids the artifact."""
    looks = single_look(PAIRS)
    each = np.full(PAIRS, 1.0)
    scores = {"clean_auroc": (1.0, 1.0), "drop": (0.1, 0.0), "score_shift": (3.0, 0.0)}
    scores |= {"new_alarms": (0.5, 0.0), "right_in_use": (1.0, 1.0)}
    raised = SideOverlap(
        {"pixel_auroc": (0.2 * each, 0.5 * each)}, seen(-0.3 * each, range(PAIRS), looks), images=16
    )
    names = ["native", *lowering]
    return Evidence(
        dataset="retina",
        nominal_class="eyes",
        detector="fcdd",
        probe="watermark",
        plant_on=plant_on,
        prevalence=1.0,
        images=20,
        scores={name: (planted * each, control * each) for name, (planted, control) in scores.items()},
        turns=tuple(range(PAIRS)),
        looks=looks,
        overlaps={name: {"anomalous": raised, "nominal": raised} for name in names},
        chance={"pixel_auroc": 0.5},
        lowering=lowering,
        **changes,
    )


def shown(found, **changes):
    """What is found of one explainer with a sign."""
    (finding,) = judge([evidence({"occlusion": found}, **changes)], LIMITS)
    return finding.explainers[1]


def test_what_is_beyond_its_chance_and_beyond_the_control_shows_the_artifact():
    found = shown(lowered((0.8, 0.5, 0.5)))
    assert (found.reveals, found.quadrant, found.map, found.judged) == ("yes", "exposed", "lowers", True)
    assert (found.unjudged, found.images, found.side) == (None, 12, "anomalous")
    assert found.excess_pixel_auroc.value == pytest.approx(0.3)
    (said,) = found.lowering.opinions
    assert said.above_chance.value == pytest.approx(0.3)
    assert (said.planted.value, said.control.value, said.chance.value) == pytest.approx((0.8, 0.5, 0.5))
    assert found.lowering.relevance_planted.value == pytest.approx(-0.4)
    assert (found.lowering.change_planted.value, found.lowering.change_control.value) == (2, 0.5)
    assert found.lowering.elsewhere.value == -2


def test_a_control_that_avoids_the_artifact_does_not_make_it_shown():
    found = shown(lowered((0.5, 0.2, 0.5)))
    assert found.excess_pixel_auroc.value == pytest.approx(0.3), "is all the control's"
    assert (found.reveals, found.quadrant) == ("no", "hidden")


def test_what_the_place_alone_gives_does_not_make_it_shown():
    """Without the artifact the map of that place lowers the score as much."""
    assert shown(lowered((0.8, 0.5, 0.8))).reveals == "no"
    assert shown(lowered((0.97, 0.5, 0.95))).reveals == "inconclusive", "there is no room above"


def test_what_the_control_shows_as_well_is_not_shown():
    assert shown(lowered((0.7, 0.7, 0.5))).reveals == "no"
    # The control's map finds it nearly wholly: nothing could exceed that.
    assert shown(lowered((0.95, 0.95, 0.5))).reveals == "inconclusive"


def test_two_baselines_have_to_agree():
    agreed, other = (0.8, 0.5, 0.5), (0.55, 0.5, 0.5)
    assert shown(lowered(agreed, agreed)).reveals == "yes"
    unsure = shown(lowered(agreed, other))
    assert unsure.reveals != "yes"
    assert unsure.excess_pixel_auroc.value == pytest.approx(0.05), "the lesser"
    assert len(unsure.lowering.opinions) == 2
    assert shown(lowered(agreed, (0.5, 0.5, 0.5))).reveals == "no"


def test_a_no_pays_for_each_way_to_say_it():
    one, two = lowered((0.8, 0.5, 0.5)), lowered((0.8, 0.5, 0.5), (0.8, 0.5, 0.5))
    assert (one.ways, two.ways) == (2, 4)
    limits = dataclasses.replace(LIMITS, clear_pairs=2)
    weak = opinion(0.51, 0.5, 0.49)
    alone = dataclasses.replace(one, opinions=(weak,)).p_values(limits)[1]
    both = dataclasses.replace(one, opinions=(weak, weak)).p_values(limits)[1]
    assert both == pytest.approx(min(1, 2 * alone))


@pytest.mark.parametrize(
    ("elsewhere", "judged"), [(-0.01, True), (0.0, False), (3.0, False), (np.nan, False)]
)
def test_the_direction_is_that_of_the_score_on_other_images(elsewhere, judged):
    found = shown(lowered((0.8, 0.5, 0.5), elsewhere=elsewhere))
    assert (found.judged, found.map == "lowers") == (judged, judged)
    assert found.unjudged == (None if judged else NOT_LOWERED)
    assert found.reveals == ("yes" if judged else "inconclusive")


def test_one_pair_that_moves_far_does_not_decide_the_direction():
    found = lowered((0.8, 0.5, 0.5))
    moved = dataclasses.replace(found, elsewhere=np.array([400.0, *[-2.0] * 5]))
    assert moved.lowers, "each is cut off at 5"


def test_a_map_without_sign_says_that_it_cannot_show_it():
    item = evidence({"occlusion": lowered((0.8, 0.5, 0.5))})
    assert asked([item]) == Asked(1, 1)
    native = judge([item], LIMITS)[0].explainers[0]
    assert (native.judged, native.unjudged, native.lowering, native.map) == (False, NO_SIGN, None, "raises")


def test_what_raises_the_score_is_judged_as_ever_on_the_anomalous_side():
    (finding,) = judge([evidence({}, plant_on="anomalous")], LIMITS)
    (native,) = finding.explainers
    assert (native.judged, native.unjudged, native.map) == (True, None, "raises")
    assert native.excess_pixel_auroc.value == pytest.approx(-0.3)
