import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit.measures.statistics import Interval
from fcdd_audit.measures.table import family
from fcdd_audit.verdict.evidence import Crossed, Evidence, SideOverlap
from fcdd_audit.verdict.findings import QUADRANTS
from fcdd_audit.verdict.judge import Asked, asked, judge
from fcdd_audit.verdict.looks import Look, planned_looks, single_look
from fcdd_audit.verdict.seen import seen
from fcdd_audit.verdict.thresholds import Thresholds

LIMITS = Thresholds()
DEFAULTS = {  # of the planted and of the control twins
    "clean_auroc": (1.0, 1.0),
    "drop": (0.0, 0.0),
    "score_shift": (0.0, 0.0),
    "new_alarms": (0.0, 0.0),
    "right_in_use": (1.0, 1.0),
}
STUDENT_3 = 3.182446  # 97.5 % of Student's t with 3 degrees of freedom
BELOW = 0.025 / 2  # the error that each of two ways to say "does not rely" has
UPPER_3 = 4.176535  # 98.75 %: what is below has two ways to say "does not rely", each with half of the error
# Alarms that neither clear nor do sure harm, and so leave the verdict to the shift.
UNSURE = {"new_alarms": ([0.0, 0.4, 0.0, 0.4, 0.0, 0.4], 0.0)}


def evidence(pairs, looks=None, overlaps=None, turns=None, **changes):
    """A question; numbers by measure are given for both twins, each one for all pairs or a list."""
    numbers = {
        **DEFAULTS,
        **{
            name: changes.pop(name) for name in [*DEFAULTS, "usual_auroc", "placebo_shift"] if name in changes
        },
    }
    scores = {
        name: tuple(np.broadcast_to(np.atleast_1d(np.asarray(one, float))[:pairs], pairs) for one in both)
        for name, both in numbers.items()
    }
    item = Evidence(
        dataset="retina",
        nominal_class="eyes",
        detector="fcdd",
        probe="watermark",
        plant_on="anomalous",
        prevalence=1.0,
        images=20,
        scores=scores if pairs else {},
        turns=tuple(range(pairs)) if turns is None else turns,
        looks=(single_look(pairs) if looks is None else looks) if pairs else (),
        overlaps={},
        chance={measure.name: 0.5 for measure in family("overlap")},
    )
    if overlaps is not None:
        overlaps = {
            name: {side: made(item, *both) for side, both in sides.items()}
            for name, sides in overlaps.items()
        }
    return dataclasses.replace(item, overlaps=overlaps or {}, **changes)


def made(item, planted, control, measures=None):
    """The overlap of a side: pixel AUROC of planted and control twins, and of other measures as they are."""
    both = tuple(np.broadcast_to(np.asarray(one, float), item.pairs) for one in (planted, control))
    return SideOverlap(
        {"pixel_auroc": both, **(measures or {})},
        seen(both[0] - both[1], item.turns, item.looks),
        images=16,
    )


def judge_one(pairs, limits=LIMITS, **changes):
    (finding,) = judge([evidence(pairs, **changes)], limits)
    return finding


# The score: relies


def test_a_shift_that_is_surely_over_half_a_range_is_reliance():
    finding = judge_one(4, score_shift=([1, 2, 3, 2], 0))
    # mean 2, standard deviation sqrt(2 / 3), standard error sqrt(1 / 6)
    low, high = 2 - STUDENT_3 / math.sqrt(6), 2 + UPPER_3 / math.sqrt(6)
    assert finding.dependence == Interval(2, pytest.approx(low), pytest.approx(high))
    assert low > 0.5
    assert (finding.verdict, finding.reason, finding.missing, finding.pairs_needed) == ("relies", *[None] * 3)
    assert (finding.seeds, finding.images, finding.looks) == (4, 20, (4,))
    assert (finding.pairs_relying, finding.pairs_harmed) == (4, 0)


def test_what_scatters_too_much_is_no_reliance():
    finding = judge_one(4, score_shift=([1, 2, 3, 1], 0), **UNSURE)
    # mean 1.75, sum of squares 2.75, standard error sqrt(2.75 / 3 / 4)
    low = 1.75 - STUDENT_3 * math.sqrt(2.75 / 12)
    assert (finding.verdict, finding.missing) == ("inconclusive", "pairs")
    assert finding.dependence.low == pytest.approx(low)
    assert low < 0.5
    assert finding.pairs_relying == 4, "each pair is, but not surely their mean"


def test_the_shift_is_paired_and_is_that_beyond_the_controls():
    finding = judge_one(4, score_shift=([11, 4, 7, 2], [10, 3, 6, 1]))
    assert finding.dependence == Interval(1, 1, 1)
    assert finding.verdict == "relies"
    alike = judge_one(6, score_shift=([3, 9, 3, 9, 3, 9],) * 2)
    assert (alike.verdict, alike.dependence) == ("does-not-rely", Interval(0, 0, 0))


def test_a_pairs_shift_is_cut_off_at_five():
    finding = judge_one(4, score_shift=([3, 3, 4, 400], 0))
    # 3, 3, 4, 5: mean 3.75, sum of squares 2.75; uncut, the mean would be surely over nothing
    assert finding.dependence.value == 3.75
    assert finding.dependence.low == pytest.approx(3.75 - STUDENT_3 * math.sqrt(2.75 / 12))
    assert finding.dependence.high == 5, "no mean of numbers up to 5 is larger"
    assert finding.verdict == "relies"
    difference = judge_one(4, score_shift=(400, [399, 398, 397, 398]))
    assert difference.dependence.value == 2, "differences are cut off, not each twin"


