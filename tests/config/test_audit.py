import json
from pathlib import Path

import pytest
import torch

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.config.convert import parse_option
from fcdd_audit.config.layers import make_config, read_config, read_environment
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural.artifacts import Masked, Region
from fcdd_audit.probes import Chain
from fcdd_audit.probes.stamps import Watermark
from fcdd_audit.probes.tones import Jpeg


def complaint(*layers, **settings):
    """What a bad request is answered with."""
    with pytest.raises(InputError) as error:
        make_config(*layers, settings)
    assert "\n" not in str(error.value)
    return str(error.value)


# Layers


def test_without_settings_the_defaults_hold():
    assert make_config() == make_config({}, {}) == AuditConfig()


def test_later_layers_win_setting_by_setting(tmp_path):
    (tmp_path / "audit.toml").write_text("seeds = 4\nepochs = 4\nname = 'file'\nprevalence = [0.5]\n")
    file = read_config(tmp_path / "audit.toml")
    environment = read_environment({"FCDD_AUDIT_EPOCHS": "5", "FCDD_AUDIT_NAME": "environment", "SEEDS": "9"})
    config = make_config(file, environment, {"name": "flag", "epochs": None})
    assert (config.seeds, config.prevalence) == (4, (0.5,)), "from the file, over the default"
    assert config.recipe.optimisation.epochs == 5, "from the environment, over the file"
    assert config.name == "flag", "from the flag, over the environment"
    assert config.detectors == AuditConfig().detectors, "the default"


def test_none_and_only_none_means_not_given():
    assert make_config({"seeds": 5, "skip_corrupt": True}, {"seeds": None, "skip_corrupt": None}).seeds == 5
    assert make_config({"skip_corrupt": True}, {"skip_corrupt": False}).skip_corrupt is False


def test_flags_names_and_fields_names_are_one_setting():
    assert make_config({"detectors": "fcdd"}, {"detector": "ae"}).detectors == ("ae",)
    assert make_config({"explainer": "native"}, {"explainers": ["edges"]}).explainers == ("edges",)


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
    assert config.detectors == ("fcdd", "ae")
    assert config.explainers == ("native",)
    assert config.prevalence == (0.2, 1.0)
    assert (config.seeds, config.workers, config.image_size) == (5, 2, 48)
    assert (config.data_root, config.out) == (Path("some/where"), Path("else/where"))
    assert config.skip_corrupt is True
    assert (config.recipe.optimisation.epochs, config.recipe.optimisation.lr) == (3, 0.01)


@pytest.mark.parametrize("value", [0.5, "0.5", ["0.5"], [0.5], (0.5,)])
def test_a_list_may_be_one_value(value):
    assert make_config({"prevalence": value}).prevalence == (0.5,)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("No", False), ("0", False), (True, True), (False, False)],
)
def test_yes_and_no_are_understood(text, value):
    assert make_config({"skip_corrupt": text}).skip_corrupt is value


def test_a_path_may_start_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert make_config({"out": "~/reports"}).out == tmp_path / "reports"


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
        ("steps", "some"),
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
    assert config.recipe == AuditConfig().recipe.changed(epochs=7, batch_size=8, lr=0.01)
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
    ("assignment", "expected"),
    [
        ("watermark.size=0.5", ("watermark", "size", 0.5)),
        (" watermark.size = .5", ("watermark", "size", 0.5)),
        ("ae.dimensions=8", ("ae", "dimensions", 8)),
        ("watermark.text=(c) me", ("watermark", "text", "(c) me")),
        ("watermark.text='(c) me'", ("watermark", "text", "(c) me")),
        ("watermark.text=a=b.c", ("watermark", "text", "a=b.c")),
        ("watermark.text='2024'", ("watermark", "text", "2024")),
        ("watermark.text=", ("watermark", "text", "")),
    ],
)
def test_an_assignment_names_an_option_and_a_value(assignment, expected):
    assert parse_option(assignment) == expected


@pytest.mark.parametrize(
    "assignment", ["", "watermark", "watermark.size", "size=1", ".size=1", "watermark.=1", "=1"]
)
def test_other_assignments_are_told_the_form(assignment):
    with pytest.raises(InputError) as error:
        parse_option(assignment)
    assert str(error.value) == f"--set '{assignment}' must read NAME.OPTION=VALUE, as in watermark.size=0.5"


def test_text_made_of_digits_is_text_where_text_is_needed():
    name, option, value = parse_option("watermark.text=2024")
    assert make_config({"options": {name: {option: value}}}).make_artifact() == Watermark(text="2024")


