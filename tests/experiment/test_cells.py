"""One cell: a detector trained and measured under one condition and seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit import DETECTORS, Detector, Recipe, RunError, make_config
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell, cell_key, run_cell, train_cell
from fcdd_audit.experiment.explaining import explain_all
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.probes import PROBES

SMALL = make_config(
    image_size=32, seeds=1, recipe=Recipe.of(epochs=1), detectors=("fcdd",), explainers=("native",)
)
CONTROL = Cell("fcdd", "control", 0, AS_IS)
PLANTED = Cell("fcdd", "planted", 0, Plant("watermark", ("anomalous",), 1.0))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def setup():
    return prepare(SMALL)


# Training


def test_twins_of_prevalence_0_are_identical(setup):
    twin = replace(PLANTED, edit=Plant("watermark", ("anomalous",), 0.0))
    one, other = (train_cell(cell, setup, CPU)[0].state_dict() for cell in (CONTROL, twin))
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


@pytest.mark.parametrize(
    ("twin", "edit", "values", "masks"),
    [("planted", AS_IS, ({10.0}, {20.0}), {1.0}), ("control", Drop(), ({30.0}, {40.0}), {0.5})],
)
def test_each_twin_gets_the_images_and_masks_of_true_anomalies_of_its_edit(
    squares_config, seen, twin, edit, values, masks
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
    train_cell(Cell("witness", twin, 0, edit), given, CPU)
    assert (seen["nominal"], seen["anomalous"]) == values
    assert seen["masks"] == masks


# Measuring


def test_run_cell_differs_between_twins_only_through_the_artifact(setup):
    first, again, other = (run_cell(cell, setup) for cell in (CONTROL, CONTROL, PLANTED))
    assert np.array_equal(first.scores.validation, again.scores.validation)
    assert all(np.array_equal(first.scores.of[key], again.scores.of[key]) for key in first.scores.of)
    pd.testing.assert_frame_equal(first.explanations.localization, again.explanations.localization)
    assert not all(np.allclose(first.scores.of[key], other.scores.of[key]) for key in first.scores.of)


def test_every_variant_of_both_sides_is_scored_with_a_name_for_each_image(squares_config):
    setup = prepare(squares_config)
    found = run_cell(Cell("fcdd", "planted", 0, AS_IS), setup)
    variants = ("clean", "marked", "elsewhere")
    assert set(found.scores.of) == {(side, variant) for side in SIDES for variant in variants}
    for (side, _), scores in found.scores.of.items():
        assert len(scores) == len(found.names[side]) == 6
    assert found.names["validation"] == setup.validation.names
    assert len(found.scores.validation) == len(setup.validation)
    assert found.explanations.untrained.empty, "the network before training is measured with the control"


def test_masks_of_true_anomalies_are_compared_on_clean_images_that_have_one(exposed_config):
    setup = prepare(exposed_config)
    truth = torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    truth[[0, 2, 3], :, 12:20, 12:20] = True
    pairs = {**setup.pairs, "anomalous": replace(setup.pairs["anomalous"], masks={"clean": truth})}
    found = run_cell(CONTROL, replace(setup, pairs=pairs)).explanations.localization
    defects = found[found["part"] == "defect"]
    names = setup.pairs["anomalous"].names
    assert defects["image"].tolist() == [names[0], names[2], names[3]]
    assert defects["area"].tolist() == [64 / 1024] * 3


def test_scores_that_are_not_finite_end_the_cell(setup, monkeypatch):
    score = DETECTORS["fcdd"].score
    broken = lambda self, x: score(self, x) * (1 if self.training else torch.nan)  # noqa: E731
    monkeypatch.setattr(DETECTORS["fcdd"], "score", broken)
    with pytest.raises(RunError, match="FCDD gives nominal test images scores that aren't finite"):
        run_cell(CONTROL, setup)


def test_the_untrained_deep_svdd_has_the_centre_that_its_training_begins_with(monkeypatch):
    seen = []

    def spy(detector, parts, explainers, device, untrained=None):
        seen.append((detector, untrained))
        return explain_all(detector, parts, explainers, device, untrained)

    monkeypatch.setattr("fcdd_audit.experiment.cells.explain_all", spy)
    config = SMALL.having(detectors=("dsvdd",), explainers=("gradient",), explained=2)
    run_cell(Cell("dsvdd", "control", 0, AS_IS), prepare(config))
    ((trained, before),) = seen
    assert trained.centre.abs().min() >= 0.1
    torch.testing.assert_close(before.centre, trained.centre)


# Keys


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "cnn32"},
        {"normalise": "imagenet"},
        {"precision": "bfloat16"},
        {"flip": 0.5},
        {"shift": 0.0},
    ],
)
def test_a_cell_has_another_key_when_the_recipe_changes(setup, changes):
    changed = replace(setup, recipe=setup.recipe.changed(**changes))
    assert cell_key(CONTROL, changed) != cell_key(CONTROL, setup)


def test_a_cell_has_another_key_when_options_change_and_not_for_how_it_is_shown(setup):
    key = cell_key(CONTROL, setup)
    assert cell_key(CONTROL, prepare(SMALL.having(quantile=0.5))) == key
    assert cell_key(CONTROL, replace(setup, options={"fcdd": {"supervision": "pixel"}})) != key
    assert cell_key(CONTROL, replace(setup, options={**setup.options, "ae": {"dimensions": 8}})) == key


def test_masks_of_true_anomalies_are_part_of_the_data(setup):
    outliers = setup.data.train_anomalous
    masks = torch.zeros(len(outliers), 1, 32, 32, dtype=torch.bool)
    one, other = (
        replace(setup.data, train_anomalous=replace(outliers, masks=m)).fingerprint() for m in (masks, ~masks)
    )
    assert len({one, other, setup.data.fingerprint()}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"twin": "control"},
        {"detector": "hsc"},
        {"edit": Plant("watermark", ("anomalous",), 0.5)},
        {"edit": Plant("watermark", ("nominal",), 1.0)},
        {"edit": Plant("watermark", SIDES, 1.0)},
        {"edit": AS_IS},
        {"edit": Drop()},
    ],
)
def test_a_cell_has_another_key_when_anything_of_it_changes(setup, changes):
    assert cell_key(replace(PLANTED, **changes), setup) != cell_key(PLANTED, setup)


def test_what_is_planted_is_part_of_the_key_and_what_could_be_is_not(setup):
    other = replace(setup, plantable={**setup.plantable, "bars": PROBES["bars"]()})
    assert cell_key(PLANTED, other) == cell_key(PLANTED, setup)
    wider = replace(setup, plantable={"watermark": PROBES["watermark"](size=0.9)})
    assert cell_key(PLANTED, wider) != cell_key(PLANTED, setup)
    assert cell_key(CONTROL, wider) == cell_key(CONTROL, setup)
