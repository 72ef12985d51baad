"""How often audits whose truth is known say what."""

import numpy as np
import pytest
from scipy import stats

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.studies.rates import ANY_NULL, Outcome, rates
from fcdd_audit.studies.trials import Trial
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.thresholds import Thresholds

RELIES, UNCLEAR, CLEAR = "relies", "inconclusive", "does-not-rely"


def outcome(truth, prevalence, verdict, reliance, drop=None, decoy="", detector="fcdd"):
    """An audit that gave this verdict, with these numbers of its seeds."""
    cell = Cell(detector, 10_003, AS_IS)
    trial = Trial(detector, truth, "anomalous", prevalence, (cell,), (cell,), decoy)
    finding = Finding(
        *("textures", "grass", detector, "watermark", "anomalous", prevalence, verdict),
        *(None, None, None, None, 3, 180, ()),
    )
    drop = reliance if drop is None else drop
    return Outcome(trial, finding, np.array(reliance, float), np.array(drop, float))


SURE, NONE, WIDE = [0.4, 0.5, 0.6], [-0.01, 0.0, 0.01], [-0.5, 0.0, 0.9]


def test_rates_by_hand():
    outcomes = [
        *(outcome("planted", 1.0, verdict, SURE) for verdict in (RELIES, RELIES, UNCLEAR)),
        *(outcome("planted", 0.1, UNCLEAR, WIDE) for _ in range(3)),
        *(outcome("both-sides", share, verdict, NONE) for share, verdict in ((0.2, UNCLEAR), (1, RELIES))),
        outcome("unrelated-seeds", 0.0, CLEAR, NONE),
        outcome("unrelated-seeds", 0.0, CLEAR, WIDE),
    ]
    found = {(rate.truth, rate.prevalence): rate for rate in rates(outcomes, Thresholds())}
    assert list(found) == [
        ("planted", 0.1),
        ("planted", 1.0),
        ("both-sides", 0.2),
        ("both-sides", 1),
        ("unrelated-seeds", None),
        (ANY_NULL, None),
    ]
    assert found["planted", 1.0].verdicts == {RELIES: 2, UNCLEAR: 1}
    assert found["planted", 1.0].says_relies.value == 2 / 3
    assert {key[0]: rate.relied_on for key, rate in found.items() if key != ("planted", 0.1)} == {
        "planted": "yes",
        "both-sides": "no",
        "unrelated-seeds": "unclear",
        ANY_NULL: "unclear",
    }
    assert found["planted", 0.1].relied_on == "unclear"
    assert {key: (rate.label, rate.null) for key, rate in found.items()} == {
        ("planted", 0.1): ("artifact planted on 10 %", False),
        ("planted", 1.0): ("artifact planted on 100 %", False),
        ("both-sides", 0.2): ("planted on 20 % of both sides alike", True),
        ("both-sides", 1): ("planted on 100 % of both sides alike", True),
        ("unrelated-seeds", None): ("two clean twins of unrelated seeds", True),
        (ANY_NULL, None): ("all nulls together", True),
    }
    assert not any(rate.carries_over for rate in found.values())
    pooled = np.array([*WIDE, *WIDE, *WIDE])
    scipys = stats.ttest_1samp(pooled, 0).confidence_interval(0.95)
    for interval in (found["planted", 0.1].reliance, found["planted", 0.1].drop):
        assert interval.value == pytest.approx(pooled.mean())
        assert (interval.low, interval.high) == pytest.approx((scipys.low, scipys.high))
    for key in ("unrelated-seeds", ANY_NULL):  # 0 by construction, and a mixture
        assert np.isnan(found[key, None].reliance.value)
    everything = found[ANY_NULL, None]
    assert (everything.audits, everything.says_relies.value) == (4, 1 / 4)
    exact = stats.binomtest(1, 4).proportion_ci(0.95, method="exact")
    assert (everything.says_relies.low, everything.says_relies.high) == (exact.low, exact.high)


