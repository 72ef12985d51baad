"""Several trainings in one step: each becomes what it would alone."""

import copy

import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import DETECTORS, OwnNetwork, build, fit
from fcdd_audit.detectors.networks import Frozen
from fcdd_audit.detectors.training.loop import DivergedError, Losses, fit_stack
from fcdd_audit.detectors.training.members import Member
from fcdd_audit.detectors.training.models import stackable

CPU = torch.device("cpu")
EVERYTHING = Recipe.of(
    steps=7,
    batch_size=5,
    lr=3e-3,
    shift=0.2,
    flip=0.5,
    jitter=0.1,
    noise=0.02,
    noise_share=0.5,
    precision="float32",
)
each_detector = pytest.mark.parametrize("name", [name for name, kind in DETECTORS.items() if kind.stacks])


def images(seed, count=12, side=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def members(name, seeds=(3, 8, 1), options=None, network="small", shared=False, term=None, masks=None):
    """Trainings of unlike initial weights and images, in double precision."""
    return [
        Member(
            build(name, images(0), seed, options or {}, network).double(),
            images(0 if shared else seed),
            images(100 if shared else 100 + seed, 9),
            seed,
            masks,
            term,
        )
        for seed in seeds
    ]


def alone(member, recipe):
    detector = copy.deepcopy(member.detector)
    losses = fit(
        detector, member.nominal, member.anomalous, recipe, member.seed, CPU, member.masks, term=member.term
    )
    return detector, losses


def assert_equal(stack, recipe, **given):
    """Each detector, and its losses, to 1e-10 of those that it has alone."""
    lone = [alone(member, recipe) for member in stack]
    found = fit_stack(stack, recipe, CPU, **given)
    for member, losses, (detector, own) in zip(stack, found, lone, strict=True):
        assert not member.detector.training
        state, expected = member.detector.state_dict(), detector.state_dict()
        assert state.keys() == expected.keys()
        for name, value in state.items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-10)
        assert losses.steps == own.steps
        assert losses.epochs == pytest.approx(own.epochs, abs=1e-10)
        assert losses.tenths == pytest.approx(own.tenths, abs=1e-10)
    weights = [torch.cat([one.flatten() for one in member.detector.parameters()]) for member in stack]
    assert not torch.allclose(weights[0], weights[1])


@each_detector
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_stack_becomes_what_its_members_become_alone(name, optimizer):
    assert_equal(members(name), EVERYTHING.changed(optimizer=optimizer, steps=12))


@pytest.mark.parametrize("feeding", ["direct", "streamed", "resident"])
@pytest.mark.parametrize("shared", [True, False])
def test_so_it_does_whichever_way_images_come(feeding, shared):
    assert_equal(members("fcdd", shared=shared), EVERYTHING, feeding=feeding)


def test_so_it_does_with_masks():
    masks = torch.zeros(9, 1, 16, 16, dtype=torch.bool)
    masks[:6, :, 2:9, 3:7] = True
    assert_equal(members("fcdd", options={"supervision": "pixel"}, masks=masks), EVERYTHING)


def test_so_it_does_with_a_boundary_that_is_learnt_from_an_epochs_distances():
    stack = members("dsvdd", options={"objective": "soft-boundary", "warm_up": 1})
    assert_equal(stack, EVERYTHING.changed(steps=11))
    radii = [float(member.detector.squared_radius) for member in stack]
    assert min(radii) > 0
    assert len(set(radii)) == 3


@pytest.mark.parametrize("network", ["cnn32", "cnn32-s"])
@each_detector
def test_so_it_does_with_the_papers_networks(name, network):
    """By SGD: Adam blows up the rounding in the gradient of a bias that batch norm undoes."""
    stack = [
        Member(
            build(name, images(0), seed, {}, network).double(),
            images(seed),
            images(50 + seed, 9),
            seed,
        )
        for seed in (0, 1)
    ]
    assert_equal(stack, EVERYTHING.changed(steps=3, optimizer="sgd"))


