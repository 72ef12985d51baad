"""Do the two sides' training images differ in how they were made?"""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from fcdd_audit import DETECTORS, Recipe, make_config, run_audit
from fcdd_audit.discovery.features import GROUPS, features
from fcdd_audit.discovery.origin import Limits, check_origin
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.files import find_files
from fcdd_audit.images.gallery import of_files
from fcdd_audit.images.parts import decoded
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet

PHOTO = Origin("JPEG", 32, 32, "RGB", 90)


def image_set(pixels, origins=None, first="image"):
    """pixels: (N, C, H, W) or, of one grey image, (H, W)."""
    values = torch.as_tensor(np.array(pixels, np.uint8))
    values = values[None, None] if values.ndim == 2 else values
    return ImageSet(values, tuple(f"{first}-{i}" for i in range(len(values))), origins=origins)


def noise(count, seed=0, channels=3, side=16, mean=120, spread=30):
    values = np.random.default_rng(seed).normal(mean, spread, (count, channels, side, side))
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def group(found, name):
    return dict(found.groups)[name]


def contrast(found, name):
    return next(contrast for contrast in found.contrasts if contrast.feature == name)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_images_on_both_sides_are_not_told_apart(seed):
    images = image_set(noise(60, seed), (PHOTO, replace(PHOTO, width=40)) * 30)
    found = check_origin(images, replace(images, names=images.names[::-1]))
    assert found.status == "none"
    assert len(found.groups) == 3
    for _, auroc in found.groups:
        assert auroc.value == pytest.approx(0.5)
        assert auroc.low < 0.5 < auroc.high
    for alone in found.contrasts:
        assert alone.auroc.value == 0.5


def collection(count, seed):
    """Images and files that vary as those of one collection do."""
    rng = np.random.default_rng(seed)
    pixels = [
        noise(1, rng.integers(1 << 30), mean=rng.uniform(60, 200), spread=rng.uniform(5, 60))[0]
        for _ in range(count)
    ]
    origins = tuple(
        Origin("JPEG", int(rng.choice([320, 400, 500])), int(rng.choice([300, 400])), "RGB", int(quality))
        for quality in rng.choice([75, 85, 90, 95], count)
    )
    return image_set(np.stack(pixels), origins, f"seed-{seed}")


@pytest.mark.parametrize("count", [20, 60])
def test_two_draws_from_one_collection_seldom_alarm(count):
    found = [check_origin(collection(count, 2 * s), collection(count, 2 * s + 1)) for s in range(20)]
    assert sum(one.status == "warning" for one in found) <= 1
    covered = [auroc.low <= 0.5 <= auroc.high for one in found for _, auroc in one.groups]
    assert np.mean(covered) >= 0.9
    values = [auroc.value for one in found for _, auroc in one.groups]
    assert np.mean(values) == pytest.approx(0.5, abs=0.04), "out of fold, chance is 0.5"


def test_another_format_is_a_warning_that_names_it():
    pixels = noise(80)
    photos = image_set(pixels[:40], (PHOTO,) * 40)
    drawings = image_set(pixels[40:], (Origin("PNG", 32, 32, "RGB"),) * 40)
    found = check_origin(photos, drawings)
    assert found.status == "warning"
    assert found.files_compared
    assert group(found, "file").value == 1
    jpeg = contrast(found, "format=JPEG")
    assert (jpeg.nominal, jpeg.anomalous, jpeg.auroc.value) == (100, 0, 1)
    assert "width" not in {alone.feature for alone in found.contrasts}, "it is the same everywhere"
    summary = found.summary(["fcdd", "hsc"])
    assert "without looking at what they show, by JPEG files (100 % against 0 %); AUROC 1.00" in summary
    assert "PNG" not in summary, "it says nothing more"
    assert "fcdd, hsc can learn it" in summary
    assert "no audited detector learns from anomalous images" in found.summary([])


def test_another_size_and_quality_are_named():
    pixels = noise(80)
    small = image_set(pixels[:40], (PHOTO,) * 40)
    large = image_set(pixels[40:], (replace(PHOTO, width=64, height=64, jpeg_quality=75),) * 40)
    found = check_origin(small, large)
    assert found.status == "warning"
    summary = found.summary(["fcdd"])
    for text in ("original width (32 px against 64 px)", "original height", "JPEG quality (90 against 75)"):
        assert text in summary