def test_what_only_moves_the_control_the_other_way_is_no_reliance():
    finding = judge_one(6, score_shift=([0.3, 0.4, 0.3, 0.4, 0.3, 0.4], -2), **UNSURE)
    assert finding.dependence.low > 0.5
    assert (finding.verdict, finding.missing) == ("inconclusive", "pairs")
    assert finding.reason.startswith("the twins differ, and the planted twin's own shift isn't surely above")
    assert finding.pairs_relying == 0
    assert judge_one(6, score_shift=([0.8, 0.9] * 3, -2)).verdict == "relies"


def test_it_isnt_said_that_the_twins_differ_where_that_is_open_too():
    own = np.array([-1, 2, 3, -1, 2, 0.0])
    finding = judge_one(6, score_shift=(own, own - [3, -1, 4, 0, 1, 4]), new_alarms=(0.2, 0))
    assert finding.dependence.low < 0.5
    assert finding.reason.startswith("the dependence isn't surely above or below 0.5 with 6 pairs of twins")


def test_a_pair_relies_by_its_own_shift_too():
    finding = judge_one(4, score_shift=([0.4, 0.6, 3, 0.6], [-3, 0, 0, 0.2]))
    assert finding.pairs_relying == 2, "the first's own is .4, the last's is .4 beyond its control"


# The score: does not rely


@pytest.mark.parametrize(("pairs", "verdict"), [(6, "does-not-rely"), (5, "inconclusive")])
def test_a_shift_surely_below_clears_whatever_else_happens_but_not_with_five_pairs(pairs, verdict):
    small = [0.0, 0.1, 0.2, 0.1, 0.0, 0.2]
    finding = judge_one(pairs, score_shift=(small, 0), new_alarms=(0.3, 0), drop=(0.3, 0))
    assert finding.verdict == verdict
    assert finding.dependence.high < 0.5
    assert finding.pairs_needed == (None if pairs == 6 else 6)
    assert finding.missing == (None if pairs == 6 else "pairs")


WILD = [-2, 4, -2, 4, -2, 4]  # says nothing


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "does-not-rely"),
        ({"new_alarms": (0.09, 0), "drop": (0.04, 0)}, "does-not-rely"),
        ({"new_alarms": (0.11, 0)}, "inconclusive"),
        ({"drop": (0.06, 0)}, "inconclusive"),
        ({"new_alarms": (0.6, 0.55), "drop": (0.6, 0.58)}, "does-not-rely"),  # only beyond the control's
        ({"score_shift": (WILD, WILD)}, "does-not-rely"),
        ({"score_shift": (3, 0)}, "relies"),  # harmless, but it surely moves the score
    ],
)
def test_without_harm_the_shift_need_not_be_below(changes, verdict):
    assert judge_one(6, **{"score_shift": (WILD, 0), **changes}).verdict == verdict


def test_without_harm_it_takes_six_pairs_too():
    finding = judge_one(5, score_shift=(WILD, 0))
    assert (finding.verdict, finding.missing, finding.pairs_needed) == ("inconclusive", "pairs", 6)
    assert judge_one(5, Thresholds(clear_pairs=5), score_shift=(WILD, 0)).verdict == "does-not-rely"


@pytest.mark.parametrize(
    "changes",
    [
        {"drop": (0.9, 0.9)},  # the mark misleads the control too
        {"drop": (0.0, 0.9)},
        {"clean_auroc": (0.1, 1.0)},  # a destroyed planted twin
        {"clean_auroc": (0.5, 1.0), "drop": (0.35, 0.35)},
        {"right_in_use": (0.1, 1.0)},  # all but a tenth is decided wrongly anyway
        {"new_alarms": (0.9, 0.9)},
        {"usual_auroc": (0.1, 1.0)},
    ],
)
def test_where_nothing_is_left_to_lose_there_is_no_all_clear(changes):
    finding = judge_one(6, **changes)
    assert (finding.verdict, finding.missing, finding.pairs_needed) == ("inconclusive", "room", None)
    assert finding.reason.startswith("saturated: beyond the control only 0.1")
    assert finding.settled, "more pairs make no room"
    assert judge_one(6, Thresholds(room=0.05), **changes).verdict == "does-not-rely"


@pytest.mark.parametrize(
    ("control", "placebo", "verdict"),
    [(1.0, 0.2, "inconclusive"), (1.0, 0.6, "does-not-rely"), (0.2, 0.0, "does-not-rely")],
)
def test_a_control_that_moves_by_a_discovered_artifact_may_have_been_trained_on_it(control, placebo, verdict):
    """By more than .5 beyond a placebo: the search may have missed images that bear it."""
    shifts = {"score_shift": (control, control), "placebo_shift": (placebo, placebo)}
    assert judge_one(6, **shifts).verdict == "does-not-rely", "masks say which images bear it"
    finding = judge_one(6, searched=True, **shifts)
    assert finding.verdict == verdict
    if verdict == "inconclusive":
        assert finding.missing == "working-control"
        assert "may be in the training of both twins" in finding.reason
    shifts["score_shift"] = (3 + control, control)
    relying = judge_one(6, searched=True, **shifts)
    assert relying.verdict == "relies", "which it can't forge"


def crossed(planted, control, pairs, receivers=60):
    """Net alarms that are the same for all donors and receivers but for one receiver more or less."""
    tables = [np.full((pairs, 8, receivers), value, float) for value in (planted, control)]
    for table in tables:
        table[:, :, 0] = 0
    return (Crossed(*tables, passing=0.05),)


@pytest.mark.parametrize(
    ("pairs", "planted", "control", "harm"),
    [(6, -0.9, -0.1, "hides"), (6, -0.9, -0.9, "open"), (6, 0.0, 0.0, "none"), (4, 0.0, 0.0, "open")],
)
def test_the_harm_of_a_transplant_is_its_own_and_beyond_the_controls(pairs, planted, control, harm):
    where = {"plant_on": "transplanted-from-nominal", "transplants": crossed(planted, control, pairs)}
    finding = judge_one(pairs, score_shift=(3, 0), **where)
    assert (finding.verdict, finding.harm) == ("relies", harm)
    (one,) = finding.transplants
    assert (one.side, one.donors, one.receivers) == ("anomalous", 8, 60)
    assert one.harm.value == pytest.approx(planted * 59 / 60)


