import numpy as np
import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import DATASETS, DataRequest, textures
from fcdd_audit.datasets.embedded import TARGET_MEAN, TARGET_STD, equalise
from fcdd_audit.datasets.photos import COLOUR, GREY
from fcdd_audit.datasets.textures import ANOMALOUS, NOMINAL, SIZES

REGIONS = {"train_nominal": (0, 224), "validation": (224, 352), "test_nominal": (352, 512)}
REGIONS["test_anomalous"] = REGIONS["test_nominal"]


def load(**request):
    return DATASETS["textures"]().load(DataRequest(**request))


@pytest.fixture(scope="module", params=[16, 33, 64])
def data(request):
    return load(image_size=request.param)


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_share_no_pixel_of_a_photo(monkeypatch, size):
    # Every pixel tells its column, and is noisy enough not to be passed over as flat.
    noise = np.random.default_rng(0).integers(0, 2, (512, 512)) * 1024
    coded = (noise + np.arange(512))[..., None].astype(np.float32)
    monkeypatch.setattr(textures, "photo", lambda name, channels: coded)
    monkeypatch.setattr(textures, "equalise", torch.from_numpy)
    parts = load(image_size=size).parts()
    for part, (start, stop) in REGIONS.items():
        columns = parts[part].images % 1024
        assert (columns.min(), columns.max()) >= (start, start), part
        assert start <= columns.min() < start + size, part
        assert stop - size <= columns.max() < stop, part


def test_the_parts_are_of_the_promised_kind(data):
    size = data.shape[1]
    assert data.shape == (1, size, size)
    assert (data.name, data.nominal_class) == ("textures", NOMINAL)
    assert len(data.train_nominal) == 512
    assert len(data.train_anomalous) >= 512
    for part in ("train_nominal", "validation", "test_nominal"):
        assert {name.split("-")[0] for name in data.parts()[part].names} == {NOMINAL}
    assert {name.split("-")[0] for name in data.test_anomalous.names} == set(ANOMALOUS)
    for part, images in data.parts().items():
        assert images.images.dtype == torch.uint8, part
        assert images.images.shape == (len(images.names), *data.shape), part
        assert len(set(images.names)) == len(images), part
        assert images.masks is None, part


def test_test_anomalies_are_never_trained_on(data):
    outliers = {name.rsplit("-", 1)[0] for name in data.train_anomalous.names}
    assert outliers <= set(GREY + COLOUR)
    assert len(outliers) >= 10
    assert not outliers & {"grass", "gravel", "brick"}


def test_no_held_out_image_is_there_twice_or_trained_on(data):
    trained = torch.cat([data.train_nominal.images, data.train_anomalous.images])
    held_out = torch.cat([data.validation.images, data.test_nominal.images, data.test_anomalous.images])
    together = torch.cat([trained.flatten(1).unique(dim=0), held_out.flatten(1)])
    assert len(together.unique(dim=0)) == len(together)


def test_every_crop_has_the_same_mean(data):
    for part, images in data.parts().items():
        means = (images.images.double() / 255).mean(dim=(1, 2, 3))
        assert (means - TARGET_MEAN).abs().max() < 0.02, part


def test_every_crop_has_the_same_contrast(data):
    for part, images in data.parts().items():
        contrasts = (images.images.double() / 255).std(dim=(1, 2, 3))
        assert (contrasts - TARGET_STD).abs().max() < 0.1 * TARGET_STD, part


def test_equalising_moves_each_crop_to_the_same_mean_and_contrast():
    half = np.zeros((2, 4, 4, 1), np.float32)
    half[0, :2] = 1  # mean 0.5, deviation 0.5: to 0.3 and 0.7
    half[1, :2] = 0.02  # faint and dark: to the same
    pixels = equalise(half)
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (2, 1, 4, 4)
    assert pixels.is_contiguous()
    np.testing.assert_allclose(pixels[:, 0, 0, 0], 0.7 * 255, atol=1)
    np.testing.assert_allclose(pixels[:, 0, 3, 3], 0.3 * 255, atol=1)


def test_loading_again_gives_the_same_fingerprint_and_another_size_another():
    assert load().fingerprint() == load(image_size=64, oe="photos").fingerprint()
    assert load(image_size=16).fingerprint() != load(image_size=17).fingerprint()


@pytest.mark.parametrize("size", [1, SIZES[0] - 1, SIZES[1] + 1])
def test_other_sizes_are_refused(size):
    with pytest.raises(InputError, match=f"16 to 64 px, not {size}; .*--image-size"):
        load(image_size=size)


def test_a_data_root_is_refused(tmp_path):
    with pytest.raises(InputError, match="takes no --data-root"):
        load(data_root=tmp_path)


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
