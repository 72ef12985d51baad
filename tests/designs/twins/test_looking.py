"""Pairs of twins are trained look by look: what is trained at which look, and when it ends."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from fcdd_audit import make_config, run_audit
from fcdd_audit.core.errors import InputError
from fcdd_audit.designs.twins import looking
from fcdd_audit.designs.twins.journal import Journal
from fcdd_audit.designs.twins.looking import BUDGET, Budget, Course, explained_at, follow
from fcdd_audit.designs.twins.plan import twins
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.finishing import Finished
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.experiment.work import Work
from fcdd_audit.verdict.evidence import Evidence, SideOverlap
from fcdd_audit.verdict.judge import Asked
from fcdd_audit.verdict.seen import seen

MOST = 16
SURE, OPEN = [3.0] * MOST, [-2.0, 4.0] * (MOST // 2)  # shifts, pair by pair
# Mean 2, standard error sqrt(1 / 6), 3.67 of them above .5: p = .0175 at a look at 4 pairs, before it is paid
DOUBTFUL = [1.0, 2.0, 3.0, 2.0, *[2.0] * 12]
HARMS, UNSURE = [0.3] * MOST, [0.0, 0.3] * (MOST // 2)  # new alarms
SHOWN, UNCLEAR = [0.3] * MOST, [0.0, 0.4] * (MOST // 2)  # excess overlap
A_CELL = 10.0  # seconds


def asked(detector, prevalence=1.0, pairs=MOST):
    about = ("set", "cat", detector, "frame", "anomalous", prevalence)
    return Question(*about, *twins(detector, Plant("frame", ("anomalous",), prevalence), AS_IS, pairs))


class Stage:
    """Twins whose numbers are written beforehand, and a clock that goes on with what is trained."""

    def __init__(self, monkeypatch, path):
        self.numbers = {}  # by detector and prevalence: shifts, alarms and excess overlap
        self.now = 0.0
        self.done = set()
        self.calls = []  # of each look, the works and the words
        self.failing = []  # by look, cells that have no numbers
        self.journal = Journal(path / "looks.json")
        self.together = None
        self.estimated = []
        time = SimpleNamespace(monotonic=lambda: self.now)
        for name, value in {
            "time": time,
            "planned_work": self.planned,
            "missing": lambda work, setup, store: SimpleNamespace(
                trained=work.cell not in self.done, measured=False
            ),
            "read_question": self.read,
            "evidence": self.evidence,
        }.items():
            monkeypatch.setattr(looking, name, value)

    def planned(self, questions, setup, explained=None):
        return {
            cell: Work(cell, ("native",), explained=explained)
            for question in questions
            for pair in question.pairs
            for cell in pair
        }

    def read(self, question, looks, images, setup, store, failures):
        first = question.first(looks[-1].pairs if looks else 0).without(failures)
        return SimpleNamespace(question=first, looks=tuple(looks), images=tuple(images))

    def evidence(self, measured, data, quantile):
        question, looks = measured.question, measured.looks
        turns = [cell.seed for cell in question.control]
        shifts, alarms, excess = (
            np.array(one)[turns] for one in self.numbers[question.detector, question.prevalence]
        )
        none, all_of_it = np.zeros(len(turns)), np.ones(len(turns))
        overlap = SideOverlap({"pixel_auroc": (0.5 + excess, all_of_it / 2)}, seen(excess, turns, looks), 16)
        return Evidence(
            *("set", "cat", question.detector, "frame", "anomalous", question.prevalence, 9),
            scores={
                "clean_auroc": (all_of_it, all_of_it),
                "drop": (alarms, none),
                "score_shift": (shifts, none),
                "new_alarms": (alarms, none),
                "right_in_use": (all_of_it, all_of_it),
            }
            if turns
            else {},
            turns=tuple(turns),
            looks=looks if turns else (),
            overlaps={"native": {"nominal": overlap}} if turns else {},
            chance={"pixel_auroc": 0.5},
            obstacle=question.obstacle,
            failed=question.failed,
        )

    def finish(self, works, setup, words):
        new = [work.cell for work in works if work.cell not in self.done]
        failing = self.failing[len(self.calls)] if len(self.calls) < len(self.failing) else {}
        self.calls.append((list(works), words))
        self.done |= set(new) - failing.keys()
        self.now += A_CELL * len(new)
        return Finished(len(new), frozenset(new), dict(failing))

    def estimate(self, works, setup):
        self.estimated.append(len(works))
        return A_CELL * len(works)

    def follow(self, *questions, budget=None, known=(), **settings):
        open_ones = sum(bool(question.planted) for question in questions)
        course = Course(
            make_config(**settings),
            store=None,
            together=self.together or Asked(open_ones, open_ones),
            budget=Budget(budget, started=0.0),
            finish=self.finish,
            estimate=self.estimate,
        )
        return follow(questions, SimpleNamespace(data=None), course, self.journal, known)

    def trained(self):
        """By look, how many pairs of each detector and prevalence."""
        return [
            {
                (cell.detector, cell.edit.prevalence): sum(
                    work.cell.edit == cell.edit and work.cell.detector == cell.detector for work in works
                )
                for cell in (work.cell for work in works)
                if cell.edit != AS_IS
            }
            for works, _ in self.calls
        ]


@pytest.fixture
def stage(monkeypatch, tmp_path):
    return Stage(monkeypatch, tmp_path)


def test_a_settled_question_stops_while_others_go_on(stage):
    stage.numbers = {("fcdd", 1.0): (SURE, HARMS, SHOWN), ("ae", 1.0): (OPEN, HARMS, SHOWN)}
    found = stage.follow(asked("fcdd"), asked("ae"))
    assert stage.trained() == [
        {("fcdd", 1.0): 4, ("ae", 1.0): 4},
        *({("ae", 1.0): pairs} for pairs in (6, 8, 12, 16)),
    ]
    assert stage.journal.taken == [[0, 1], [1], [1], [1], [1]]
    assert stage.journal.closed is None
    assert [[look.pairs for look in one.looks] for one in found.measured] == [[4], [4, 6, 8, 12, 16]]
    assert [one.pairs for one in found.evidence] == [4, 16]
    assert (found.trained, len(found.done), found.failures) == (8 + 32, 8 + 32, {})
    assert len(found.works) == 8 + 32


def test_the_progress_line_says_what_is_open(stage):
    stage.numbers = {("fcdd", 1.0): (SURE, HARMS, UNCLEAR), ("ae", 1.0): (OPEN, HARMS, SHOWN)}
    stage.follow(asked("fcdd"), asked("ae"), max_seeds=8)
    assert [words for _, words in stage.calls] == [
        "4 pairs; open: fcdd, ae",
        "6 pairs; open: fcdd (native), ae (score)",
        "8 pairs; open: ae (score)",
    ]


def test_prevalences_are_named_where_there_are_several(stage):
    stage.numbers = {("fcdd", share): (OPEN, HARMS, SHOWN) for share in (0.2, 1.0)}
    stage.follow(asked("fcdd", 0.2), asked("fcdd"), max_seeds=4)
    assert stage.calls[0][1] == "4 pairs; open: fcdd 0.2, fcdd 1"


@pytest.mark.parametrize(
    ("alarms", "excess", "looks"),
    [
        (HARMS, SHOWN, 1),
        (HARMS, UNCLEAR, 2),  # an explanation is open: one look more, and not two
        (UNSURE, SHOWN, 2),  # whether it does harm is
        (UNSURE, UNCLEAR, 2),
    ],
)
def test_what_is_settled_gets_one_look_more_for_what_is_open(stage, alarms, excess, looks):
    stage.numbers = {("fcdd", 1.0): (SURE, alarms, excess)}
    found = stage.follow(asked("fcdd"))
    assert stage.journal.taken == [[0]] * looks
    assert len(found.measured[0].looks) == looks


def test_the_look_more_counts_from_when_the_verdict_is_settled(stage):
    """Which may be later."""
    late = [*OPEN[:4], *[5.0] * 12]
    stage.numbers = {("fcdd", 1.0): (late, HARMS, UNCLEAR)}
    found = stage.follow(asked("fcdd"))
    looks = [look.pairs for look in found.measured[0].looks]
    assert looks == [4, 6, 8, 12, 16]
    stage.numbers = {("fcdd", 1.0): (late, HARMS, SHOWN)}
    stage.journal = Journal(stage.journal.path)
    found = stage.follow(asked("fcdd"))
    assert [look.pairs for look in found.measured[0].looks] == looks[:-1], "settled at 12 pairs"


@pytest.mark.parametrize(("settings", "looks"), [({"max_seeds": 8}, [4, 6, 8]), ({"seeds": 5}, [5])])
def test_no_more_pairs_than_were_asked_for(stage, settings, looks):
    stage.numbers = {("fcdd", 1.0): (OPEN, HARMS, SHOWN)}
    found = stage.follow(asked("fcdd"), **settings)
    assert [look.pairs for look in found.measured[0].looks] == looks
    assert stage.journal.closed is None


def test_questions_without_twins_take_no_look(stage):
    nothing = Question("set", "cat", "ae", "frame", "anomalous", 0.0, obstacle="nothing is planted")
    stage.numbers = {("ae", 0.0): (SURE, HARMS, SHOWN), ("fcdd", 1.0): (SURE, HARMS, SHOWN)}
    found = stage.follow(nothing)
    assert (stage.calls, stage.journal.taken, found.trained) == ([], [], 0)
    assert found.evidence[0].obstacle == "nothing is planted"
    stage.follow(nothing, asked("fcdd"))
    assert stage.journal.taken == [[1]]


# Several verdicts


def test_other_nominal_classes_share_the_error(stage):
    stage.numbers = {("fcdd", 1.0): (DOUBTFUL, HARMS, SHOWN), ("sure", 1.0): (SURE, HARMS, SHOWN)}
    alone = stage.follow(asked("fcdd"), seeds=4)
    assert alone.evidence[0].pairs == 4
    stage.journal = Journal(stage.journal.path)
    stage.follow(asked("fcdd"))
    by_itself = len(stage.journal.taken)
    stage.journal, stage.together = Journal(stage.journal.path), Asked(40, 40)
    stage.follow(asked("fcdd"))
    among = len(stage.journal.taken)
    assert among > by_itself, "of 40 verdicts a single one needs to be surer"
    stage.journal, stage.together = Journal(stage.journal.path), Asked(40, 40)
    known = [stage.evidence(stage.read(asked("sure"), alone.measured[0].looks, (16,), None, None, {}), 0, 0)]
    stage.follow(asked("fcdd"), known=known * 39)
    assert len(stage.journal.taken) == by_itself, "those that are sure leave it the error"


def test_a_control_that_two_prevalences_share_is_trained_once_and_goes_on_with_one(stage):
    stage.numbers = {("fcdd", 0.2): (OPEN, HARMS, SHOWN), ("fcdd", 1.0): (SURE, HARMS, SHOWN)}
    found = stage.follow(asked("fcdd", 0.2), asked("fcdd"), max_seeds=8)
    assert stage.trained() == [
        {("fcdd", 0.2): 4, ("fcdd", 1.0): 4},
        {("fcdd", 0.2): 6},
        {("fcdd", 0.2): 8},
    ]
    controls = [sum(work.cell.edit == AS_IS for work in works) for works, _ in stage.calls]
    assert controls == [4, 6, 8]
    assert found.trained == 8 + 8 + 4
    assert [one.images for one in found.measured] == [(16, 16, 32), (16,)]


# How many images are explained


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({}, [16, 16, 32, 48, 64]),
        ({"explained": 5}, [5] * 5),
        ({"explained": 0}, [None] * 5),
        ({"explainers": "all"}, [32] * 5),
    ],
)
def test_explained_images_grow_with_the_looks_unless_their_number_is_given(stage, settings, images):
    assert [explained_at(pairs, make_config(**settings)) for pairs in (4, 6, 8, 12, 16)] == images
    stage.numbers = {("fcdd", 1.0): (OPEN, HARMS, SHOWN)}
    found = stage.follow(asked("fcdd"), **settings)
    assert [{work.explained for work in works} for works, _ in stage.calls] == [{one} for one in images]
    assert list(found.measured[0].images) == images


# Time


def begun(stage, **settings):
    stage.numbers = {("fcdd", 1.0): (OPEN, HARMS, SHOWN)}
    found = stage.follow(asked("fcdd"), **settings)
    return [look.pairs for look in found.measured[0].looks]


@pytest.mark.parametrize(
    ("budget", "looks"),
    [
        (1000, [4, 6, 8, 12, 16]),
        (320, [4, 6, 8, 12, 16]),  # 32 cells
        (319, [4, 6, 8, 12]),
        (119, [4]),
        (120, [4, 6]),  # 8 cells and 4 more
        (80, [4]),
    ],
)
def test_a_look_that_would_end_too_late_isnt_begun(stage, budget, looks):
    assert begun(stage, budget=budget) == looks
    assert stage.journal.closed == (BUDGET if budget < 320 else None)
    assert stage.now <= budget
    assert stage.estimated == [8], "later the pace is known"


def test_if_not_even_the_first_look_fits_nothing_is_begun(stage, refused):
    with refused("4 pairs of twins", "take longer than --budget 79s"):
        begun(stage, budget=79)
    assert (stage.calls, stage.journal.taken, stage.journal.closed) == ([], [], None)


def test_what_is_in_the_store_takes_no_time(stage):
    stage.done |= {cell for pair in asked("fcdd").pairs for cell in pair}
    assert begun(stage, budget=1) == [4, 6, 8, 12, 16]


def test_a_resumed_run_takes_the_looks_that_were_begun_though_the_time_is_up(stage):
    stage.journal.begin([0])
    stage.journal.begin([0])
    stage.journal = Journal(stage.journal.path, stage.journal.taken)
    stage.now = 1e6
    assert begun(stage, budget=100) == [4, 6]
    assert stage.journal.closed == BUDGET


def test_a_run_that_ended_for_lack_of_time_ends_there_again(stage):
    assert begun(stage, budget=120) == [4, 6]
    stage.journal = Journal(stage.journal.path, stage.journal.taken, stage.journal.closed)
    stage.now, stage.calls = 0.0, []
    assert begun(stage, budget=120) == [4, 6]
    assert len(stage.calls) == 2
    assert stage.estimated == [8], "it wasn't asked again"


def test_a_resumed_run_takes_what_was_asked_then(stage):
    """Each question as long as before, whatever is settled now."""
    stage.numbers = {("fcdd", 1.0): (SURE, HARMS, SHOWN), ("ae", 1.0): (SURE, HARMS, SHOWN)}
    stage.journal.taken = [[0, 1], [0]]
    found = stage.follow(asked("fcdd"), asked("ae"))
    assert [[look.pairs for look in one.looks] for one in found.measured] == [[4, 6], [4]]
    assert stage.journal.taken == [[0, 1], [0]]


def test_a_finished_run_that_is_explained_further_takes_exactly_its_looks(stage):
    stage.journal = Journal.of_finished([(4, 6), (4,)], (4, 6, 8, 12, 16), None)
    stage.numbers = {("fcdd", 1.0): (OPEN, HARMS, SHOWN), ("ae", 1.0): (OPEN, HARMS, UNCLEAR)}
    found = stage.follow(asked("fcdd"), asked("ae"))
    assert [[look.pairs for look in one.looks] for one in found.measured] == [[4, 6], [4]]


def test_the_journal_is_written_before_a_look_begins(stage, monkeypatch):
    stage.numbers = {("fcdd", 1.0): (OPEN, HARMS, SHOWN)}

    def stop(works, setup, words):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        stage.follow(asked("fcdd"))
    assert json.loads(stage.journal.path.read_text()) == {"taken": [[0]], "closed": None}


# Trainings that fail


def test_pairs_that_failed_are_missing_and_others_are_trained(stage):
    stage.numbers = {("fcdd", 1.0): (SURE, HARMS, SHOWN)}
    question = asked("fcdd")
    lost = dict.fromkeys(question.planted[:2], "it diverged")
    stage.failing = [lost, lost]
    found = stage.follow(question)
    assert stage.journal.taken == [[0], [0]], "two of four aren't enough, four of six are"
    assert [one.seed for one in found.evidence[0].failed] == [0, 1]
    assert found.evidence[0].turns == (2, 3, 4, 5)
    assert found.failures == lost


def test_a_training_that_is_tried_again_and_works_is_no_failure(stage):
    stage.numbers = {("fcdd", 1.0): (OPEN, HARMS, SHOWN)}
    question = asked("fcdd")
    stage.failing = [{question.planted[0]: "it was killed"}]
    found = stage.follow(question, max_seeds=6)
    assert found.failures == {}
    assert found.evidence[0].turns == tuple(range(6))


# The budget by itself


def test_the_pace_is_that_of_the_cells_so_far():
    budget = Budget(100.0, started=looking.time.monotonic() - 50)
    estimates = []

    def estimate():
        estimates.append(1)
        return 51.0

    assert not budget.allows(3, estimate)
    assert budget.allows(0, estimate), "nothing to do"
    budget.note(4, 40.0)
    assert budget.allows(4, estimate)
    assert not budget.allows(6, estimate)
    assert len(estimates) == 1
    assert Budget(None).allows(10**9, estimate)


# With real twins


@pytest.fixture(scope="module")
def looked(patches_config, tmp_path_factory):
    """Two prevalences that share their controls; the first takes a look more."""
    folder = tmp_path_factory.mktemp("looked")
    config = patches_config.having(
        seeds="auto", max_seeds=3, prevalence=(0.5, 1.0), explained=2, out=folder, budget="1h"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fcdd_audit.verdict.looks.FIRST_LOOKS", (2,))
        patch.setattr(looking, "_goes_on", lambda finding, place, once_more: place == 0)
        result = run_audit(config)
    return config, result


def test_a_run_says_its_looks(looked):
    _, result = looked
    described = json.loads((result.folder / "config.json").read_text())
    assert described["looks"] == [2, 3]
    assert described["closed"] is None
    assert [one["looks"] for one in described["questions"]] == [[2, 3], [2]]
    assert [one["seeds"] for one in described["questions"]] == [[0, 1, 2], [0, 1]]
    assert [(one.seeds, one.looks) for one in result.findings] == [(3, (2, 3)), (2, (2,))]
    assert described["work"]["trained"] == 3 + 3 + 2
    (journal,) = (result.folder / "store" / "looks").glob("*.json")
    assert json.loads(journal.read_text()) == {"taken": [[0, 1], [0]], "closed": None}


def test_it_is_the_same_when_it_is_made_again_from_its_store(looked, monkeypatch):
    config, result = looked
    before = (result.folder / "findings.json").read_text()
    monkeypatch.setattr("fcdd_audit.verdict.looks.FIRST_LOOKS", (2,))
    monkeypatch.setattr(looking, "_goes_on", lambda finding, place, once_more: False)
    again = run_audit(config)
    assert (again.folder / "findings.json").read_text() == before
    assert json.loads((again.folder / "config.json").read_text())["work"]["trained"] == 0


def test_too_little_time_is_said_before_anything_is_trained(patches_config, tmp_path):
    config = patches_config.having(seeds="auto", out=tmp_path, budget=0.001)
    with pytest.raises(InputError, match=r"take longer than --budget 0\.001s"):
        run_audit(config)
    assert not list((tmp_path / config.run_name / "store").glob("trained/*"))