def test_several_probes_have_their_options_by_name():
    config = make_config(
        {"probe": "watermark+jpeg", "options": {"watermark": {"size": 0.5}, "jpeg": {"quality": 50}}}
    )
    assert config.make_artifact() == Chain((Watermark(size=0.5), Jpeg(quality=50)))
    assert make_config({"probe": "jpeg"}).make_artifact() == Jpeg()


REGION = {"probe": "region", "options": {"region": {"width": 0.25, "height": 0.5}}}


def test_an_artifact_may_be_found_on_the_images():
    config = make_config(REGION, {"control": "inpaint", "dataset": "folder"})
    assert config.make_artifact() == Region(width=0.25, height=0.5)
    assert (config.run_name, config.control) == ("folder-region", "inpaint")
    assert make_config().control == "auto"
    name, option, value = parse_option("mask.masks=2024")
    config = make_config({"probe": "mask", "options": {name: {option: value, "only": "date"}}})
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
        ({"plant_on": "nominl"}, "unknown side 'nominl' for --plant-on; did you mean 'nominal'?"),
        ({"seed": 3}, "unknown setting 'seed'; did you mean 'seeds'?"),
        ({"epoch": 3}, "unknown setting 'epoch'; did you mean 'epochs'?"),
        ({"detecter": "fcdd"}, "unknown setting 'detecter'; did you mean 'detector"),
        ({"recipe": {"learning": 1, "lr_": 1}}, "unknown recipe setting 'learning'"),
        ({"recipe": {"epoch": 1}}, "unknown recipe setting 'epoch'; did you mean 'epochs'?"),
        ({"probe": "watermark+jpg"}, "unknown probe 'jpg'; did you mean 'jpeg'?"),
        ({"options": {"jpg": {}}}, "unknown detector, probe or explainer 'jpg'; did you mean 'jpeg'?"),
        ({"preset": "papre"}, "unknown preset 'papre'; did you mean 'paper'? (known: paper, quick)"),
        ({"network": "cnn23"}, "unknown network 'cnn23'; did you mean 'cnn32'?"),
        ({"normalise": "nominl"}, "unknown normalisation 'nominl'; did you mean 'nominal'?"),
        (
            {"options": {"watermrk": {}}},
            "probe or explainer 'watermrk'; did you mean 'watermark'?",
        ),
        ({"options": {"watermark": {"txt": 1}}}, "watermark has no option 'txt'; did you mean 'text'?"),
        ({"options": {"fcdd": {"sigm": 1}}}, "fcdd has no option 'sigm'; did you mean 'sigma'?"),
        ({"options": {"fcdd": {"shape": 1}}}, "fcdd has no option 'shape'"),
        ({"options": {"watermark": {"corner": "lower"}}}, "unknown watermark corner 'lower'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(settings, expected):
    assert expected in complaint(settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"detector": ""}, "no detector given; name at least one with --detector"),
        ({"explainer": []}, "no explainer given; name at least one with --explainer"),
        ({"detector": "ae,ae"}, "a detector is named twice: ae, ae"),
        ({"explainer": "edges,edges"}, "explainer is named twice: edges, edges"),
        ({"prevalence": ""}, "no prevalence given"),
        (
            {"probe": "watermark+"},
            "probe 'watermark+' has an empty name; give one name, or several joined by +",
        ),
        ({"probe": ""}, "probe '' has an empty name"),
        ({"probe": "jpeg+jpeg"}, "probe 'jpeg' is named twice in 'jpeg+jpeg'"),
        (
            {"probe": "date+jpeg", "options": {"jpeg": {"quality": 0}}},
            "jpeg quality is 0; it must be in [1, 100]",
        ),
        ({"probe": "jpeg", "options": {"jpeg": {"quality": 2.5}}}, "jpeg quality is 2.5; a int is needed"),
        ({"probe": "bars", "options": {"bars": {"count": True}}}, "bars count is True; a int is needed"),
        ({"probe": "tint", "options": {"tint": {"colour": 7}}}, "tint colour is 7; a str is needed"),
        (
            {"probe": "region+jpeg"},
            "'region' is found on images, not planted, so it can't be used in 'region+jpeg'; name it alone",
        ),
        ({"probe": "jpeg+mask"}, "'mask' is found on images, not planted"),
        ({"probe": "mask"}, "mask masks is empty; give a folder of mask images"),
        ({"probe": "region"}, "region width is 0.0; it must be in (0, 1]"),
        ({**REGION, "options": {"region": {"widht": 0.1}}}, "region has no option 'widht'"),
        (
            {**REGION, "plant_on": "nominal"},
            "'region' is found on images, not planted: it takes",
        ),
        ({**REGION, "plant_on": "oe"}, "'region' is found on images, not planted: it takes"),
        ({**REGION, "prevalence": "0.5"}, "'region' is found on images, not planted: it takes"),
        ({**REGION, "prevalence": "0.5,1"}, "'region' is found on images, not planted"),
        (
            {**REGION, "control": "dorp"},
            "unknown control 'dorp'; did you mean 'drop'? (known: auto, drop, inp",
        ),
        (
            {"control": "drop"},
            "control 'drop' is for artifacts that are found on images, and 'watermark' is planted; drop --co",
        ),
        ({"control": "inpaint", "probe": "frame+jpeg"}, "and 'frame+jpeg' is planted; drop --control"),
        (
            {"plant_on": "all-but-eo"},
            "'all-but-eo' for --plant-on; did you mean 'all-but-oe'? (known: auto, ",
        ),
        ({"prevalence": "1,1.0"}, "a prevalence is given twice"),
        ({"prevalence": "0.2,1.5"}, "prevalence is 1.5; it is a share and must be in [0, 1]"),
        ({"prevalence": -0.1}, "prevalence is -0.1; it is a share and must be in [0, 1]"),
        ({"prevalence": "nan"}, "prevalence is nan"),
        ({"seeds": 0}, "seeds is 0; at least 1 is needed"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"image_size": 0}, "image size is 0; it must be at least 1 px"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": 1}, "batch size is 1; it must be at least 2"),
        ({"lr": 0}, "lr is 0.0; it must be over 0"),
        ({"lr": float("nan")}, "lr is nan; it must be over 0"),
        ({"recipe": {"oe_probability": 1}}, "oe probability is 1.0; it must be in (0, 1)"),
        ({"recipe": {"shift": 0.5}}, "shift is 0.5; it must be in [0, 0.5)"),
        ({"recipe": {"noise": -1}}, "noise is -1.0; it must be at least 0"),
        ({"confetti_mask": "half"}, "confetti mask is 'half'; it must be full or blob"),
        ({"quantile": 0}, "quantile is 0.0; it must be in (0, 1]"),
        ({"quantile": "nan"}, "quantile is nan; it must be in (0, 1]"),
        ({"oe_limit": 0}, "oe limit is 0; it must be at least 1 image"),
        ({"masks_per_defect": -1}, "masks per defect is -1; it must be at least 0"),
        ({"milestones": "0.9,0.1"}, "milestones is (0.9, 0.1); it must be a tuple of rising shares"),
        ({"optimizer": "adamw"}, "optimizer is 'adamw'; it must be adam or sgd"),
        (
            {"preset": "paper"},
            "preset 'paper' has no recipe for data set 'textures' (it has for cifar10-oe, ",
        ),
        ({"recipe": 5}, "setting 'recipe' must be a table"),
        ({"options": "watermark"}, "setting 'options' must be a table"),
        ({"options": {"watermark": 5}}, "setting 'options.watermark' must be a table"),
        ({"options": {"watermark": {"size": "big"}}}, "watermark size is 'big'; a float is needed"),
        ({"options": {"watermark": {"size": True}}}, "watermark size is True; a float is needed"),
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
    assert make_config(seeds_and_more).prevalence == (0.0,)


