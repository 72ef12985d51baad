import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from fcdd_audit.config.audit import make_config
from fcdd_audit.config.layers import Layer, read_assignments, read_config, read_environment
from fcdd_audit.config.parts import PARTS
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural.artifacts import Masked, Region
from fcdd_audit.probes import Chain
from fcdd_audit.probes.discs import Disc
from fcdd_audit.probes.stamps import Watermark
from fcdd_audit.probes.tones import Jpeg
from fcdd_audit.verdict.thresholds import Thresholds


def complaint(*layers, **settings):
    """What a bad request is answered with."""
    with pytest.raises(InputError) as error:
        make_config(*layers, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


# Layers


def test_without_settings_the_defaults_hold():
    assert make_config() == make_config({}, {}) == make_config()


def test_later_layers_win_setting_by_setting(tmp_path):
    (tmp_path / "audit.toml").write_text("seeds = 4\nepochs = 4\nname = 'file'\nprevalence = [0.5]\n")
    file = read_config(tmp_path / "audit.toml")
    environment = read_environment({"FCDD_AUDIT_EPOCHS": "5", "FCDD_AUDIT_NAME": "environment", "SEEDS": "9"})
    config = make_config(file, environment, {"name": "flag", "epochs": None})
    assert (config.design.seeds, config.artifact.prevalence) == (4, (0.5,)), "from the file, over the default"
    assert config.detector.recipe.optimisation.epochs == 5, "from the environment, over the file"
    assert config.run.name == "flag", "from the flag, over the environment"
    assert config.detector.detectors == make_config().detector.detectors, "the default"


def test_none_and_only_none_means_not_given():
    assert (
        make_config({"seeds": 5, "skip_corrupt": True}, {"seeds": None, "skip_corrupt": None}).design.seeds
        == 5
    )
    assert make_config({"skip_corrupt": True}, {"skip_corrupt": False}).data.skip_corrupt is False


def test_flags_names_and_fields_names_are_one_setting():
    assert make_config({"detectors": "fcdd"}, {"detector": "ae"}).detector.detectors == ("ae",)
    assert make_config({"explainer": "native"}, {"explainers": ["edges"]}).explanation.explainers == (
        "edges",
    )


def test_layers_are_not_modified():
    file = {"options": {"watermark": {"size": 0.5}}, "recipe": {"epochs": 2}}
    make_config(file, {"options": {"watermark": {"size": 0.6}}, "epochs": 3})
    assert file == {"options": {"watermark": {"size": 0.5}}, "recipe": {"epochs": 2}}


# Conversion


def test_text_becomes_what_the_setting_needs():
    config = make_config(
        {
            "detector": " fcdd , ae ",
            "explainer": "native",
            "prevalence": "0.2, 1",
            "seeds": "5",
            "workers": "2",
            "image_size": "48",
            "data_root": "some/where",
            "out": "else/where",
            "skip_corrupt": "yes",
            "epochs": "3",
            "lr": "1e-2",
        }
    )
    assert config.detector.detectors == ("fcdd", "ae")
    assert config.explanation.explainers == ("native",)
    assert config.artifact.prevalence == (0.2, 1.0)
    assert (config.design.seeds, config.run.workers, config.data.image_size) == (5, 2, 48)
    assert (config.data.data_root, config.run.out) == (Path("some/where"), Path("else/where"))
    assert config.data.skip_corrupt is True
    assert (config.detector.recipe.optimisation.epochs, config.detector.recipe.optimisation.lr) == (3, 0.01)


@pytest.mark.parametrize("value", [0.5, "0.5", ["0.5"], [0.5], (0.5,)])
def test_a_list_may_be_one_value(value):
    assert make_config({"prevalence": value}).artifact.prevalence == (0.5,)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("true", "TRUE", " True ", "yes", "Yes", "1", 1, True)),
        *((text, False) for text in ("false", "FALSE", " False ", "no", "No", "0", 0, False)),
    ],
)
def test_yes_and_no_are_understood_wherever_they_are_written(text, value, tmp_path):
    written = str(text).lower() if isinstance(text, bool) else repr(text)
    (tmp_path / "audit.toml").write_text(
        f"skip_corrupt = {written}\n[options.mask]\noutliers = {written}\nmasks = 'x'\n"
    )
    for layer in (
        {"skip_corrupt": text, "options": {"mask": {"outliers": text, "masks": "x"}}},
        read_config(tmp_path / "audit.toml"),
    ):
        config = make_config(layer, probe="mask")
        assert config.data.skip_corrupt is value
        assert config.make_artifact() == Masked(masks="x", outliers=value)
    assert make_config(read_environment({"FCDD_AUDIT_SKIP_CORRUPT": str(text)})).data.skip_corrupt is value
    assert make_config(read_assignments([f"mask.outliers= {text}"])).options["mask"]["outliers"] is value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("maybe", "true or false is needed"),
        ("2", "true or false is needed"),
        (2, "true or false is needed"),
        ("", "true or false is needed"),
        ([True], "true or false is needed"),
    ],
)
def test_what_is_neither_yes_nor_no_is_refused(value, said):
    assert complaint(skip_corrupt=value) == f"skip corrupt is {value!r}; {said}"
    assert complaint({"mask.outliers": value}) == f"mask outliers is {value!r}; {said}"


@pytest.mark.parametrize("epochs_first", [True, False])
def test_of_epochs_and_steps_what_is_given_last_counts(epochs_first):
    layers = [{"epochs": 5}, {"steps": 9}]
    given = make_config(*(layers if epochs_first else layers[::-1]), dataset="folder")
    recipe = given.detector.recipe.optimisation
    assert (recipe.steps, recipe.epochs if recipe.steps is None else 5) == ((9 if epochs_first else None), 5)


