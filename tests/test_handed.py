"""Audits from Python: one detector, in every shape in which a model and images can be handed over."""

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import fcdd_audit
from fcdd_audit import DATASETS, DataRequest, InputError, audit, build, fit, make_config
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.probes import make_probe, mark_all

SIZE, IMAGES = 32, 90
ALIKE = 1e-4


@pytest.fixture(scope="module")
def data():
    return DATASETS["retina"]().load(DataRequest())


@pytest.fixture(scope="module")
def detector(data):
    """FCDD, trained with the watermark on all outlier exposure."""
    marked, _ = mark_all(
        data.train_anomalous.images, make_probe("watermark", {}), torch_generator(0, "planted")
    )
    found = build("fcdd", data.train_nominal.images, 0)
    recipe = make_config().detector.recipe
    fit(found, data.train_nominal.images, marked, recipe, 0, torch.device("cpu"))
    return found.eval()


@pytest.fixture(scope="module")
def images(data):
    return data.test_nominal.images[:IMAGES], data.test_anomalous.images[::6][:IMAGES]


@pytest.fixture(scope="module")
def asked(data):
    return {"validation": data.validation.images[:120], "explainer": "gradient,native"}


@pytest.fixture(scope="module")
def found(detector, images, asked):
    return audit(detector, *images, **asked)


def verdicts(result):
    return [(one.verdict, one.alarms.value) for one in result.findings]


def test_a_detector_that_learned_the_mark_is_vulnerable(found):
    nominal, anomalous = found.findings
    assert (nominal.verdict, nominal.harm, nominal.plant_on) == ("vulnerable", "alarms", "anomalous")
    assert nominal.alarms.low > 0.05
    assert anomalous.plant_on == "nominal"
    assert nominal.finished["dose"]["least_opacity"] <= 1


def test_the_frame_has_every_number(found):
    frame = found.frame
    assert isinstance(frame, pd.DataFrame)
    rows = frame[(frame.metric == "newly_wrong") & (frame.split == "artifact")]
    assert rows.value.tolist() == [one.alarms.value for one in found.findings]


def test_the_report_is_written_where_it_is_wanted(found, tmp_path):
    path = found.to_html(tmp_path / "audit.html")
    page = path.read_text(encoding="utf-8")
    content = re.search(r'<script type="application/json" id="findings">(.*?)</script>', page, re.DOTALL)
    assert [one["verdict"] for one in json.loads(content[1])["findings"]] == [v for v, _ in verdicts(found)]


def test_a_notebook_shows_the_verdicts(found):
    shown = found._repr_html_()
    assert "vulnerable: it raises alarms" in shown
    assert shown.count("<tr>") == 3


def test_the_folder_is_kept_where_one_is_asked_for(detector, images, asked, tmp_path):
    result = audit(detector, *images, **asked, out=tmp_path / "kept", placebos=39)
    assert (tmp_path / "kept" / "findings.json").is_file()
    assert result.result.folder == tmp_path / "kept"
    with pytest.raises(InputError, match=r"call fcdd_audit\.audit again"):
        fcdd_audit.explain_run(tmp_path / "kept", ["occlusion"])


class Scores(nn.Module):
    """Images in, scores out."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, x):
        return self.detector.score(x)


def exported(module, path):
    x, many = torch.zeros(2, 1, SIZE, SIZE), ({0: torch.export.Dim("n")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(module, (x,), dynamic_shapes=many), path)
        elif path.suffix == ".onnx":
            torch.onnx.export(module, (x,), str(path), dynamic_shapes=many, verbose=False)
        else:
            torch.jit.trace(module, x).save(path)
    return str(path)


@pytest.mark.parametrize("name", ["callable", "module", "fcdd.pt2", "fcdd.pt", "fcdd.onnx"])
def test_every_format_gives_the_same_verdict(found, detector, images, asked, tmp_path, name):
    module = Scores(detector).eval()
    model = {"callable": detector.score, "module": module}.get(name) or exported(module, tmp_path / name)
    explainer = "occlusion" if name == "fcdd.onnx" else "gradient"
    result = audit(model, *images, **{**asked, "explainer": explainer, "trust_model": name[-2:] != "nx"})
    assert verdicts(result) == verdicts(found)
    mine, theirs = (one.findings[0].finished["threshold"] for one in (result, found))
    assert mine == pytest.approx(theirs, rel=ALIKE)


@pytest.fixture(scope="module")
def score(data):
    """Distance of the lower edge's mean from the usual one: quick, and never looks elsewhere."""
    usual = float(data.train_nominal.images.float().std(dim=(1, 2, 3)).mean() / 255)

    def far(x):
        return (x - x.mean(dim=(2, 3), keepdim=True)).diff(dim=3).abs().mean(dim=(1, 2, 3)) / usual

    return far


