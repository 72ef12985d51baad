import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes.tones import Blur, Brightness, Jpeg, Noise, Resize, Tint


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def changed(probe, x, seed=0):
    marked, mask = probe.apply(torch.as_tensor(x), generator(seed))
    assert mask is None
    return marked


def row(*values):
    """A grey image of one row."""
    return torch.tensor(values).reshape(1, 1, 1, -1)


def test_a_tint_mixes_its_colour_in():
    x = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 3, 1, 1)
    assert changed(Tint(colour="#ff0000", strength=0.25), x).flatten().tolist() == [0.25, 0.375, 0.75]
    grey = changed(Tint(colour="#ff0000", strength=0.5), row(0.0, 1.0)).flatten()
    assert grey.tolist() == pytest.approx([0.1495, 0.6495])  # the luminance of red is 0.299


def test_the_strongest_tint_is_the_colour_alone():
    assert (changed(Tint(colour="white", strength=1), torch.rand(2, 3, 4, 4)) == 1).all()


@pytest.mark.parametrize(
    ("factor", "expected"), [(0, [0, 0, 0]), (0.5, [0, 0.25, 0.5]), (1.5, [0, 0.75, 1]), (10, [0, 1, 1])]
)
def test_brightness_multiplies_and_cuts_off(factor, expected):
    assert changed(Brightness(factor=factor), row(0.0, 0.5, 1.0)).flatten().tolist() == expected


def test_a_factor_of_1_changes_nothing_and_is_refused():
    with pytest.raises(InputError, match="brightness factor is 1, which changes nothing; use another"):
        Brightness(factor=1)


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.25])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_blur_is_scipys(sigma, channels):
    x = torch.rand(2, channels, 40, 30, generator=generator(), dtype=torch.float64)
    px = sigma * 30
    radius = int(np.ceil(3 * px))
    expected = gaussian_filter(x.numpy(), (0, 0, px, px), mode="mirror", radius=(0, 0, radius, radius))
    np.testing.assert_allclose(changed(Blur(sigma=sigma), x).numpy(), expected, atol=1e-6)


def test_a_jpeg_is_pillows():
    pixels = torch.randint(0, 256, (3, 3, 20, 24), generator=generator(), dtype=torch.uint8)
    for channels, mode in ((3, "RGB"), (1, "L")):
        result = changed(Jpeg(quality=40), pixels[:, :channels] / 255)
        for before, after in zip(pixels[:, :channels], result, strict=True):
            file = io.BytesIO()
            values = before.movedim(0, -1).numpy()
            Image.fromarray(values if channels == 3 else values[..., 0]).save(file, "JPEG", quality=40)
            decoded = Image.open(file)
            assert decoded.mode == mode
            expected = torch.from_numpy(np.array(decoded)).reshape(20, 24, channels).movedim(-1, 0)
            assert torch.equal((after * 255).round().to(torch.uint8), expected)


def test_a_lower_quality_changes_more():
    x = torch.rand(2, 3, 64, 64, generator=generator())
    losses = [(changed(Jpeg(quality=quality), x) - x).abs().mean() for quality in (100, 75, 25, 1)]
    assert losses == sorted(losses)
    assert len(set(losses)) == 4


def test_flat_images_survive_jpeg_blur_and_resize():
    for level in (0.0, 0.4, 1.0):
        x = torch.full((1, 3, 32, 32), level)
        for probe in (Jpeg(), Blur(), Resize()):
            torch.testing.assert_close(changed(probe, x), x, atol=0.02, rtol=0)


def test_noise_has_the_asked_deviation_and_is_cut_off():
    x = torch.full((2, 3, 100, 100), 0.5)
    noise = changed(Noise(std=0.1), x) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[0, 0], noise[0, 1])
    assert torch.equal(changed(Noise(std=0.1), x) - 0.5, noise)
    assert not torch.equal(changed(Noise(std=0.1), x, seed=1) - 0.5, noise)
    loud = changed(Noise(std=1), x)
    assert (loud.min(), loud.max()) == (0, 1)


def test_resize_leaves_the_means_of_squares():
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    assert changed(Resize(), x).flatten().tolist() == [0.5] * 4
    tiny = changed(Resize(factor=0.01), torch.rand(1, 1, 8, 8, generator=generator()))
    assert tiny.max() - tiny.min() < 1e-6, "at least one pixel remains"


def test_resize_takes_detail_and_leaves_what_is_coarse():
    fine = torch.arange(64).remainder(2).float().expand(1, 1, 64, 64)
    coarse = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert changed(Resize(), fine).std() < 0.2 * fine.std()
    torch.testing.assert_close(changed(Resize(), coarse), coarse, atol=0.02, rtol=0)


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_a_quality_is_between_1_and_100(quality):
    with pytest.raises(InputError) as error:
        Jpeg(quality=quality)
    assert str(error.value) == f"jpeg quality is {quality}; it must be in [1, 100]"