def test_so_it_does_with_frozen_layers_which_stay_as_they_are():
    def trunk():
        return nn.Sequential(
            Frozen(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(),
        )

    network = OwnNetwork((3, 16, 16), trunk)
    stack = [
        Member(build("hsc", images(0), seed, {}, network).double(), images(seed), images(50 + seed), seed)
        for seed in (0, 1)
    ]
    before = [copy.deepcopy(member.detector.features[0].state_dict()) for member in stack]
    assert_equal(stack, EVERYTHING.changed(optimizer="sgd"))
    for member, frozen in zip(stack, before, strict=True):
        for name, value in member.detector.features[0].state_dict().items():
            assert torch.equal(value, frozen[name])


class Moves:
    """The mean score of moved images of its own: of the batch's numbers, on the CPU, as remedies ask it."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __call__(self, detector, x, chosen, move):
        other = move(self.pictures[chosen % len(self.pictures)]) / 255
        return (detector.score(x) - detector.score(other)).abs().mean()


def test_so_it_does_with_a_term_of_the_loss():
    assert_equal(members("hsc", term=Moves(images(7, 5))), EVERYTHING)


def test_a_member_does_not_depend_on_who_is_beside_it():
    first, second = members("hsc", seeds=(3, 8)), members("hsc", seeds=(3, 1))
    fit_stack(first, EVERYTHING, CPU)
    fit_stack(second, EVERYTHING, CPU)
    for one, other in zip(first[0].detector.parameters(), second[0].detector.parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_that_diverges_is_named_and_stops_nobody_else():
    stack = members("hsc")
    with torch.no_grad():
        next(stack[1].detector.parameters()).fill_(float("nan"))
    lone = [alone(member, EVERYTHING)[0] for member in (stack[0], stack[2])]
    first, second, third = fit_stack(stack, EVERYTHING, CPU)
    assert isinstance(second, DivergedError)
    assert str(second).startswith("the loss or the weights of HSC are not finite in epoch 1 of 3")
    assert isinstance(first, Losses)
    assert isinstance(third, Losses)
    for member, expected in zip((stack[0], stack[2]), lone, strict=True):
        for value, own in zip(member.detector.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(value, own, rtol=0, atol=1e-10)


def test_where_all_diverge_training_ends():
    steps = []
    stack = members("hsc", seeds=(0, 1))
    for member in stack:
        with torch.no_grad():
            next(member.detector.parameters()).fill_(float("nan"))
    found = fit_stack(stack, EVERYTHING, CPU, steps.append)
    assert all(isinstance(one, DivergedError) for one in found)
    assert steps == [2, 2, 2], "an epoch of each"


def test_every_members_step_is_counted():
    steps = []
    fit_stack(members("ae"), EVERYTHING, CPU, steps.append)
    assert steps == [3] * 7


@each_detector
def test_bfloat16_works_in_a_stack(name):
    stack = [Member(build(name, images(0), seed), images(seed), images(100 + seed), seed) for seed in (0, 1)]
    low = EVERYTHING.changed(precision="bfloat16")
    lone = [alone(member, low)[1] for member in stack]
    found = fit_stack(stack, low, CPU)
    for member, losses, own in zip(stack, found, lone, strict=True):
        assert {weight.dtype for weight in member.detector.parameters()} == {torch.float32}
        assert losses.epochs == pytest.approx(own.epochs, rel=0.05, abs=0.01)


def test_trainings_of_unequal_length_are_refused():
    stack = [
        Member(build("ae", images(0), seed), images(0, count), images(1), seed)
        for seed, count in enumerate((10, 11))
    ]
    with pytest.raises(ValueError, match="unequal length"):
        fit_stack(stack, EVERYTHING, CPU)


def test_what_vmap_cannot_do_alike_is_refused():
    def trunk():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.LeakyReLU())

    network = OwnNetwork((3, 16, 16), trunk)
    detectors = [build("hsc", images(0), seed, {}, network) for seed in (0, 1)]
    assert not stackable(detectors[0])
    assert stackable(build("hsc", images(0), 0))
    stack = [Member(detector, images(0), images(1), 0) for detector in detectors]
    with pytest.raises(ValueError, match="HSC can't be one stack"):
        fit_stack(stack, EVERYTHING, CPU)
    assert isinstance(fit_stack(stack[:1], EVERYTHING, CPU)[0], Losses)


class Silent(DETECTORS["hsc"]):
    """Says nothing of stacks itself."""


def test_a_class_says_for_itself_that_it_can_be_stacked():
    silent = build("hsc", images(0), 0)
    silent.__class__ = Silent
    assert silent.stacks
    assert not stackable(silent)


def test_a_batch_norm_without_momentum_is_not_stacked():
    def trunk():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None), nn.LeakyReLU())

    assert not stackable(build("hsc", images(0), 0, {}, OwnNetwork((3, 16, 16), trunk)))


def test_unlike_trainings_are_refused():
    two = [members("hsc", (0,))[0], members("fcdd", (1,))[0]]
    with pytest.raises(ValueError, match="several classes"):
        fit_stack(two, EVERYTHING, CPU)


def test_a_network_of_which_nothing_can_be_trained_is_refused():
    detector = build("ae", images(0), 0).requires_grad_(False)
    with pytest.raises(InputError, match="no weight of Autoencoder can be trained: all its layers are f"):
        fit(detector, images(0), images(1), EVERYTHING, 0, CPU)


def test_a_graph_is_refused_where_there_is_no_gpu():
    with pytest.raises(ValueError, match="a CUDA graph needs a GPU"):
        fit_stack(members("ae"), EVERYTHING, CPU, graph=True)
