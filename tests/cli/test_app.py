import json
import os
import re
import shutil
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fcdd_audit._version import __version__
from fcdd_audit.cli.app import app
from fcdd_audit.cli.documents import schemas
from fcdd_audit.config.presets import preset_rows
from fcdd_audit.datasets import DATASETS


@pytest.fixture
def damaged(tiny, tmp_path):
    """The same, by links, with one corrupt and one truncated image."""
    root = tmp_path / "damaged"
    for path in tiny.rglob("*.png"):
        link = root / path.relative_to(tiny)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    (root / "train/nominal/corrupt.png").write_bytes(b"no picture")
    return root


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def assert_refused(result, *expected):
    """One line on stderr that says `expected`, nothing on stdout, exit code 2."""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("fcdd-audit: error: ")
    for text in expected:
        assert text in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


# Help, version, lists


def test_the_version_is_printed():
    result = invoke("--version")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"fcdd-audit {__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(
    "command", [[], ["run"], ["calibrate"], ["report"], ["check"], ["compare"], ["discover"], ["list"]]
)
def test_every_command_has_help(command, flag):
    result = invoke(*command, flag)
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    if not command:
        assert all(name in result.stdout for name in ("run", "report", "list"))


def test_help_tells_the_defaults():
    text = " ".join(invoke("run", "--help").stdout.replace("│", " ").split())
    for default in ("retina", "watermark", "fcdd,hsc,ae", "auto", "reports", "DATASET-PROBE"):
        assert f"[default: {default}]" in text


def test_list_also_draws_the_probes(tmp_path):
    result = invoke("list", "probes", "--preview", tmp_path / "probes.png")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{invoke('list', 'probes').stdout}{tmp_path / 'probes.png'}\n"
    with Image.open(tmp_path / "probes.png") as picture:
        assert picture.width > 500


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("probes.txt", ["probes.txt", "suffix", ".png"]),
        ("absent/probes.png", ["absent/probes.png", "No such file"]),
        ("folder.png", ["folder.png", "Is a directory"]),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused(tmp_path, file, expected):
    (tmp_path / "folder.png").mkdir()
    assert_refused(invoke("list", "probes", "--preview", tmp_path / file), *expected)
    assert files(tmp_path) == ["folder.png"]


def test_list_says_which_data_sets_are_ready(class_folders, tiny):
    def states(*flags):
        result = invoke("list", "datasets", *flags)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        names = [line.split(maxsplit=1) for line in lines[::2]]
        assert names == [[name, DATASETS.summary(name)] for name in DATASETS]
        return dict(zip(DATASETS, (line.strip() for line in lines[1::2]), strict=True))

    classes = states("--data-root", class_folders)
    assert classes["textures"] == "ready"
    assert classes["cifar10-oe"].startswith("not ready: without --oe: CIFAR-100 isn't under ")
    assert classes["mvtec"].startswith("not ready: MVTec AD isn't under ")
    assert states("--data-root", tiny)["folder"] == "ready"


def test_list_prints_the_presets_as_a_table():
    lines = [line.split() for line in invoke("list", "presets").stdout.splitlines()]
    assert lines[0] == list(preset_rows()[0])
    assert len(lines) == 1 + len(preset_rows())
    assert next(line for line in lines if line[:2] == ["quick", "epochs"])[:3] == ["quick", "epochs", "5"]


