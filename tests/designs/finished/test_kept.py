"""What was measured of a finished detector is kept, and isn't measured again."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import load_file, save_file

from fcdd_audit import DETECTORS, run_audit
from fcdd_audit.auditing import explain_run
from fcdd_audit.designs.affected import SHOWN
from fcdd_audit.designs.finished.kept import places_of
from fcdd_audit.designs.finished.loading import load
from fcdd_audit.designs.finished.measuring import measure
from fcdd_audit.detectors import build
from fcdd_audit.experiment.explaining import scored_at_once
from fcdd_audit.experiment.folder import VARIANTS

NUMBERS = ("results.csv", "findings.json")
NOMINAL, ANOMALOUS, VALIDATION = 20, 18, 5  # test images, and a fifth of the training images
TESTS, PLACEBOS = NOMINAL + ANOMALOUS, 39
PICTURES = 2 * SHOWN * len(VARIANTS)  # of both sides
# Each run scores a batch twice, to learn its speed, the test images without and with the artifact, by which a
# model is known, those that the threshold is from, and those that the page shows.
AGAIN = {
    "score": 2 * scored_at_once(torch.device("cpu")) + 2 * TESTS + VALIDATION + PICTURES,
    "anomaly_map": PICTURES,
}
AFRESH = {
    "score": AGAIN["score"] + 2 * TESTS + TESTS * (1 + PLACEBOS),
    "anomaly_map": PICTURES + NOMINAL * (1 + PLACEBOS),
}


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
    patch = {"probe": "patch", "options": {"patch": {"size": 0.3}}}
    return patches_config.having(weights=weights, explainers=("native",), **patch, **default)


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
    stored = json.loads((measured / "config.json").read_text())["detector"]
    assert identity["weights"] == stored["sha256"]
    assert identity["detector"] == "fcdd"
    assert json.loads((trained / "training.json").read_text())["file"] == weights.name


def test_a_new_run_scores_each_image_with_each_mark_once(config, calls, without_page, tmp_path):
    run_audit(config.having(out=tmp_path))
    assert calls == AFRESH


def test_the_same_command_again_measures_nothing(run, measured, config, in_store, calls):
    before = in_store(run / "store")
    run_audit(config.having(out=run.parent))
    assert calls == AGAIN
    assert in_store(run / "store") == before
    assert numbers(run) == numbers(measured)


def test_another_threshold_measures_nothing_and_may_find_something_else(run, config, in_store, calls):
    before, usual = in_store(run / "store"), json.loads((run / "findings.json").read_text())
    scores = config.having(out=run.parent, threshold=1e9)
    found = run_audit(scores).as_json()
    # Validation images aren't asked for a threshold then.
    assert calls == {**AGAIN, "score": AGAIN["score"] - VALIDATION}
    assert in_store(run / "store") == before
    for one, other in zip(found["findings"], usual["findings"], strict=True):
        assert one["finished"]["threshold"] == 1e9 != other["finished"]["threshold"]
        assert one["finished"]["threshold_from"] == "as given"
        assert one["finished"]["wrong_clean"] == (1 if one["finished"]["side"] == "anomalous" else 0)


def test_a_dose_scores_weakened_marks_and_keeps_the_rest(run, config, in_store, calls):
    before = in_store(run / "store")
    found = run_audit(config.having(out=run.parent, dose=True)).as_json()
    steps = []
    for finding in found["findings"]:
        dose = finding["finished"]["dose"]
        assert dose["images"] == finding["images"]
        count = len(dose["opacity"]) + len(dose["size"]) + len(dose["rows"]) * len(dose["columns"])
        steps.append(count * dose["images"])
    assert calls["score"] == AGAIN["score"] + sum(steps)
    assert in_store(run / "store") == before


def test_another_explainer_is_all_that_is_measured(config, calls, without_page, in_store, tmp_path):
    """On the nominal images with the artifact and 39 placebos. What is found is what a new run finds."""
    gradient = config.having(out=tmp_path / "again", explainers=("gradient",))
    run = run_audit(gradient).folder
    before = in_store(run / "store")
    calls.update(score=0, anomaly_map=0)
    run_audit(gradient)
    pictures = calls["score"]  # of gradient, which asks for scores
    calls.update(score=0, anomaly_map=0)
    run_audit(gradient.having(explainers=("native", "gradient")))
    assert calls["anomaly_map"] == NOMINAL * (1 + PLACEBOS) + PICTURES
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
    assert calls == AGAIN
    assert in_store(run / "store") == before


@pytest.mark.parametrize(
    "changes",
    [
        {"placebos": 40},
        {"options": {"patch": {"size": 0.4}}},
        {"probe": "watermark", "options": {"watermark": {"size": 0.9}}},
    ],
    ids=str,
)
def test_other_marks_are_measured_anew(run, config, in_store, changes):
    before = in_store(run / "store")
    run_audit(config.having(out=run.parent, store=run / "store", **changes))
    assert kinds(in_store(run / "store").keys() - before.keys()) == ["measured", "native"]


def test_fewer_explained_images_are_explained_anew_and_not_scored(run, config, in_store, calls):
    before = in_store(run / "store")
    run_audit(config.having(out=run.parent, explained=3))
    assert calls == {**AGAIN, "anomaly_map": PICTURES + 3 * (1 + PLACEBOS)}
    assert kinds(in_store(run / "store").keys() - before.keys()) == ["native"]


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
    assert calls == AGAIN
    assert numbers(run) == numbers(measured)
    assert not (run / "store").exists()


@pytest.fixture
def counted(monkeypatch):
    """How many sides were measured."""
    sides = []

    def counting(score, one, *rest):
        sides.append(one.side)
        return measure(score, one, *rest)

    monkeypatch.setattr("fcdd_audit.designs.finished.run.measure", counting)
    return sides


@pytest.fixture
def asked(config, written, tmp_path):
    """Of a model and few images."""
    model = {"weights": None, "detectors": None, "explainers": "gradient", "threshold": 0.58}
    root = written(tmp_path / "images", nominal=6, anomalous=6)
    where = {"out": tmp_path / "out", "store": tmp_path / "store", "data_root": root, "image_size": 16}
    return config.having(model="x.py:make", **where, **model)


def test_a_model_that_only_its_code_knows_is_measured_anew(asked, without_page, in_store, counted, tmp_path):
    """A file says little: what it calls may be other code next time, or load others' weights."""
    file, factor = tmp_path / "model.py", tmp_path / "factor.txt"
    file.write_text(
        f"def make():\n    factor = float(open({str(factor)!r}).read())\n"
        "    return lambda x: factor * x.mean(dim=(1, 2, 3))\n"
    )
    factor.write_text("1")
    asked, found = asked.having(model=f"{file}:make"), []
    for number in ("1", "1", "0.8"):
        factor.write_text(number)
        (nominal, _) = run_audit(asked).findings
        found.append((nominal.finished["wrong_clean"], nominal.finished["shift"]))
        assert in_store(tmp_path / "store") == {}, "nothing of it is kept"
    assert len(counted) == 3 * 2
    assert found[0] == found[1]
    loaded = load(asked, True)
    assert loaded.opened.identity is None
    with pytest.raises(ValueError, match="only its code knows"):
        places_of(loaded, asked, 6)


