"""A finished detector, from its weights or code to the report."""

import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from fcdd_audit import (
    DATASETS,
    DataRequest,
    InputError,
    Recipe,
    make_config,
    render_report,
    run_audit,
)
from fcdd_audit.cli.app import app
from fcdd_audit.cli.documents import schemas
from fcdd_audit.config.layers import read_environment
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.designs.finished.dose import STEPS
from fcdd_audit.designs.finished.estimate import estimate
from fcdd_audit.detectors import build, fit
from fcdd_audit.detectors.weights import read_weights
from fcdd_audit.experiment.folder import SCHEMA, RunFolder
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.probes import PROBES, mark_all

NOMINAL, ANOMALOUS, VALIDATION = 100, 90, 60  # images of textures
LARGE = {"size": 0.9}  # of the watermark, so that it is legible on 32 px
WATERMARK = PROBES["watermark"](**LARGE)
PATCH = {"size": 0.25, "margin": 0.0, "jitter": 0.0}  # 8 x 8 in the corner of 32 px


# Weights of one's own: real images, briefly trained


@pytest.fixture(scope="module")
def textures():
    return DATASETS["textures"]().load(DataRequest(image_size=32))


def trained(textures, anomalous, path):
    nominal = textures.train_nominal.images
    detector = build("fcdd", nominal, 0)
    fit(detector, nominal, anomalous, Recipe.of(epochs=3, precision="float32"), 0, torch.device("cpu"))
    save_file({name: value.contiguous() for name, value in detector.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def weights(textures, tmp_path_factory):
    """Of an FCDD that saw the watermark on all its outlier exposure."""
    marked, _ = mark_all(textures.train_anomalous.images, WATERMARK, torch_generator(0, "planting"))
    return trained(textures, marked, tmp_path_factory.mktemp("weights") / "planted.safetensors")


@pytest.fixture(scope="module")
def images(textures, tmp_path_factory):
    """A folder without training images: grass, and gravel and brick."""
    root = tmp_path_factory.mktemp("images")
    parts = {
        "test/nominal": (textures.test_nominal, NOMINAL),
        "test/anomalous": (textures.test_anomalous, ANOMALOUS),
        "validation/nominal": (textures.validation, VALIDATION),
    }
    for folder, (part, count) in parts.items():
        (root / folder).mkdir(parents=True)
        for i in np.linspace(0, len(part) - 1, count).astype(int):
            Image.fromarray(part.images[i, 0].numpy()).save(root / folder / f"{i:03d}.png")
    return root


@pytest.fixture(scope="module")
def config(weights, images, tmp_path_factory):
    return make_config(
        dataset="folder",
        data_root=images,
        image_size=32,
        detectors=("fcdd",),
        explainers=("native", "gradient", "edges"),
        explained=6,
        weights=weights,
        options={"watermark": LARGE},
        out=tmp_path_factory.mktemp("reports"),
    )


@pytest.fixture(scope="module")
def run(config):
    return run_audit(config)


@pytest.fixture(scope="module")
def found(run):
    return json.loads((run.folder / "findings.json").read_text())


def test_the_detector_that_learned_the_mark_is_vulnerable_to_it(run):
    nominal, _ = run.findings
    assert (nominal.verdict, nominal.harm, nominal.reason) == ("vulnerable", "alarms", None)
    assert nominal.alarms.low > 0.05
    assert nominal.control_auroc > 0.9
    assert nominal.finished["dose"]["opacity"][-1]["newly_wrong"] > 0.05, "it has a dose"


def test_one_that_never_saw_it_is_robust_to_it(textures, config, without_page, tmp_path):
    clean = trained(textures, textures.train_anomalous.images, tmp_path / "clean.safetensors")
    nominal, _ = run_audit(config.having(weights=clean, explainers=("native",), out=tmp_path)).findings
    assert (nominal.verdict, nominal.harm) == ("robust", "none")
    assert nominal.alarms.high < 0.05
    assert nominal.finished["dose"] is None, "which wasn't asked for"


def test_there_is_a_finding_for_each_side(run, found):
    assert found == run.as_json()
    assert (found["schema"], found["means"], found["origin"]) == (SCHEMA, [], [])
    jsonschema.validate(found, schemas()["findings.json"])
    sides = {"nominal": ("anomalous", NOMINAL), "anomalous": ("nominal", ANOMALOUS)}
    for finding, (side, (plant_on, count)) in zip(found["findings"], sides.items(), strict=True):
        assert (finding["design"], finding["plant_on"], finding["prevalence"]) == ("finished", plant_on, None)
        assert (finding["seeds"], finding["images"]) == (0, count)
        assert (finding["dataset"], finding["detector"], finding["probe"]) == ("folder", "fcdd", "watermark")
        numbers = finding["finished"]
        assert (numbers["side"], numbers["placebos"], len(numbers["kinds"])) == (side, 39, 39)
        assert numbers["threshold_from"] == f"the 95 % quantile of {VALIDATION} held-out nominal images"
        assert finding["specific"] == numbers["specific"]["answer"]
        assert finding["alarms"] == numbers["rate"]
    judged, other = found["findings"]
    # edges is a reference map
    assert [one["explainer"] for one in judged["explainers"]] == ["native", "gradient"]
    assert list(judged["finished"]["shown"]) == ["native", "gradient"]
    assert (other["explainers"], other["finished"]["shown"]) == ([], {})


def test_the_table_has_each_number_once(run, found):
    table = pd.read_csv(run.folder / "results.csv", keep_default_na=False)
    assert tuple(table.columns) == COLUMNS
    assert set(table["twin"]) == {"finished"}
    assert set(table["prevalence"]) == {""}
    assert not table.duplicated(["plant_on", "explainer", "split", "metric"]).any()

    def value(plant_on, split, metric, explainer=""):
        rows = table[
            (table["plant_on"] == plant_on)
            & (table["split"] == split)
            & (table["metric"] == metric)
            & (table["explainer"] == explainer)
        ]
        return float(rows["value"].item())

    first = found["findings"][0]["finished"]
    assert value("", "clean", "auroc") == first["auroc"]
    assert value("", "usual", "auroc") == first["auroc_in_use"] == first["auroc"], (
        "what is planted isn't in use"
    )
    assert value("", "validation", "threshold") == first["threshold"]
    for finding in found["findings"]:
        side, numbers = finding["plant_on"], finding["finished"]
        assert value(side, "artifact", "newly_wrong") == numbers["rate"]["value"]
        assert value(side, "artifact", "p_newly_wrong") == numbers["p"]
        assert value(side, "artifact", "own_shift") == numbers["shift"]
        assert value(side, "artifact", "auroc_lost") == numbers["auroc_lost"]
        assert value(side, "artifact", "p_holm") == numbers["specific"]["p_holm"]
        assert value(side, "placebos", "likeness") == numbers["likeness"]
        assert value(side, "placebo-39", "newly_wrong") == numbers["specific"]["placebos"][38]
    for step in first["dose"]["opacity"]:
        assert value("anomalous", f"opacity-{step['share']:g}", "newly_wrong") == step["newly_wrong"]
    row, column = first["dose"]["rows"][1], first["dose"]["columns"][0]
    assert value("anomalous", f"place-{row}-{column}", "newly_wrong") == first["dose"]["places"][1][0]
    native = first["shown"]["native"]
    assert value("anomalous", "artifact", "pixel_auroc", "native") == native["value"]["value"]
    assert value("anomalous", "artifact", "beyond_placebos", "native") == native["excess"]["value"]
    assert value("anomalous", "placebo-2", "pixel_auroc", "native") == native["placebos"][1]


def test_the_config_says_which_weights_and_which_images(run, config, weights):
    stored = json.loads((run.folder / "config.json").read_text())
    assert (stored["schema"], stored["design"]) == (SCHEMA, "finished")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert stored["detector"] == {
        "name": "fcdd",
        "format": "weights",
        "file": "planted.safetensors",
        "sha256": sha256,
    }
    (data,) = stored["data"]
    assert data["images"] == {
        "train_nominal": 0,
        "train_anomalous": 0,
        "validation": VALIDATION,
        "test_nominal": NOMINAL,
        "test_anomalous": ANOMALOUS,
    }
    assert [question["plant_on"] for question in stored["questions"]] == ["anomalous", "nominal"]
    assert stored["unexplained"] == {"edges": "a reference map knows nothing of it"}
    assert stored["device"]["precision"] == "float32"
    assert config.run_name == run.folder.name == "folder-watermark-finished"


def test_pictures_are_of_what_was_tested(run):
    arrays = RunFolder(run.folder).read_arrays("examples-0.npz")
    assert list(arrays["side"]) == ["nominal"] * 3 + ["anomalous"] * 3
    outside = ~np.broadcast_to(arrays["mask"], arrays["clean"].shape)
    for variant in ("marked", "placebo"):
        assert (arrays[variant] != arrays["clean"])[~outside].mean() > 0.5
        assert (arrays[variant] == arrays["clean"])[outside].all()
    assert (arrays["marked"] != arrays["placebo"]).any()
    assert arrays["heat.native"].shape == (3, 6, 32, 32)
    assert "heat.edges" not in arrays


# The report


def test_rendering_again_gives_the_same_page(run):
    before = run.report.read_text(encoding="utf-8")
    run.report.unlink()
    assert render_report(run.folder) == run.report
    assert run.report.read_text(encoding="utf-8") == before


def test_the_page_needs_nothing_of_the_store(run, tmp_path):
    copy = shutil.copytree(
        run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("store", "report.html")
    )
    assert (run.folder / "store").is_dir()
    assert render_report(copy).read_bytes() == run.report.read_bytes()


def test_names_from_outside_are_escaped(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    evil = "</script><script>alert(1)</script><b>"
    for name in ("config.json", "findings.json"):
        nominal = json.loads((copy / "findings.json").read_text())["findings"][0]["nominal_class"]
        for old in ("planted.safetensors", nominal) if name == "config.json" else (nominal,):
            text = (copy / name).read_text().replace(json.dumps(old), json.dumps(evil))
            (copy / name).write_text(text)
    arrays = dict(np.load(copy / "examples-0.npz"))
    np.savez(copy / "examples-0.npz", **{**arrays, "name": np.array([evil] * len(arrays["name"]))})
    text = render_report(copy).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 4


def test_a_folder_without_its_pictures_is_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / "examples-0.npz").unlink()
    with pytest.raises(InputError, match=r"no complete run \(.*examples-0.npz"):
        render_report(copy)


# Models from elsewhere, by the command line


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def noise(written, tmp_path_factory):
    """Noise of 32 px, whose anomalies are brighter."""
    return written(tmp_path_factory.mktemp("noise"), nominal=90, anomalous=88, validation=40, side=32)


def arguments_for(models, name, root, out, *more, probe="patch", options=PATCH):
    return [
        *("run", "--dataset", "folder", "--data-root", root, "--image-size", 32, "--out", out),
        *("--model", f"{models}:{name}", "--probe", probe, *more),
        *(f"--set={probe}.{option}={value}" for option, value in options.items()),
    ]


@pytest.fixture
def asked(models, noise, tmp_path, without_page):
    """Runs a model and reads what was printed."""

    def make(name, *more, root=noise, **artifact):
        result = invoke(*arguments_for(models, name, root, tmp_path, *more, "--json", **artifact))
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["findings"]

    return make


@pytest.mark.parametrize(
    ("name", "verdicts", "specific", "shown"),
    [
        ("Robust", ("robust", "robust"), ("no", "no"), ("gradient", "no", "clear")),
        ("Vulnerable", ("vulnerable", "robust"), ("yes", "no"), ("native", "yes", "exposed")),
        ("Hiding", ("robust", "vulnerable"), ("no", "yes"), ("gradient", None, None)),
        ("Fearful", ("vulnerable", "robust"), ("no", "no"), ("gradient", "no", "undecided")),
    ],
)
def test_models_of_code_are_found_out(asked, name, verdicts, specific, shown):
    findings = asked(name)
    assert tuple(finding["verdict"] for finding in findings) == verdicts
    assert tuple(finding["specific"] for finding in findings) == specific
    for finding, side in zip(findings, ("nominal", "anomalous"), strict=True):
        vulnerable = finding["verdict"] == "vulnerable"
        right = 1 - finding["finished"]["wrong_clean"]
        assert finding["alarms"]["value"] == (pytest.approx(right) if vulnerable else 0), "all, or none"
        assert finding["harm"] == (
            {"nominal": "alarms", "anomalous": "hides"}[side] if vulnerable else "none"
        )
        assert (finding["finished"]["dose"] is not None) == vulnerable
    explainer, answer, quadrant = shown
    said = {one["explainer"]: one for one in findings[0]["explainers"]}[explainer]
    if answer is not None:
        assert (said["reveals"], said["quadrant"]) == (answer, quadrant)


def test_the_dose_of_a_template(asked):
    """A match of .21 is needed, and with the patch it is .25; elsewhere and weaker there is none."""
    dose = asked("Vulnerable")[0]["finished"]["dose"]
    assert (dose["least_opacity"], dose["least_size"]) == (1, 1)
    assert dose["opacity"][-2]["newly_wrong"] == dose["size"][-2]["newly_wrong"] == 0
    assert (dose["rows"][0], dose["columns"][0]) == (0, 0)
    assert dose["places"][0][0] == dose["opacity"][-1]["newly_wrong"] > 0.8
    assert np.max(np.array(dose["places"])[1:, 1:]) < 0.05, "but for those in the middle"


def test_a_dose_may_be_asked_for_in_any_case(asked):
    for finding in asked("Robust", "--dose"):
        dose = finding["finished"]["dose"]
        assert {step["newly_wrong"] for step in dose["opacity"]} == {0}
        assert (dose["least_opacity"], dose["least_size"]) == (None, None)


def test_a_threshold_of_ones_own_decides(asked):
    findings = asked("Vulnerable", "--threshold", 0.6)
    for finding in findings:
        assert finding["finished"]["threshold"] == 0.6
        assert finding["finished"]["threshold_from"] == "as given"
        assert finding["finished"]["wrong_clean"] < 0.05
    assert [finding["verdict"] for finding in findings] == ["vulnerable", "robust"]


def test_a_threshold_in_other_units_gets_no_verdict(asked):
    for finding in asked("Vulnerable", "--threshold", 200):
        assert (finding["verdict"], finding["missing"]) == ("inconclusive", "room")
        assert "the threshold 200 lies above all scores of the test images" in finding["reason"]
        assert "units" in finding["reason"]


def test_a_score_of_the_other_sign_is_said_and_never_turned(asked):
    for finding in asked("Reversed"):
        assert (finding["verdict"], finding["missing"]) == ("inconclusive", "working-control")
        assert "nominal images score higher than anomalous ones" in finding["reason"]
        assert finding["control_auroc"] < 0.3


def test_clipped_scores_have_no_shift_and_it_is_said(asked, tmp_path):
    for finding in asked("Clipped"):
        assert finding["finished"]["shift"] is None
        assert finding["dependence"] is None
    stored = json.loads((tmp_path / "folder-patch-finished" / "config.json").read_text())
    clipped = [note for note in stored["notes"] if "look clipped, so that shifts aren't given" in note]
    assert ["lowest" in note for note in clipped] == [True, False], "at both ends"
    assert any("clamps" in note for note in stored["notes"]), "so says the model itself"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Constant", "gives all 178 test images the score 1"),
        ("Infinite", "scores that aren't finite"),
        ("absent", "has no 'absent'"),
    ],
)
def test_models_that_cannot_be_audited_get_one_line(models, noise, tmp_path, name, said):
    out = tmp_path / "out"
    result = invoke(*arguments_for(models, name, noise, out))
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert said in result.stderr
    assert not (out / "folder-patch-finished").exists()