def test_of_a_control_that_detects_little_no_harm_is_told():
    where = {"plant_on": "transplanted-from-nominal", "transplants": crossed(-0.9, 0.0, 6)}
    finding = judge_one(6, score_shift=(3, 0), clean_auroc=(0.65, 0.65), **where)
    assert (finding.harm, finding.transplants) == ("open", ())


def test_room_is_that_of_the_images_in_use():
    assert judge_one(6, usual_auroc=(1, 1), clean_auroc=(0.1, 1)).verdict == "does-not-rely"


def test_room_says_nothing_against_reliance():
    finding = judge_one(6, score_shift=(2, 0), drop=(0.95, 0.95), right_in_use=(0.05, 1))
    assert finding.verdict == "relies"


# Harm


@pytest.mark.parametrize(
    ("alarms", "harm"),
    [
        ([0.2, 0.3, 0.3, 0.2, 0.2, 0.3], "harms"),  # standard error .022, low .193
        (0.06, "harms"),
        (0.0, "none"),
        ([0.0, 0.01, 0.02, 0.01, 0.01, 0.0], "none"),
        (0.05, "none"),
        ([0.0, 0.3, 0.0, 0.3, 0.0, 0.3], "open"),
        ([0.07, 0.0, 0.1, 0.09, 0.07, 0.0], "open"),  # under .10 by .045, whose interval is .055
    ],
)
@pytest.mark.parametrize(("plant_on", "word"), [("anomalous", "alarms"), ("nominal", "hides")])
def test_harm_is_by_new_alarms_beyond_the_controls(alarms, harm, plant_on, word):
    for control in (0.0, 0.25):
        finding = judge_one(
            6, plant_on=plant_on, score_shift=(2, 0), new_alarms=(np.array(alarms) + control, control)
        )
        assert finding.verdict == "relies"
        assert finding.harm == (word if harm == "harms" else harm)


def test_that_there_is_no_harm_isnt_said_of_few_pairs():
    few, more = (judge_one(pairs, score_shift=(2, 0), new_alarms=(0, 0)) for pairs in (5, 6))
    assert (few.harm, more.harm) == ("open", "none")
    assert judge_one(5, score_shift=(2, 0), new_alarms=(0.2, 0)).harm == "alarms"


def test_the_interval_of_alarms_by_hand():
    finding = judge_one(4, score_shift=(2, 0), new_alarms=([0.2, 0.3, 0.3, 0.2], 0))
    error = math.sqrt(0.01 / 3 / 4)
    expected = 0.25 - STUDENT_3 * error, 0.25 + UPPER_3 * error
    assert (finding.alarms.low, finding.alarms.high) == pytest.approx(expected)
    assert finding.pairs_harmed == 4
    assert judge_one(4, score_shift=(2, 0), new_alarms=([0.2, 0.05, 0.06, 0], 0)).pairs_harmed == 2


def test_open_harm_asks_for_a_look_more_only_where_the_score_relies():
    noisy = ([0.0, 0.3, 0.0, 0.3, 0.0, 0.3], 0)
    relies, cleared = (judge_one(6, score_shift=(shift, 0), new_alarms=noisy) for shift in (2, 0))
    assert [(one.verdict, one.harm) for one in (relies, cleared)] == [
        ("relies", "open"),
        ("does-not-rely", "open"),
    ]
    assert (relies.open, cleared.open) == (("harm",), ())


# What is missing


@pytest.mark.parametrize("pairs", [1, 2])
def test_too_few_pairs_give_numbers_and_no_answer(pairs):
    finding = judge_one(pairs, score_shift=(3, 0), overlaps={"native": {"nominal": (0.9, 0.5)}})
    assert (finding.verdict, finding.missing, finding.harm) == ("inconclusive", "pairs", None)
    assert finding.reason == f"{pairs} pair(s) give no interval; at least 3 are needed"
    assert finding.dependence.value == 3
    (explainer,) = finding.explainers
    assert (explainer.reveals, explainer.quadrant) == ("inconclusive", "undecided")
    assert explainer.excess_pixel_auroc.value == pytest.approx(0.4)
    assert finding.open == ("score",)


def test_a_single_pair_has_no_interval_at_all():
    finding = judge_one(1, score_shift=(3, 0))
    for one in (finding.dependence, finding.alarms, finding.reliance, finding.effects[0].planted):
        assert np.isnan([one.low, one.high]).all()


def test_how_many_pairs_are_needed_is_a_threshold():
    assert judge_one(2, Thresholds(min_seeds=2), score_shift=(3, 0)).verdict == "relies"
    assert "at least 5 are needed" in judge_one(4, Thresholds(min_seeds=5), score_shift=(3, 0)).reason


def test_a_control_that_detects_nothing_gives_no_verdict():
    finding = judge_one(6, score_shift=(3, 0), clean_auroc=(1, [0.5, 0.6] * 3))
    assert (finding.verdict, finding.missing, finding.harm) == ("inconclusive", "working-control", None)
    assert finding.reason == "not a working detector here: the control's clean AUROC is 0.550, under 0.6"
    assert finding.control_auroc == pytest.approx(0.55)
    assert finding.settled
    assert finding.open == ()
    assert judge_one(6, score_shift=(3, 0), clean_auroc=(1, 0.6)).verdict == "relies"