# Bad requests


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset", "texture"], ["'texture'", "did you mean 'textures'?"]),
        (["--detector", "fcdd,hcs"], ["'hcs'", "did you mean 'hsc'?"]),
        (["--explainer", "gradcam"], ["'gradcam'", "did you mean 'grad-cam'?"]),
        (["--probe", "watermak"], ["'watermak'", "did you mean 'watermark'?"]),
        (["--probe", "watermark+jpg"], ["'jpg'", "did you mean 'jpeg'?"]),
        (["--probe", "watermark+"], ["'watermark+' has an empty name", "watermark+jpeg"]),
        (["--probe", "jpeg+blur+jpeg"], ["'jpeg' is named twice", "name it once"]),
        (["--probe", "logo", "--set", "logo.file=mine.png"], ["'mine.png'", "No such file", "PNG"]),
        (["--probe", "jpeg", "--set", "jpeg.quality=best"], ["jpeg quality is 'best'"]),
        (["--probe", "grid", "--set", "grid.period=0.01"], ["grid lines", "leave nothing between them"]),
        (["--plant-on", "nominl"], ["'nominl'", "did you mean 'nominal'?"]),
        (["--probe", "mask+jpeg", "--set", "mask.masks=m"], ["'mask' is found on images", "name it alone"]),
        (["--probe", "mask", "--dataset", "folder"], ["mask masks is empty", "--set mask.masks=PATH"]),
        (["--probe", "region", "--set", "region.width=2"], ["region width is 2"]),
        (
            ["--probe", "mask", "--set", "mask.masks=m", "--plant-on", "oe"],
            ["'mask' is found on images", "the nominal or the anomalous side"],
        ),
        (
            ["--probe", "mask", "--set", "mask.masks=m", "--prevalence", "0.2", "--halves", "removed"],
            ["'mask' is put on images", "--halves removed takes it off"],
        ),
        (["--halves", "removed"], ["--halves is for artifacts that are found", "'watermark' is planted"]),
        (["--probe", "mask", "--set", "mask.masks=m", "--halves", "both"], ["'both'", "known: removed"]),
        (["--probe", "mask", "--set", "mask.masks=missing"], ["'missing'", "mask"]),
        (
            ["--probe", "mask", "--set", "mask.masks=m", "--removal", "inpiant"],
            ["unknown removal 'inpiant'", "did you mean 'inpaint'?"],
        ),
        (["--removal", "drop"], ["removal 'drop'", "'watermark' is planted", "drop --removal"]),
        (["--plant-on", "eo"], ["unknown side 'eo'", "did you mean 'oe'?"]),
        (["--dataset", "folder"], ["--data-root"]),
        (["--dataset", "folder", "--data-root", "missing"], ["'missing' is no folder"]),
        (["--dataset", "folder", "--data-root", "empty"], ["'empty'", "train/nominal", "train/good"]),
        (["--data-root", "empty"], ["--data-root", "retina"]),
        (["--image-size", "65"], ["16 to 64 px, not 65"]),
        (["--image-size", "0"], ["image size is 0"]),
        (["--image-size", "16"], ["watermark", "16x16 px", "--image-size"]),
        (["--oe", "none"], ["--oe none"]),
        (["--prevalence", "1.5"], ["prevalence is 1.5"]),
        (["--prevalence", "-0.5"], ["prevalence is -0.5"]),
        (["--prevalence", "half"], ["prevalence is 'half'; a number is needed"]),
        (["--prevalence", "0.0001"], ["plants the artifact on none"]),
        (["--seeds", "0"], ["seeds is '0'; auto or a whole number over 0 is needed"]),
        (["--preset", "papre"], ["unknown preset 'papre'", "did you mean 'paper'?"]),
        (["--preset", "paper"], ["'paper' has no recipe for data set 'retina'", "leave out --preset"]),
        (["--dataset", "folder", "--data-root", "empty", "--preset", "paper"], ["'paper'", "'folder'"]),
        (["--network", "cnn3"], ["unknown network 'cnn3'", "did you mean 'cnn32'?"]),
        (["--set", "recipe.normalise=grey"], ["unknown normalisation 'grey'", "contrast"]),
        (["--set", "recipe.flip=2"], ["flip is 2.0; it must be at least 0, and at most 1"]),
        (["--set", "recipe.flp=0"], ["unknown recipe setting 'flp'", "did you mean 'flip'?"]),
        (["--nominal-class", "grass"], ["'retina' has no nominal class", "--nominal-class"]),
        (
            ["--dataset", "cifar10-oe", "--nominal-class", "hosre"],
            ["'hosre'", "'horse'", "0 to 9, or airplane"],
        ),
        (
            ["--dataset", "cifar10-oe"],
            ["CIFAR-10", "--data-root", "cifar-10-python.tar.gz", "train/<class>/", "--download", "licence"],
        ),
        (
            ["--dataset", "cifar10-oe", "--data-root", "empty"],
            [
                "CIFAR-10 isn't under 'empty'",
                "cifar-10-python.tar.gz",
                "train/<class>/",
                "--download",
                "licence",
            ],
        ),
        (
            ["--dataset", "imagenet-oe", "--data-root", "absent"],
            ["'absent' (which is no folder)", "image-net.org"],
        ),
        (["--dataset", "mvtec", "--data-root", "empty"], ["MVTec AD isn't under 'empty'", "CC BY-NC-SA"]),
        (["--confetti-mask", "half"], ["confetti mask is 'half'"]),
        (["--oe-limit", "0"], ["oe limit is 0"]),
        (["--seeds", "three"], ["--seeds: seeds is 'three'; auto or a whole number over 0 is needed"]),
        (["--seeds", "2.5"], ["--seeds: seeds is '2.5'; auto or a whole number over 0 is needed"]),
        (["--seeds=-1"], ["--seeds: seeds is '-1'; auto or a whole number over 0 is needed"]),
        (["--max-seeds", "2"], ["--max-seeds: max seeds is 2; at least 3 pairs of twins give a verdict"]),
        (["--budget", "3 days"], ["--budget: budget is '3 days'; a time is needed, such as 90s, 3m or 1.5h"]),
        (["--budget", "0"], ["--budget: budget is 0.0; it must be over 0"]),
        (["--budget", "3m", "--seeds", "5"], ["--budget is for --seeds auto", "drop one of them"]),
        (["--max-seeds", "8", "--seeds", "5"], ["--max-seeds is for --seeds auto", "drop one of them"]),
        (["--explainer", "auto,lrpp"], ["unknown explainer 'lrpp'", "did you mean 'lrp'?"]),
        (["--explained", "-1"], ["explained is -1; it must be at least 0"]),
        (["--epochs", "1.5"], ["epochs"]),
        (["--lr", "-1"], ["lr is -1"]),
        (["--batch-size", "1"], ["batch size is 1"]),
        (["--workers", "0"], ["workers is 0"]),
        (["--name", "a/b"], ["'a/b'", "--out"]),
        (["--out", "file/below"], ["file/below/retina-watermark", "--out"]),
        (["--config", "missing.toml"], ["missing.toml", "No such file"]),
        (["--config", "unknown.toml"], ["'detectr'", "did you mean 'detector"]),
        (["--config", "broken.toml"], ["broken.toml", "no valid TOML"]),
        (["--set", "watermark"], ["--set 'watermark'", "NAME.OPTION=VALUE"]),
        (["--set", "watermrk.size=1"], ["'watermrk'", "did you mean 'watermark'?"]),
        (["--set", "watermark.sise=1"], ["'sise'", "did you mean 'size'?"]),
        (["--set", "watermark.size=2"], ["watermark size is 2; it must be in (0, 1]"]),
        (["--set", "watermark.corner=top"], ["'top'", "known: upper-left"]),
        (["--set", "fcdd.sigma=-1"], ["sigma is -1"]),
        (["--set", "fcdd.sigma=wide"], ["sigma"]),
        (["--device", "cpuu"], ["device 'cpuu'"]),
        (["--device", "cuda:99"], ["device 'cuda:99'"]),
        (["--device", "meta"], ["device 'meta'"]),
        (["--fail-on", "relies,clever"], ["--fail-on: unknown verdict 'clever'", "relies, vulnerable"]),
        (["--bit-depth", "0"], ["--bit-depth: bit depth is 0; it must be at least 8"]),
        (["--dataset", "two\nlines"], ["two"]),  # as in a file name, such as a corrupt image's
        (["--detectr", "fcdd"], ["--detectr", "--detector"]),
        (["extra"], ["extra"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("-") else None,
)
def test_a_bad_request_gets_one_line_and_leaves_nothing_behind(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "unknown.toml").write_text("detectr = 'fcdd'\n")
    (tmp_path / "broken.toml").write_text("seeds = [1,\n2\n")
    before = files(tmp_path)
    out = [] if "--out" in arguments else ["--out", "reports"]
    result = invoke("run", *arguments, *out)
    assert files(tmp_path) == before
    assert_refused(result, *expected)


@pytest.mark.parametrize(
    "variable", ["FCDD_AUDIT_SEDS", "FCDD_AUDIT_SEEDS"], ids=["unknown name", "bad value"]
)
def test_a_bad_variable_is_named_as_it_was_given(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "many")
    result = invoke("run", "--out", tmp_path)
    assert_refused(result, "seeds")
    assert variable in result.stderr
    assert files(tmp_path) == []


def test_the_variable_of_the_tests_is_no_setting(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("FCDD_AUDIT_TEST_DATA", str(tmp_path))
    result = invoke("run", "--dataset", "folder", "--data-root", tiny, "--detector", "ae", "--seeds", 0)
    assert_refused(result, "seeds is '0'")


def test_a_corrupt_image_is_named_until_it_is_skipped(tmp_path, damaged):
    arguments = ["run", "--dataset", "folder", "--data-root", damaged, "--image-size", 32, "--detector", "ae"]
    arguments += ["--out", tmp_path / "reports"]
    assert_refused(invoke(*arguments), "nominal/corrupt.png", "--skip-corrupt")
    assert not (tmp_path / "reports").exists()
    assert invoke(*arguments, "--skip-corrupt", "--dry-run").exit_code == 0


def test_images_smaller_than_the_watermark_are_refused(tmp_path, tiny):
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 20, "--out", tmp_path]
    assert_refused(invoke(*arguments), "20x20 px", "--image-size")
    assert files(tmp_path) == []


def test_a_prevalence_is_checked_on_the_planted_side_only(tmp_path, tiny):
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 32, "--seeds", 1]
    arguments += ["--oe", "photos", "--prevalence", 0.01, "--out", tmp_path, "--dry-run"]
    assert invoke(*arguments, "--detector", "fcdd").exit_code == 0  # 5 of 512 photos
    assert_refused(invoke(*arguments, "--detector", "ae"), "0.01 of 8 images")  # nominal ones