def test_code_is_said_to_be_code_and_where_it_is_from(models, noise, tmp_path, without_page):
    invoke(*arguments_for(models, "Robust", noise, tmp_path))
    stored = json.loads((tmp_path / "folder-patch-finished" / "config.json").read_text())
    assert stored["detector"]["factory"] == "own_models.py:Robust"
    assert stored["detector"]["sha256"] == hashlib.sha256(Path(models).read_bytes()).hexdigest()
    assert stored["config"]["detector"]["model"] == f"{models}:Robust"


@pytest.mark.parametrize(
    ("name", "criterion", "code"),
    [
        ("Vulnerable", "vulnerable", 1),
        ("Vulnerable", "relies", 3),  # which isn't asked of it
        ("Robust", "relies,vulnerable", 0),
        ("Reversed", "vulnerable", 3),
    ],
)
def test_a_pipeline_can_fail_on_it(models, noise, tmp_path, without_page, name, criterion, code):
    given = arguments_for(models, name, noise, tmp_path, "--fail-on", criterion)
    assert invoke(*given).exit_code == code


def test_what_a_model_prints_is_not_among_what_is_read(models, noise, tmp_path, few, without_page):
    result = invoke(*arguments_for(models, "Chatty", few(noise), tmp_path, "--json"))
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)["findings"]) == 2
    assert "a model says hello" in result.stderr