@pytest.mark.parametrize(("ability", "verdict"), [(0.59, "inconclusive"), (0.61, "relies")])
def test_of_a_found_artifact_either_twin_may_be_the_working_one(ability, verdict):
    finding = judge_one(
        4, plant_on="found-on-anomalous", ability=ability, score_shift=(3, 0), clean_auroc=(0.2, 0.2)
    )
    assert finding.verdict == verdict
    if verdict == "inconclusive":
        assert finding.missing == "working-control"
        assert finding.reason.endswith("has a mean AUROC of 0.6 (at best 0.590)")


@pytest.mark.parametrize("ability", [None, 0.9])
def test_scores_without_any_range_have_no_shift_and_no_verdict(ability):
    finding = judge_one(6, score_shift=([1, 1, np.nan, 1, 1, 1], 0), ability=ability)
    assert (finding.verdict, finding.missing) == ("inconclusive", "working-control")
    assert "all alike" in finding.reason
    json.dumps(finding.as_json(), allow_nan=False)
    assert finding.pairs_relying == 5


def test_twins_identical_by_construction_get_the_reason_and_no_number():
    finding = judge_one(0, obstacle="identical by construction: ae never sees anomalous images")
    assert (finding.verdict, finding.missing, finding.harm) == ("inconclusive", "identical", None)
    assert finding.reason.startswith("identical by construction")
    numbers = ("reliance", "dependence", "alarms", "control_auroc", "planted_auroc", "pairs_relying")
    assert [getattr(finding, name) for name in numbers] == [None] * 6
    assert (finding.explainers, finding.looks, finding.seeds) == ((), (), 0)
    assert finding.settled


# How many pairs would do


def enough(values, limit, share=1.0, tail=0.025):
    """The least number of pairs by trying all."""
    distance, scatter = abs(np.mean(values) - limit), np.std(values, ddof=1)
    return next(
        n
        for n in range(len(values), 2000)
        if stats.t.isf(tail * share, n - 1) * scatter / math.sqrt(n) < distance
    )


def test_the_pairs_needed_are_those_with_which_the_mean_would_be_surely_above():
    values = [1, 2, 3, 1, 0, 0]
    finding = judge_one(6, score_shift=(values, 0), new_alarms=(0.2, 0))
    needed = enough(values, 0.5)
    assert needed > 6
    assert (finding.missing, finding.pairs_needed) == ("pairs", needed)
    assert f"with 6 pairs of twins; about {needed} would do" in finding.reason


def test_or_surely_below():
    values = [0.9, 0.1, -0.3, 0.6, -0.5, 0.8]
    finding = judge_one(6, score_shift=(values, 0), new_alarms=(0.2, 0))
    assert finding.pairs_needed == enough(values, 0.5, tail=BELOW) > 6


def test_or_surely_without_harm_which_takes_alarms_and_drop():
    alarms, drops = [0.0, 0.2, 0.1, 0.0, 0.1, 0.06], [0.0, 0.08, 0.0, 0.03, 0.09, 0.01]
    finding = judge_one(6, score_shift=(WILD, 0), new_alarms=(alarms, 0), drop=(drops, 0))
    each = enough(alarms, 0.1, tail=BELOW), enough(drops, 0.05, tail=BELOW)
    assert finding.pairs_needed == max(each) < enough(WILD, 0.5)


@pytest.mark.parametrize("harm", [{"new_alarms": (0.5, 0)}, {"drop": (0.5, 0)}])
def test_harm_that_is_sure_never_clears_so_that_the_shift_alone_counts(harm):
    finding = judge_one(6, score_shift=(WILD, 0), **harm)
    assert finding.pairs_needed == enough(WILD, 0.5)


def test_where_the_planted_twins_own_shift_is_open_it_counts():
    own = [0.3, 0.9, 1.5, 0.2, 0.8, 0.9]
    finding = judge_one(6, score_shift=(own, np.array(own) - 3), new_alarms=(0.2, 0))
    assert finding.dependence == Interval(3, pytest.approx(3), pytest.approx(3))
    assert finding.pairs_needed == enough(own, 0.5) > 6


def test_more_alone_may_not_settle_it():
    finding = judge_one(4, score_shift=([0.5, 0.6, 0.4, 0.5], 0), new_alarms=(0.2, 0))
    assert (finding.missing, finding.pairs_needed) == ("pairs", None)
    assert finding.reason.endswith("more alone won't settle it")


def test_the_pairs_needed_allow_for_the_looks_and_for_the_verdicts_given_together():
    values = [1, 2, 3, 1, 0, 0]
    looks = (Look(4, 0.4), Look(6, 0.2))
    item = evidence(6, looks=looks, score_shift=(values, 0), new_alarms=(0.2, 0))
    alone, among = judge([item], LIMITS)[0], judge([item], LIMITS, Asked(5, 0))[0]
    assert alone.pairs_needed == enough(values, 0.5, share=0.2)
    assert among.pairs_needed == enough(values, 0.5, share=0.2 / 5) > alone.pairs_needed


# Several verdicts, several looks


# Mean 2, standard error sqrt(1 / 6), 3.67 of them above .5: p = .0175 with 3 degrees of freedom.
DOUBTFUL = {"score_shift": ([1, 2, 3, 2], 0), "new_alarms": (0.2, 0)}
SURE = {"score_shift": (3, 0)}


def test_holm_makes_a_doubtful_verdict_inconclusive_among_several_and_its_interval_wider():
    assert judge_one(4, **DOUBTFUL).verdict == "relies"
    doubtful, other = judge([evidence(4, **DOUBTFUL)] * 2, LIMITS)
    assert doubtful.verdict == other.verdict == "inconclusive"
    assert doubtful.dependence.low == pytest.approx(2 - stats.t.isf(0.0125, 3) / math.sqrt(6))
    assert doubtful.dependence.low < 0.5