def test_a_length_that_is_given_wins_over_the_presets():
    def length(**changes):
        recipe = make_config(dataset="folder", **changes).detector.recipe.optimisation
        return recipe.steps, recipe.epochs if recipe.steps is None else None

    assert length() == (1000, None)
    assert length(epochs=3) == length(recipe={"epochs": 3}) == length(recipe=Recipe.of(epochs=3)) == (None, 3)
    assert length(steps=50) == length(recipe=Recipe.of(epochs=3, steps=50)) == (50, None)
    assert length(recipe={"lr": 0.01}) == (1000, None)


def test_a_changed_length_replaces_the_other_kind_of_length():
    folder, textures = make_config(dataset="folder"), make_config(dataset="textures")

    def length(config):
        recipe = config.detector.recipe.optimisation
        return recipe.steps, recipe.epochs if recipe.steps is None else None

    assert length(folder.having(epochs=3)) == length(folder.having(epochs=3).having(seeds=4)) == (None, 3)
    assert length(textures.having(steps=50)) == (50, None)
    assert textures.having(steps=50).having(steps=None) == textures
    assert folder.having(epochs=3).having(epochs=None) == folder
    assert folder.having(steps=50).having(steps=None) == folder


def test_a_path_may_start_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert make_config({"out": "~/reports"}).run.out == tmp_path / "reports"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seeds", "three"),
        ("seeds", 2.5),
        ("seeds", True),
        ("seeds", ""),
        ("seeds", float("inf")),
        ("epochs", float("inf")),
        ("epochs", float("nan")),
        ("lr", "fast"),
        ("lr", [0.1]),
        ("workers", "1.5"),
        ("image_size", {}),
        ("prevalence", "0.2;1"),
        ("prevalence", [[1]]),
        ("prevalence", True),
        ("skip_corrupt", "maybe"),
        ("download", 2),
        ("compile", "maybe"),
        ("flip", "often"),
        ("flip", True),
        ("milestones", "0.5;0.7"),
        ("oe_limit", "few"),
        ("quantile", "high"),
        ("cache", 5),
        ("out", 5),
        ("data_root", True),
    ],
)
def test_a_value_of_another_kind_is_told_the_setting(setting, value):
    assert setting.replace("_", " ") in complaint(**{setting: value}).replace("_", " ")


# Tables and --set


def test_toml_tables_set_the_recipe_and_options(tmp_path):
    (tmp_path / "audit.toml").write_text(
        """
        detector = ["fcdd"]
        prevalence = [0.5, 1]
        epochs = 7
        [recipe]
        batch_size = 8
        lr = 1e-2
        [options.watermark]
        text = "(c) me"
        size = 1
        margin = 0.0
        [options.fcdd]
        sigma = 2.5
        """
    )
    config = make_config(read_config(tmp_path / "audit.toml"))
    assert config.detector.recipe == make_config().detector.recipe.changed(epochs=7, batch_size=8, lr=0.01)
    assert config.make_artifact() == Watermark(text="(c) me", size=1, margin=0)
    assert config.options["fcdd"] == {"supervision": "image", "sigma": 2.5}


def test_options_of_several_layers_are_merged():
    config = make_config(
        {"options": {"watermark": {"size": 0.5, "text": "one"}, "ae": {"dimensions": 8}}},
        {"options": {"watermark": {"text": "two"}}},
    )
    assert config.options == {
        "fcdd": {"supervision": "image"},  # the preset's
        "watermark": {"size": 0.5, "text": "two"},
        "ae": {"dimensions": 8},
    }


@pytest.mark.parametrize(
    ("assignment", "name", "expected"),
    [
        ("watermark.size=0.5", "watermark", {"size": 0.5}),
        (" watermark.size = .5", "watermark", {"size": 0.5}),
        ("watermark.size=1", "watermark", {"size": 1}),
        ("watermark.text=(c) me", "watermark", {"text": "(c) me"}),
        ("watermark.text=2024", "watermark", {"text": "2024"}),
        ("watermark.text=a=b.c", "watermark", {"text": "a=b.c"}),
        ("watermark.text='2024'", "watermark", {"text": "'2024'"}),
        ("mask.outliers=true", "mask", {"outliers": True}),
        ("mask.outliers=No", "mask", {"outliers": False}),
        ("jpeg.quality=40", "jpeg", {"quality": 40}),
        ("ae.dimensions=8", "ae", {"dimensions": 8}),
        ("fcdd.sigma=12", "fcdd", {"supervision": "image", "sigma": 12}),
    ],
)
def test_an_assignment_sets_an_option_by_its_declared_type(assignment, name, expected):
    found = make_config(read_assignments([assignment])).options[name]
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    "assignment", ["", "watermark", "watermark.size", "size=1", ".size=1", "watermark.=1", "=1"]
)
def test_other_assignments_are_told_the_form(assignment):
    with pytest.raises(InputError) as error:
        read_assignments([assignment])
    assert str(error.value) == f"--set '{assignment}' must read NAME.OPTION=VALUE, as in watermark.size=0.5"


def test_text_in_a_file_may_be_a_number():
    assert make_config({"options": {"watermark": {"text": 2024}}}).make_artifact() == Watermark(text="2024")
    assert make_config({"name": 2024}).run.name == "2024"


def test_options_of_what_is_not_asked_for_may_stand_in_a_shared_file():
    options = {"frame": {"width": 0.5}, "dsvdd": {"nu": 0.2}, "mask": {"only": "date"}}
    config = make_config({"detector": "fcdd", "options": options})
    assert {name: config.options[name] for name in options} == options


def test_several_probes_have_their_options_by_name():
    config = make_config(
        {"probe": "watermark+jpeg", "options": {"watermark": {"size": 0.5}, "jpeg": {"quality": 50}}}
    )
    assert config.make_artifact() == Chain((Watermark(size=0.5), Jpeg(quality=50)))
    assert make_config({"probe": "jpeg"}).make_artifact() == Jpeg()


