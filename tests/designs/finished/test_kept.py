"""What was measured of a finished detector is kept, and isn't measured again."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fcdd_audit import DETECTORS, run_audit
from fcdd_audit.auditing import explain_run
from fcdd_audit.detectors import build

NUMBERS = ("results.csv", "findings.json")


PICTURES = {"score": 0, "anomaly_map": 4 * 3}  # which are made anew: clean, with the artifact, with a placebo


def numbers(folder):
    return {name: (folder / name).read_bytes() for name in NUMBERS}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of an FCDD before training."""
    noise = torch.randint(0, 256, (8, 1, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    save_file({name: one.contiguous() for name, one in build("fcdd", noise, 0).state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def config(patches_config, weights):
    default = {"recipe": {"network": "small", "normalise": "nominal"}, "seeds": None}
    return patches_config.having(
        weights=weights, placebos=39, probe="watermark", options={"watermark": {"size": 0.9}}, **default
    )


@pytest.fixture(scope="module")
def measured(config, tmp_path_factory):
    """A run with one explainer; its page isn't made."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fcdd_audit.auditing.render_report", lambda folder: folder)
        return run_audit(config.having(out=tmp_path_factory.mktemp("measured"))).folder


@pytest.fixture
def run(measured, tmp_path, without_page):
    return shutil.copytree(measured, tmp_path / measured.name)


@pytest.fixture
def calls(monkeypatch):
    """Counts the images that FCDD scores and explains."""
    counts = {"score": 0, "anomaly_map": 0}
    for name in counts:
        usual = getattr(DETECTORS["fcdd"], name)

        def counting(self, x, name=name, usual=usual):
            counts[name] += len(x)
            return usual(self, x)

        monkeypatch.setattr(DETECTORS["fcdd"], name, counting)
    return counts


def kinds(names):
    """Of records, the folder or the explainer."""
    return sorted(name.split("/")[-1].rpartition("-")[0] or name.split("/")[0] for name in names)


def test_a_record_says_whose_weights_were_measured(measured, weights, in_store):
    store = measured / "store"
    assert kinds(in_store(store)) == ["measured", "native", "trained"]
    (trained,) = store.glob("trained/*")
    assert sorted(path.name for path in trained.iterdir()) == ["SHA256SUMS", "identity.json", "training.json"]
    identity = json.loads((trained / "identity.json").read_text())
    stored = json.loads((measured / "config.json").read_text())["weights"]
    assert identity["weights"] == stored["sha256"]
    assert identity["detector"] == "fcdd"
    assert json.loads((trained / "training.json").read_text())["file"] == weights.name


def test_the_same_command_again_scores_and_explains_nothing(run, measured, config, in_store, calls):
    before = in_store(run / "store")
    run_audit(config.having(out=run.parent))
    assert calls == PICTURES
    assert in_store(run / "store") == before
    assert numbers(run) == numbers(measured)


def test_another_explainer_is_all_that_is_measured(config, calls, without_page, in_store, tmp_path):
    """On 20 nominal images with the artifact and 39 placebos. What is found is what a new run finds."""
    gradient = config.having(out=tmp_path / "again", explainers=("gradient",))
    run = run_audit(gradient).folder
    before = in_store(run / "store")
    calls.update(score=0, anomaly_map=0)
    run_audit(gradient)
    pictures = calls["score"]  # of gradient, which asks for scores
    calls.update(score=0, anomaly_map=0)
    run_audit(gradient.having(explainers=("native", "gradient")))
    assert calls["anomaly_map"] == 20 * 40 + PICTURES["anomaly_map"]
    assert calls["score"] == pictures
    assert kinds(in_store(run / "store").keys() - before.keys()) == ["native"]
    whole = run_audit(config.having(out=tmp_path / "whole", explainers=("native", "gradient"))).folder
    assert calls["score"] > pictures
    assert numbers(run) == numbers(whole)


def test_a_removed_explainer_takes_nothing_but_its_numbers(run, config, calls, in_store):
    run_audit(config.having(out=run.parent, explainers=("native", "gradient")))
    before = in_store(run / "store")
    calls.update(score=0, anomaly_map=0)
    (nominal, _) = run_audit(config.having(out=run.parent)).findings
    assert [one.explainer for one in nominal.explainers] == ["native"]
    assert calls == PICTURES
    assert in_store(run / "store") == before


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"placebos": 40}, ["measured", "native"]),
        ({"options": {"watermark": {"size": 0.8}}}, ["measured", "native"]),
        ({"probe": "patch", "options": {"patch": {"size": 0.3}}}, ["measured", "native"]),
    ],
    ids=str,
)
def test_other_marks_are_measured_anew(run, config, in_store, changes, added):
    before = in_store(run / "store")
    run_audit(config.having(out=run.parent, store=run / "store", **changes))
    assert kinds(in_store(run / "store").keys() - before.keys()) == added


@pytest.mark.parametrize(
    ("victim", "again"),
    [("measured/*/scores.csv", ["measured", "native"]), ("measured/*/native-*/overlaps.csv", ["native"])],
)
def test_a_damaged_record_is_measured_again(run, measured, config, in_store, caplog, victim, again):
    (file,) = (run / "store").glob(victim)
    file.write_bytes(file.read_bytes()[:-1])
    before = in_store(run / "store")
    run_audit(config.having(out=run.parent))
    after = in_store(run / "store")
    assert f"'{file.parent}' is damaged" in caplog.text
    assert kinds(name for name in after if after[name] != before.get(name)) == again
    assert numbers(run) == numbers(measured)


def test_runs_can_share_a_store(measured, config, calls, without_page, tmp_path):
    store = shutil.copytree(measured / "store", tmp_path / "shared")
    run = run_audit(config.having(out=tmp_path, store=store)).folder
    assert calls == PICTURES
    assert numbers(run) == numbers(measured)
    assert not (run / "store").exists()


# Explained by more, without its settings


def test_a_finished_run_is_explained_by_more(run, config, without_page, in_store, tmp_path):
    before = in_store(run / "store")
    (nominal, _) = explain_run(run, ("gradient", "edges")).findings
    assert [one.explainer for one in nominal.explainers] == ["native", "gradient"], "no reference maps"
    assert kinds(in_store(run / "store").keys() - before.keys()) == ["gradient"]
    whole = run_audit(config.having(out=tmp_path / "whole", explainers=("native", "gradient"))).folder
    assert numbers(run) == numbers(whole)


@pytest.fixture
def moved(run, config, tmp_path):
    """Makes the run look for its images and weights in copies, that may be changed."""
    images = shutil.copytree(config.data.data_root, tmp_path / "copy")
    weights = shutil.copy(config.detector.weights, tmp_path / "detector.safetensors")
    content = json.loads((run / "config.json").read_text())
    content["config"]["data"]["data_root"] = images.as_posix()
    content["config"]["detector"]["weights"] = str(weights)
    (run / "config.json").write_text(json.dumps(content))
    return images, weights


def test_whose_images_are_others_is_refused(run, moved, refused, in_store):
    victim = moved[0] / "test" / "nominal" / "3.png"
    pixels = np.asarray(Image.open(victim)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(victim)
    before = numbers(run), in_store(run / "store")
    with refused("images"):
        explain_run(run, ("gradient",))
    assert (numbers(run), in_store(run / "store")) == before


def test_whose_weights_are_others_is_refused(run, moved, refused, in_store):
    values = load_file(moved[1])
    save_file({name: one * 1.5 for name, one in values.items()}, moved[1])
    before = numbers(run), in_store(run / "store")
    with refused("weights"):
        explain_run(run, ("gradient",))
    assert (numbers(run), in_store(run / "store")) == before


def test_whose_weights_are_gone_is_refused(run, moved, refused):
    (moved[0].parent / "detector.safetensors").unlink()
    with refused("can't read the weights"):
        explain_run(run, ("gradient",))