@pytest.mark.parametrize("plant_on", ["oe", "all-but-oe"])
def test_sources_cannot_be_told_apart_without_outlier_exposure(tmp_path, tiny, plant_on):
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 32, "--out", tmp_path]
    result = invoke(*arguments, "--plant-on", plant_on)
    assert_refused(
        result, f"--plant-on {plant_on}", "trained without any", "use --plant-on anomalous or nomi"
    )
    assert files(tmp_path) == []


def test_masks_that_fit_no_training_image_are_refused(tmp_path, tiny):
    mask = np.zeros((32, 32), np.uint8)
    mask[:5, :5] = 255
    for index in range(3):
        path = tmp_path / "marks" / "test/anomalous" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 32, "--probe", "mask"]
    arguments += ["--set", f"mask.masks={tmp_path / 'marks'}", "--out", tmp_path / "reports"]
    assert_refused(invoke(*arguments), "training images of 'folder' bears the artifact", "train/nominal/")
    assert not (tmp_path / "reports").exists()


def test_earlier_results_survive_a_bad_request(tmp_path, tiny):
    (tmp_path / "run/store/trained").mkdir(parents=True)
    (tmp_path / "run/report.html").write_text("earlier")
    before = files(tmp_path)
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 20]
    assert_refused(invoke(*arguments, "--out", tmp_path, "--name", "run"))
    assert files(tmp_path) == before
    assert (tmp_path / "run/report.html").read_text() == "earlier"