REGION = {"probe": "region", "options": {"region": {"width": 0.25, "height": 0.5}}}


MASK = {"probe": "mask", "options": {"mask": {"masks": "marks.json"}}}


def test_annotations_are_read_strictly_by_flag_or_option():
    strict = Masked(masks="marks.json", strict=True)
    for given in ({"strict": True}, {"mask.strict": True}, {"strict": True, "mask.strict": True}):
        assert make_config(MASK, given).make_artifact() == strict
    assert make_config(MASK, {"mask.strict": False}).make_artifact() == Masked(masks="marks.json")
    assert repr(strict) == repr(Masked(masks="marks.json")), "it is in the key of finished cells"


def test_an_artifact_may_be_found_on_the_images():
    config = make_config(REGION, {"removal": "inpaint", "dataset": "folder"})
    assert config.make_artifact() == Region(width=0.25, height=0.5)
    assert (config.run_name, config.artifact.removal) == ("folder-region", "inpaint")
    assert make_config().artifact.removal == "auto"
    config = make_config(
        {"probe": "mask"}, read_assignments(["mask.masks=2024"]), options={"mask": {"only": "date"}}
    )
    assert config.make_artifact() == Masked(masks="2024", only="date"), "text, and nothing is read yet"


@pytest.mark.parametrize("content", ["seeds = ", "a = [\n1,\n b", "[x\n", "seeds = 1\nseeds = 2", "\0"])
def test_broken_toml_is_named_in_one_line(tmp_path, content):
    path = tmp_path / "audit.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"audit\.toml' is no valid TOML: ") as error:
        read_config(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_no_toml(tmp_path):
    (tmp_path / "audit.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"audit\.toml' is no valid TOML"):
        read_config(tmp_path / "audit.toml")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    with pytest.raises(InputError, match=r"missing\.toml': No such file"):
        read_config(tmp_path / "missing.toml")
    with pytest.raises(InputError, match="directory"):
        read_config(tmp_path)


# Validation


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dataset": "texture"}, "unknown data set 'texture'; did you mean 'textures'?"),
        ({"detector": "fcdd,fccd"}, "unknown detector 'fccd'; did you mean 'fcdd'?"),
        ({"explainer": "gradcam"}, "unknown explainer 'gradcam'; did you mean 'grad-cam'?"),
        ({"probe": "Watermark"}, "unknown probe 'Watermark'; did you mean 'watermark'?"),
        ({"plant_on": "nominl"}, "unknown side 'nominl'; did you mean 'nominal'?"),
        ({"seed": 3}, "unknown setting 'seed'; did you mean 'seeds'?"),
        ({"epoch": 3}, "unknown setting 'epoch'; did you mean 'epochs'?"),
        ({"detecter": "fcdd"}, "unknown setting 'detecter'; did you mean 'detector"),
        ({"recipe": {"learning": 1, "lr_": 1}}, "unknown recipe setting 'learning'"),
        ({"recipe": {"epoch": 1}}, "unknown recipe setting 'epoch'; did you mean 'epochs'?"),
        ({"probe": "watermark+jpg"}, "unknown probe 'jpg'; did you mean 'jpeg'?"),
        (
            {"options": {"jpg": {"quality": 1}}},
            "unknown detector, probe, explainer or remedy 'jpg'; did you mean 'jpeg'?",
        ),
        ({"preset": "papre"}, "unknown preset 'papre'; did you mean 'paper'? (known: paper, quick)"),
        ({"network": "cnn23"}, "unknown network 'cnn23'; did you mean 'cnn32'?"),
        ({"normalise": "nominl"}, "unknown normalisation 'nominl'; did you mean 'nominal'?"),
        (
            {"options": {"watermrk": {"size": 1}}},
            "probe, explainer or remedy 'watermrk'; did you mean 'watermark'?",
        ),
        ({"options": {"watermark": {"txt": 1}}}, "watermark has no option 'txt'; did you mean 'text'?"),
        ({"options": {"fcdd": {"sigm": 1}}}, "fcdd has no option 'sigm'; did you mean 'sigma'?"),
        ({"options": {"fcdd": {"shape": 1}}}, "fcdd has no option 'shape'"),
        ({"frame.typo": 1}, "frame has no option 'typo'"),
        ({"detector": "fcdd", "dsvdd.typo": 1}, "dsvdd has no option 'typo'"),
        ({"mask.typo": 1}, "mask has no option 'typo'"),
        ({"options": {"watermark": {"corner": "lower"}}}, "unknown watermark corner 'lower'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(settings, expected):
    assert expected in complaint(settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"detector": ""}, "detector is ''; at least one is needed"),
        ({"explainer": []}, "explainer is []; at least one is needed"),
        ({"detector": "ae,ae"}, "detector is 'ae,ae'; none may be named twice"),
        ({"explainer": "edges,edges"}, "explainer is 'edges,edges'; none may be named twice"),
        ({"prevalence": ""}, "prevalence is ''; at least one is needed"),
        (
            {"probe": "watermark+"},
            "probe 'watermark+' has an empty name; give one name, or several joined by +",
        ),
        ({"probe": ""}, "probe is ''; at least one is needed"),
        ({"probe": "frame,bars,frame"}, "none may be named twice"),
        ({**MASK, "probe": "frame,mask"}, "'mask' is found on images, and what is found is audited"),
        ({**MASK, "together": True}, "--together plants artifacts, and 'mask' is found on images"),
        ({"together": True}, "and 'watermark' is one; name others with --probe a,b, or drop it"),
        ({"plant_on": "nominal,side"}, "unknown side 'side'"),
        ({"plant_on": "oe,all-but-oe"}, "with --plant-on all-but-oe test images bear the artifact in use"),
        (
            {"probe": "frame,bars", "together": True, "plant_on": "all-but-oe"},
            "images in use would bear them all; drop one of them",
        ),
        ({"probe": "frame,bars", "model": "a.onnx"}, "a finished detector is tested with one artifact"),
        ({"together": True, "probe": "frame,bars", "model": "a.onnx"}, "--together is for twins"),
        ({"probe": "frame,bars", "candidate": "a.json#1"}, "--candidate and --probe frame,bars both name"),
        ({"probe": "jpeg+jpeg"}, "probe 'jpeg' is named twice in 'jpeg+jpeg'"),
        (
            {"probe": "date+jpeg", "options": {"jpeg": {"quality": 0}}},
            "jpeg quality is 0; it must be in [1, 100]",
        ),
        (
            {"probe": "jpeg", "options": {"jpeg": {"quality": 2.5}}},
            "jpeg quality is 2.5; a whole number is needed",
        ),
        (
            {"probe": "bars", "options": {"bars": {"count": True}}},
            "bars count is True; a whole number is needed",
        ),
        (
            {"probe": "tint", "options": {"tint": {"colour": 7}}},
            "tint colour is '7'; it must be an opaque colour",
        ),
        (
            {"probe": "region+jpeg"},
            "'region' is found on images, not planted, so it can't be used in 'region+jpeg'; name it alone",
        ),
        ({"probe": "jpeg+mask"}, "'mask' is found on images, not planted"),
        ({"probe": "mask"}, "mask masks is empty; give a folder of mask images"),
        ({"probe": "region"}, "region width is 0.0; it must be in (0, 1]"),
        ({**REGION, "options": {"region": {"widht": 0.1}}}, "region has no option 'widht'"),
        ({**REGION, "plant_on": "oe"}, "'region' is found on images, and can be put on the nominal or the"),
        ({**REGION, "prevalence": "0.5", "halves": "removed"}, "'region' is put on images, and --halves"),
        (
            {**REGION, "removal": "dorp"},
            "unknown removal 'dorp'; did you mean 'drop'? (known: auto, drop, inp",
        ),
        (
            {"removal": "drop"},
            "removal 'drop' is for artifacts that are found on images, and 'watermark' is planted; drop --re",
        ),
        ({"removal": "inpaint", "probe": "frame+jpeg"}, "and 'frame+jpeg' is planted; drop --removal"),
        (
            {"strict": True},
            "--strict is for artifacts that annotations mark on images, and 'watermark' has none",
        ),
        ({**REGION, "strict": True}, "and 'region' has none; drop --strict"),
        (
            {**MASK, "strict": True, "mask.strict": False},
            "--strict and mask.strict=false contradict each other; drop one of them",
        ),
        (
            {"plant_on": "all-but-eo"},
            "'all-but-eo'; did you mean 'all-but-oe'? (known: auto, ",
        ),
        ({"prevalence": "1,1.0"}, "prevalence is '1,1.0'; none may be named twice"),
        ({"prevalence": "0.2,1.5"}, "prevalence is 1.5; it must be at most 1"),
        ({"prevalence": -0.1}, "prevalence is -0.1; it must be at least 0"),
        ({"prevalence": "nan"}, "prevalence is 'nan'"),
        ({"seeds": 0}, "seeds is 0; auto or a whole number over 0 is needed"),
        ({"seeds": -1}, "seeds is -1; auto or a whole number over 0 is needed"),
        ({"seeds": "many"}, "seeds is 'many'; auto or a whole number over 0 is needed"),
        ({"seeds": 2.5}, "seeds is 2.5; auto or a whole number over 0 is needed"),
        ({"seeds": True}, "seeds is True; auto or a whole number over 0 is needed"),
        ({"seeds": [5]}, "seeds is [5]; auto or a whole number over 0 is needed"),
        ({"max_seeds": 0}, "max seeds is 0; it must be at least 1"),
        ({"max_seeds": 2}, "max seeds is 2; at least 3 pairs of twins give a verdict"),
        ({"max_seeds": "auto"}, "max seeds is 'auto'; a whole number is needed"),
        ({"budget": 0}, "budget is 0; it must be over 0"),
        ({"budget": "0m"}, "budget is 0.0; it must be over 0"),
        ({"budget": -5}, "budget is -5; it must be over 0"),
        ({"budget": "-5s"}, "budget is '-5s'; a time is needed, such as 90s, 3m or 1.5h"),
        ({"budget": "3 days"}, "budget is '3 days'; a time is needed, such as 90s, 3m or 1.5h"),
        ({"budget": "3m30s"}, "budget is '3m30s'; a time is needed, such as 90s, 3m or 1.5h"),
        ({"budget": float("inf")}, "budget is inf; a finite number is needed"),
        ({"budget": True}, "budget is True; a number is needed"),
        (
            {"seeds": 5, "budget": "3m"},
            "--budget is for --seeds auto, and --seeds 5 fixes the number of pairs; drop one of them",
        ),
        (
            {"seeds": 5, "max_seeds": 8},
            "--max-seeds is for --seeds auto, and --seeds 5 fixes the number of pairs; drop one of them",
        ),
        ({"explainers": "auto,lrpp"}, "unknown explainer 'lrpp'; did you mean 'lrp'?"),
        ({"explainers": "auto,auto"}, "explainer is 'auto,auto'; none may be named twice"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"image_size": 0}, "image size is 0; it must be at least 1"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": 1}, "batch size is 1; it must be at least 2"),
        ({"lr": 0}, "lr is 0.0; it must be over 0"),
        ({"lr": float("nan")}, "lr is nan; it must be a finite number"),
        ({"recipe": {"oe_probability": 1}}, "oe probability is 1.0; it must be over 0, and under 1"),
        ({"recipe": {"shift": 0.5}}, "shift is 0.5; it must be at least 0, and under 0.5"),
        ({"recipe": {"noise": -1}}, "noise is -1.0; it must be at least 0"),
        ({"confetti_mask": "half"}, "confetti mask is 'half'; it must be full or blob"),
        ({"quantile": 0}, "quantile is 0; it must be over 0"),
        ({"quantile": "nan"}, "quantile is 'nan'; a finite number is needed"),
        ({"oe_limit": 0}, "oe limit is 0; it must be at least 1"),
        ({"masks_per_defect": -1}, "masks per defect is -1; it must be at least 0"),
        ({"milestones": "0.9,0.1"}, "milestones is (0.9, 0.1); it must be a tuple of rising shares"),
        ({"optimizer": "adamw"}, "optimizer is 'adamw'; it must be adam or sgd"),
        (
            {"preset": "paper"},
            "preset 'paper' has no recipe for data set 'retina' (it has for cifar10-oe, ",
        ),
        ({"recipe": 5}, "setting 'recipe' must be a table"),
        ({"options": "watermark"}, "setting 'options' must be a table"),
        ({"options": {"watermark": 5}}, "setting 'options.watermark' must be a table"),
        ({"frame.width": "big"}, "frame width is 'big'; a number is needed"),
        ({"options": {"watermark": {"size": "big"}}}, "watermark size is 'big'; a number is needed"),
        ({"options": {"watermark": {"size": True}}}, "watermark size is True; a number is needed"),
        ({"options": {"watermark": {"size": 0}}}, "watermark size is 0; it must be in (0, 1]"),
        ({"options": {"ae": {"dimensions": 2.5}}}, "ae dimensions is 2.5; a"),
        ({"options": {"fcdd": {"sigma": "wide"}}}, "sigma is 'wide'"),
        ({"options": {"fcdd": {"sigma": float("nan")}}}, "sigma is nan"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_why(settings, expected):
    assert expected in complaint(settings)


@pytest.mark.parametrize("seeds_and_more", [{"detector": "dsvdd", "seeds": 1, "prevalence": 0, "workers": 1}])
def test_the_ends_of_the_domains_work(seeds_and_more):
    assert make_config(seeds_and_more).artifact.prevalence == (0.0,)


@pytest.mark.parametrize(
    ("given", "looks"),
    [
        ({}, (4, 6, 8, 12, 16)),
        ({"seeds": "auto"}, (4, 6, 8, 12, 16)),
        ({"max_seeds": 8}, (4, 6, 8)),
        ({"max_seeds": "3"}, (3,)),
        ({"seeds": 5}, (5,)),
        ({"seeds": "5"}, (5,)),
        ({"seeds": 5.0}, (5,)),
    ],
)
def test_pairs_of_twins_are_judged_in_looks_or_once_where_their_number_is_fixed(given, looks):
    design = make_config(given).design
    assert tuple(look.pairs for look in design.looks) == looks
    assert design.most_pairs == looks[-1]
    assert sum(look.share for look in design.looks) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90s", 90),
        ("3m", 180),
        ("1.5h", 5400),
        ("90", 90),
        ("2 m", 120),
        (" 7s ", 7),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_a_budget_is_a_time(given, seconds):
    assert make_config(budget=given).design.budget == seconds


def test_what_is_for_a_number_of_pairs_that_is_open_is_said_where_it_is_from(tmp_path):
    path = tmp_path / "audit.toml"
    path.write_text("budget = '3m'\n")
    assert complaint(read_config(path), seeds=5).startswith(f"{path}: --budget is for --seeds auto")
    assert make_config(read_config(path)).design.budget == 180


@pytest.mark.parametrize("name", ["seeds", "max_seeds", "budget"])
def test_a_finished_detector_has_no_pairs(name):
    settings = {"weights": "detector.safetensors", "detectors": "fcdd", name: 7}
    flag = "--" + name.replace("_", "-")
    assert complaint(settings).startswith(f"{flag} is for twins, and with --weights nothing is trained")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"threshold": 0.5}, "--threshold is for finished detectors; name one with --model or --weights"),
        ({"dose": True}, "--dose is for finished detectors"),
        ({"mean": 0.5}, "--mean is for --model; name one"),
        ({"std": 0.5}, "--std is for --model"),
        ({"trust_model": True}, "--trust-model is for --model"),
        ({"weights": "x", "detectors": "ae", "mean": 0.5}, "--mean is for --model"),
        ({"weights": "x", "model": "y.py:make"}, "--weights and --model both name a finished detector"),
        ({"model": "y.py:make", "detectors": "ae"}, "--model brings its own detector; drop --detector"),
        ({"model": "y.py:make", "seeds": 3}, "--seeds is for twins, and with --model nothing is trained"),
        ({"model": "y.py:make", "nominal_class": "all"}, "a finished detector has learnt one nominal class"),
        ({"model": "y.py:make", "threshold": "inf"}, "threshold is 'inf'; a finite number is needed"),
        ({"model": "y.py:make", "placebos": 0}, "placebos is 0; auto or a whole number over 0 is needed"),
    ],
)
def test_what_cannot_be_asked_of_a_finished_detector_is_said(settings, expected):
    assert complaint(settings).startswith(expected)


