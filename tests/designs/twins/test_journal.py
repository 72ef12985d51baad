import json

import pytest

from fcdd_audit.designs.twins.journal import FOLDER, Journal

ASKED = {"looks": [4, 6], "budget": None}


def test_a_new_one_has_no_looks_and_writes_nothing(tmp_path):
    journal = Journal.opened(tmp_path, ASKED, 4)
    assert (journal.taken, journal.closed) == ([], None)
    assert list(tmp_path.iterdir()) == []


def test_what_was_begun_is_there_when_it_is_opened_again(tmp_path):
    journal = Journal.opened(tmp_path, ASKED, 4)
    journal.begin([0, 1])
    journal.begin([1])
    again = Journal.opened(tmp_path, dict(reversed(ASKED.items())), 4)
    assert (again.taken, again.closed) == ([[0, 1], [1]], None)
    again.close("the time is up")
    last = Journal.opened(tmp_path, ASKED, 4)
    assert (last.taken, last.closed) == ([[0, 1], [1]], "the time is up")
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_what_asks_for_something_else_has_another(tmp_path):
    Journal.opened(tmp_path, ASKED, 4).begin([0])
    other = Journal.opened(tmp_path, {**ASKED, "budget": 90.0}, 4)
    assert other.taken == []
    other.begin([3])
    assert Journal.opened(tmp_path, ASKED, 4).taken == [[0]]


def test_a_look_is_a_copy(tmp_path):
    waiting = [0, 1]
    journal = Journal.opened(tmp_path, ASKED, 4)
    journal.begin(waiting)
    waiting.clear()
    assert journal.taken == [[0, 1]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"taken": null, "closed": null}',
        '{"taken": [[0], 5], "closed": null}',
        '{"taken": [["x"]], "closed": null}',
        '{"taken": [[0]]}',
        '{"taken": [[0, 99]], "closed": null}',
        '{"taken": [[-1]], "closed": null}',
        '{"taken": [[0]], "closed": 5}',
        "\x00\x00",
    ],
)
def test_half_of_one_is_none(tmp_path, text):
    journal = Journal.opened(tmp_path, ASKED, 4)
    journal.begin([0])
    journal.path.write_text(text)
    again = Journal.opened(tmp_path, ASKED, 4)
    assert (again.taken, again.closed) == ([], None)
    again.begin([0])
    assert json.loads(again.path.read_text()) == {"taken": [[0]], "closed": None}


def test_bytes_that_are_no_text_are_none_either(tmp_path):
    journal = Journal.opened(tmp_path, ASKED, 4)
    journal.begin([0])
    journal.path.write_bytes(b"\xff\xfe\xff")
    assert Journal.opened(tmp_path, ASKED, 4).taken == []


def test_that_of_a_finished_run_is_what_it_took_and_no_more():
    journal = Journal.of_finished([(4, 6, 8), (), (4,), (4, 6)], (4, 6, 8, 12, 16), "the time is up")
    assert journal.taken == [[0, 2, 3], [0, 3], [0]]
    assert (journal.closed, journal.over) == ("the time is up", True)
    assert Journal.of_finished([(4,)], (4, 6), None).over, "though nothing closed it"
    with pytest.raises(ValueError, match="takes no further look"):
        journal.begin([0])


def test_that_of_a_run_without_twins_is_empty():
    assert Journal.of_finished([(), ()], (4, 6), None).taken == []
