import pytest
import torch
from torch import nn

from fcdd_audit.detectors.networks import (
    convolutions,
    embedding,
    expansion,
    transposed,
    widths_for,
)


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((1, 16, 16), (4, 4)), ((3, 32, 48), (8, 12)), ((3, 64, 64), (16, 16)), ((3, 128, 128), (16, 16))],
)
def test_every_network_turns_shapes_as_it_says(shape, grid):
    widths = widths_for(min(shape[1:]))
    x = torch.rand(2, *shape)
    features = convolutions(shape[0], widths)(x)
    vector = embedding(widths, shape, 5)(features)
    assert features.shape == (2, 64, *grid)
    assert vector.shape == (2, 5)
    assert expansion(widths, shape, 5)(vector).shape == features.shape
    assert transposed(shape[0], widths)(features).shape == x.shape


def test_images_from_128_px_on_get_one_more_block():
    assert [len(widths_for(side)) for side in (16, 127, 128, 224)] == [3, 3, 4, 4]


def test_without_bias_zero_stays_zero():
    widths = (4, 8)
    bare = nn.Sequential(convolutions(1, widths, bias=False), embedding(widths, (1, 8, 8), 3, bias=False))
    assert not [name for name, _ in bare.named_parameters() if "bias" in name]
    assert bare.eval()(torch.zeros(2, 1, 8, 8)).abs().max() == 0
    biased = nn.Sequential(convolutions(1, widths), embedding(widths, (1, 8, 8), 3))
    assert biased.eval()(torch.zeros(2, 1, 8, 8)).abs().max() > 0


def test_the_decoder_ends_in_a_bare_convolution_so_that_it_reaches_any_value():
    assert isinstance(transposed(3, (4, 8))[-1], nn.Conv2d)