def test_a_threshold_of_zero_is_one():
    """Zero is no default: it must not be taken for one."""
    assert complaint(threshold=0).startswith("--threshold is for finished detectors")
    assert make_config(model="y.py:make", threshold=0).design.threshold == 0


def test_each_detector_has_explainers_of_its_own_with_references_beside():
    config = make_config()
    assert config.explanation.explainers == ("auto",)
    for detector in DETECTORS:
        found = config.explainers_of(detector)
        assert set(found) == {*DETECTORS[detector].explained_by, "random", "edges"}
        assert list(found) == [name for name in EXPLAINERS if name in found], "in the registry's order"
    assert config.explainers_of("fcdd") != config.explainers_of("hsc")


def test_others_can_be_asked_for_beside_or_instead():
    beside, instead = (make_config(explainers=given) for given in ("auto,lrp", "lrp,native"))
    for detector in DETECTORS:
        assert set(beside.explainers_of(detector)) == {*make_config().explainers_of(detector), "lrp"}
        assert instead.explainers_of(detector) == ("native", "lrp")
    with pytest.raises(InputError, match="unknown detector 'fccd'; did you mean 'fcdd'"):
        beside.explainers_of("fccd")


def test_no_limit_of_explained_images_is_0():
    assert make_config(explained=0).explanation.explained == 0
    assert make_config().explanation.explained is None