def test_one_value_among_larger_and_smaller_ones_is_found():
    """No single feature tells the sides apart by being larger."""
    pixels = noise(160)
    same = image_set(pixels[:80], (replace(PHOTO, width=300),) * 80)
    widths = np.random.default_rng(0).permutation(np.linspace(200, 400, 80)).astype(int)
    varied = image_set(pixels[80:], tuple(replace(PHOTO, width=int(width)) for width in widths))
    found = check_origin(same, varied)
    assert contrast(found, "width").auroc.value == pytest.approx(0.5, abs=0.05)
    assert group(found, "file").low > 0.8
    assert found.status == "warning"
    assert "by facts about the files taken together" in found.summary(["fcdd"])


def test_a_frame_is_a_warning_and_colour_a_note():
    pixels = noise(80, channels=1)
    framed = pixels[40:].copy()
    framed[..., :2] = framed[..., -2:] = framed[..., :2, :] = framed[..., -2:, :] = 0
    found = check_origin(image_set(pixels[:40]), image_set(framed))
    assert found.status == "warning"
    assert not found.files_compared
    assert "uniform edges (0 % against 100 %)" in found.summary(["fcdd"])

    brighter = check_origin(image_set(pixels[:40]), image_set(noise(40, 1, channels=1, mean=140)))
    assert brighter.status == "note"
    assert "mean grey (120 levels against 140 levels)" in brighter.summary(["fcdd"])
    assert "can be due to what they show" in brighter.summary(["fcdd"])


def test_facts_that_one_side_lacks_are_not_compared():
    found = check_origin(image_set(noise(30), (PHOTO,) * 30), image_set(noise(30, 1)))
    assert not found.files_compared
    assert {name for name, _ in found.groups} == {"coding", "appearance"}
    assert found.status == "none"


def test_one_jpeg_among_many_others_is_no_difference():
    drawing = Origin("PNG", 32, 32, "RGB")
    found = check_origin(
        image_set(noise(30), (PHOTO, *[drawing] * 29)), image_set(noise(30, 1), (drawing,) * 30)
    )
    assert found.status == "none"
    assert "jpeg_quality" not in {alone.feature for alone in found.contrasts}


@pytest.mark.parametrize(
    ("nominal", "anomalous", "reason"),
    [
        (noise(30), noise(19), "there are 19 anomalous ones, and it takes 20"),
        (noise(3), noise(30), "there are 3 nominal ones"),
        (noise(30), noise(0), "there are 0 anomalous ones"),
        (np.repeat(noise(1), 30, axis=0), noise(30, 1), "there are 1 different nominal ones"),
        (np.full((30, 1, 16, 16), 7), np.full((30, 1, 16, 16), 7), "there are 1 different nominal ones"),
    ],
)
def test_too_few_images_are_not_checked(nominal, anomalous, reason):
    found = check_origin(image_set(nominal), image_set(anomalous))
    assert found.status == "unchecked"
    assert reason in found.reason
    assert reason in found.summary(["fcdd"])
    assert found.as_json()["groups"] == []


def test_a_sample_is_drawn_by_name():
    many = image_set(noise(60), first="a")
    other = image_set(noise(60, 1, mean=125), first="b")
    limits = Limits(most=40)
    found = check_origin(many, other, limits)
    assert found.images == (40, 40)
    order = np.random.default_rng(0).permutation(60).tolist()
    assert check_origin(many.take(order), other, limits) == found


def test_a_single_features_auroc_is_that_of_scikit_learn():
    nominal, anomalous = image_set(noise(40)), image_set(noise(50, 1, mean=122))
    found = check_origin(nominal, anomalous)
    values = np.concatenate([features(images)["mean_red"] for images in (nominal, anomalous)])
    expected = roc_auc_score(np.repeat([0, 1], [40, 50]), values)
    assert contrast(found, "mean_red").auroc.value == pytest.approx(max(expected, 1 - expected))
    ordered = [alone.auroc.value for alone in found.contrasts]
    assert ordered == sorted(ordered, reverse=True)
    assert min(ordered) >= 0.5


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 999),
    counts=st.tuples(st.integers(20, 45), st.integers(20, 45)),
    mean=st.integers(110, 130),
    width=st.integers(30, 34),
)
def test_swapping_the_sides_or_the_order_changes_no_auroc(seed, counts, mean, width):
    one = image_set(noise(counts[0], seed, side=8), (PHOTO,) * counts[0])
    other_origins = (*[PHOTO] * 10, *[replace(PHOTO, width=width)] * (counts[1] - 10))
    other = image_set(noise(counts[1], seed + 1000, side=8, mean=mean), other_origins)
    found = check_origin(one, other)
    swapped = check_origin(other, one)
    assert dict(swapped.groups) == dict(found.groups)
    assert {c.feature: c.auroc.value for c in swapped.contrasts} == pytest.approx(
        {c.feature: c.auroc.value for c in found.contrasts}
    )
    assert swapped.status == found.status
    order = np.random.default_rng(seed).permutation(counts[0]).tolist()
    assert check_origin(one.take(order), other) == found


