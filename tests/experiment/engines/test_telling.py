"""What other processes tell of their work."""

import pickle

import pytest

from fcdd_audit import InputError, RunError
from fcdd_audit.experiment.engines import telling
from fcdd_audit.experiment.engines.telling import Sent, Steps, sendable


def test_an_error_that_cannot_travel_is_said_in_words():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    assert str(sendable(OddError(1, 2))) == "unexpected OddError in a worker process: 1 2"
    assert isinstance(sendable(OddError(1, 2)), RunError)
    error = InputError("whole")
    assert sendable(error) is error
    assert str(pickle.loads(pickle.dumps(error))) == "whole"


def test_a_sent_error_is_raised_as_itself_with_where_it_happened():
    try:
        raise InputError("no")
    except InputError as error:
        sent = pickle.loads(pickle.dumps(Sent.of(error)))
    with pytest.raises(InputError, match=r"\Ano\Z") as found:
        sent.raised()
    assert "test_telling.py" in str(found.value.__cause__)


def test_steps_are_told_now_and_then_and_each_once(monkeypatch):
    times, told = iter([0.1, 0.3, 0.3, 0.4, 0.5, 0.6]), []
    monkeypatch.setattr(telling.time, "monotonic", lambda: next(times))
    steps = Steps(told.append, last=0.0)
    steps.made(3)
    assert told == [], "a tenth of a second is too early"
    steps.made(2)
    assert told == [5]
    steps.made(1)
    steps.tell()
    steps.tell()
    assert told == [5, 1]
