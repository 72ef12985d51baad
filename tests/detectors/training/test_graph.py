"""Steps that are recorded and replayed. Without a GPU a recorder stands in that keeps the operations of a
step and repeats them on the same tensors, without Python, as a CUDA graph does."""

import copy
import logging

import pytest
import torch
from torch.optim import SGD, Adam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import DETECTORS, build, fit
from fcdd_audit.detectors.training import loop
from fcdd_audit.detectors.training.graph import Replayed, renewed
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
WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "lift_fresh", "equal.default", "masked_select")
each_detector = pytest.mark.parametrize("name", list(DETECTORS))


class Operations(TorchDispatchMode):
    """Keeps what is done, and counts what would wait for the host."""

    def __init__(self):
        super().__init__()
        self.done, self.waits = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if any(name in str(function) for name in WAITS):
            self.waits.append(str(function))

        def plain(value):
            return value.detach() if isinstance(value, torch.Tensor) else value

        self.done.append(
            (function, tree_map(plain, args), tree_map(plain, kwargs or {}), tree_map(plain, out))
        )
        return out

    @torch.no_grad()
    def again(self):
        for function, args, kwargs, out in self.done:
            found = function(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(found), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Repeating:
    """A recorder. What it records it does once, which is the first replay."""

    def __init__(self):
        self.warmed, self.operations = 0, None

    def warm(self, step):
        self.warmed += 1
        step()

    def record(self, step):
        self.operations = Operations()
        with self.operations:
            step()
        first = [True]

        def replay():
            if first:
                first.clear()
            else:
                self.operations.again()

        return replay


class Refusing(Repeating):
    def record(self, step):
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might ...")


@pytest.fixture
def recorder(monkeypatch):
    """With the optimizers that a GPU has: the learning rate is a tensor."""

    def on_the_device(learnt, given):
        lr = torch.tensor(given.lr)
        if given.optimizer == "sgd":
            options = {"momentum": 0.9, "nesterov": True}
            return SGD(learnt, lr=lr, weight_decay=given.weight_decay, fused=True, **options)
        return Adam(learnt, lr=lr, weight_decay=given.weight_decay, fused=True)

    made = Repeating()
    monkeypatch.setattr(loop, "recorder_on", lambda device, generators: made)
    monkeypatch.setattr(loop, "make_optimizer", on_the_device)
    return made


def members(name, seeds, options=None, masks=None):
    return [
        Member(build(name, IMAGES, seed, options or {}), IMAGES, IMAGES.flip(0)[seed:], seed, masks)
        for seed in seeds
    ]


def assert_replayed(recorder, make, recipe=EVERYTHING):
    """As it is step by step, to the bit, without waiting for the host."""
    plain, replayed = make(), make()
    expected = fit_stack(plain, recipe, CPU, feeding="resident", graph=False)
    assert recorder.operations is None
    found = fit_stack(replayed, recipe, CPU, feeding="resident")
    assert recorder.warmed == 2
    assert recorder.operations.waits == []
    assert {one.replayed for one in found} == {expected[0].steps - 2}
    assert [one._replace(replayed=0) for one in found] == expected
    for one, other in zip(plain, replayed, strict=True):
        for value, again in zip(
            one.detector.state_dict().values(), other.detector.state_dict().values(), strict=True
        ):
            assert torch.equal(value, again)


@each_detector
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_replayed_trainings_are_the_same_to_the_bit(name, seeds, optimizer, recorder):
    assert_replayed(recorder, lambda: members(name, seeds), EVERYTHING.changed(optimizer=optimizer))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_so_they_are_with_a_boundary_that_is_learnt_from_an_epochs_distances(seeds, recorder):
    options = {"objective": "soft-boundary", "warm_up": 1}
    assert_replayed(recorder, lambda: members("dsvdd", seeds, options))


def test_so_they_are_with_masks(recorder):
    masks = torch.zeros(12, 1, 16, 16, dtype=torch.bool)
    masks[:6, :, 2:9, 3:7] = True
    assert_replayed(recorder, lambda: members("fcdd", (0,), {"supervision": "pixel"}, masks))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_so_they_are_in_bfloat16(seeds, recorder):
    low = EVERYTHING.changed(precision="bfloat16", relative_noise=0.1)
    assert_replayed(recorder, lambda: members("hsc", seeds), low)


class Counting(DETECTORS["hsc"]):
    """Its loss depends on what Python counts: it says nothing of stacks itself."""

    made = 0

    def loss(self, x, label, mask=None):
        self.made += 1
        return super().loss(x, label) / self.made


def test_nothing_is_replayed_that_needs_python(recorder):
    def term(detector, x, chosen, move):
        return 0 * detector.score(x).sum()

    counting = copy.deepcopy(build("hsc", IMAGES, 0))
    counting.__class__ = Counting
    for detector, given in (
        (build("hsc", IMAGES, 0), {"feeding": "resident", "term": term}),
        (build("hsc", IMAGES, 0), {"feeding": "streamed"}),
        (counting, {"feeding": "resident"}),
    ):
        found = fit(detector, IMAGES, IMAGES, EVERYTHING, 0, CPU, **given)
        assert found.replayed == recorder.warmed == 0
    assert counting.made == 11
    with pytest.raises(ValueError, match="a CUDA graph needs a GPU, images that fit there"):
        fit_stack([Member(build("ae", IMAGES, 0), IMAGES, IMAGES, 0)], EVERYTHING, CPU, graph=True)


def test_new_generators_go_on_like_the_old_ones():
    old = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    torch.rand(3, generator=old[0])
    made = renewed(old, [one.get_state() for one in old])
    for one, other in zip(old, made, strict=True):
        assert one is not other
        assert torch.equal(torch.rand(5, generator=one), torch.rand(5, generator=other))


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