def test_the_run_is_named_after_data_set_and_probe_unless_told():
    assert make_config().run_name == "retina-watermark"
    assert make_config({"probe": "watermark+jpeg"}).run_name == "retina-watermark+jpeg"
    two = make_config({"probe": "watermark, disc"})
    assert (two.artifact.probes, two.run_name) == (("watermark", "disc"), "retina-watermark-disc")
    assert two.having(together="true").run_name == "retina-watermark-disc-together"
    assert two.make_artifact("disc") == Disc()
    with pytest.raises(ValueError, match="too many values"):
        two.make_artifact()
    assert make_config({"dataset": "folder", "name": "mine 2"}).run_name == "mine 2"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a/", "../a", "a\\b", " ", "a\nb", "a\0b"])
def test_a_run_name_must_be_a_plain_folder_name(name):
    assert "must be a plain folder name; the parent folder is --out" in complaint(name=name)


def test_a_device_is_resolved():
    assert make_config(device="cpu").resolve_device() == torch.device("cpu")
    assert make_config().resolve_device().type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("device", ["cpuu", "", "cuda:99", "cuda:x", "meta", "privateuseone"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device):
    with pytest.raises(InputError, match=f"device '{device}' can't be used here") as error:
        make_config(device=device).resolve_device()
    assert "\n" not in str(error.value)


def test_the_data_set_is_asked_for_what_was_asked():
    config = make_config({"data_root": "here", "image_size": 32, "oe": "none", "skip_corrupt": True})
    request = config.data_request()
    assert (request.data_root, request.image_size, request.oe, request.skip_corrupt) == (
        Path("here"),
        32,
        "none",
        True,
    )


def test_a_config_becomes_plain_json_by_part():
    config = make_config(
        {"out": "a/b", "prevalence": "0.2,1", "options": {"watermark": {"size": 0.5}}, "epochs": 2}
    )
    plain = json.loads(json.dumps(config.as_json()))
    assert plain["run"]["out"] == "a/b"
    assert plain["data"]["data_root"] is None
    assert plain["artifact"]["prevalence"] == [0.2, 1.0]
    assert plain["options"]["watermark"] == {"size": 0.5}
    assert plain["data"]["nominal_class"] == []
    assert plain["detector"]["recipe"]["epochs"] == 2
    assert plain["design"]["thresholds"]["reliance"] == 0.05
    assert list(plain) == [*PARTS, "options"]


# Changes


def test_a_config_is_never_changed_but_copied():
    config = make_config(dataset="mvtec", seeds=3)
    with pytest.raises(ValidationError):
        config.design.seeds = 4
    other = config.having(seeds=4, epochs=2, options={"watermark": {"size": 0.5}})
    assert (config.design.seeds, other.design.seeds) == (3, 4)
    assert other.detector.recipe == config.detector.recipe.changed(epochs=2, steps=None), "the preset's stays"
    assert other.options == {**config.options, "watermark": {"size": 0.5}}
    assert (other.data, other.artifact) == (config.data, config.artifact)
    assert config.having() == config


def test_none_is_what_it_would_be_without():
    config = make_config(dataset="mvtec", oe="photos", oe_limit=3, name="mine")
    again = config.having(oe=None, oe_limit=None, name=None)
    assert (again.data.oe, again.data.oe_limit, again.run.name) == (None, 1000, None)
    again = config.having(epochs=3, detector="ae").having(epochs=None, detector=None)
    assert again == config


def test_none_in_place_of_a_table_is_what_all_in_it_would_be_without():
    config = make_config(dataset="mvtec", seeds=3)
    changed = config.having(epochs=3, options={"watermark": {"size": 0.5}})
    assert changed.having(recipe=None).detector.recipe == config.detector.recipe
    assert changed.having(recipe=None).options == changed.options
    assert changed.having(options=None).options == config.options
    assert changed.having(recipe=None, options=None) == config


def test_a_change_is_checked():
    with pytest.raises(InputError, match="seeds is 0"):
        make_config().having(seeds=0)
    with pytest.raises(InputError, match="unknown setting 'seed'; did you mean 'seeds'"):
        make_config().having(seed=1)


def test_thresholds_are_for_python_only():
    assert make_config(thresholds=Thresholds(room=0.3)).having(seeds=1).design.thresholds.room == 0.3
    for other in (3, {"room": 0.3}):
        assert complaint(thresholds=other) == (
            "setting 'thresholds' must be a Thresholds, which only Python can give"
        )


# Where a value is from


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Layer({"seeds": "0"}, lambda key: f"--{key}"), "--seeds: seeds is '0'; auto or a whole number"),
        (read_environment({"FCDD_AUDIT_SEEDS": "few"}), "variable FCDD_AUDIT_SEEDS: seeds is 'few'"),
        (read_environment({"FCDD_AUDIT_SEDS": "5"}), "variable FCDD_AUDIT_SEDS: unknown setting 'seds'"),
        (read_environment({"FCDD_AUDIT_FLIP": "2"}), "variable FCDD_AUDIT_FLIP: flip is 2.0; it must be at"),
        (read_environment({"FCDD_AUDIT_DETECTOR": "fccd"}), "variable FCDD_AUDIT_DETECTOR: unknown detector"),
        (read_environment({"FCDD_AUDIT_NETWORK": "cnn3"}), "variable FCDD_AUDIT_NETWORK: unknown network"),
        (read_environment({"FCDD_AUDIT_PLANT_ON": "eo"}), "variable FCDD_AUDIT_PLANT_ON: unknown side"),
        (
            read_environment({"FCDD_AUDIT_PLACEBOS": "9"}),
            "variable FCDD_AUDIT_PLACEBOS: --placebos is for finished",
        ),
        (
            read_environment({"FCDD_AUDIT_OPTIONS": "x"}),
            "variable FCDD_AUDIT_OPTIONS: setting 'options' must",
        ),
        (read_assignments(["watermark.size=big"]), "--set watermark.size: watermark size is 'big'; a number"),
        (read_assignments(["watermark.size=2"]), "--set watermark.size: watermark size is 2; it must be in"),
        (read_assignments(["watermark.sise=2"]), "--set watermark.sise: watermark has no option 'sise'"),
        (read_assignments(["recipe.flp=2"]), "--set recipe.flp: unknown recipe setting 'flp'"),
        (
            read_assignments(["recipe.flip=2"]),
            "--set recipe.flip: flip is 2.0; it must be at least 0, and at most 1",
        ),
        (read_assignments(["occlusion.windw=2"]), "--set occlusion.windw: occlusion has no option 'windw'"),
    ],
)
def test_an_error_says_where_the_value_is_from(layer, expected):
    assert complaint(layer).startswith(expected)


