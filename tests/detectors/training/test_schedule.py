import pytest

from fcdd_audit.core.recipe import Optimisation
from fcdd_audit.detectors.training.schedule import Length, length_of, rate_falls


def falls(images, **given):
    optimisation = Optimisation(**given)
    return sorted(rate_falls(optimisation, length_of(optimisation, images)))


@pytest.mark.parametrize(
    ("images", "given", "per_epoch", "batch"),
    [
        (4, {"batch_size": 5}, 1, 4),
        (5, {"batch_size": 5}, 1, 5),
        (6, {"batch_size": 5}, 2, 5),
        (10, {"batch_size": 5}, 2, 5),
        (11, {"batch_size": 5}, 3, 5),
        (11, {"batch_size": 5, "repeats": 10}, 22, 5),
        (3, {"batch_size": 128, "repeats": 10}, 1, 30),
    ],
)
def test_an_epoch_has_as_many_steps_as_its_draws_need(images, given, per_epoch, batch):
    assert length_of(Optimisation(epochs=7, **given), images) == Length(7 * per_epoch, 7, per_epoch, batch)


@pytest.mark.parametrize(
    ("steps", "epochs"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (7, 3), (10**9, 333_333_334)]
)
def test_a_training_in_steps_has_begun_as_many_epochs_as_they_reach_into(steps, epochs):
    found = length_of(Optimisation(epochs=5, steps=steps, batch_size=5), 11)
    assert found == Length(steps, epochs, 3, 5)


def test_the_default_milestones_are_thirds_and_sixths_to_the_epoch():
    for epochs in (*range(1, 2000), 1_000_000):
        exact = {-(-epochs * 2 // 3), -(-epochs * 5 // 6)} - {epochs}
        assert falls(2, epochs=epochs) == sorted(exact)
    assert falls(33, epochs=600, batch_size=16) == [400 * 3, 500 * 3]


def test_milestones_are_shares_of_the_epochs_rounded_up():
    assert falls(2, epochs=10, milestones=(0.05, 0.3, 0.99)) == [1, 3]
    assert falls(6, batch_size=2, epochs=10, milestones=(0.05, 0.3, 0.99)) == [3, 9]


def test_milestones_of_a_training_in_steps_are_shares_of_the_steps_rounded_up():
    # An epoch has 3 steps: the falls are within epochs.
    assert falls(6, batch_size=2, steps=12) == [8, 10]
    assert falls(6, batch_size=2, steps=11) == [8, 10]  # 7.33 and 9.17
    assert falls(6, batch_size=2, steps=2) == []  # 1.33 and 1.67 are the end
    assert falls(6, batch_size=2, steps=1) == []


@pytest.mark.parametrize("given", [{"epochs": 4}, {"steps": 12}])
def test_without_milestones_the_rate_falls_after_every_epoch_but_the_last(given):
    assert falls(6, batch_size=2, milestones=(), **given) == [3, 6, 9]


def test_without_milestones_a_last_epoch_that_is_cut_short_has_a_rate_of_its_own():
    assert falls(6, batch_size=2, milestones=(), steps=10) == [3, 6, 9]
    assert falls(6, batch_size=2, milestones=(), steps=3) == []