def test_what_is_sure_leaves_the_error_to_the_others():
    sure, doubtful = judge([evidence(4, **SURE), evidence(4, **DOUBTFUL)], LIMITS)
    assert (sure.verdict, doubtful.verdict) == ("relies", "relies")
    assert doubtful.dependence.low == pytest.approx(2 - STUDENT_3 / math.sqrt(6))


def test_answers_that_are_still_to_come_are_allowed_for():
    items = [evidence(4, **DOUBTFUL)]
    assert judge(items, LIMITS, Asked(1, 0))[0].verdict == "relies"
    assert judge(items, LIMITS, Asked(2, 0))[0].verdict == "inconclusive"
    assert judge([evidence(4, **SURE)], LIMITS, Asked(50, 0))[0].verdict == "relies"


def test_twins_identical_by_construction_cost_the_others_nothing():
    nothing = evidence(0, obstacle="identical by construction")
    assert asked([nothing, evidence(4)]) == Asked(1, 0)
    found = judge([nothing, evidence(4, **DOUBTFUL), nothing], LIMITS)
    assert [one.verdict for one in found] == ["inconclusive", "relies", "inconclusive"]


def test_what_gets_no_verdict_later_was_asked_all_the_same():
    """Whether a control works is seen in the numbers: who counts it out then has looked."""
    broken = evidence(4, clean_auroc=(1, 0.5))
    found = judge([evidence(4, **DOUBTFUL), broken], LIMITS)
    assert [one.verdict for one in found] == ["inconclusive"] * 2


LOOKS = planned_looks(6)


def test_what_is_settled_at_a_look_stays_settled():
    values = [2, 2.1, 2, 2.1, -5, 5]
    early, late = (
        judge_one(pairs, looks=LOOKS[:count], score_shift=(values, 0), new_alarms=(0.2, 0))
        for count, pairs in ((1, 4), (2, 6))
    )
    assert (early.verdict, early.looks) == ("relies", (4,))
    assert (late.verdict, late.looks) == ("relies", (4, 6))
    assert late.dependence.value == pytest.approx(8.2 / 6)
    shown = late.dependence
    assert shown.low == min(early.dependence.low, shown.value), "the limits of all looks hold together"
    single = judge_one(6, score_shift=(values, 0), new_alarms=(0.2, 0))
    assert single.verdict == "inconclusive", "with one look at 6"


def test_a_look_pays():
    assert judge_one(4, **DOUBTFUL).verdict == "relies"
    assert judge_one(4, looks=(Look(4, 0.9),), **DOUBTFUL).verdict == "relies"  # .0175 / .9 < .025
    assert judge_one(4, looks=(Look(4, 0.6),), **DOUBTFUL).verdict == "inconclusive"


PAIRS = st.lists(st.floats(-3, 6), min_size=6, max_size=6)


@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_the_interval_shown_is_the_one_that_the_verdict_used(shifts):
    items = [evidence(6, score_shift=(values, 0), new_alarms=(0.5, 0)) for values in shifts]
    for finding in judge(items, LIMITS):
        if abs(finding.dependence.low - 0.5) > 1e-9 and abs(finding.dependence.high - 0.5) > 1e-9:
            assert (finding.verdict == "relies") == (finding.dependence.low > 0.5)
            assert (finding.verdict == "does-not-rely") == (finding.dependence.high < 0.5)


@given(PAIRS)
def test_planted_and_control_exchanged_give_the_opposite_interval(values):
    there, back = (judge_one(6, score_shift=both, new_alarms=(0.5, 0)) for both in ((values, 0), (0, values)))
    assert back.dependence.value == pytest.approx(-there.dependence.value)
    # What is below has two ways, so that its limit is the wider one.
    assert back.dependence.high >= -there.dependence.low - 1e-9
    assert back.dependence.low >= -there.dependence.high - 1e-9
    assert not there.verdict == back.verdict == "relies"


@given(PAIRS, st.floats(0, 3))
def test_larger_shifts_never_take_reliance_back(values, more):
    """All by as much, short of what is cut off."""
    kept = np.minimum(values, 2)
    if judge_one(6, score_shift=(kept, 0)).verdict == "relies":
        assert judge_one(6, score_shift=(kept + more, 0)).verdict == "relies"


# Explanations


def shown(side="nominal", planted=0.9, control=0.5, **changes):
    overlaps = {"native": {side: (planted, control)}}
    return judge_one(6, score_shift=(2, 0), overlaps=overlaps, **changes).explainers[0]


@pytest.mark.parametrize(
    ("plant_on", "judged"), [("anomalous", "nominal"), ("oe", "nominal"), ("found-on-anomalous", "anomalous")]
)
def test_heat_is_judged_on_the_side_that_the_conflict_set_changes(plant_on, judged):
    other = "anomalous" if judged == "nominal" else "nominal"
    sides = {judged: (0.9, 0.5), other: (0.5, 0.5)}
    finding = judge_one(
        6, score_shift=(2, 0), plant_on=plant_on, usual_auroc=(1, 1), overlaps={"native": sides}
    )
    (explainer,) = finding.explainers
    assert (explainer.reveals, explainer.side, explainer.images) == ("yes", judged, 16)
    assert explainer.excess_pixel_auroc.value == pytest.approx(0.4)
    assert {one.side: one.excess.value for one in explainer.overlaps} == pytest.approx(
        {judged: 0.4, other: 0}
    )
    sides = {judged: (0.5, 0.5), other: (0.9, 0.5)}
    finding = judge_one(
        6, score_shift=(2, 0), plant_on=plant_on, usual_auroc=(1, 1), overlaps={"native": sides}
    )
    assert finding.explainers[0].reveals == "no", "what it shows on the other side doesn't count"