def test_a_file_is_named_and_the_last_of_several_layers(tmp_path):
    path = tmp_path / "audit.toml"
    path.write_text("seeds = 0\n[recipe]\nepochs = 0\n[options.watermark]\nsize = 'big'\n")
    file = read_config(path)
    assert complaint(file, epochs=3) == f"{path}: seeds is 0; auto or a whole number over 0 is needed"
    assert complaint(file, seeds=3).startswith(f"{path}: epochs is 0; it must be at least 1")
    assert complaint(file, seeds=3, epochs=3) == f"{path}: watermark size is 'big'; a number is needed"
    path.write_text("seds = 1\n")
    assert complaint(read_config(path)) == f"{path}: unknown setting 'seds'; did you mean 'seeds'?"


def test_variables_are_checked_once_with_all_others(tmp_path):
    environment = read_environment(
        {"FCDD_AUDIT_PROBE": "region", "FCDD_AUDIT_REMOVAL": "drop", "FCDD_AUDIT_DATASET": "folder"}
    )
    config = make_config(environment, REGION)
    assert config.artifact.removal == "drop"
    assert complaint(environment, probe="watermark").startswith(
        "variable FCDD_AUDIT_REMOVAL: removal 'drop' is"
    )


# Presets


def test_python_and_the_command_line_get_the_same_from_a_preset():
    for settings in ({"dataset": "cifar10-oe"}, {"dataset": "mvtec", "preset": "paper"}):
        assert make_config(**settings) == make_config(settings)
    config = make_config(dataset="mvtec", preset="paper")
    assert (
        config.detector.recipe.network,
        config.detector.recipe.optimisation.repeats,
        config.data.image_size,
    ) == (
        "vgg11-imagenet",
        10,
        224,
    )
    assert (config.options["fcdd"], config.explanation.quantile) == (
        {"sigma": 12, "supervision": "pixel"},
        0.99,
    )