def test_the_run_is_named_after_data_set_and_probe_unless_told():
    assert make_config().run_name == "textures-watermark"
    assert make_config({"probe": "watermark+jpeg"}).run_name == "textures-watermark+jpeg"
    assert make_config({"dataset": "folder", "name": "mine 2"}).run_name == "mine 2"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a/", "../a", "a\\b", " ", "a\nb", "a\0b"])
def test_a_run_name_must_be_a_plain_folder_name(name):
    assert "must be a plain folder name; the parent folder is --out" in complaint(name=name)


def test_a_device_is_resolved():
    assert AuditConfig(device="cpu").resolve_device() == torch.device("cpu")
    assert AuditConfig().resolve_device().type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("device", ["cpuu", "", "cuda:99", "cuda:x", "meta", "privateuseone"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device):
    with pytest.raises(InputError, match=f"device '{device}' can't be used here") as error:
        AuditConfig(device=device).resolve_device()
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


def test_a_config_becomes_plain_json():
    config = make_config(
        {"out": "a/b", "prevalence": "0.2,1", "options": {"watermark": {"size": 0.5}}, "epochs": 2}
    )
    plain = json.loads(json.dumps(config.as_json()))
    assert plain["out"] == "a/b"
    assert plain["data_root"] is None
    assert plain["prevalence"] == [0.2, 1.0]
    assert plain["options"]["watermark"] == {"size": 0.5}
    assert plain["nominal_class"] == []
    assert plain["recipe"]["epochs"] == 2
    assert set(plain) == set(AuditConfig.__dataclass_fields__)


# Presets


def test_python_and_the_command_line_get_the_same_from_a_preset():
    for settings in ({"dataset": "cifar10-oe"}, {"dataset": "mvtec", "preset": "paper"}):
        assert AuditConfig(**settings) == make_config(settings)
    config = AuditConfig(dataset="mvtec", preset="paper")
    assert (config.recipe.network, config.recipe.optimisation.repeats, config.image_size) == (
        "vgg11-imagenet",
        10,
        224,
    )
    assert (config.options["fcdd"], config.quantile) == ({"sigma": 12, "supervision": "pixel"}, 0.99)


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
    name, option, value = parse_option("recipe.flip=0")
    config = make_config(
        read_config(tmp_path / "audit.toml"),
        read_environment(environment),
        {"epochs": "3"},
        {"recipe": {option: value}, "options": {"fcdd": {"supervision": "pixel"}}},
    )
    assert name == "recipe"
    preset = AuditConfig(dataset="fmnist-oe", preset="paper")
    assert config.recipe == preset.recipe.changed(
        epochs=3, lr=0.2, decay=0.9, flip=0.0, milestones=(0.5, 0.75)
    )
    assert config.options["fcdd"] == {"sigma": 2, "supervision": "pixel"}
    assert (config.quantile, config.image_size) == (0.5, 28)


def test_an_own_recipe_is_taken_whole_and_the_rest_from_the_preset():
    config = AuditConfig(dataset="mvtec", recipe=Recipe.of(epochs=2), options={"fcdd": {"sigma": 3.0}})
    assert config.recipe == Recipe.of(epochs=2)
    assert config.options["fcdd"] == {"supervision": "pixel", "sigma": 3.0}
    assert config.confetti_mask == "blob"


def test_a_preset_may_come_from_the_environment_and_the_data_set_from_elsewhere():
    environment = {"FCDD_AUDIT_PRESET": "paper", "FCDD_AUDIT_NOMINAL_CLASS": "cat, 0"}
    config = make_config(read_environment(environment), {"dataset": "cifar10-oe"})
    assert config.recipe.optimisation.epochs == 600
    assert config.nominal_classes() == ("cat", "airplane")
    with pytest.raises(InputError, match="variable FCDD_AUDIT_PRESET: unknown preset 'papre'"):
        read_environment({"FCDD_AUDIT_PRESET": "papre"})
    with pytest.raises(InputError, match="variable FCDD_AUDIT_FLIP: flip is 2"):
        read_environment({"FCDD_AUDIT_FLIP": "2"})


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
    assert make_config({"milestones": text}).recipe.optimisation.milestones == value


@pytest.mark.parametrize(("given", "steps"), [("70", 70), (70, 70), ("none", None), (None, None)])
def test_a_training_may_be_given_in_steps(given, steps):
    assert make_config({"recipe": {"steps": given}}).recipe.optimisation.steps == steps


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
        assert AuditConfig(dataset="mvtec", nominal_class=given).nominal_classes() == ("metal_nut",)


def test_a_class_written_as_it_is_comes_before_one_written_alike(tmp_path):
    for name in ("Wood", "wood", "1"):
        (tmp_path / name / "train" / "good").mkdir(parents=True)
    config = AuditConfig(dataset="mvtec", data_root=tmp_path, nominal_class="Wood,wood,1")
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
            "data set 'textures' has no nominal class to choose; drop --nominal-class",
        ),
    ],
)
def test_a_class_that_is_not_there_is_told(settings, expected):
    with pytest.raises(InputError) as error:
        make_config(settings).nominal_classes()
    assert expected in str(error.value)


def test_without_classes_there_is_one_audit():
    assert AuditConfig().nominal_classes() == (None,)
    assert AuditConfig(nominal_class="all").nominal_classes() == (None,)


def test_a_class_must_not_be_called_as_the_means_are(tmp_path):
    (tmp_path / "mean" / "train" / "good").mkdir(parents=True)
    with pytest.raises(InputError, match="a class can't be called 'mean'"):
        AuditConfig(dataset="mvtec", data_root=tmp_path).nominal_classes()


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
    config = AuditConfig(explainers=("all",))
    assert config.explainers == tuple(EXPLAINERS)
    assert (config.explained, config.sanity) == (32, 4)
    assert (AuditConfig().explained, AuditConfig().sanity) == (0, 0)
    given = make_config({"explainer": "all", "explained": "7", "sanity": 0})
    assert (given.explained, given.sanity) == (7, 0)


@pytest.mark.parametrize("name", ["explained", "sanity"])
def test_a_negative_number_of_explained_images_is_refused(name):
    with pytest.raises(InputError, match=f"{name} is -1"):
        AuditConfig(**{name: -1})


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
    name, option, value = parse_option(assignment)
    with pytest.raises(InputError, match=reason):
        AuditConfig(options={name: {option: value}})
