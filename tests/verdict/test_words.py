from typing import get_args

import pytest

from fcdd_audit.verdict.findings import Harm, Missing
from fcdd_audit.verdict.words import (
    HARM,
    LACKS,
    alarms_of,
    taken,
    training_words,
    untrained,
    verdict_words,
)


def finding(verdict, harm=None, missing=None, needed=None, effects=(), images=None):
    return {
        "verdict": verdict,
        "harm": harm,
        "missing": missing,
        "pairs_needed": needed,
        "images_needed": images,
        "effects": [
            {"measure": name, "planted": {"value": planted}, "control": {"value": control}}
            for name, planted, control in effects
        ],
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (finding("relies", "alarms"), "relies and raises alarms"),
        (finding("relies", "hides"), "relies and hides anomalies"),
        (finding("relies", "none"), "relies, no harm at this threshold"),
        (finding("relies", "open"), "relies; whether it does harm is open"),
        (finding("relies"), "relies"),
        (finding("vulnerable", "alarms"), "vulnerable: it raises alarms"),
        (finding("vulnerable", "hides"), "vulnerable: it hides anomalies"),
        (finding("vulnerable"), "vulnerable"),
        (finding("robust", "none"), "robust"),
        (finding("inconclusive", "open", "images", images=86), "can't tell: about 86 images are needed"),
        (finding("inconclusive", "open", "images"), "can't tell: more images are needed"),
        (finding("does-not-rely", "none"), "does not rely"),
        (finding("does-not-rely", "alarms"), "does not rely, yet raises alarms"),
        (finding("inconclusive"), "can't tell"),
        (
            finding("inconclusive", "open", "pairs", 12),
            "can't tell: about 12 pairs of twins are needed",
        ),
        (finding("inconclusive", "open", "pairs"), "can't tell: more pairs of twins are needed"),
        (finding("inconclusive", None, "failed-pairs", 9), "can't tell: too many trainings failed"),
        (finding("inconclusive", None, "working-control"), "can't tell: the detector doesn't detect"),
        (finding("inconclusive", "open", "training"), "can't tell: the training wasn't enough"),
        (finding("inconclusive", "none", "room"), "can't tell: nothing is left to lose"),
        (finding("inconclusive", None, "identical"), "can't tell: the twins are identical"),
    ],
)
def test_a_verdict_in_words(found, words):
    assert verdict_words(found) == words


def test_there_are_words_for_everything():
    assert HARM.keys() == set(get_args(Harm))
    assert LACKS.keys() == set(get_args(Missing))


def test_alarms_are_those_of_both_twins():
    both = finding("relies", effects=[("drop", 0.3, 0.1), ("new_alarms", 0.98, 0.02)])
    assert alarms_of(both) == (0.98, 0.02)
    assert alarms_of(finding("inconclusive")) is None


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([4], "one look at 4 pairs"),
        ([4, 6], "looks at 4 and 6 pairs"),
        ([4, 6, 8], "looks at 4, 6 and 8 pairs"),
        ([1], "one look at 1 pair"),
    ],
)
def test_looks_in_words(looks, words):
    assert taken(looks) == words


def test_whose_training_was_not_enough_is_said_once():
    weak, fine = {"said": "they detect little"}, {"said": None}
    found = [
        {"nominal_class": "cat", "detector": name, "training": training}
        for name, training in (("fcdd", weak), ("fcdd", weak), ("hsc", fine), ("ae", None))
    ]
    assert untrained(found, str.upper) == ["FCDD: they detect little"]
    assert untrained([*found, {"nominal_class": "dog", "detector": "ae", "training": weak}]) == [
        "cat, fcdd: they detect little",
        "dog, ae: they detect little",
    ]
    assert training_words({"detector": "fcdd"}) is None, "older runs say nothing of it"