def test_what_a_preset_says_gives_way_to_file_environment_and_flags(tmp_path):
    (tmp_path / "audit.toml").write_text(
        """
        dataset = "fmnist-oe"
        preset = "paper"
        quantile = 0.5
        epochs = 1
        [recipe]
        lr = 0.1
        decay = 0.9
        [options.fcdd]
        sigma = 2
        """
    )
    environment = {"FCDD_AUDIT_LR": "0.2", "FCDD_AUDIT_FLIP": "0.25", "FCDD_AUDIT_MILESTONES": "0.5, 0.75"}
    config = make_config(
        read_config(tmp_path / "audit.toml"),
        read_environment(environment),
        {"epochs": "3"},
        read_assignments(["recipe.flip=0"]),
        options={"fcdd": {"supervision": "pixel"}},
    )
    preset = make_config(dataset="fmnist-oe", preset="paper")
    assert config.detector.recipe == preset.detector.recipe.changed(
        epochs=3, lr=0.2, decay=0.9, flip=0.0, milestones=(0.5, 0.75)
    )
    assert config.options["fcdd"] == {"sigma": 2, "supervision": "pixel"}
    assert (config.explanation.quantile, config.data.image_size) == (0.5, 28)


def test_an_own_recipe_is_taken_whole_and_the_rest_from_the_preset():
    config = make_config(dataset="mvtec", recipe=Recipe.of(epochs=2), options={"fcdd": {"sigma": 3.0}})
    assert config.detector.recipe == Recipe.of(epochs=2)
    assert config.options["fcdd"] == {"supervision": "pixel", "sigma": 3.0}
    assert config.data.confetti_mask == "blob"


def test_a_preset_may_come_from_the_environment_and_the_data_set_from_elsewhere():
    environment = {"FCDD_AUDIT_PRESET": "paper", "FCDD_AUDIT_NOMINAL_CLASS": "cat, 0"}
    config = make_config(read_environment(environment), {"dataset": "cifar10-oe"})
    assert config.detector.recipe.optimisation.epochs == 600
    assert config.nominal_classes() == ("cat", "airplane")
    with pytest.raises(InputError, match="variable FCDD_AUDIT_PRESET: unknown preset 'papre'"):
        make_config(read_environment({"FCDD_AUDIT_PRESET": "papre"}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("none", ()),
        ([], ()),
        ("0.5", (0.5,)),
        (0.5, (0.5,)),
        ((0.25, 0.5), (0.25, 0.5)),
        ("0.2,0.4", (0.2, 0.4)),
    ],
)
def test_milestones_are_shares_or_none(text, value):
    assert make_config({"milestones": text}).detector.recipe.optimisation.milestones == value