@pytest.mark.parametrize(
    "content", [None, {}, {"config.json": "{}", "findings.json": "{}"}, {"config.json": "["}]
)
def test_a_report_needs_the_folder_of_a_run(tmp_path, content):
    folder = tmp_path / "run"
    for name, text in (content or {}).items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    before = files(tmp_path)
    assert_refused(invoke("report", folder), "run'", "fcdd-audit run")
    assert files(tmp_path) == before


# Dry runs


def detectors(plan, count="cells"):
    """How many detectors are planned, or of these to be trained."""
    return sum(group[count] for group in plan["groups"] if group["trained"])


@pytest.fixture
def dry(tmp_path, tiny):
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 32, "--detector", "ae"]
    return [*arguments, "--seeds", 2, "--out", tmp_path / "reports", "--dry-run"]


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, dry):
    result = invoke(*dry)
    assert result.exit_code == 0
    assert result.stderr == ""
    *cells, images, training, seconds, megabytes = result.stdout.splitlines()
    assert cells == [
        "cells     ae, as-is: 0 of 2 used again, 2 to train, 2 to measure",
        "cells     ae, plant watermark nominal 1: 0 of 2 used again, 2 to train, 2 to measure",
        "cells     ae, before training: 1 of 1 to measure",
    ]
    plan = dict(line.split(maxsplit=1) for line in (images, seconds, megabytes))
    assert list(plan) == ["images", "time", "disk"]
    assert (
        plan["images"] == "train nominal 8, train anomalous 3, validation 2, test nominal 3, test anomalous 3"
    )
    assert re.fullmatch(
        r"training  1,000 steps of 8 images \(1,000 epochs\); a pair of twins, on one core: ae [\d.]+ "
        "(s|min)",
        training,
    )
    assert plan["time"].startswith("about ")
    assert not (tmp_path / "reports").exists()


