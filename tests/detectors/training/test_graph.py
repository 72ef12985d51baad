"""Steps that are recorded and replayed. Without a GPU a recorder stands in that does the step again: all but
the recording itself is the same."""

import copy
import logging

import pytest
import torch

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import DETECTORS, build, fit
from fcdd_audit.detectors.training import loop
from fcdd_audit.detectors.training.graph import Replayed
from fcdd_audit.detectors.training.loop import fit_stack
from fcdd_audit.detectors.training.members import Member

CPU = torch.device("cpu")
EVERYTHING = Recipe.of(
    steps=11,
    batch_size=5,
    milestones=(0.3, 0.7),
    shift=0.2,
    flip=0.5,
    jitter=0.1,
    noise=0.02,
    noise_share=0.5,
    precision="float32",
)
IMAGES = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Again:
    """Records nothing, and does the step again."""

    def __init__(self):
        self.warmed = self.recorded = 0

    def warm(self, step):
        self.warmed += 1
        step()

    def record(self, step):
        self.recorded += 1
        return step


class Refusing(Again):
    def record(self, step):
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might ...")


@pytest.fixture
def recorder(monkeypatch):
    made = Again()
    monkeypatch.setattr(loop, "recorder_on", lambda device, generators: made)
    return made


@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_replayed_training_is_the_same_to_the_bit(name, recorder):
    start = build(name, IMAGES, 0)
    plain, replayed = copy.deepcopy(start), copy.deepcopy(start)
    expected = fit(plain, IMAGES, 255 - IMAGES, EVERYTHING, 4, CPU, feeding="direct")
    assert expected.replayed == recorder.recorded == 0
    found = fit(replayed, IMAGES, 255 - IMAGES, EVERYTHING, 4, CPU, feeding="resident")
    assert (recorder.warmed, recorder.recorded, found.replayed) == (2, 1, 9)
    assert found._replace(replayed=0) == expected
    for value, other in zip(plain.state_dict().values(), replayed.state_dict().values(), strict=True):
        assert torch.equal(value, other)


def test_a_stack_is_replayed_as_one(recorder):
    def stack():
        return [Member(build("hsc", IMAGES, seed), IMAGES, IMAGES.flip(0) - seed, seed) for seed in range(3)]

    plain, replayed = stack(), stack()
    expected = fit_stack(plain, EVERYTHING, CPU, feeding="resident", graph=False)
    assert recorder.recorded == 0
    found = fit_stack(replayed, EVERYTHING, CPU, feeding="resident")
    assert [one.replayed for one in found] == [9, 9, 9]
    assert [one._replace(replayed=0) for one in found] == expected
    for one, other in zip(plain, replayed, strict=True):
        for value, again in zip(one.detector.parameters(), other.detector.parameters(), strict=True):
            assert torch.equal(value, again)


def test_nothing_is_replayed_that_needs_the_host(recorder):
    def term(detector, x, chosen, move):
        return 0 * detector.score(x).sum()

    found = fit(build("hsc", IMAGES, 0), IMAGES, IMAGES, EVERYTHING, 0, CPU, feeding="resident", term=term)
    assert found.replayed == recorder.recorded == 0
    found = fit(build("hsc", IMAGES, 0), IMAGES, IMAGES, EVERYTHING, 0, CPU, feeding="streamed")
    assert found.replayed == recorder.recorded == 0
    with pytest.raises(ValueError, match="a CUDA graph needs a GPU, images that fit there"):
        fit_stack([Member(build("ae", IMAGES, 0), IMAGES, IMAGES, 0)], EVERYTHING, CPU, graph=True)


def test_where_a_step_cannot_be_recorded_it_goes_on_as_it_is_and_the_log_says_so(caplog):
    made = []
    replayed = Replayed(lambda: made.append(1), Refusing())
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            replayed()
    assert (len(made), replayed.replays) == (5, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "training launches its kernels one by one: no CUDA graph can be made (operation not permitted when "
        "stream is capturing)"
    ]