# Nominal classes


@pytest.mark.parametrize(
    ("given", "classes"),
    [
        (None, ("airplane",)),
        ("", ("airplane",)),
        ("cat", ("cat",)),
        ("CAT", ("cat",)),
        ("3", ("cat",)),
        (3, ("cat",)),
        ("dog, 0,Ship", ("dog", "airplane", "ship")),
        (["dog", 0], ("dog", "airplane")),
        (("cat",), ("cat",)),
    ],
)
def test_nominal_classes_go_by_name_or_index(given, classes):
    assert make_config({"dataset": "cifar10-oe", "nominal_class": given}).nominal_classes() == classes


def test_all_is_every_class_in_order():
    for given in ("all", ["cat", "all"]):
        classes = make_config({"dataset": "cifar10-oe", "nominal_class": given}).nominal_classes()
        assert len(classes) == 10
        assert (classes[0], classes[-1]) == ("airplane", "truck")


def test_spaces_hyphens_and_underscores_are_one_in_a_class():
    for given in ("metal nut", "Metal-Nut", "metal_nut"):
        assert make_config(dataset="mvtec", nominal_class=given).nominal_classes() == ("metal_nut",)


def test_a_class_written_as_it_is_comes_before_one_written_alike(tmp_path):
    for name in ("Wood", "wood", "1"):
        (tmp_path / name / "train" / "good").mkdir(parents=True)
    config = make_config(dataset="mvtec", data_root=tmp_path, nominal_class="Wood,wood,1")
    assert config.nominal_classes() == ("Wood", "wood", "1")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"dataset": "cifar10-oe", "nominal_class": "hosre"},
            "no nominal class 'hosre'; did you mean 'horse'? ",
        ),
        (
            {"dataset": "cifar10-oe", "nominal_class": "10"},
            "no nominal class '10' (known: 0 to 9, or airplane, ",
        ),
        ({"dataset": "cifar10-oe", "nominal_class": "-1"}, "no nominal class '-1'"),
        ({"dataset": "cifar10-oe", "nominal_class": "1.0"}, "no nominal class '1.0'"),
        ({"dataset": "cifar10-oe", "nominal_class": "cat,3"}, "a nominal class is named twice: cat, cat"),
        (
            {"nominal_class": "grass"},
            "data set 'retina' has no nominal class to choose; drop --nominal-class",
        ),
    ],
)
def test_a_class_that_is_not_there_is_told(settings, expected):
    with pytest.raises(InputError) as error:
        make_config(settings).nominal_classes()
    assert expected in str(error.value)


def test_without_classes_there_is_one_audit():
    assert make_config().nominal_classes() == (None,)
    assert make_config(nominal_class="all").nominal_classes() == (None,)


def test_a_class_must_not_be_called_as_the_means_are(tmp_path):
    (tmp_path / "mean" / "train" / "good").mkdir(parents=True)
    with pytest.raises(InputError, match="a class can't be called 'mean'"):
        make_config(dataset="mvtec", data_root=tmp_path).nominal_classes()


def test_the_data_set_is_asked_for_one_class_and_all_that_belongs_to_it():
    config = make_config(
        {
            "dataset": "mvtec",
            "nominal_class": "all",
            "oe_limit": 5,
            "masks_per_defect": "2",
            "cache": "there",
            "download": True,
        }
    )
    request = config.data_request("wood", progress=True)
    assert (request.nominal_class, request.oe_limit, request.masks_per_defect) == ("wood", 5, 2)
    assert (request.cache, request.download, request.progress) == (Path("there"), True, True)
    assert (request.confetti_mask, request.image_size) == ("blob", 64)


@pytest.mark.parametrize(("network", "channels"), [("vgg11-imagenet", 3), ("vgg11", None)])
def test_pictures_get_the_channels_that_the_network_needs(network, channels):
    assert make_config({"network": network}).data_request().channels == channels


def test_all_explainers_are_asked_for_by_one_word_and_then_checked_on_a_few_images():
    config = make_config(explainers=("all",))
    assert config.explanation.explainers == tuple(EXPLAINERS)
    assert (config.explanation.explained, config.explanation.sanity) == (32, 4)
    assert (make_config().explanation.explained, make_config().explanation.sanity) == (None, 0)
    given = make_config({"explainer": "all", "explained": "7", "sanity": 0})
    assert (given.explanation.explained, given.explanation.sanity) == (7, 0)


@pytest.mark.parametrize("name", ["explained", "sanity"])
def test_a_negative_number_of_explained_images_is_refused(name):
    with pytest.raises(InputError, match=f"{name} is -1"):
        make_config(**{name: -1})


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("occlusion.window=2", "must be in"),
        ("occlusion.windows=0.1", "did you mean 'window'"),
        ("deep-lift.baseline=blakc", "did you mean 'black'"),
        ("oclusion.window=0.1", "did you mean 'occlusion'"),
    ],
)
def test_options_of_explainers_are_checked_before_anything_is_loaded(assignment, reason):
    with pytest.raises(InputError, match=reason):
        make_config(read_assignments([assignment]))


def test_an_address_needs_an_engine_that_has_one(refused):
    with refused(
        "--address is where a cluster is, and the engine 'local' is on this machine", "--engine ray"
    ):
        make_config(address="auto")
    assert make_config(address="auto", engine="ray").run.address == "auto"


def test_an_unknown_engine_is_refused(refused):
    with refused("unknown engine 'rai'; did you mean 'ray'? (known: local, ray)"):
        make_config(engine="rai")


@pytest.mark.parametrize("setting", [{"engine": "ray"}, {"engine": "ray", "address": "auto"}])
def test_a_finished_detector_may_be_asked_of_with_any_engine(setting):
    """It may stand in a variable for all runs."""
    assert make_config(model="mine.onnx", **setting).run.engine == "ray"