def test_a_dry_run_can_be_read_by_a_machine(tmp_path, dry):
    result = invoke(*dry, "--json", "--prevalence", "0.5,1")
    plan = json.loads(result.stdout)
    assert (detectors(plan), detectors(plan, "to_train")) == (6, 6), (
        "a seed's control serves both prevalences"
    )
    assert plan["images"]["test_nominal"] == 3
    assert plan["lengths"] == [{"steps": 1000, "epochs": 1000, "per_epoch": 1, "batch": 8}]
    assert 0 < plan["a_pair"]["ae"] < 3600
    assert list(plan["looks"]) == ["2"]
    assert 0 < plan["looks"]["2"] < 3600
    assert 0 < plan["megabytes"] < 1000
    assert not (tmp_path / "reports").exists()


def test_a_dry_run_of_pairs_until_settled_says_how_long_each_look_takes(dry):
    result = invoke(*dry, "--seeds", "auto", "--max-seeds", 7)
    assert result.exit_code == 0, result.stderr
    (time,) = [line for line in result.stdout.splitlines() if line.startswith("time")]
    assert re.fullmatch(
        r"time +judged after 4 pairs: [\d.]+ (s|min); 6 pairs: [\d.]+ (s|min); 7 pairs: [\d.]+ (s|min), "
        "whichever settles all",
        time,
    )
    looks = json.loads(invoke(*dry, "--seeds", "auto", "--max-seeds", 7, "--json").stdout)["looks"]
    assert list(looks) == ["4", "6", "7"]
    assert looks["4"] < looks["6"] < looks["7"]


@pytest.mark.parametrize("size", [32, 33, 50])
def test_every_image_size_that_holds_the_watermark_can_be_planned(tiny, tmp_path, size):
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--detector", "ae,fcdd", "--seeds", 1]
    result = invoke(*arguments, "--image-size", size, "--out", tmp_path, "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")


def test_settings_come_from_file_then_environment_then_flags(tmp_path, dry, monkeypatch):
    (tmp_path / "audit.toml").write_text("detector = 'ae,dsvdd'\nprevalence = [0.5, 1]\n")
    dry = [argument for argument in dry if argument not in ("--detector", "ae")]
    monkeypatch.setenv("FCDD_AUDIT_DETECTOR", "dsvdd")

    def cells(*flags):
        return detectors(
            json.loads(invoke(*dry, "--json", "--config", tmp_path / "audit.toml", *flags).stdout)
        )

    assert cells() == 6  # one detector, two seeds, a control and two prevalences
    assert cells("--prevalence", "1") == 4
    assert cells("--detector", "ae,dsvdd") == 12
    monkeypatch.delenv("FCDD_AUDIT_DETECTOR")
    assert cells() == 12


