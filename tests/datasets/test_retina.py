import numpy as np
import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import DATASETS, DataRequest, retina
from fcdd_audit.datasets.embedded import TARGET_MEAN, TARGET_STD
from fcdd_audit.datasets.photos import COLOUR, GREY
from fcdd_audit.datasets.retina import ANOMALOUS, NOMINAL, SIDE, SIZES, TEST, TRAIN, VALIDATION
from fcdd_audit.discovery.origin import check_origin

ROWS = {"train_nominal": TRAIN, "validation": VALIDATION, "test_nominal": TEST}


def load(**request):
    return DATASETS["retina"]().load(DataRequest(**request))


@pytest.fixture(scope="module", params=[16, 32, 47, 64])
def data(request):
    return load(image_size=request.param)


def corners(images):
    """Rows and columns of upper-left pixels, (N,) each."""
    columns, rows = zip(*(name.split("-")[1:] for name in images.names), strict=True)
    return np.array(rows, int), np.array(columns, int)


def test_the_default_has_enough_images_of_every_part():
    counts = {part: len(images) for part, images in load().parts().items()}
    assert counts["train_nominal"] >= 500
    assert counts["train_anomalous"] >= 1000
    assert counts["validation"] >= 200
    assert counts["test_nominal"] >= 200
    assert counts["test_anomalous"] >= 200


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_share_no_pixel_of_the_photo(monkeypatch, size):
    # Every pixel tells its row, and is noisy enough not to be passed over as faint.
    noise = np.random.default_rng(0).integers(0, 2, (SIDE, SIDE)) * 1024
    coded = (1 + noise + np.arange(SIDE)[:, None])[..., None].astype(np.float32)
    monkeypatch.setattr(retina, "_eye", lambda: coded)
    monkeypatch.setattr(retina, "equalise", torch.from_numpy)
    parts = load(image_size=size).parts()
    for part, band in ROWS.items():
        rows = (parts[part].images - 1) % 1024
        assert rows.min() == band.start, part
        assert band.stop - size < rows.max() < band.stop, part


def test_names_tell_where_a_crop_lies(data):
    size = data.shape[1]
    for part, band in ROWS.items():
        rows, columns = corners(data.parts()[part])
        assert band.start <= rows.min()
        assert rows.max() + size <= band.stop
        assert columns.min() >= 0
        assert columns.max() + size <= SIDE


def test_neighbours_overlap_by_half_and_not_more(data):
    step = data.shape[1] // 2
    for part, band in ROWS.items():
        rows, columns = corners(data.parts()[part])
        assert not ((rows - band.start) % step).any()
        assert not (columns % step).any()


def test_the_black_around_the_eye_is_in_no_crop():
    for band in ROWS.values():
        crops, _ = retina._nominal(band, 32)
        assert crops.min() > 0.1


def test_the_parts_are_of_the_promised_kind(data):
    size = data.shape[1]
    assert data.shape == (1, size, size)
    assert (data.name, data.nominal_class) == ("retina", NOMINAL)
    for part in ROWS:
        assert {name.split("-")[0] for name in data.parts()[part].names} == {NOMINAL}
    assert {name.split("-")[0] for name in data.test_anomalous.names} == set(ANOMALOUS)
    for part, images in data.parts().items():
        assert images.images.dtype == torch.uint8, part
        assert images.images.shape == (len(images.names), *data.shape), part
        assert len(set(images.names)) == len(images) >= 40, part
        assert images.masks is None, part


def test_neither_the_retina_nor_test_anomalies_are_outlier_exposure(data):
    outliers = {name.rsplit("-", 1)[0] for name in data.train_anomalous.names}
    assert outliers <= set(GREY + COLOUR)
    assert len(outliers) >= 10
    assert not outliers & {NOMINAL, *ANOMALOUS}


def test_no_held_out_image_is_there_twice_or_trained_on(data):
    trained = torch.cat([data.train_nominal.images, data.train_anomalous.images])
    held_out = torch.cat([data.validation.images, data.test_nominal.images, data.test_anomalous.images])
    together = torch.cat([trained.flatten(1).unique(dim=0), held_out.flatten(1)])
    assert len(together.unique(dim=0)) == len(together)


def test_every_crop_has_the_same_mean_and_contrast(data):
    for part, images in data.parts().items():
        pixels = images.images.double() / 255
        assert (pixels.mean(dim=(1, 2, 3)) - TARGET_MEAN).abs().max() < 0.02, part
        assert (pixels.std(dim=(1, 2, 3)) - TARGET_STD).abs().max() < 0.1 * TARGET_STD, part


def test_how_images_were_made_gives_no_side_away():
    data = load()
    check = check_origin(data.train_nominal, data.train_anomalous)
    assert check.status != "warning"
    assert dict(check.groups)["coding"].value < 0.6


def test_loading_again_gives_the_same_fingerprint_and_another_size_another():
    assert load().fingerprint() == load(image_size=32, oe="photos").fingerprint()
    assert load(image_size=32).fingerprint() != load(image_size=33).fingerprint()


@pytest.mark.parametrize("size", [1, SIZES[0] - 1, SIZES[1] + 1])
def test_other_sizes_are_refused(size):
    with pytest.raises(InputError, match=f"'retina' is cut in .*16 to 64 px, not {size}; .*--image-size"):
        load(image_size=size)


def test_a_data_root_is_refused(tmp_path):
    with pytest.raises(InputError, match="'retina' is embedded and takes no --data-root"):
        load(data_root=tmp_path)


def test_masks_are_refused():
    with pytest.raises(InputError, match="'retina' has no masks"):
        load(masks_per_defect=1)


@pytest.mark.parametrize("oe", ["none", "some/folder"])
def test_other_outlier_exposure_is_refused(oe):
    with pytest.raises(InputError, match=f"'--oe {oe}' can't be used"):
        load(oe=oe)


def test_a_limit_on_outlier_exposure_is_refused_and_not_ignored():
    with pytest.raises(InputError, match="'--oe-limit 5' can't be used"):
        load(oe_limit=5)


def test_a_bit_depth_is_refused_and_not_ignored():
    with pytest.raises(InputError, match="bit depth 12 can't be used with it; drop --bit-depth"):
        load(bit_depth=12)
