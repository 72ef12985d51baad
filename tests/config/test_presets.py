"""The table of recipes: that it is whole, and the paper's values once more by hand."""

from fractions import Fraction

import pytest

from fcdd_audit import DATASETS, DETECTORS, InputError, make_config
from fcdd_audit.config.parts import PARTS
from fcdd_audit.config.presets import preset_names, preset_rows, preset_settings
from fcdd_audit.core.options import options_of
from fcdd_audit.core.recipe import recipe_options
from fcdd_audit.detectors import NETWORKS
from fcdd_audit.detectors.training.schedule import length_of, rate_falls
from fcdd_audit.explainers import EXPLAINERS

RECIPE = set(recipe_options())
SETTINGS = {"image_size", "oe_limit", "confetti_mask", "quantile"}
COVERED = [
    (preset, dataset)
    for preset in preset_names()
    for dataset in DATASETS
    if any(row["preset"] == preset and row[dataset] for row in preset_rows())
]

# optimizer, lr, decay, milestones, epochs, batch, repeats, weight decay, sigma, eta, flip, jitter, noise
STEPS = (2 / 3, 5 / 6)
PAPER = {
    "fmnist-oe": ("sgd", 1e-2, 0.98, (), 400, 128, 1, 1e-6, 1.2, 0.85, 0.5, 0, 0),
    "cifar10-oe": ("adam", 1e-3, 0.1, STEPS, 600, 200, 1, 1e-6, 1.2, 0.85, 0.5, 0.01, 0.001),
    "imagenet-oe": ("adam", 1e-3, 0.1, STEPS, 600, 200, 1, 1e-6, 8, 0.97, 0.5, 0.01, 0.001),
    "mvtec": ("sgd", 1e-3, 0.985, (), 200, 128, 10, 1e-4, 12, 0.99, 0, 0.04, 0),
    "voc-horse": ("adam", 1e-3, 0.1, STEPS, 600, 200, 1, 1e-6, 8, 0.99, 0, 0.01, 0.001),
}


def test_every_column_is_a_data_set_and_every_data_set_a_column():
    for row in preset_rows():
        assert set(row) - {"preset", "setting"} == set(DATASETS)
        assert None not in row.values()


def test_every_row_is_known_and_stands_once():
    rows = [(row["preset"], row["setting"]) for row in preset_rows()]
    assert len(set(rows)) == len(rows)
    for _, setting in rows:
        target, dot, option = setting.partition(".")
        if dot:
            kind = DETECTORS[target] if target in DETECTORS else EXPLAINERS[target]
            assert option in options_of(kind)
        else:
            assert setting in RECIPE | SETTINGS


@pytest.mark.parametrize(("preset", "dataset"), COVERED)
def test_every_preset_is_a_valid_audit_of_what_it_covers(preset, dataset):
    config = make_config(dataset=dataset, preset=preset)
    assert config.detector.recipe.network in NETWORKS
    for setting, text in preset_settings(preset, dataset).items():
        target, dot, option = setting.partition(".")
        if dot:
            value = config.options[target][option]
        else:
            flat = {name: one for part in PARTS for name, one in getattr(config, part)}
            value = {**flat, **config.detector.recipe.flat()}[setting]
        if isinstance(value, tuple):
            shares = () if text == "none" else tuple(float(Fraction(part)) for part in text.split(", "))
            assert shares == value
        else:
            assert text == value if isinstance(value, str) else float(text) == value


def test_quick_has_something_for_every_data_set_and_paper_for_the_papers():
    assert [dataset for preset, dataset in COVERED if preset == "quick"] == list(DATASETS)
    assert {dataset for preset, dataset in COVERED if preset == "paper"} == set(PAPER)


@pytest.mark.parametrize("dataset", PAPER)
def test_the_papers_values(dataset):
    config = make_config(dataset=dataset, preset="paper")
    recipe, augmentation = config.detector.recipe.optimisation, config.detector.recipe.augmentation
    assert (
        recipe.optimizer,
        recipe.lr,
        recipe.decay,
        recipe.milestones,
        recipe.epochs,
        recipe.batch_size,
        recipe.repeats,
        recipe.weight_decay,
        config.options["fcdd"]["sigma"],
        config.explanation.quantile,
        augmentation.flip,
        augmentation.jitter,
        augmentation.noise,
    ) == PAPER[dataset]
    assert recipe.oe_probability == 0.5
    assert config.data.confetti_mask == "full"


@pytest.mark.parametrize(
    ("dataset", "size", "crop_shift", "network"),
    [
        ("fmnist-oe", 28, 2, "cnn28"),
        ("cifar10-oe", 32, 4, "cnn32"),
        ("imagenet-oe", 224, (256 - 224) / 2, "vgg11"),
        ("mvtec", 224, (240 - 224) / 2, "vgg11-imagenet"),
        ("voc-horse", 224, 0, "vgg11"),
    ],
)
def test_the_papers_sizes_crops_and_networks(dataset, size, crop_shift, network):
    config = make_config(dataset=dataset, preset="paper")
    assert config.data.image_size == size
    assert int(config.detector.recipe.augmentation.shift * size) == crop_shift
    assert config.detector.recipe.network == network


def test_mvtecs_noise_is_relative_and_on_half_of_the_images():
    recipe = make_config(dataset="mvtec", preset="paper").detector.recipe
    given = recipe.augmentation
    assert (given.relative_noise, given.noise_share, given.jitter_share) == (0.1, 0.5, 0.5)
    assert recipe.normalise == "contrast"


@pytest.mark.parametrize(
    ("preset", "dataset"), [("paper", "textures"), ("paper", "folder"), ("fast", "mvtec")]
)
def test_a_preset_that_says_nothing_is_refused(preset, dataset):
    with pytest.raises(InputError) as error:
        preset_settings(preset, dataset)
    assert f"preset '{preset}'" in str(error.value)


def test_a_data_set_of_ones_own_is_treated_like_images_that_are_handed_over():
    assert preset_settings("quick", "mine") == preset_settings("quick", "python")
    with pytest.raises(InputError, match="preset 'paper' has no recipe for data set 'mine'"):
        preset_settings("paper", "mine")


def test_quick_counts_steps_but_for_what_the_package_brings():
    lengths = {
        dataset: {name for name in preset_settings("quick", dataset) if name in ("epochs", "steps")}
        for dataset in DATASETS
    }
    assert lengths.pop("retina") == lengths.pop("textures") == {"epochs"}
    assert all(given == {"steps"} for given in lengths.values())
    assert all("epochs" in preset_settings("paper", dataset) for dataset in PAPER)
    assert make_config(dataset="folder").detector.recipe.optimisation.steps == 1000


@pytest.mark.parametrize("dataset", ["cifar10-oe", "imagenet-oe", "voc-horse"])
def test_the_papers_rate_falls_after_400_and_500_of_600_epochs(dataset):
    given = make_config(dataset=dataset, preset="paper").detector.recipe.optimisation
    epoch = 1000
    falls = rate_falls(given, length_of(given, epoch * given.batch_size))
    assert sorted(falls) == [400 * epoch, 500 * epoch]


def test_the_papers_borders_and_supervision():
    paper = {name: make_config(dataset=name, preset="paper") for name in PAPER}
    borders = {name: config.detector.recipe.augmentation.border for name, config in paper.items()}
    assert {name for name, border in borders.items() if border == "black"} == {"cifar10-oe", "fmnist-oe"}
    by_pixel = {name for name, config in paper.items() if config.options["fcdd"]["supervision"] == "pixel"}
    assert by_pixel == {"mvtec"}