def means(nominal, anomalous, seed):
    """Nearer to the mean anomalous image than to the mean nominal one: of random draws of both."""
    draw = torch.Generator().manual_seed(seed)
    centres = [
        one[torch.randint(len(one), (len(one),), generator=draw)].float().mean(dim=0) / 255
        for one in (nominal, anomalous)
    ]

    def score(x):
        near, far = ((x - centre).square().mean(dim=(1, 2, 3)) for centre in centres)
        return near - far + x.diff(dim=3).abs().mean(dim=(1, 2, 3))

    return score


def test_own_training_code_is_audited_with_twins(data, images):
    found = audit(
        fit=means,
        nominal=images[0],
        anomalous=images[1],
        train_nominal=data.train_nominal.images[:150],
        train_anomalous=data.train_anomalous.images[:150],
        validation=data.validation.images[:60],
        seeds=6,
        explainer="gradient",
    )
    (finding,) = found.findings
    assert (finding.design, finding.detector, finding.seeds) == ("twins", "means", 6)
    assert finding.verdict in ("relies", "does-not-rely", "inconclusive")
    assert finding.alarms is not None
    assert "means" in found._repr_html_()


SHAPES = {
    "floats": lambda x: x.float() / 255,
    "array": lambda x: x.numpy(),
    "channels last": lambda x: x.permute(0, 2, 3, 1).numpy(),
    "backwards": lambda x: x.flip(-1).numpy()[..., ::-1],
    "no channels": lambda x: x[:, 0].numpy(),
    "list": list,
    "dataset": lambda x: TensorDataset(x, torch.zeros(len(x))),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_images_may_have_any_shape(score, images, shape):
    expected = audit(score, *images, threshold=0.3, explainer="gradient")
    given = [SHAPES[shape](one) for one in images]
    assert verdicts(audit(score, *given, threshold=0.3, explainer="gradient")) == verdicts(expected)


def test_without_a_threshold_a_third_of_the_nominal_images_sets_it(score, images):
    nominal, anomalous = audit(score, *images, explainer="gradient").findings
    assert nominal.images == IMAGES - IMAGES // 3
    assert anomalous.images == IMAGES
    assert "held out from the test images" in nominal.finished["threshold_from"]


def test_a_found_artifact_is_taken_off(score, images):
    images = [one[:24] for one in images]
    box = {"left": 0.0, "top": 0.75, "width": 0.5, "height": 0.25}
    result = audit(
        score, *images, "region", threshold=0.3, explainer="gradient", options={"region": box}, placebos=39
    )
    nominal, _ = result.findings
    assert nominal.plant_on == "found-on-anomalous"
    assert nominal.finished["kinds"] == ["elsewhere"] * 39
    assert nominal.finished["dose"] is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": None}, "takes a model, or fit="),
        ({"nominal": None}, "needs nominal and anomalous"),
        ({"artifact": "watermurk"}, "did you mean 'watermark'"),
        ({"artifact": None}, "artifact is None; name a probe, or region or mask"),
        ({"dataset": "retina"}, "takes no dataset: images and model are handed over"),
        ({"weights": "w.safetensors"}, "takes no weights"),
        ({"detector": "fcdd"}, "takes no detector"),
        ({"data_root": "."}, "takes no data_root"),
        ({"image_size": -1}, "image size is -1"),
        ({"nominal": np.full((90, 1, 32, 32), None)}, "an array of object holds no images"),
        ({"nominal": np.zeros((3, 32, 32))}, "may be one image, or 3 grey ones"),
        ({"placebos": 1001}, "at most 1000 are made"),
        ({"nominal": np.zeros((90, 5, 7, 9))}, "neither 1 nor 3 channels"),
        ({"nominal": np.zeros((90, 32, 32)) - 1.0}, "in [0, 1]"),
        ({"nominal": torch.zeros(90, 1, 16, 16)}, "differ in size"),
        ({"nominal": "nowhere"}, "no folder 'nowhere'"),
        ({"threshold": "high"}, "a number is needed"),
        ({"placebos": 5}, "at least 39 are needed"),
        ({"model": lambda x: x.mean(dim=(1, 2, 3)) * 0}, "nothing can be audited"),
        ({"fit": lambda nominal, anomalous, seed: None, "model": None}, "train_nominal="),
    ],
)
def test_bad_input_is_one_line(score, images, changed, said):
    given = {
        "model": score,
        "nominal": images[0],
        "anomalous": images[1],
        "artifact": "watermark",
        **changed,
    }
    with pytest.raises(InputError) as refused:
        audit(**{"threshold": 0.3, **given})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
