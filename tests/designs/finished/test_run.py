"""A finished detector, from its weights to the report: real images, briefly trained."""

import hashlib
import json
import shutil
from dataclasses import replace

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
    PlaceboResult,
    Recipe,
    make_config,
    placebo_test,
    render_report,
    run_audit,
)
from fcdd_audit.cli.app import app
from fcdd_audit.config.layers import read_environment
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.text import number, span
from fcdd_audit.designs.finished import run as running
from fcdd_audit.designs.finished.estimate import estimate
from fcdd_audit.detectors import build, fit
from fcdd_audit.detectors.weights import read_weights
from fcdd_audit.experiment.folder import SCHEMA, RunFolder
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.probes import PROBES, mark_all
from fcdd_audit.verdict.thresholds import Thresholds

EACH = 24  # test images a side
LARGE = {"size": 0.9}  # of the watermark, so that it is legible on 32 px
WATERMARK = PROBES["watermark"](**LARGE)


@pytest.fixture(scope="module")
def textures():
    return DATASETS["textures"]().load(DataRequest(image_size=32))


@pytest.fixture(scope="module")
def weights(textures, tmp_path_factory):
    """Of an FCDD that saw the watermark on all its outlier exposure."""
    nominal = textures.train_nominal.images
    marked, _ = mark_all(textures.train_anomalous.images, WATERMARK, torch_generator(0, "planting"))
    detector = build("fcdd", nominal, 0)
    fit(detector, nominal, marked, Recipe.of(epochs=3, precision="float32"), 0, torch.device("cpu"))
    path = tmp_path_factory.mktemp("weights") / "planted.safetensors"
    save_file({name: value.contiguous() for name, value in detector.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def images(textures, tmp_path_factory):
    """A folder with test images only: grass, and gravel and brick."""
    root = tmp_path_factory.mktemp("images")
    for side, part in (("nominal", textures.test_nominal), ("anomalous", textures.test_anomalous)):
        (root / "test" / side).mkdir(parents=True)
        for i in np.linspace(0, len(part) - 1, EACH).astype(int):
            Image.fromarray(part.images[i, 0].numpy()).save(root / "test" / side / f"{i:03d}.png")
    return root


@pytest.fixture(scope="module")
def config(weights, images, tmp_path_factory):
    return make_config(
        dataset="folder",
        data_root=images,
        image_size=32,
        detectors=("fcdd",),
        explainers=("native", "gradient", "edges"),
        weights=weights,
        placebos=39,
        options={"watermark": LARGE},
        thresholds=Thresholds(draws=200),
        out=tmp_path_factory.mktemp("reports"),
    )


@pytest.fixture(scope="module")
def run(config):
    return run_audit(config)


@pytest.fixture(scope="module")
def found(run):
    return json.loads((run.folder / "findings.json").read_text())


@pytest.fixture(scope="module")
def by_hand(config, images, weights):
    """The same test from Python."""
    detector = build("fcdd", torch.zeros(1, 1, 32, 32, dtype=torch.uint8), 5)
    detector.load_state_dict(load_file(weights))
    data = DATASETS["folder"]().load(DataRequest(images, image_size=32, test_only=True))
    return placebo_test(
        detector.eval().score,
        data.test_nominal.images,
        data.test_anomalous.images,
        WATERMARK,
        39,
        explain={"native": detector.anomaly_map},
        limits=config.design.thresholds,
    )


# What is found


def test_the_run_finds_what_the_test_finds_from_python(found, by_hand):
    assert isinstance(by_hand, PlaceboResult)
    plain = by_hand.as_json()
    for finding, side in zip(found["findings"], plain["sides"], strict=True):
        placebo = finding["placebo"]
        assert (finding["verdict"], finding["reason"]) == (side["verdict"], side["reason"])
        assert finding["reliance"] == pytest.approx(side["excess"], abs=1e-6)
        assert placebo["side"] == side["side"]
        for key in ("effect", "placebo_effects", "placebo_shifts", "shift", "p", "p_holm", "shift_p"):
            assert placebo[key] == pytest.approx(side[key], abs=1e-4), key
        for key in ("placebos", "likeness", "clean_auroc", "seed", "nominal_images", "anomalous_images"):
            assert placebo[key] == pytest.approx(plain[key]), key
    native = found["findings"][0]["explainers"][0]
    assert native["excess_pixel_auroc"] == pytest.approx(plain["explanations"]["native"]["excess"], abs=1e-5)


def test_the_brief_detector_works_and_fears_any_such_mark(by_hand):
    """It learned the mark on outliers: a placebo costs it as much, and it isn't cleared."""
    assert by_hand.clean_auroc > 0.9
    assert by_hand.sides[0].effect.value > 0.1
    assert by_hand.sides[0].verdict == "inconclusive"
    assert by_hand.sides[1].verdict == "does-not-rely"


def test_there_is_a_finding_for_each_side(run, found):
    assert found == run.as_json()
    assert (found["schema"], found["means"], found["origin"]) == (SCHEMA, [], [])
    for finding, plant_on in zip(found["findings"], ("anomalous", "nominal"), strict=True):
        assert (finding["design"], finding["plant_on"], finding["prevalence"]) == ("finished", plant_on, None)
        assert (finding["seeds"], finding["images"]) == (0, 2 * EACH)
        assert (finding["dataset"], finding["detector"], finding["probe"]) == ("folder", "fcdd", "watermark")
        assert len(finding["placebo"]["placebo_effects"]) == 39
    judged, other = found["findings"]
    # edges is a reference map
    assert [one["explainer"] for one in judged["explainers"]] == ["native", "gradient"]
    assert list(judged["placebo"]["explanations"]) == ["native", "gradient"]
    assert other["explainers"] == []
    assert other["placebo"]["explanations"] == {}


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

    assert value("", "clean", "auroc") == found["findings"][0]["placebo"]["clean_auroc"]
    for finding in found["findings"]:
        side, placebo = finding["plant_on"], finding["placebo"]
        assert value(side, "artifact", "effect") == placebo["effect"]["value"]
        assert value(side, "artifact", "reliance") == finding["reliance"]["value"]
        assert value(side, "artifact", "p") == placebo["p"]
        assert value(side, "placebo-39", "effect") == placebo["placebo_effects"][38]
        assert value(side, "placebo-1", "score_shift") == placebo["placebo_shifts"][0]
    native = found["findings"][0]["placebo"]["explanations"]["native"]
    assert value("anomalous", "artifact", "pixel_auroc", "native") == native["overlap"]["value"]
    assert value("anomalous", "placebo-2", "pixel_auroc", "native") == native["placebo_overlaps"][1]


def test_the_config_says_which_weights_and_which_images(run, config, weights):
    stored = json.loads((run.folder / "config.json").read_text())
    assert (stored["schema"], stored["design"]) == (SCHEMA, "finished")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert stored["weights"] == {"file": "planted.safetensors", "sha256": sha256}
    (data,) = stored["data"]
    assert data["images"] == {
        "train_nominal": 0,
        "train_anomalous": 0,
        "validation": 0,
        "test_nominal": EACH,
        "test_anomalous": EACH,
    }
    assert [question["plant_on"] for question in stored["questions"]] == ["anomalous", "nominal"]
    assert stored["device"]["precision"] == "float32"
    assert config.run_name == run.folder.name == "folder-watermark-finished"


def test_pictures_are_of_what_was_tested(run, config):
    arrays = RunFolder(run.folder).read_arrays("examples-0.npz")
    assert list(arrays["side"]) == ["nominal"] * 2 + ["anomalous"] * 2
    outside = ~np.broadcast_to(arrays["mask"], arrays["clean"].shape)
    for variant in ("marked", "placebo"):
        assert (arrays[variant] != arrays["clean"])[~outside].mean() > 0.5
        assert (arrays[variant] == arrays["clean"])[outside].all()
    assert (arrays["marked"] != arrays["placebo"]).any()
    assert arrays["heat.native"].shape == (3, 4, 32, 32)
    assert "heat.edges" not in arrays


# The report


def test_the_report_says_it_in_words(run, found):
    source = run.report.read_text(encoding="utf-8")
    words = " ".join(source.split())
    first = found["findings"][0]
    assert "fcdd</b> and the watermark: no clear answer where nominal images bear it" in words
    assert "does not rely on the watermark where anomalous images bear it" in words
    cost = span(first["placebo"]["effect"])
    assert f'<a href="#measure-auroc_lost">costs</a> <b>{cost}</b> of AUROC' in words
    for measure in ("auroc_lost", "auroc_lost_beyond_placebos", "p", "p_holm", "score_shift", "likeness"):
        assert f'<tr id="measure-{measure}">' in source
    assert '<tr id="measure-reliance">' not in source, "which compares twins"
    assert "Only twins can" in words
    assert "SHA-256" in words
    assert number(first["placebo"]["likeness"]) in words
    for part in ("verdict", "question", "placebos", "pictures", "method", "measures", "provenance"):
        assert f'<section id="{part}"' in source
        assert f'href="#{part}"' in source
    assert source.count("<svg ") == 2 + 2, "a figure for each side and each explanation"
    assert source.count("<caption>") == source.count("<table")
    assert source.count("<img ") == source.count('alt="') == 4 * (3 + 2 * 3)
    assert "http://" not in source.replace("http://www.w3.org/", "")
    assert "https://" not in source


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


# The command line


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def command(config, tmp_path):
    arguments = ["run", "--dataset", "folder", "--data-root", config.data.data_root, "--image-size", 32]
    arguments += ["--detector", "fcdd", "--explainer", "native", "--placebos", 39]
    arguments += ["--set", f"watermark.size={LARGE['size']}"]
    return [*arguments, "--weights", config.detector.weights, "--out", tmp_path]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("relies", "does-not-rely"), 1),
        (("inconclusive", "relies"), 1),
        (("does-not-rely", "does-not-rely"), 0),
        (("inconclusive", "does-not-rely"), 3),
    ],
)
def test_the_gate_goes_by_both_sides(command, by_hand, monkeypatch, verdicts, code):
    sides = tuple(
        replace(side, verdict=verdict, reason="why" if verdict == "inconclusive" else None)
        for side, verdict in zip(by_hand.sides, verdicts, strict=True)
    )
    monkeypatch.setattr(running, "judged", lambda *_, **__: replace(by_hand, sides=sides))
    result = invoke(*command, "--fail-on", "relies", "--json")
    assert result.exit_code == code
    stored = json.loads(result.stdout)
    assert [finding["verdict"] for finding in stored["findings"]] == list(verdicts)