def test_a_dry_run_says_that_the_output_folder_cannot_be_written(tmp_path, dry):
    (tmp_path / "file").touch()
    assert_refused(invoke(*dry, "--out", tmp_path / "file/below"), "--out")


def test_a_dry_run_says_that_a_calibration_is_none(tmp_path, dry):
    (tmp_path / "bad.json").write_text("{}")
    assert_refused(invoke(*dry, "--calibration", tmp_path / "bad.json"), "is no calibration", "calibrate")


# Several nominal classes


def test_results_per_class_and_their_means_are_printed(tmp_path, class_folders):
    arguments = ["run", "--dataset", "cifar10-oe", "--data-root", class_folders, "--nominal-class", "cat,0"]
    arguments += ["--oe", "none", "--detector", "ae", "--explainer", "native", "--seeds", 1, "--workers", 1]
    arguments += ["--epochs", 1, "--out", tmp_path / "reports"]
    plan = json.loads(invoke(*arguments, "--dry-run", "--json").stdout)
    assert detectors(plan) == 4
    assert not (tmp_path / "reports").exists()
    result = invoke(*arguments)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["nominal", "cat", "airplane", "mean"]
    assert "2 inconclusive" in lines[3]
    assert [line.split(":")[0] for line in lines[4:6]] == ["cat, ae", "airplane, ae"]
    found = json.loads(invoke(*arguments, "--json").stdout)
    assert [mean["verdicts"] for mean in found["means"]] == [{"inconclusive": 2}]
    before = files(tmp_path)
    assert_refused(invoke(*arguments, "--nominal-class", "cat,dog"), "3 images of dog", "--nominal-class")
    assert files(tmp_path) == before


# As a process


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """`python -m fcdd_audit run` on a folder with a truncated TIFF, plain or with --debug."""
    root = tmp_path_factory.mktemp("process")
    for part in ("train/nominal", "test/nominal", "test/anomalous"):
        (root / part).mkdir(parents=True)
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(root / part / "scan.tif")
    scan = root / "train/nominal/scan.tif"
    scan.write_bytes(scan.read_bytes()[:100])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FCDD_AUDIT_")}

    def start(*flags):
        command = [
            sys.executable,
            "-m",
            "fcdd_audit",
            "run",
            "--dataset",
            "folder",
            "--data-root",
            root,
            *flags,
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, cwd=root, env=environment, **pipes)

    started = {
        "plain": start(),
        "debug": start("--debug", "--name", "debug"),
    }  # side by side: loading torch takes seconds
    ended = {}
    for name, process in started.items():
        stdout, stderr = process.communicate()
        ended[name] = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    return ended


def test_a_damaged_scan_gets_one_line_whatever_its_libraries_say(process):
    lines = process["plain"].stderr.splitlines()
    assert "nominal/scan.tif" in lines[-1]
    assert "Traceback" not in process["plain"].stderr
    assert (process["plain"].returncode, process["plain"].stdout) == (2, "")
    assert len(lines) == 1


def test_debug_shows_the_traceback(process):
    stderr = process["debug"].stderr
    assert "Traceback (most recent call last)" in stderr
    assert "InputError" in stderr.splitlines()[-1]
    assert process["debug"].stdout == ""


def test_debug_does_not_change_the_exit_code(process):
    assert process["debug"].returncode == 2  # 1 means that a gate found something


