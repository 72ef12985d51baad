import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fcdd_audit.detectors import DETECTORS, build
from fcdd_audit.detectors.receptive import (
    SIGMA_PER_STRIDE,
    ReceptiveField,
    receptive_field,
    reference_gain,
    upsample,
    upsampling_matrix,
)


def conv(kernel, **options):
    return nn.Conv2d(1, 1, kernel, **options)


def pool():
    return nn.MaxPool2d(2)


def padded(kernel):
    return conv(kernel, padding=kernel // 2)


# size + (kernel - 1) * dilation * stride so far; start + ((kernel - 1) * dilation / 2 - padding) * stride.
BY_HAND = {
    "nothing": ([], (1, 1, 0)),
    "3x3": ([conv(3)], (3, 1, 1)),
    "3x3 padded": ([padded(3)], (3, 1, 0)),
    "padded apart": ([nn.ZeroPad2d(1), conv(3)], (3, 1, 0)),
    "padded right and below": ([nn.ZeroPad2d((0, 1, 0, 1)), conv(3, stride=2), conv(1)], (3, 2, 1)),
    "3x3 stride 2": ([conv(3, stride=2, padding=1), conv(3)], (3 + 2 * 2, 2, 0 + 1 * 2)),
    "dilated": ([conv(3, dilation=2, padding=2), conv(3, dilation=3)], (1 + 4 + 6, 1, 0 + 3)),
    "max pool": ([pool(), pool()], (2 + 1 * 2, 4, 0.5 + 0.5 * 2)),
    "average pool": ([nn.AvgPool2d(3, 1, 1), nn.AvgPool2d(2)], (3 + 1, 2, 0 + 0.5)),
    "overlapping pool": ([nn.MaxPool2d(3, 2, 1), conv(1, stride=2)], (3, 4, 0)),
    "dilated pool": ([nn.MaxPool2d(2, 1, dilation=3)], (4, 1, 1.5)),
    "pointwise": ([nn.BatchNorm2d(1), nn.LeakyReLU(), nn.Dropout2d(), nn.Identity(), nn.GELU()], (1, 1, 0)),
    # The reference's three networks.
    "FCDD 28": ([padded(5), pool(), padded(5), pool(), conv(1)], (16, 4, 1.5)),
    "FCDD 32 LW3K": (
        [padded(3), pool(), padded(3), padded(3), pool(), padded(3), conv(1)],
        (22, 4, 1.5),
    ),
    "FCDD 224 VGG": (
        [*(padded(3), pool()) * 2, padded(3), padded(3), pool(), padded(3), padded(3), conv(1)],
        (62, 8, 3.5),
    ),
}


@pytest.mark.parametrize(("layers", "by_hand"), BY_HAND.values(), ids=BY_HAND.keys())
def test_the_receptive_field_is_the_one_computed_by_hand(layers, by_hand):
    assert receptive_field(nn.Sequential(*layers)) == ReceptiveField(*by_hand)
    nested = nn.Sequential(nn.Sequential(*layers[:2]), nn.Sequential(nn.Sequential(*layers[2:])))
    assert receptive_field(nested) == ReceptiveField(*by_hand)


def test_centres_step_by_the_stride():
    assert ReceptiveField(22, 4, 1.5).centres(3).tolist() == [1.5, 5.5, 9.5]


@pytest.mark.parametrize(
    "layer",
    [
        conv((1, 3)),
        conv(3, padding=(0, 1)),
        conv(3, padding="same"),
        nn.ConvTranspose2d(1, 1, 2),
        nn.Linear(4, 4),
        nn.AdaptiveAvgPool2d(1),
        nn.Upsample(scale_factor=2),
        nn.Flatten(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_without_a_known_square_field_is_refused(layer):
    with pytest.raises(ValueError, match=type(layer).__name__):
        receptive_field(nn.Sequential(conv(3), layer))


def response_of_one_cell(layers, side, row, column):
    """(rows, columns) of the pixels that move one cell, each first and last; summed over a few images."""
    x = torch.rand(16, 1, side, side, dtype=torch.float64, requires_grad=True)
    layers.double()(x)[:, 0, row, column].sum().backward()
    rows, columns = x.grad.abs().sum(dim=(0, 1)).nonzero().T
    return (rows.min(), rows.max()), (columns.min(), columns.max())


@st.composite
def stacks(draw):
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride, dilation = (draw(st.integers(1, top)) for top in (4, 2, 2))
        padding = draw(st.integers(0, kernel // 2))
        layer = conv(kernel, stride=stride, padding=padding, dilation=dilation)
        nn.init.constant_(layer.weight, 1.0)
        layers.append(layer if draw(st.booleans()) else nn.AvgPool2d(kernel, stride, padding))
    return nn.Sequential(*layers)


@settings(deadline=None, max_examples=60)
@given(stacks())
def test_gradients_reach_exactly_the_receptive_field(layers):
    field, cell = receptive_field(layers), 5
    first = field.start + cell * field.stride - (field.size - 1) / 2
    last = first + field.size - 1
    if first < 0 or last > 89:
        return
    for found in response_of_one_cell(layers, 90, cell, cell):
        assert found == (first, last)


@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_detectors_own_field_is_where_its_gradients_reach(name, side):
    detector = build(name, torch.randint(0, 256, (2, 1, side, side), dtype=torch.uint8), 0).eval()
    layers = detector.features[: list(detector.features).index(detector.cam_layer) + 1]
    field, cell = detector.cam_field, 4
    # Max pooling lets only one pixel in four through: means show the whole field.
    shown = nn.Sequential(*(nn.AvgPool2d(2) if isinstance(la, nn.MaxPool2d) else la for la in layers))
    x = torch.rand(4, 1, side, side, dtype=torch.float64, requires_grad=True)
    shown.double()(x)[:, :, cell, cell].sum().backward()
    for along in x.grad.abs().sum(dim=(0, 1)).nonzero().T:
        centre, reach = field.start + cell * field.stride, (field.size - 1) / 2
        assert (along.min(), along.max()) == (centre - reach, centre + reach)


# The reference's networks at 32 and 224 px.
FIELDS = pytest.mark.parametrize(
    ("field", "cells", "pixels"), [(ReceptiveField(22, 4, 1.5), 8, 32), (ReceptiveField(62, 8, 3.5), 28, 224)]
)


def by_transposed_convolution(maps, field, pixels, sigma):
    """FCDD's Algorithm 1, in two dimensions, in place and normalised."""
    taps = torch.arange(field.size) - (field.size - 1) / 2
    line = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = torch.outer(line, line)[None, None]
    cut = round((field.size - 1) / 2 - field.start)

    def spread(values):
        return F.conv_transpose2d(values, kernel, stride=field.stride)[..., cut:, cut:][..., :pixels, :pixels]

    return spread(maps) / spread(torch.ones_like(maps))


@FIELDS
@pytest.mark.parametrize("sigma_per_stride", [0.3, SIGMA_PER_STRIDE, 1.0])
def test_upsampling_equals_the_two_dimensional_transposed_convolution(field, cells, pixels, sigma_per_stride):
    maps = torch.rand(2, 1, cells, cells, generator=torch.Generator().manual_seed(0))
    sigma = sigma_per_stride * field.stride
    expected = by_transposed_convolution(maps, field, pixels, sigma)
    torch.testing.assert_close(upsample(maps, field, (pixels, pixels), sigma), expected, atol=1e-5, rtol=1e-5)


@FIELDS
def test_a_constant_map_stays_constant_up_to_the_corners(field, cells, pixels):
    for sigma in (0.1, 3.0, 100.0):
        flat = upsample(torch.full((1, 1, cells, cells), 0.7), field, (pixels, pixels), sigma)
        torch.testing.assert_close(flat, torch.full((1, 1, pixels, pixels), 0.7))


@FIELDS
@pytest.mark.parametrize("row", ["first", "middle", "last"])
@pytest.mark.parametrize("column", ["first", "middle", "last"])
def test_one_hot_cell_gives_a_blob_centred_on_its_field(field, cells, pixels, row, column):
    place = {"first": 0, "middle": cells // 2, "last": cells - 1}
    maps = torch.zeros(1, 1, cells, cells)
    maps[0, 0, place[row], place[column]] = 1
    blob = upsample(maps, field, (pixels, pixels), SIGMA_PER_STRIDE * field.stride)[0, 0]
    assert blob.min() >= 0
    position = torch.arange(pixels)
    for heat, cell in ((blob.sum(1), place[row]), (blob.sum(0), place[column])):
        centroid = (heat * position).sum() / heat.sum()
        assert centroid == pytest.approx(field.start + cell * field.stride, abs=0.5)


@FIELDS
def test_no_heat_falls_outside_the_cells_field(field, cells, pixels):
    maps = torch.zeros(1, 1, cells, cells)
    maps[0, 0, 3, 4] = 1
    heat = upsample(maps, field, (pixels, pixels), 100.0)[0, 0] > 0
    reach = (field.size - 1) / 2
    for cell, along in ((3, heat.any(1)), (4, heat.any(0))):
        centre = field.start + cell * field.stride
        inside = (torch.arange(pixels) - centre).abs() <= reach
        assert torch.equal(along, inside)


def test_rows_and_columns_are_not_mixed_up_in_an_oblong_image():
    field = ReceptiveField(4, 4, 1.5)
    maps = torch.arange(6.0).reshape(1, 1, 2, 3)
    sharp = upsample(maps, field, (8, 12), 1.0)
    assert torch.equal(sharp, maps.repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_a_pixel_that_no_field_covers_takes_from_the_cells_beside_it():
    shares = upsampling_matrix(ReceptiveField(1, 4, 1.0), 3, 12, 1.6)
    assert shares[3].tolist() == pytest.approx([0.5, 0.5, 0], abs=0.01)  # midway between 1 and 5
    assert shares[1].tolist() == [1, 0, 0]
    assert shares[11].argmax() == 2
    torch.testing.assert_close(shares.sum(1), torch.ones(12))


def test_a_cell_with_a_field_of_one_pixel_at_stride_one_is_that_pixel():
    maps = torch.rand(1, 1, 5, 6)
    assert torch.equal(upsample(maps, ReceptiveField(), (5, 6), SIGMA_PER_STRIDE), maps)


@pytest.mark.parametrize(
    ("field", "sigma", "gain"),
    [
        (ReceptiveField(16, 4, 1.5), 1.2, 0.251),
        (ReceptiveField(22, 4, 1.5), 1.2, 0.251),
        (ReceptiveField(62, 8, 3.5), 8, 1.73),
        (ReceptiveField(62, 8, 3.5), 12, 3.69),
        (ReceptiveField(3, 2), 1e-3, 0.25),  # one tap of 1, every second pixel
        (ReceptiveField(3, 1), 1e9, 9),  # 3 x 3 taps of 1
        (ReceptiveField(4, 1), 1e9, 4),  # (3 taps of 1 and a fourth) / 2, squared
    ],
)
def test_the_gain_is_the_mean_of_the_reference_codes_upsampled_map(field, sigma, gain):
    assert reference_gain(field, sigma) == pytest.approx(gain, rel=0.01)


def test_upsampling_keeps_single_precision_under_autocast():
    maps = torch.rand(1, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        heat = upsample(maps, ReceptiveField(22, 4, 1.5), (32, 32), 1.6)
    assert torch.equal(heat, upsample(maps, ReceptiveField(22, 4, 1.5), (32, 32), 1.6))


def test_upsampling_asks_for_no_autocast_on_devices_without(monkeypatch):
    def unsupported(*arguments, **options):
        raise RuntimeError("unsupported autocast device_type 'mps'")

    monkeypatch.setattr(torch, "autocast", unsupported)
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: False)
    assert upsample(torch.ones(1, 1, 2, 2), ReceptiveField(4, 4, 1.5), (8, 8), 1.6).shape == (1, 1, 8, 8)