@pytest.mark.parametrize(
    ("either_way", "reveals", "judged"), [((), "inconclusive", False), (("native",), "yes", True)]
)
def test_what_lowers_the_score_only_a_map_of_both_can_show(either_way, reveals, judged):
    found = shown("anomalous", plant_on="nominal", either_way=either_way)
    assert (found.reveals, found.judged, found.side) == (reveals, judged, "anomalous")
    assert found.quadrant == ("exposed" if judged else "undecided")


def test_reference_maps_are_marked_not_judged_and_not_counted():
    both = {"native": {"nominal": (0.9, 0.5)}, "random": {"nominal": (0.5, 0.5)}}
    item = evidence(6, score_shift=(2, 0), overlaps=both, references=("random",))
    assert asked([item]) == Asked(1, 1)
    native, random = judge([item], LIMITS)[0].explainers
    assert (native.reference, random.reference) == (False, True)
    assert (random.reveals, random.quadrant, random.judged) == ("inconclusive", "undecided", False)
    assert judge([item], LIMITS)[0].open == ()


@pytest.mark.parametrize(("verdict", "shift"), [("relies", 3), ("does-not-rely", 0)])
@pytest.mark.parametrize(("reveals", "planted"), [("yes", 0.9), ("no", 0.5)])
def test_verdict_and_explanation_make_the_quadrant(verdict, shift, reveals, planted):
    overlaps = {"native": {"nominal": (planted, 0.5)}}
    finding = judge_one(6, score_shift=(shift, 0), overlaps=overlaps)
    (native,) = finding.explainers
    assert (finding.verdict, native.reveals) == (verdict, reveals)
    by_hand = {
        ("relies", "yes"): "exposed",
        ("relies", "no"): "hidden",
        ("does-not-rely", "yes"): "false-alarm",
        ("does-not-rely", "no"): "clear",
    }
    assert native.quadrant == QUADRANTS[verdict, reveals] == by_hand[verdict, reveals]


def test_an_inconclusive_verdict_leaves_the_quadrant_undecided():
    overlaps = {"native": {"nominal": (0.9, 0.5)}}
    finding = judge_one(6, score_shift=(WILD, 0), new_alarms=(0.2, 0), overlaps=overlaps)
    assert (finding.explainers[0].reveals, finding.explainers[0].quadrant) == ("yes", "undecided")


def test_the_excess_is_paired_and_its_interval_students():
    control = np.array([0.2, 0.6, 0.3, 0.5, 0.4, 0.4])
    excess = np.array([0.1, 0.3, 0.2, 0.2, 0.1, 0.3])
    found = shown(planted=control + excess, control=control)
    # mean .2, sum of squares .04, standard error sqrt(.04 / 5 / 6); 5 degrees of freedom: 2.5706
    margin = 2.570582 * math.sqrt(0.04 / 30)
    got = found.excess_pixel_auroc
    assert (got.value, got.low, got.high) == pytest.approx((0.2, 0.2 - margin, 0.2 + margin))
    assert found.reveals == "yes"
    (overlap,) = found.overlaps
    assert (overlap.measure, overlap.chance) == ("pixel_auroc", 0.5)
    assert overlap.planted.value == pytest.approx((control + excess).mean())
    assert overlap.control.value == pytest.approx(0.4)


def test_an_open_explanation_asks_for_a_look_more():
    overlaps = {"native": {"nominal": ([0.5, 0.9] * 3, 0.5)}, "gradient": {"nominal": (0.9, 0.5)}}
    finding = judge_one(6, score_shift=(2, 0), overlaps=overlaps)
    assert finding.settled
    assert finding.open == ("native",)


def test_a_map_of_the_control_that_finds_the_artifact_leaves_no_room_to_be_hidden():
    assert shown(planted=0.95, control=0.95).reveals == "inconclusive"
    assert shown(planted=0.85, control=0.85).reveals == "no"


# Excess .1, .2, .3, .2: 3.67 standard errors above .05: as doubtful as above.
FAINT = {"nominal": (np.array([0.6, 0.7, 0.8, 0.7]), 0.5)}


def test_what_explanations_show_is_a_family_of_its_own():
    p = stats.ttest_1samp([0.1, 0.2, 0.3, 0.2], 0.05, alternative="greater").pvalue
    assert 0.0125 < p < 0.025

    def reveals(names, **changes):
        item = evidence(4, overlaps=dict.fromkeys(names, FAINT), **changes)
        return {one.explainer: one.reveals for one in judge([item], LIMITS)[0].explainers}

    assert reveals(["native"], **SURE) == {"native": "yes"}
    assert reveals(["native", "gradient"], **SURE) == dict.fromkeys(["native", "gradient"], "inconclusive")
    assert reveals(["native", "edges"], references=("edges",), **SURE)["native"] == "yes"
    many = [evidence(4, **SURE)] * 9
    first = judge([evidence(4, overlaps={"native": FAINT}, **SURE), *many], LIMITS)[0]
    assert first.explainers[0].reveals == "yes", "verdicts on scores don't count among explanations"
    item = evidence(4, overlaps={"native": FAINT}, **SURE)
    assert judge([item], LIMITS, Asked(1, 2))[0].explainers[0].reveals == "inconclusive"


def test_lift_is_the_planted_overlap_over_chance():
    item = evidence(6)
    mass = (np.full(6, 0.3), np.full(6, 0.2))
    side = made(item, 0.9, 0.5, {"relevance_mass": mass, "pointing_game": mass})
    chance = {"pixel_auroc": 0.5, "relevance_mass": 0.1, "pointing_game": None}
    found = dataclasses.replace(item, overlaps={"native": {"nominal": side}}, chance=chance)
    (explainer,) = judge([found], LIMITS)[0].explainers
    lifts = {one.measure: one.lift for one in explainer.overlaps}
    assert lifts == {"pixel_auroc": None, "relevance_mass": pytest.approx(3), "pointing_game": None}


