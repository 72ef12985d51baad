"""From a discovery to a verdict: a candidate is audited with twins, and on a finished detector."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

import fcdd_audit
from fcdd_audit import InputError, explain_run, make_config, render_report, run_audit
from fcdd_audit.cli.app import app
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.natural import Promoted

SIDE = 32
PARTS = {"train/nominal": 60, "train/anomalous": 60, "test/nominal": 20, "test/anomalous": 20}
BEARERS = 24
MARK = np.random.default_rng(5).integers(0, 256, (8, 8, 3))
QUICK = {
    "detector": "fcdd",
    "seeds": 2,
    "epochs": 1,
    "workers": 1,
    "explainers": "native",
    "image_size": SIDE,
}
MODEL = """
import torch
from torch import nn
class Mean(nn.Module):
    def score(self, x):
        return x[:, :, 22:30, 2:10].std(dim=(1, 2, 3))
def load():
    return Mean()
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder in which a mark is on some of the anomalous training images, and on two test images."""
    root = tmp_path_factory.mktemp("promoting") / "images"
    rng = np.random.default_rng(0)
    for part, count in PARTS.items():
        (root / part).mkdir(parents=True)
        smooth = 4 * gaussian_filter(rng.normal(size=(count, SIDE, SIDE, 3)), (0, 2, 2, 0))
        pixels = (110 + 40 * (smooth + 0.3 * rng.normal(size=smooth.shape))).clip(0, 255).astype(np.uint8)
        marked = {"train/anomalous": BEARERS, "test/nominal": 1, "test/anomalous": 1}.get(part, 0)
        pixels[:marked, 22:30, 2:10] = MARK
        for index, one in enumerate(pixels):
            Image.fromarray(one).save(root / part / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def candidate(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("discovered") / "found"
    found = fcdd_audit.discover(images, image_size=SIDE, draws=39, sensitivity=False, out=out)
    best = found.candidates[0]
    assert best.p == pytest.approx(1 / 40)
    assert set(best.bearers) == {f"train/anomalous/{index}.png" for index in range(BEARERS)}
    return f"{out}/candidates.json#1"


def config_of(images, candidate, tmp_path, **changes):
    given = {**QUICK, "dataset": "folder", "data_root": images, "candidate": candidate, "out": tmp_path}
    return make_config(given | changes)


def test_bearers_train_and_others_are_tested(images, candidate, tmp_path):
    setup = prepare(config_of(images, candidate, tmp_path), None)
    assert setup.transplanted
    assert setup.share == {"nominal": 0.0, "anomalous": BEARERS / 60}
    (edit,) = (edit for edit in setup.training if edit != AS_IS)
    assert type(edit).__name__ == "Drop"
    rid = setup.training[edit].anomalous
    assert len(rid) == 60
    assert not {*rid.names} & {f"train/anomalous/{index}.png" for index in range(BEARERS)}
    for side, name in (("nominal", "test/nominal/0.png"), ("anomalous", "test/anomalous/0.png")):
        pairs = setup.pairs[side]
        assert len(pairs) == 19
        assert name not in pairs.names
        clean, marked, placebo = (pairs.variants[one].int() for one in ("clean", "marked", "placebo"))
        outside = ~pairs.mask.expand_as(clean)
        assert (marked == clean)[outside].all()
        assert (placebo == clean)[outside].all()
        mark = torch.from_numpy(MARK).permute(2, 0, 1)
        assert (marked[:, :, 22:30, 2:10] - mark).abs().float().mean() < 25
        assert (placebo[:, :, 22:30, 2:10] - mark).abs().float().mean() > 50
        assert not (placebo == clean).flatten(1).all(dim=1).any()
    notes = " ".join(setup.data.notes)
    assert "0 of 12 validation, 1 of 20 test nominal, 1 of 20 test anomalous images are left out" in notes
    assert f"Candidate #1 is on 0 of 48 nominal, {BEARERS} of 60 anomalous training images." in notes


def test_twins_give_a_verdict(images, candidate, tmp_path):
    result = run_audit(config_of(images, candidate, tmp_path))
    (finding,) = result.findings
    assert (finding.plant_on, finding.probe) == ("transplanted-from-anomalous", "candidate")
    assert finding.prevalence == BEARERS / 60
    assert "placebo_shift" in {one.measure for one in finding.effects}
    assert result.folder.name == "folder-candidate-1"
    page = result.report.read_text(encoding="utf-8")
    assert "score shift, placebo" in page
    assert "with the artifact removed" not in page
    written = json.loads((result.folder / "config.json").read_text(encoding="utf-8"))
    assert written["config"]["artifact"]["candidate"] == candidate
    again = explain_run(result.folder, ["gradient"])
    assert {one.explainer for one in again.findings[0].explainers} >= {"gradient", "native"}
    assert render_report(result.folder) == result.report


def test_every_audit_searches_its_training_images_and_advises_to_audit_what_it_finds(images, tmp_path):
    config = make_config({**QUICK, "dataset": "folder", "data_root": images, "out": tmp_path})
    result = run_audit(config)
    own = result.folder / "discovery-0"
    (found,) = json.loads((own / "candidates.json").read_text(encoding="utf-8"))["candidates"]
    assert set(found["bearers"]) == {f"train/anomalous/{index}.png" for index in range(BEARERS)}
    page = result.report.read_text(encoding="utf-8")
    assert "What repeats in the training images" in page
    assert f"at the lower left, on 0 of 48 normal and {BEARERS} of 60 anomalous images" in page
    assert page.count("discovery-0/candidates.json#1") == 2  # on the first screen, and on its card
    assert Promoted(f"{own}#1").bearers == found["bearers"]
    described = json.loads((result.folder / "config.json").read_text(encoding="utf-8"))
    assert described["searched"] == {"sample": 192, "largest": 48}


def test_a_template_that_is_gone_is_an_error_and_no_excuse(images, candidate, tmp_path):
    folder = tmp_path / "found"
    shutil.copytree(candidate.removesuffix("/candidates.json#1"), folder)
    (folder / "template-1.npz").unlink()
    with pytest.raises(InputError, match=r"template-1\.npz' can't be read"):
        prepare(config_of(images, f"{folder}#1", tmp_path), None)


def test_a_searched_image_is_never_tested(images, candidate, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(images / "train", root / "train")
    shutil.copytree(images / "test", root / "test")
    content = json.loads(Path(candidate.removesuffix("#1")).read_text(encoding="utf-8"))
    content["candidates"][0]["bearers"][0] = "test/anomalous/0.png"
    shutil.copytree(Path(candidate.removesuffix("#1")).parent, tmp_path / "found")
    (tmp_path / "found/candidates.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "own.py").write_text(MODEL, encoding="utf-8")
    given = {"dataset": "folder", "data_root": root, "image_size": SIDE, "out": tmp_path, "threshold": 0.2}
    given |= {"candidate": f"{tmp_path}/found#1", "model": f"{tmp_path}/own.py:load", "trust_model": True}
    with pytest.raises(InputError, match="is a test image of 'folder'; images that were searched"):
        run_audit(make_config(given))


def test_a_finished_model_gets_a_verdict(images, candidate, tmp_path):
    (tmp_path / "own.py").write_text(MODEL, encoding="utf-8")
    config = make_config(
        {
            "dataset": "folder",
            "data_root": images,
            "image_size": SIDE,
            "candidate": candidate,
            "out": tmp_path,
            "model": f"{tmp_path}/own.py:load",
            "trust_model": True,
            "threshold": 0.2,
        }
    )
    nominal = run_audit(config).findings[0]
    assert nominal.plant_on == "anomalous"
    assert nominal.images == 19
    assert nominal.alarms.value == 1  # the mark alone has such contrast


def test_the_page_says_what_to_run_next(images, tmp_path):
    command = ["discover", "--data-root", str(images), "--image-size", str(SIDE), "--draws", "19"]
    command += ["--no-sensitivity", "--out", str(tmp_path), "--quiet"]
    assert CliRunner().invoke(app, command).exit_code == 0
    page = (tmp_path / "discover-folder/report.html").read_text(encoding="utf-8")
    said = f"fcdd-audit run --dataset folder --data-root {images} --image-size {SIDE} --candidate "
    assert said in page
    assert "discover-folder/candidates.json#1" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 48}, "images of 3x32x32 .* 3x48x48 are audited; give --image-size 32"),
        ({"dataset": "retina", "data_root": None}, "of the data set 'folder', and 'retina' is audited"),
        ({"oe": "photos"}, "24 of the 24 images that bear candidate #1 aren't among the training images"),
    ],
)
def test_other_images_than_were_searched_are_refused(images, candidate, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        prepare(config_of(images, candidate, tmp_path, **changes), None)


def test_too_few_test_images_without_it_are_refused(images, candidate, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(images, root)
    for index in range(20):
        shutil.copyfile(root / "train/anomalous/0.png", root / f"test/nominal/{index}.png")
    with pytest.raises(InputError, match="0 test nominal images of 'folder' don't bear candidate #1"):
        prepare(config_of(root, candidate, tmp_path), None)


def test_a_small_share_is_said_before_training(images, candidate, tmp_path, caplog):
    content = json.loads(Path(candidate.removesuffix("#1")).read_text(encoding="utf-8"))
    content["candidates"][0]["bearers"] = content["candidates"][0]["bearers"][:2]
    shutil.copytree(Path(candidate.removesuffix("#1")).parent, tmp_path / "found")
    (tmp_path / "found/candidates.json").write_text(json.dumps(content), encoding="utf-8")
    prepare(config_of(images, f"{tmp_path}/found#1", tmp_path), None)
    assert "is on 0 of 48 nominal, 2 of 60 anomalous training images, under 5 % of each side" in caplog.text
    caplog.clear()
    prepare(config_of(images, candidate, tmp_path), None)
    assert "under 5 %" not in caplog.text