@pytest.mark.parametrize(("name", "righted"), [("Telltale", 1.0), ("Robust", 0.0)])
def test_what_catches_anomalies_by_a_found_artifact_alone_is_vulnerable(
    asked, noise, marked, tmp_path, name, righted
):
    """All anomalies came with the patch, and no nominal image."""
    root, masks = shutil.copytree(noise, tmp_path / "root"), tmp_path / "masks" / "test" / "anomalous"
    masks.mkdir(parents=True)
    mask = np.zeros((32, 32), np.uint8)
    mask[:8, :8] = 255
    for path in (marked / "test" / "anomalous").iterdir():
        shutil.copy(path, root / "test" / "anomalous")
        Image.fromarray(mask).save(masks / path.name)
    given = {"root": root, "probe": "mask", "options": {"masks": tmp_path / "masks"}}
    put_on, finding = asked(name, "--threshold", 0.58, **given)
    assert (put_on["plant_on"], put_on["images"]) == ("anomalous", 90)  # cut out of anomalies
    assert (finding["finished"]["side"], finding["images"]) == ("anomalous", 88)
    assert finding["finished"]["wrong_marked"] == 0
    assert finding["verdict"] == ("vulnerable" if righted else "robust")
    assert finding["finished"]["righted"]["value"] == righted