def test_compare_refuses_a_folder_that_holds_no_run_in_one_line(tmp_path):
    done = invoke("compare", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "holds no finished audit" in done.stderr
    assert not (tmp_path / "out").exists()


# Explanations compared


@pytest.fixture(scope="module")
def checked(tmp_path_factory, tiny):
    """A run of one pair of twins whose explanations were checked."""
    out = tmp_path_factory.mktemp("checked")
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 32, "--oe", "none"]
    arguments += ["--detector", "ae", "--explainer", "native,grad-cam,random", "--sanity", 1, "--seeds", 1]
    result = invoke(*arguments, "--epochs", 1, "--workers", 1, "--out", out, "--name", "run", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    return out / "run"


def test_a_comparison_prints_a_table_and_the_page_that_it_wrote(checked, tmp_path):
    before = files(checked)
    result = invoke("compare", checked, "--out", tmp_path, "--name", "mine")
    assert (result.exit_code, result.stderr) == (0, "")
    heading, *rows, page = result.stdout.splitlines()
    assert heading.split()[:3] == ["detector", "tier", "explainer"]
    assert page == str(tmp_path / "mine/comparison.html")
    assert {row.split()[1] for row in rows} >= {"native", "random"}, "without a case there is no tier"
    assert all(row.startswith("ae ") for row in rows)
    assert all(" 0 of 0 " in row for row in rows), "one pair of twins has no pair of controls"
    names = ["comparison.csv", "comparison.html", "comparison.json"]
    assert files(tmp_path / "mine") == names
    assert files(checked) == before


def test_a_comparison_can_be_read_by_a_machine_and_be_quiet(checked, tmp_path):
    result = invoke("compare", checked, "--out", tmp_path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "comparison/comparison.json").read_text())
    assert [run["run"] for run in found["runs"]] == ["run"]
    native = next(row for row in found["explainers"] if row["explainer"] == "native")
    assert native["seconds"] > 0
    assert len(native["randomised"]["rank_correlation"]) > 1
    quiet = invoke("compare", checked, "--out", tmp_path, "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.fixture
def mended(checked, tmp_path):
    """A copy of the run, as if it had been trained for longer, and under another name."""
    folder = shutil.copytree(checked, tmp_path / "mended", ignore=shutil.ignore_patterns("store"))
    config = json.loads((folder / "config.json").read_text())
    config["config"]["detector"]["recipe"]["epochs"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_two_audits_of_one_question_are_before_and_after(checked, mended, tmp_path):
    result = invoke("compare", checked, mended, "--out", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    heading, alarms, shift, auroc, said, differs, page = result.stdout.splitlines()
    assert heading.split()[:3] == ["detector", "class", "number"]
    assert "  new alarms  " in alarms
    assert "  score shift  " in shift
    assert "  AUROC  " in auroc
    assert "no difference (no interval). Before: can't tell" in said
    assert differs == "1 setting differs"
    assert page == str(tmp_path / "comparison/comparison.html")


def test_a_change_can_be_read_by_a_machine(checked, mended, tmp_path):
    result = invoke("compare", checked, mended, "--out", tmp_path, "--json", "--as", "change")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["kind"]) == (0, "change")
    assert found == json.loads((tmp_path / "comparison/comparison.json").read_text())
    assert found["differs"] == [{"setting": "detector.recipe.epochs", "before": 1, "after": 2}]
    assert jsonschema.Draft202012Validator(schemas()["change.json"]).is_valid(found)


def test_explainers_are_compared_where_that_is_asked_for(checked, mended, tmp_path):
    result = invoke("compare", checked, mended, "--out", tmp_path, "--json", "--as", "explainers")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["kind"], len(found["runs"])) == (0, "explainers", 2)
    assert jsonschema.Draft202012Validator(schemas()["comparison.json"]).is_valid(found)


def test_a_bad_comparison_gets_one_line_and_writes_nothing(checked, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert_refused(invoke("compare", checked, checked, *out), "given twice")
    assert_refused(invoke("compare", checked, tmp_path / "no\nrun", *out), "holds no finished audit")
    (tmp_path / "file").touch()
    assert_refused(invoke("compare", checked, "--out", tmp_path / "file"), "--out")
    assert_refused(invoke("compare", *out), "RUN")
    assert_refused(invoke("compare", checked, "--as", "change", *out), "takes two runs")
    assert_refused(invoke("compare", checked, "--as", "rumours", *out), "--as")
    assert files(tmp_path) == ["file"]