def test_the_network_before_training_stands_beside():
    found = shown(untrained={"native": {"nominal": {"pixel_auroc": 0.55}}})
    assert found.overlaps[0].untrained == 0.55
    assert shown().overlaps[0].untrained is None


def test_agreement_pools_pairs_and_prevalences_of_a_detector_and_follows_their_order():
    rising = np.array([0.6, 0.7, 0.8])
    overlaps = {
        "native": {"anomalous": (rising[::-1], 0.5), "nominal": (rising, 0.5)},
        "random": {"nominal": (0.6, 0.5)},
        "gradient": {"nominal": (-rising, 0.5)},
        "elsewhere": {"anomalous": (rising, 0.5)},  # the other side only
    }
    low, high = (
        evidence(3, prevalence=share, score_shift=([1, 2, 3], 0), overlaps=overlaps) for share in (0.2, 1.0)
    )
    for finding in judge([low, high], LIMITS):
        assert [one.agreement for one in finding.explainers] == [
            pytest.approx(1),
            None,
            pytest.approx(-1),
            None,
        ]
    assert judge([low], LIMITS)[0].explainers[0].agreement is None  # three points only


# Other numbers, and what a finding looks like


def test_effects_are_those_of_the_twins_with_intervals_of_one_look():
    finding = judge_one(
        4, looks=(Look(4, 0.3),), drop=([0.1, 0.2, 0.3, 0.2], 0.1), clean_auroc=(1, [0.9, 1, 0.9, 1])
    )
    effects = {effect.measure: effect for effect in finding.effects}
    assert set(effects) == set(DEFAULTS)
    margin = STUDENT_3 * math.sqrt(0.02 / 12)
    got = effects["drop"].difference
    assert (got.value, got.low, got.high) == pytest.approx((0.1, 0.1 - margin, 0.1 + margin))
    assert effects["drop"].planted.value == pytest.approx(0.2)
    assert effects["clean_auroc"].control.high == 1, "no AUROC is larger"
    assert effects["clean_auroc"].difference.high < 0.2
    assert (finding.control_auroc, finding.planted_auroc) == pytest.approx((0.95, 1))
    wide = finding.reliance
    assert wide.value == pytest.approx(0.1)
    assert wide.high - wide.low > got.high - got.low, "the look is paid for"


def test_the_auroc_in_use_is_shown_where_it_isnt_the_clean_one():
    finding = judge_one(4, usual_auroc=(0.8, 0.9))
    assert (finding.control_auroc, finding.planted_auroc) == pytest.approx((0.9, 0.8))


def test_pairs_that_are_missing_are_missing_at_every_look():
    finding = judge_one(4, turns=(0, 2, 3, 5), looks=LOOKS, score_shift=([2, 2.1, 2.2, 2], 0))
    assert (finding.seeds, finding.looks, finding.verdict) == (4, (4, 6), "relies")
    first = [2, 2.1, 2.2]  # seeds 0, 2, 3 at the look at 4
    low = np.mean(first) - stats.sem(first) * stats.t.isf(0.025 * LOOKS[0].share, 2)
    every = [2, 2.1, 2.2, 2]
    later = np.mean(every) - stats.sem(every) * stats.t.isf(0.025 * LOOKS[1].share, 3)
    assert finding.dependence.low == pytest.approx(max(low, later))


def test_json_has_no_nan_and_the_documented_words():
    everything = [
        evidence(6, score_shift=(3, 0), overlaps={"native": {"nominal": (0.9, 0.5)}}),
        evidence(1, overlaps={"native": {"nominal": (np.nan, 0.5)}}),
        evidence(0, obstacle="identical by construction"),
    ]
    for finding in judge(everything, LIMITS):
        found = json.loads(json.dumps(finding.as_json(), allow_nan=False))
        assert found["verdict"] in ("relies", "does-not-rely", "inconclusive")
        for name in ("reliance", "dependence", "alarms"):
            assert found[name] is None or found[name].keys() == {"value", "low", "high"}
        for explainer in found["explainers"]:
            assert explainer["reveals"] in ("yes", "no", "inconclusive")


def test_a_number_that_is_not_there_is_null_in_json():
    found = judge_one(1, drop=(1, 0), overlaps={"native": {"nominal": (0.75, 0.5)}}).as_json()
    assert found["reliance"] == {"value": 1.0, "low": None, "high": None}
    assert found["explainers"][0]["excess_pixel_auroc"] == {"value": 0.25, "low": None, "high": None}
    assert found["explainers"][0]["agreement"] is None


def test_findings_come_in_the_order_of_the_evidence_and_the_same_every_time():
    items = [evidence(6, prevalence=share, score_shift=(share, 0)) for share in (1.0, 0.0, 0.5)]
    findings = judge(items, LIMITS)
    assert [finding.prevalence for finding in findings] == [1.0, 0.0, 0.5]
    assert [one.as_json() for one in judge(items, LIMITS)] == [one.as_json() for one in findings]


@pytest.mark.parametrize("limit", [1.5, 2.5])
def test_the_thresholds_decide(limit):
    finding = judge_one(
        6,
        Thresholds(shift=limit, reveal=limit / 10),
        score_shift=(2, 0),
        new_alarms=(0.2, 0),
        overlaps={"native": {"nominal": (0.7, 0.5)}},
    )
    assert finding.verdict == ("relies" if limit == 1.5 else "does-not-rely")
    assert finding.explainers[0].reveals == ("yes" if limit == 1.5 else "no")


# What was once said too early


