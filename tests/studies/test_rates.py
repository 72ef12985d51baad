"""How often audits whose truth is known say what, and what is known of their pairs."""

import numpy as np
import pytest
from scipy import stats

from fcdd_audit.studies.drawing import drawn_audits
from fcdd_audit.studies.known import means_of
from fcdd_audit.studies.rates import ANY_NULL, rates
from fcdd_audit.verdict.looks import single_look
from fcdd_audit.verdict.thresholds import Thresholds

LIMITS, LOOKS = Thresholds(), single_look(6)
RELIES, OPEN, CLEAR = "relies", "inconclusive", "does-not-rely"
SURE, NONE = [3.0, 3.1, 3.2, 3.1, 3.0, 3.2], [0.0, 0.1, 0.0, 0.1, 0.0, 0.1]
WILD = [3.0, -3.0, 3.0, -3.0, 3.0, -3.0]
HARM = {"alarms": 0.3, "drop": 0.2}


def found(*pools, draws=20):
    return {(r.truth, r.decoy, r.prevalence): r for r in rates(pools, LOOKS, LIMITS, draws)}


def test_rates_by_hand(pool_of):
    rows = found(
        pool_of([*SURE, *SURE, *WILD, 3.0], **HARM),
        pool_of([*WILD, *SURE], prevalence=0.1, **HARM),
        pool_of([*NONE, *NONE], truth="both-sides", prevalence=0.2),
        pool_of(SURE, truth="both-sides"),
        pool_of(WILD, truth="unrelated-seeds", prevalence=0.0),
    )
    assert list(rows) == [
        ("planted", "", 0.1),
        ("planted", "", 1.0),
        ("both-sides", "", 0.2),
        ("both-sides", "", 1.0),
        ("unrelated-seeds", "", 0.0),
        (ANY_NULL, "", None),
    ]
    full = rows["planted", "", 1.0]
    assert (full.pairs, full.audits, full.verdicts) == (19, 3, {RELIES: 2, OPEN: 1})
    assert full.harms == {"alarms": 3}
    exact = stats.binomtest(2, 3).proportion_ci(0.95, method="exact")
    assert full.says_relies == type(full.says_relies)(2 / 3, exact.low, exact.high)
    assert full.says_does_not_rely.value == 0
    assert {key[:1] + key[2:]: (r.label, r.null, r.independent) for key, r in rows.items()} == {
        ("planted", 0.1): ("artifact planted on 10 %", False, True),
        ("planted", 1.0): ("artifact planted on 100 %", False, True),
        ("both-sides", 0.2): ("planted on 20 % of both sides alike", True, True),
        ("both-sides", 1.0): ("planted on 100 % of both sides alike", True, True),
        ("unrelated-seeds", 0.0): ("two clean twins of unrelated seeds", True, False),
        (ANY_NULL, None): ("all nulls together", True, True),
    }
    everything = rows[ANY_NULL, "", None]
    assert (everything.pairs, everything.audits) == (18, 3), "without controls of other kinds"
    assert everything.verdicts == {CLEAR: 2, RELIES: 1}
    assert np.isnan(everything.known.dependence.value)


def test_drawn_rates_are_means_over_the_draws_and_of_all_nulls_over_the_pools(pool_of):
    pools = [
        pool_of([*SURE, *WILD], truth="both-sides", **HARM),
        pool_of([*WILD, *WILD, 3.0], truth="both-sides", prevalence=0.2, **HARM),
    ]
    rows = found(*pools, draws=50)
    drawn = [drawn_audits(pool, LOOKS, LIMITS, 50) for pool in pools]
    for prevalence, one in zip((1.0, 0.2), drawn, strict=True):
        rate = rows["both-sides", "", prevalence].drawn
        assert rate.relies.value == one.says(RELIES).mean()
        margin = 1.959964 * one.error(RELIES)
        limits = np.clip([rate.relies.value - margin, rate.relies.value + margin], 0, 1)
        assert [rate.relies.low, rate.relies.high] == pytest.approx(limits)
        assert rate.relies.value + rate.does_not_rely.value + rate.inconclusive.value == pytest.approx(1)
        assert rate.pairs == 6
    everything = rows[ANY_NULL, "", None].drawn.inconclusive
    assert everything.value == pytest.approx(np.mean([one.says(OPEN).mean() for one in drawn]))
    margin = 1.959964 * np.hypot(*(one.error(OPEN) for one in drawn)) / 2
    assert everything.low == pytest.approx(max(everything.value - margin, 0))