def test_the_table_is_printed(models, noise, tmp_path, without_page):
    result = invoke(*arguments_for(models, "Vulnerable", noise, tmp_path))
    assert result.exit_code == 0, result.stderr
    heading, nominal, anomalous, report = result.stdout.splitlines()
    assert heading.split()[:4] == ["detector", "artifact", "on", "verdict"]
    assert "90 nominal images" in nominal
    assert "vulnerable: it raises alarms" in nominal
    assert "raise an alarm (" in nominal
    assert "native: exposed" in nominal
    assert "88 anomalous images" in anomalous
    assert "robust" in anomalous
    assert report == str(tmp_path / "folder-patch-finished" / "report.html")


def test_a_run_is_explained_by_more(models, noise, tmp_path, without_page):
    invoke(*arguments_for(models, "Vulnerable", noise, tmp_path, "--explained", 4, "--explainer", "native"))
    folder = tmp_path / "folder-patch-finished"
    before = json.loads((folder / "findings.json").read_text())
    more = ("explain", folder, "--explainer", "gradient", "--quiet")
    refused = invoke(*more)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "add --trust-model if you trust the run and the model" in refused.stderr
    assert json.loads((folder / "findings.json").read_text()) == before
    result = invoke(*more, "--trust-model")
    assert result.exit_code == 0, result.stderr
    after = json.loads((folder / "findings.json").read_text())
    names = [[one["explainer"] for one in found["findings"][0]["explainers"]] for found in (before, after)]
    assert names == [["native"], ["native", "gradient"]]
    for one, other in zip(before["findings"], after["findings"], strict=True):
        for key in ("verdict", "alarms", "specific"):
            assert one[key] == other[key]