def test_alarms_that_the_first_pairs_do_not_have_clear_nothing():
    """Four pairs without a new alarm, then two that have many: the look at 4 has no say."""
    finding = judge_one(
        6,
        looks=LOOKS[:2],
        score_shift=([0.2, 0.4, 0.9, 0.6, 1.5, 2.0], 0),
        new_alarms=([0, 0, 0, 0, 0.5, 0.6], 0),
        drop=([0, 0, 0, 0, 0.2, 0.3], 0),
    )
    assert (finding.verdict, finding.harm) == ("inconclusive", "open")
    assert finding.alarms.low <= finding.alarms.value <= finding.alarms.high


def test_a_dependence_that_is_sure_is_not_cleared_for_lack_of_harm():
    """The planted twin's own shift is small, since the control's goes the other way."""
    finding = judge_one(6, score_shift=(0.2, [-3, -3.1, -3, -3.2, -3, -3.1]))
    assert finding.dependence.low > 0.5
    assert finding.verdict == "inconclusive"
    assert finding.reason.startswith("the twins differ")


def test_two_ways_to_be_cleared_are_paid_for():
    """Each way is surely enough for one of two, and not for half of the error."""
    values = [0.1, 0.3, 0.2, 0.45, 0.0, 0.44]
    p = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
    assert 0.0125 > p > 0.0025
    unsure = {"new_alarms": (0.2, 0), "score_shift": (values, 0)}
    assert judge_one(6, **unsure).verdict == "does-not-rely"
    assert judge_one(6, looks=(Look(6, p / 0.02),), **unsure).verdict == "inconclusive"


# Trained enough


UNCLEAR = {"score_shift": ([1, 2, 3, 1], 0), **UNSURE}


def trained(auroc, pairs=4, end=(0.5, 0.5), **changes):
    """Control twins of that AUROC. end: their mean losses in the last two tenths of the steps."""
    tenths = np.array([[1.0] * 8 + list(end)] * pairs)
    return judge_one(pairs, clean_auroc=(auroc, auroc), steps=108, tenths=tenths, **changes)


@pytest.mark.parametrize(("auroc", "end"), [(0.65, (0.5, 0.5)), (0.85, (0.5, 0.4))])
def test_where_the_control_learned_too_little_training_is_missing_and_not_pairs(auroc, end):
    finding = trained(auroc, end=end, **UNCLEAR)
    assert (finding.verdict, finding.missing, finding.pairs_needed) == ("inconclusive", "training", None)
    assert finding.reason == finding.training.said
    assert "pairs" not in finding.reason
    assert not finding.settled, "more pairs may still give a clear verdict"
    enough = trained(0.95, **UNCLEAR)
    assert (enough.missing, enough.training.short) == ("pairs", None)
    assert enough.pairs_needed is not None


@pytest.mark.parametrize("pairs", [1, 4])
def test_below_the_limit_for_a_verdict_the_control_is_missing_and_what_to_do_is_said(pairs):
    finding = trained(0.48, pairs, **UNCLEAR)
    assert (finding.missing, finding.pairs_needed) == ("working-control", None)
    assert (finding.training.short, finding.training.steps_advised) == ("detects-little", 1000)


def test_a_pair_or_two_of_weak_twins_lack_training_too():
    assert trained(0.65, 2).missing == "training"
    assert trained(0.95, 2).missing == "pairs"


@pytest.mark.parametrize(
    ("pairs", "shift", "verdict"), [(4, ([1, 2, 3, 2], 0), "relies"), (6, (0, 0), "does-not-rely")]
)
def test_a_clear_verdict_stays_with_the_warning_beside_it(pairs, shift, verdict):
    finding = trained(0.65, pairs, score_shift=shift)
    assert (finding.verdict, finding.missing, finding.reason) == (verdict, None, None)
    assert finding.training.short == "detects-little"
    assert finding.as_json()["training"]["said"] == finding.training.said


def test_of_a_found_artifact_the_better_twin_tells_whether_they_were_trained_enough():
    assert trained(0.65, ability=0.95).training.short is None
    assert trained(0.95, ability=0.65).training.short == "detects-little"


def test_without_pairs_nothing_is_said_of_training():
    assert judge_one(0).training is None
    assert judge_one(4, obstacle="identical by construction").training is None


def test_where_the_score_surely_shifts_no_number_of_pairs_is_advised_to_clear_it():
    """The twins differ, but the planted twin's own shift is small: alarms can't clear it."""
    finding = judge_one(6, score_shift=(0.2, -1.0))
    assert (finding.verdict, finding.missing, finding.pairs_needed) == ("inconclusive", "pairs", None)
    assert "more alone won't settle it" in finding.reason


@pytest.mark.parametrize("side", ["nominal", "anomalous"])
def test_the_interval_of_a_transplant_is_that_by_which_its_harm_is_told(side):
    """On either side: anomalies that are missed count as minus."""
    sign = 1 if side == "nominal" else -1
    plant_on = f"transplanted-from-{'anomalous' if side == 'nominal' else 'nominal'}"
    rng = np.random.default_rng(0)
    told = set()
    for level in np.linspace(0, 0.2, 41):
        table = sign * level + rng.normal(0, 0.3, (8, 8, 60)) + rng.normal(0, 0.03, (8, 1, 1))
        transplants = (Crossed(table, np.zeros_like(table) - sign, passing=0.05),)
        finding = judge_one(8, score_shift=(3, 0), plant_on=plant_on, transplants=transplants)
        (one,) = finding.transplants
        low, high = (one.harm.low, one.harm.high) if sign > 0 else (-one.harm.high, -one.harm.low)
        harms, spares = low > LIMITS.alarms, high < LIMITS.no_alarms
        does = "alarms" if side == "nominal" else "hides"
        assert finding.harm == (does if harms else "none" if spares else "open")
        told.add(finding.harm)
    assert len(told) == 3
