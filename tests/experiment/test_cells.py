"""One cell: a detector trained and measured under one condition and seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fcdd_audit import DETECTORS, Detector, InputError, Recipe, RunError, make_config
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import (
    Cell,
    before_training,
    explained_parts,
    learned,
    score,
    scored_names,
    train_stack,
)
from fcdd_audit.experiment.explaining import DEFECT, explain
from fcdd_audit.experiment.kept import table_file
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.explainers import make_explainer
from fcdd_audit.remedies import Penalty

SMALL = make_config(
    image_size=32, seeds=1, recipe=Recipe.of(epochs=1), detectors=("fcdd",), explainers=("native",)
)
CONTROL = Cell("fcdd", 0, AS_IS)
PLANTED = Cell("fcdd", 0, Plant("watermark", ("anomalous",), 1.0))
BEFORE = replace(CONTROL, trained=False)
CPU = torch.device("cpu")


def train(cell, setup, device, *on_step):
    """One cell by itself."""
    ((detector, losses),) = train_stack([cell], setup, device, *on_step)
    return detector, losses


@pytest.fixture(scope="module")
def setup():
    return prepare(SMALL)


# Training


def test_twins_of_prevalence_0_are_identical(setup):
    twin = replace(PLANTED, edit=Plant("watermark", ("anomalous",), 0.0))
    one, other = (train(cell, setup, CPU)[0].state_dict() for cell in (CONTROL, twin))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def seen(monkeypatch):
    """What a detector that is called `witness` is trained on: the mean of each image and mask."""
    found = {"nominal": set(), "anomalous": set(), "masks": set()}

    class Witness(Detector):
        """Notes what it sees, and learns nothing."""

        learns_from = SIDES
        uses_masks = True

        def __init__(self, input, options):
            super().__init__(input, options)
            self.features = torch.nn.Sequential(torch.nn.Conv2d(input.shape[0], 1, 1))

        def score(self, x):
            return self.features(x).mean(dim=(1, 2, 3))

        def loss(self, x, label, mask=None):
            for side, values in zip(SIDES, (x[label == 0], x[label == 1]), strict=True):
                found[side].update((values.mean(dim=(1, 2, 3)) * 255).round().tolist())
            found["masks"].update(mask[label == 1].float().mean(dim=(1, 2, 3)).tolist())
            return self.score(x).mean() * 0

    monkeypatch.setitem(DETECTORS._entries, "witness", Witness)
    return found


@pytest.mark.parametrize(("detector", "sides"), [("ae", ("nominal",)), ("fcdd", SIDES)])
def test_a_term_of_the_loss_sees_only_images_that_the_detector_learns_from(
    squares_config, monkeypatch, detector, sides
):
    setup = prepare(squares_config.having(removal="inpaint"))
    given = []
    monkeypatch.setattr(
        "fcdd_audit.experiment.cells.fit_stack", lambda members, *_: given.extend(members) or [()]
    )
    train(Cell(detector, 0, AS_IS, term=Penalty("consistency", "mask")), setup, CPU)
    (member,) = given
    pool = member.term.pool
    counts = {side: len(setup.training[AS_IS].of(side)) if side in sides else 0 for side in SIDES}
    assert [len(images) for images in pool.images] == list(counts.values())
    assert [len(where) for where in pool.where] == list(counts.values())


def test_a_side_that_a_detector_does_not_learn_from_may_be_full_of_the_artifact(squares_config):
    setup = prepare(squares_config.having(removal="inpaint"))
    as_is = setup.training[AS_IS]
    full = {**as_is.bearing, "anomalous": torch.ones_like(as_is.bearing["anomalous"])}
    setup = replace(setup, training={AS_IS: replace(as_is, bearing=full)})
    dropped = setup.trained_on(Drop(), 0, learned("ae"))
    assert (len(dropped.nominal), len(dropped.anomalous)) == (len(as_is.nominal), 0)
    train(Cell("ae", 0, Drop()), setup, CPU)
    with pytest.raises(InputError, match="every anomalous training image bears the artifact"):
        train(Cell("fcdd", 0, Drop()), setup, CPU)


@pytest.mark.parametrize(
    ("edit", "values", "masks"),
    [(AS_IS, ({10.0}, {20.0}), {1.0}), (Drop(), ({30.0}, {40.0}), {0.5})],
)
def test_each_twin_gets_the_images_and_masks_of_true_anomalies_of_its_edit(
    squares_config, seen, edit, values, masks
):
    """Here: other values, and masks, for each edit."""
    prepared = prepare(
        squares_config.having(removal="drop", recipe=Recipe.of(epochs=1, shift=0, batch_size=8))
    )
    training = prepared.training[AS_IS]

    def even(nominal, anomalous, rows):
        images = [
            torch.full_like(training.of(side).images, v)
            for side, v in zip(SIDES, (nominal, anomalous), strict=True)
        ]
        where = torch.zeros(8, 1, 32, 32, dtype=torch.bool)
        where[:, :, :rows] = True
        return replace(
            training,
            nominal=replace(training.nominal, images=images[0]),
            anomalous=replace(training.anomalous, images=images[1], masks=where),
        )

    given = replace(prepared, training={AS_IS: even(10, 20, 32), Drop(): even(30, 40, 16)})
    train(Cell("witness", 0, edit), given, CPU)
    assert (seen["nominal"], seen["anomalous"]) == values
    assert seen["masks"] == masks


def weights(detector):
    return torch.cat([value.double().flatten() for value in detector.state_dict().values()])


def test_training_repeats_itself_and_tells_of_each_step_and_epoch(setup):
    steps = []
    recipe = setup.recipe.changed(epochs=2, batch_size=64)
    first, losses = train(CONTROL, replace(setup, recipe=recipe), CPU, steps.append)
    again, _ = train(CONTROL, replace(setup, recipe=recipe), CPU)
    other, _ = train(replace(CONTROL, seed=1), replace(setup, recipe=recipe), CPU)
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert len(losses.epochs) == 2
    assert len(steps) == 2 * -(-len(setup.data.train_nominal) // recipe.optimisation.batch_size)
    assert not first.training


def test_a_training_that_diverges_says_so(setup):
    wild = replace(setup, recipe=setup.recipe.changed(lr=1e30, precision="float32"))
    _, error = train(CONTROL, wild, CPU)
    assert isinstance(error, RunError)
    assert "of FCDD are not finite in epoch 1 of 1;" in str(error)


# Before training


def test_the_network_before_training_is_that_with_which_it_begins(setup):
    first = weights(before_training(BEFORE, setup))
    assert torch.equal(first, weights(setup.untrained("fcdd", 0)))
    assert torch.equal(first, weights(before_training(CONTROL, setup)))
    assert not torch.equal(first, weights(before_training(replace(BEFORE, seed=1), setup)))
    still = replace(setup, recipe=setup.recipe.changed(steps=1, lr=1e-30, precision="float32"))
    trained, _ = train(CONTROL, still, CPU)
    for one, other in zip(trained.parameters(), before_training(BEFORE, setup).parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-20)


@pytest.mark.parametrize("edit", [AS_IS, Plant("watermark", ("nominal",), 1.0)])
def test_deep_svdd_has_the_centre_before_training_that_its_training_begins_with(edit):
    config = SMALL.having(detectors=("dsvdd",), explainers=("gradient",))
    setup, cell = prepare(config), Cell("dsvdd", 3, edit)
    trained, _ = train(cell, setup, CPU)
    before = before_training(cell, setup)
    assert trained.centre.abs().min() >= 0.1
    torch.testing.assert_close(before.centre, trained.centre)
    assert before.centre.abs().sum() > 0
    assert not before.training


# Measuring


@pytest.fixture(scope="module")
def trained(setup):
    """The detectors of both twins."""
    return {cell: train(cell, setup, CPU)[0] for cell in (CONTROL, PLANTED)}


def measured(detector, cell, setup):
    """Its scores, and the overlaps of the native map, as bytes."""
    maps = explain(detector, "native", make_explainer("native", {}), explained_parts(cell, setup), CPU, 0, 16)
    return score(detector, setup, CPU), table_file(maps.overlaps)


def test_twins_differ_only_through_the_artifact(setup, trained):
    again = train(CONTROL, setup, CPU)[0]
    (first, overlaps), (second, same), (other, others) = (
        measured(detector, cell, setup)
        for cell, detector in ((CONTROL, trained[CONTROL]), (CONTROL, again), (PLANTED, trained[PLANTED]))
    )
    assert np.array_equal(first.validation, second.validation)
    assert all(np.array_equal(first.of[key], second.of[key]) for key in first.of)
    assert not all(np.allclose(first.of[key], other.of[key]) for key in first.of)
    assert overlaps == same != others


def test_every_variant_of_both_sides_is_scored_with_a_name_for_each_image(squares_config):
    setup = prepare(squares_config)
    detector = setup.untrained("fcdd", 0).eval()
    found, names = score(detector, setup, CPU), scored_names(setup)
    variants = ("clean", "marked", "elsewhere")
    assert set(found.of) == {(side, variant) for side in SIDES for variant in variants}
    for (side, variant), scores in found.of.items():
        assert len(scores) == len(names[side]) == 6
        with torch.no_grad():
            expected = detector.score(setup.pairs[side].variants[variant].float() / 255)
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
        assert names[side] == setup.pairs[side].names
    assert names["validation"] == setup.validation.names
    assert len(found.validation) == len(setup.validation)
    assert found.validation.dtype == np.float64


def test_scores_that_are_not_finite_end_the_cell(setup, trained, monkeypatch):
    plain = DETECTORS["fcdd"].score
    monkeypatch.setattr(DETECTORS["fcdd"], "score", lambda self, x: plain(self, x) * torch.nan)
    with pytest.raises(RunError, match="FCDD gives nominal test images scores that aren't finite"):
        score(trained[CONTROL], setup, CPU)


# What is explained


@pytest.fixture(scope="module")
def masked(exposed_config):
    """A setup with masks of the true anomalies of three of four anomalous images."""
    setup = prepare(exposed_config)
    truth = torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    truth[[0, 2, 3], :, 12:20, 12:20] = True
    pairs = {**setup.pairs, "anomalous": replace(setup.pairs["anomalous"], masks={"clean": truth})}
    return replace(setup, pairs=pairs)


def test_masks_of_true_anomalies_are_compared_on_clean_images_that_have_one(masked):
    detector = masked.untrained("fcdd", 0).eval()
    parts = explained_parts(CONTROL, masked)
    assert [part.part for part in parts] == [*SIDES, DEFECT]
    found = explain(detector, "native", make_explainer("native", {}), parts, CPU, 0, 16).overlaps
    defects = found[found["part"] == DEFECT].sort_values("place")
    names = masked.pairs["anomalous"].names
    assert defects["image"].tolist() == [names[0], names[2], names[3]]
    assert defects["area"].tolist() == [64 / 1024] * 3


def test_of_the_network_before_training_only_what_its_maps_are_compared_on_is_explained(masked):
    assert [part.part for part in explained_parts(BEFORE, masked)] == list(SIDES)
    without = {side: replace(pairs, mask=None) for side, pairs in masked.pairs.items()}
    placeless = replace(masked, pairs=without)
    assert explained_parts(BEFORE, placeless) == []
    assert [part.part for part in explained_parts(CONTROL, placeless)] == [*SIDES, DEFECT]


def test_masks_of_true_anomalies_are_part_of_the_data(setup):
    outliers = setup.data.train_anomalous
    masks = torch.zeros(len(outliers), 1, 32, 32, dtype=torch.bool)
    one, other = (
        replace(setup.data, train_anomalous=replace(outliers, masks=m)).fingerprint() for m in (masks, ~masks)
    )
    assert len({one, other, setup.data.fingerprint()}) == 3