@pytest.mark.parametrize(
    ("reliance", "drop", "relied_on"),
    [
        (SURE, SURE, "yes"),
        (SURE, NONE, "no"),  # the stamp helps the control
        (NONE, SURE, "no"),  # the control drops as much
        (SURE, WIDE, "unclear"),
        (WIDE, SURE, "unclear"),
        (WIDE, WIDE, "unclear"),
        (WIDE, NONE, "no"),
    ],
)
def test_a_null_whose_artifact_is_relied_on_is_none(reliance, drop, relied_on):
    outcomes = [
        outcome("unrelated-seeds", 0.0, UNCLEAR, NONE),
        outcome("other-artifact", 0.2, RELIES, reliance, drop, "bars"),
        outcome("other-artifact", 0.2, UNCLEAR, reliance, drop, "bars"),
        outcome("other-artifact", 0.2, UNCLEAR, NONE, decoy="patch"),
    ]
    found = {(rate.truth, rate.decoy): rate for rate in rates(outcomes, Thresholds())}
    assert list(found) == [
        ("unrelated-seeds", ""),
        ("other-artifact", "bars"),
        ("other-artifact", "patch"),
        (ANY_NULL, ""),
    ]
    assert found["other-artifact", "bars"].relied_on == relied_on
    assert found["other-artifact", "bars"].label == "bars planted instead on 20 %"
    assert {key: rate.carries_over for key, rate in found.items()} == {
        ("unrelated-seeds", ""): False,
        ("other-artifact", "bars"): relied_on == "yes",
        ("other-artifact", "patch"): False,
        (ANY_NULL, ""): False,
    }
    assert found["other-artifact", "patch"].relied_on == "no"
    assert (found[ANY_NULL, ""].audits, found[ANY_NULL, ""].verdicts) == (
        (2, {UNCLEAR: 2}) if relied_on == "yes" else (4, {RELIES: 1, UNCLEAR: 3})
    )


def test_a_null_by_construction_counts_whatever_its_reliance():
    outcomes = [outcome("both-sides", 0.2, RELIES, SURE), outcome("unrelated-seeds", 0.0, UNCLEAR, NONE)]
    found = rates(outcomes, Thresholds())
    assert [rate.relied_on for rate in found[:1]] == ["yes"]
    assert not found[0].carries_over, "what is on both sides alike is no other artifact"
    everything = found[-1]
    assert (everything.truth, everything.audits, everything.says_relies.value) == (ANY_NULL, 2, 1 / 2)


def test_whether_an_artifact_is_relied_on_is_asked_of_the_threshold():
    outcomes = [outcome("planted", 1.0, RELIES, SURE), outcome("unrelated-seeds", 0.0, CLEAR, NONE)]
    for limit, answer in ((0.05, "yes"), (0.5, "unclear"), (0.9, "no")):
        assert rates(outcomes, Thresholds(reliance=limit))[0].relied_on == answer


def test_detectors_have_rates_of_their_own():
    outcomes = [
        outcome("unrelated-seeds", 0.0, verdict, NONE, detector=detector)
        for detector, verdict in (("fcdd", RELIES), ("ae", CLEAR))
    ]
    found = [(rate.detector, rate.truth, rate.verdicts) for rate in rates(outcomes, Thresholds())]
    assert found == [
        (detector, truth, {verdict: 1})
        for detector, verdict in (("fcdd", RELIES), ("ae", CLEAR))
        for truth in ("unrelated-seeds", ANY_NULL)
    ]


def test_a_row_says_what_was_asked_and_what_was_said():
    one = outcome("other-artifact", 0.2, RELIES, SURE, decoy="bars")
    assert one.row() == {
        "detector": "fcdd",
        "truth": "other-artifact",
        "decoy": "bars",
        "prevalence": 0.2,
        "first_seed": 10_003,
        "seeds": 1,
        "verdict": RELIES,
        "reliance_value": pytest.approx(np.nan, nan_ok=True),
        "reliance_low": pytest.approx(np.nan, nan_ok=True),
        "reliance_high": pytest.approx(np.nan, nan_ok=True),
        "control_auroc": None,
        "planted_auroc": None,
        "reason": "",
    }