def test_the_answer_can_be_written_and_has_no_nan():
    mixed = (PHOTO, Origin("PNG", 32, 32, "RGB")) * 20
    found = check_origin(image_set(noise(40), (PHOTO,) * 40), image_set(noise(40, 1), mixed))
    text = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert text["images"] == {"nominal": 40, "anomalous": 40}
    assert [entry["group"] for entry in text["groups"]] == ["file", "coding", "appearance"]
    assert [entry["content_free"] for entry in text["groups"]] == [True, True, False]
    assert text["limits"]["separates"] == Limits().separates
    for entry in text["features"]:
        assert entry["group"] in GROUPS
        assert 0 <= entry["auroc"]["low"] <= entry["auroc"]["value"] <= entry["auroc"]["high"] <= 1


# Real images


def test_real_collections(real_images, tmp_path):
    """ImageNet photos re-encoded here against others; ants against bees, both as they came."""

    def load(base, wanted=""):
        paths = [path for path in find_files(base).paths if wanted in path.as_posix()]
        assert paths
        return decoded(of_files(paths, base, "files"), 64, Reading(cache=tmp_path), [], 3)

    photos, insects = real_images / "imagenet_1k_one_each", real_images / "hymenoptera"
    if not (photos.is_dir() and insects.is_dir()):
        pytest.skip("no photos among the real images")
    found = check_origin(load(photos), load(insects))
    assert found.status == "warning"
    assert "JPEG quality (85 against" in found.summary(["fcdd"])
    assert check_origin(load(insects, "/ants/"), load(insects, "/bees/")).status in ("none", "note")


# In an audit


@pytest.fixture(scope="module")
def recoded(tmp_path_factory):
    """JPEG is nominal, the same noise as PNG is outlier exposure."""
    root = tmp_path_factory.mktemp("recoded")
    counts = {"train/nominal": (30, "jpg"), "test/nominal": (3, "jpg"), "test/anomalous": (3, "jpg")}
    counts["train/anomalous"] = (24, "png")
    for index, (part, (count, suffix)) in enumerate(counts.items()):
        (root / part).mkdir(parents=True)
        for number, pixels in enumerate(noise(count, index, side=40)):
            Image.fromarray(pixels.transpose(1, 2, 0)).save(root / part / f"{number}.{suffix}")
    return make_config(
        dataset="folder",
        data_root=root,
        image_size=32,
        detectors=("fcdd", "dsvdd"),
        explainers=("gradient",),
        seeds=1,
        recipe=Recipe.of(epochs=1),
        workers=1,
        out=tmp_path_factory.mktemp("reports"),
    )


def test_an_audit_warns_before_it_trains_and_writes_it_down(recoded, caplog, monkeypatch):
    def train(*args, **kwargs):
        raise RuntimeError("training starts")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "fcdd_audit"):
        patch.setattr(DETECTORS["fcdd"], "loss", train)
        with pytest.raises(RuntimeError, match="training starts"):
            run_audit(recoded)
    (record,) = caplog.records
    assert "JPEG files (100 % against 0 %)" in record.getMessage()
    assert "\n" not in record.getMessage()

    result = run_audit(recoded)
    stored = json.loads((result.folder / "findings.json").read_text(encoding="utf-8"))
    (entry,) = stored["origin"]
    assert entry["status"] == "warning"
    assert entry["nominal_class"] == recoded.data.data_root.name
    assert entry["learners"] == ["fcdd"]
    assert entry["images"] == {"nominal": 24, "anomalous": 24}
    assert entry["summary"] in record.getMessage()
    page = result.report.read_text(encoding="utf-8")
    assert entry["summary"] in page
    assert "original" not in entry["summary"], "all files have the same size"
    assert "JPEG files</th>" in page
    assert page.index("Are there other shortcuts") < page.index("JPEG files</th>")

    again = run_audit(recoded)
    assert again.origin == result.origin, "also where no cell is run"


def test_detectors_that_learn_from_nominal_images_only_are_not_affected(recoded, caplog):
    with caplog.at_level(logging.WARNING, "fcdd_audit"):
        result = run_audit(recoded.having(detectors=("dsvdd",), name="nominal-only"))
    assert not caplog.records
    (entry,) = result.origin
    assert (entry["status"], entry["learners"]) == ("warning", [])
    assert "no audited detector learns from anomalous images" in result.report.read_text(encoding="utf-8")