def test_the_table_is_printed(command, by_hand, monkeypatch, tmp_path):
    monkeypatch.setattr(running, "judged", lambda *_, **__: by_hand)
    result = invoke(*command)
    assert result.exit_code == 0
    heading, nominal, anomalous, reason, report = result.stdout.splitlines()
    assert heading.split("  ")[0] == "detector"
    assert nominal.split()[:4] == ["fcdd", "nominal", "images", "inconclusive"]
    assert anomalous.split()[:4] == ["fcdd", "anomalous", "images", "does-not-rely"]
    assert "native: " in nominal
    assert reason.startswith("nominal images: the artifact costs ")
    assert report == str(tmp_path / "folder-watermark-finished" / "report.html")


def test_a_dry_run_says_how_much_is_to_be_scored_and_writes_nothing(command, tmp_path):
    result = invoke(*command, "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    plan = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert plan["scored"] == f"{2 * EACH * 41} images, with 39 placebos; {EACH * 40} explained"
    assert plan["images"] == f"test nominal {EACH}, test anomalous {EACH}"
    assert plan["time"].startswith("about ")
    assert plan["disk"].startswith("about ")
    read = json.loads(invoke(*command, "--dry-run", "--json").stdout)
    assert (read["placebos"], read["scored"], read["explained"]) == (39, 2 * EACH * 41, EACH * 40)
    assert list(tmp_path.iterdir()) == []


def test_other_data_sets_load_as_usual(config):
    plan = estimate(config.having(dataset="textures", data_root=None))
    assert plan.images == {"test_nominal": 279, "test_anomalous": 558}
    assert plan.explained == 279 * 40 * 2


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
    first = "features.0.weight"
    save_file({name: value for name, value in values.items() if name != first}, folder / "lacking")
    save_file({**values, "other": torch.zeros(2)}, folder / "unexpected")
    save_file({**values, first: torch.zeros(2, 2)}, folder / "shape")
    save_file({**values, first: values[first] * float("nan")}, folder / "nan")
    save_file({**values, "mean": torch.zeros(1, 3, 1, 1)}, folder / "colour")
    return folder


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
        (["--placebos", "38"], ["placebos is 38; at least 39 are needed"]),
        (["--placebos", "some"], ["placebos"]),
        (["--seeds", "3"], ["--seeds is for twins", "--weights"]),
        (["--prevalence", "0.5"], ["--prevalence is for twins"]),
        (["--plant-on", "nominal"], ["--plant-on is for twins"]),
        (["--nominal-class", "a,b"], ["one nominal class", "--nominal-class"]),
        (["--oe", "photos"], ["nothing is trained, and '--oe photos' can't be used"]),
        (["--explainer", "edges"], ["none of the explainers edges explains fcdd", "reference maps"]),
        (["--probe", "jpeg"], ["has no mask", "train twins"]),
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


def test_without_weights_nothing_is_said_of_finished_detectors(tmp_path):
    result = invoke("run", "--placebos", 199, "--out", tmp_path)
    assert result.exit_code == 2
    assert "--placebos 199 is for finished detectors" in result.stderr
    result = invoke("run", "--weights", "x.safetensors", "--out", tmp_path)
    assert "not of fcdd, hsc, ae; name the detector with --detector" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_not_finite_end_it_with_nothing_written(command, weights, tmp_path):
    values = load_file(weights)
    save_file({**values, "std": torch.zeros_like(values["std"])}, tmp_path / "flat")
    result = invoke(*command, "--weights", tmp_path / "flat", "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 1
    assert "aren't finite" in result.stderr
    assert not (tmp_path / "out").exists()