def test_without_enough_pairs_there_are_no_rates_and_with_just_enough_no_interval(pool_of):
    rows = found(pool_of(SURE[:4]), pool_of(SURE, prevalence=0.5))
    few, enough = rows["planted", "", 1.0], rows["planted", "", 0.5]
    assert (few.pairs, few.audits) == (4, 0)
    assert np.isnan([few.says_relies.value, few.drawn.relies.value, few.drawn.pairs]).all()
    assert (enough.audits, enough.drawn.relies.value) == (1, 1)
    assert np.isnan(enough.drawn.relies.low)
    nulls = rows[ANY_NULL, "", None]
    assert (nulls.audits, nulls.pairs) == (0, 0)


def test_what_is_known_is_a_mean_with_students_interval(pool_of):
    values = [3.0, -1.0, 9.0]
    known = means_of(pool_of(values, alarms=0.3), LIMITS)
    scipys = stats.ttest_1samp([3.0, -1.0, 5.0], 0).confidence_interval(0.95)
    for one in (known.dependence, known.own_shift):
        assert one.value == pytest.approx(7 / 3), "cut off at 5"
        assert (one.low, one.high) == pytest.approx((scipys.low, scipys.high))
    assert (known.alarms.value, known.drop.value) == (pytest.approx(0.3), 0)
    assert np.isnan(means_of(pool_of([1.0]), LIMITS).dependence.low)


@pytest.mark.parametrize(
    ("shift", "alarms", "drop", "relied_on", "harmless", "wrong"),
    [
        (SURE, 0.3, 0.0, "yes", "no", True),
        (SURE, 0.0, 0.2, "yes", "no", True),
        (SURE, 0.0, 0.0, "yes", "yes", False),
        (NONE, 0.3, 0.2, "no", "no", False),
        (WILD, 0.3, 0.2, "unclear", "no", False),
    ],
)
def test_a_clear_is_wrong_where_it_is_relied_on_and_does_harm(
    pool_of, shift, alarms, drop, relied_on, harmless, wrong
):
    known = means_of(pool_of(shift, alarms, drop), LIMITS)
    assert (known.relied_on(LIMITS), known.harmless(LIMITS)) == (relied_on, harmless)
    assert known.clear_is_wrong(LIMITS) == wrong


def test_wrong_clears_are_counted(pool_of):
    """Six pairs that don't rely among thirty that do, and alarms in those alone."""
    clear = [0.0, 0.1, 0.0, 0.1, 0.0, 0.1]
    rate = found(pool_of([*clear, *SURE * 5], **HARM))["planted", "", 1.0]
    assert (rate.relied_on, rate.harmless) == ("yes", "no")
    assert rate.verdicts == {CLEAR: 1, RELIES: 5}
    assert rate.wrong_clears == 1
    harmless = found(pool_of([*clear, *SURE * 5]))["planted", "", 1.0]
    assert (harmless.relied_on, harmless.harmless, harmless.wrong_clears) == ("yes", "yes", 0)


@pytest.mark.parametrize(("shift", "relied_on"), [(SURE, "yes"), (NONE, "no"), (WILD, "unclear")])
def test_a_null_whose_artifact_is_relied_on_is_none(pool_of, shift, relied_on):
    rows = found(
        pool_of(shift, truth="other-artifact", decoy="bars", **HARM),
        pool_of(NONE, truth="other-artifact", decoy="patch"),
        pool_of(SURE, truth="both-sides", **HARM),
    )
    bars = rows["other-artifact", "bars", 1.0]
    assert (bars.relied_on, bars.carries_over) == (relied_on, relied_on == "yes")
    assert bars.label == "bars planted instead on 100 %"
    assert not rows["other-artifact", "patch", 1.0].carries_over
    both = rows["both-sides", "", 1.0]
    assert (both.relied_on, both.carries_over) == ("yes", False), "what is on both sides is no other artifact"
    assert rows[ANY_NULL, "", None].audits == (2 if relied_on == "yes" else 3)


def test_whether_an_artifact_is_relied_on_is_asked_of_the_threshold(pool_of):
    for limit, answer in ((0.5, "yes"), (3.1, "unclear"), (4.0, "no")):
        assert rates([pool_of(SURE)], LOOKS, Thresholds(shift=limit), 5)[0].relied_on == answer


def test_detectors_have_rates_of_their_own(pool_of):
    pools = [pool_of(NONE, truth="both-sides", detector=name) for name in ("fcdd", "hsc")]
    assert [(r.detector, r.truth, r.audits) for r in rates(pools, LOOKS, LIMITS, 5)] == [
        (name, truth, 1) for name in ("fcdd", "hsc") for truth in ("both-sides", ANY_NULL)
    ]