# What came with the images


@pytest.fixture(scope="module")
def marked(noise, tmp_path_factory):
    """Test images that came with the patch in their corner; masks of ten nominal ones."""
    root = tmp_path_factory.mktemp("marked")
    shutil.copytree(noise / "validation", root / "validation")
    squares = np.arange(8) // 2
    patch = ((squares[:, None] + squares) % 2 * 255).astype(np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[:8, :8] = 255
    for path in sorted((noise / "test").rglob("*.png")):
        pixels = np.asarray(Image.open(path)).copy()
        name = path.relative_to(noise)
        pixels[:8, :8] = patch
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
        if path.parent.name == "nominal" and int(path.stem) < 10:
            (root / "marks" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(root / "marks" / name)
    return root


@pytest.fixture
def few(tmp_path):
    """Takes eight test images of each side, since filling in takes time."""

    def make(root):
        copy = shutil.copytree(root, tmp_path / "few")
        for side in ("nominal", "anomalous"):
            for path in sorted((copy / "test" / side).iterdir())[8:]:
                path.unlink()
        return copy

    return make


REGION = {"probe": "region", "options": {"width": 0.25, "height": 0.25}}


@pytest.mark.parametrize(("name", "verdict"), [("Robust", "inconclusive"), ("Vulnerable", "vulnerable")])
def test_a_region_is_judged_by_its_removal(asked, marked, few, name, verdict):
    nominal, anomalous = asked(name, root=few(marked), **REGION)
    assert (nominal["plant_on"], anomalous["plant_on"]) == ("found-on-anomalous", "found-on-nominal")
    assert (nominal["verdict"], nominal["specific"]) == (verdict, "yes" if verdict == "vulnerable" else "no")
    assert (anomalous["verdict"], anomalous["missing"]) == ("inconclusive", "images")
    for finding in (nominal, anomalous):
        assert finding["images"] == 8, "all of them bear it"
        assert set(finding["finished"]["kinds"]) == {"elsewhere"}
        assert finding["finished"]["dose"] is None, "what was found can't be weakened"


def test_a_mask_is_judged_on_the_images_that_bear_it(asked, marked):
    finding, put_on = asked("Vulnerable", root=marked, probe="mask", options={"masks": marked / "marks"})
    assert (put_on["finished"]["side"], put_on["plant_on"]) == ("anomalous", "nominal")
    assert (finding["finished"]["side"], finding["images"]) == ("nominal", 10)
    assert (finding["verdict"], finding["specific"]) == ("vulnerable", "yes")
    shown = {one["explainer"]: one["reveals"] for one in finding["explainers"]}
    assert shown["native"] == "yes"


def test_a_mask_of_too_few_images_asks_for_more(asked, marked):
    finding, _ = asked("Robust", root=marked, probe="mask", options={"masks": marked / "marks"})
    assert (finding["verdict"], finding["missing"], finding["images_needed"]) == (
        "inconclusive",
        "images",
        72,
    )


# What it would take


def test_a_dry_run_says_how_much_is_to_be_scored_and_writes_nothing(models, noise, tmp_path):
    given = arguments_for(models, "Robust", noise, tmp_path, "--dry-run")
    result = invoke(*given)
    assert (result.exit_code, result.stderr) == (0, "")
    plan = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    scored, explained, dosed = 40 + 2 * 178 + 178 * 40, 30 * 40, 178 * STEPS
    assert plan["scored"] == (
        f"{scored} images, with 39 placebos; {explained} explained; for the dose up to {dosed} more"
    )
    assert plan["images"] == "validation 40, test nominal 90, test anomalous 88"
    assert plan["time"].startswith("about ")
    assert plan["disk"].startswith("about ")
    read = json.loads(invoke(*given, "--json").stdout)
    assert (read["placebos"], read["scored"], read["explained"]) == (39, scored, explained)
    assert list(tmp_path.iterdir()) == []


def test_of_an_artifact_without_placebos_less_is_to_be_scored(models, noise, tmp_path):
    config = make_config(
        dataset="folder", data_root=noise, image_size=32, model=f"{models}:Robust", probe="jpeg", out=tmp_path
    )
    plan = estimate(config)
    assert (plan.scored, plan.explained, plan.dosed) == (40 + 2 * 178, 0, 0)


def test_an_artifact_without_placebos_is_tested_all_the_same(asked):
    for finding in asked("Robust", "--threshold", 0.58, probe="jpeg", options={}):
        assert finding["verdict"] == "robust"
        assert finding["specific"] is None
        assert "has no mask" in finding["finished"]["why_not_specific"]
        assert finding["explainers"] == []


# Settings


def test_a_records_folder_stands_for_its_weights(weights, tmp_path):
    record = tmp_path / "store" / "trained" / "abc"
    record.mkdir(parents=True)
    shutil.copy(weights, record / "detector.safetensors")
    found, whole = read_weights(record), read_weights(weights)
    assert (found.file, found.sha256, found.channels) == ("detector.safetensors", whole.sha256, 1)


def test_weights_and_placebos_may_come_from_the_environment(weights):
    environment = {"FCDD_AUDIT_WEIGHTS": str(weights), "FCDD_AUDIT_PLACEBOS": "199"}
    config = make_config(read_environment(environment), {"detector": "fcdd"})
    assert (config.detector.weights, config.design.placebos) == (weights, 199)
    with pytest.raises(InputError, match="variable FCDD_AUDIT_PLACEBOS: placebos is 'many'"):
        make_config(read_environment({"FCDD_AUDIT_PLACEBOS": "many"}))


# Bad requests


@pytest.fixture
def bad_weights(weights, tmp_path):
    """Files that can't be used, by name."""
    folder = tmp_path / "bad"
    (folder / "empty").mkdir(parents=True)
    values = load_file(weights)
    (folder / "text").write_text("no weights")
    (folder / "cut").write_bytes(weights.read_bytes()[:-100])
    (folder / "model.pt2").write_text("no model")
    first = "features.0.weight"
    save_file({name: value for name, value in values.items() if name != first}, folder / "lacking")
    save_file({**values, "other": torch.zeros(2)}, folder / "unexpected")
    save_file({**values, first: torch.zeros(2, 2)}, folder / "shape")
    save_file({**values, first: values[first] * float("nan")}, folder / "nan")
    save_file({**values, "mean": torch.zeros(1, 3, 1, 1)}, folder / "colour")
    return folder


@pytest.fixture
def command(config, tmp_path):
    arguments = ["run", "--dataset", "folder", "--data-root", config.data.data_root, "--image-size", 32]
    arguments += ["--detector", "fcdd", "--explainer", "native"]
    arguments += ["--set", f"watermark.size={LARGE['size']}"]
    return [*arguments, "--weights", config.detector.weights, "--out", tmp_path]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--weights", "missing"], ["can't read the weights", "missing", "No such file", "--weights"]),
        (["--weights", "empty"], ["empty/detector.safetensors", "No such file"]),
        (["--weights", "text"], ["'text' is no whole safetensors file", "save_file"]),
        (["--weights", "cut"], ["'cut' is no whole safetensors file"]),
        (["--weights", "lacking"], ["'lacking' don't fit fcdd", "there is no 'features.0.weight'"]),
        (["--weights", "unexpected"], ["'unexpected' don't fit fcdd", "'other' has no place"]),
        (["--weights", "shape"], ["'features.0.weight' is (2, 2), not (16, 1, 3, 3)", "--network", "--set"]),
        (["--weights", "nan"], ["'features.0.weight'", "'nan'", "aren't finite"]),
        (["--weights", "colour"], ["small for images of 3x32x32", "'std' is (1, 1, 1, 1), not (1, 3, 1, 1)"]),
        (["--detector", "hsc"], ["don't fit hsc", "there is no 'embed.2.weight'", "--detector"]),
        (["--detector", "ae"], ["don't fit ae", "there is no 'embed."]),
        (["--network", "cnn32"], ["don't fit fcdd with the network cnn32 for images of 1x32x32"]),
        (["--detector", "fcdd,hsc"], ["weights are of one detector, and not of fcdd, hsc", "--detector"]),
        (["--model", "x.py:make"], ["--weights and --model both name a finished detector"]),
        (["--mean", "0.5"], ["--mean is for --model"]),
        (["--placebos", "38"], ["38 placebos can't settle both sides together", "at least 39 are needed"]),
        (["--placebos", "1001"], ["1001 placebos are more than anything could tell", "at most 1000"]),
        (["--placebos", "some"], ["placebos is 'some'", "auto or a whole number over 0 is needed"]),
        (["--threshold", "nan"], ["threshold is 'nan'", "finite"]),
        (["--seeds", "3"], ["--seeds is for twins", "--weights"]),
        (["--prevalence", "0.5"], ["--prevalence is for twins"]),
        (["--plant-on", "nominal"], ["--plant-on is for twins"]),
        (["--nominal-class", "a,b"], ["one nominal class", "--nominal-class"]),
        (["--oe", "photos"], ["nothing is trained, and '--oe photos' can't be used"]),
        (["--explainer", "edges"], ["none of the explainers edges explains fcdd", "reference map"]),
        (["--set", "watermark.size=0.01"], ["watermark"]),
        (["--data-root", "empty"], ["'empty' has neither test/nominal nor test/good"]),
        (["--out", "text/below"], ["can't write to", "--out"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("-") else None,
)
def test_a_bad_request_gets_one_line_and_leaves_nothing_behind(
    command, bad_weights, tmp_path, monkeypatch, arguments, expected
):
    monkeypatch.chdir(bad_weights)
    out = tmp_path / "out"
    result = invoke(*command, "--out", out, *arguments)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for text in expected:
        assert text in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threshold", 0.5], "--threshold is for finished detectors; name one with --model or --weights"),
        (["--placebos", 199], "--placebos is for finished detectors"),
        (["--dose"], "--dose is for finished detectors"),
        (["--weights", "x.safetensors"], "not of fcdd, hsc, ae; name the detector with --detector"),
        (["--model", "model.pt2"], "add --trust-model"),
        (["--model", "nowhere.onnx"], "there is no file 'nowhere.onnx'"),
        (["--model", "x.py:make", "--detector", "fcdd"], "--model brings its own detector"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    bad_weights, tmp_path, monkeypatch, arguments, expected
):
    monkeypatch.chdir(bad_weights)
    result = invoke("run", *arguments, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert expected in result.stderr
    assert not (tmp_path / "out").exists()


def test_scores_that_are_not_finite_end_it_with_nothing_written(command, weights, tmp_path):
    values = load_file(weights)
    save_file({**values, "std": torch.zeros_like(values["std"])}, tmp_path / "flat")
    result = invoke(*command, "--weights", tmp_path / "flat", "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 1
    assert "aren't finite" in result.stderr
    assert not (tmp_path / "out").exists()