class Factored(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x.mean(dim=(1, 2, 3))


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_model_from_a_file_is_known_by_what_is_in_it(asked, without_page, in_store, counted, tmp_path):
    """Wherever the file is; other pixels make another model of it."""
    for name, factor in (("one", 1.0), ("other", 1.1)):
        torch.jit.trace(Factored(factor), torch.zeros(2, 1, 16, 16)).save(tmp_path / f"{name}.ts")
    shutil.copy(tmp_path / "one.ts", tmp_path / "same.ts")
    records, pixels = [], {"mean": (0.1,), "std": (0.5,)}
    for name, more in (("one", {}), ("one", {}), ("same", {}), ("other", {}), ("other", pixels)):
        run_audit(asked.having(model=str(tmp_path / f"{name}.ts"), trust_model=True, **more))
        records.append((len(counted), len(in_store(tmp_path / "store"))))
    assert records == [(2, 3), (2, 3), (2, 3), (4, 6), (6, 9)]


# Explained by more, without its settings


def test_only_a_model_that_is_no_code_is_explained_without_trust(asked, without_page, refused, tmp_path):
    node = helper.make_node("ReduceMean", ["images", "axes"], ["score"], keepdims=0)
    graph = helper.make_graph(
        [node],
        "means",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "mean.onnx")
    run = run_audit(asked.having(model=str(tmp_path / "mean.onnx"), explainers="occlusion", explained=1))
    (nominal, _) = explain_run(run.folder, explained=2).findings
    assert nominal.explainers[0].images == 2
    content = json.loads((run.folder / "config.json").read_text())
    for named in ("mean.py:make", "mean.pt2", "mean.py:make_onnx", "package.onnx:make", "mean.onnx.py"):
        content["config"]["detector"]["model"] = named
        (run.folder / "config.json").write_text(json.dumps(content))
        with refused(f"the run names the model '{named}'", "add --trust-model"):
            explain_run(run.folder, explained=3)


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
    with refused("the detector of the run", "has changed since"):
        explain_run(run, ("gradient",))
    assert (numbers(run), in_store(run / "store")) == before


def test_whose_weights_are_gone_is_refused(run, moved, refused):
    (moved[0].parent / "detector.safetensors").unlink()
    with refused("can't read the weights"):
        explain_run(run, ("gradient",))
