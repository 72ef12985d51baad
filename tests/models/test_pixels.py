import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.pixels import make_scale, to_channels


def test_images_are_standardised_by_the_mean_and_the_deviation():
    x = torch.tensor([[[[0.5]], [[1.0]], [[0.0]]]])
    assert make_scale([0.5], [0.5]).on(x).flatten().tolist() == [0, 1, -1]
    assert make_scale([0.5, 0, 1], [0.5, 2, 1]).on(x).flatten().tolist() == [0, 0.5, -1]
    assert make_scale([0, 0.5, 0], [2]).on(x).flatten().tolist() == [0.25, 0.25, 0]
    assert make_scale(None, None) is None


def test_how_many_channels_a_scale_is_for():
    assert make_scale([0.5], [0.5]).channels is None
    assert make_scale([0.5], [1, 2, 3]).channels == 3


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [
        (
            [0.5],
            None,
            "--mean is given without --std; images are standardised as (x - mean) / std: give both",
        ),
        (
            None,
            [0.5],
            "--std is given without --mean; images are standardised as (x - mean) / std: give both",
        ),
        ([0.1, 0.2], [1], "--mean is 0.1,0.2; 1 number or 3, one a channel, are needed, all finite"),
        ([0.1], [], "--std is empty; 1 number or 3, one a channel, are needed, all finite"),
        ([float("nan")], [1], "--mean is nan; 1 number or 3, one a channel, are needed, all finite"),
        ([0.1], [1, 0, 1], "--std is 1,0,1; it must be over 0"),
    ],
)
def test_numbers_that_cannot_standardise_are_said(mean, std, said):
    with pytest.raises(InputError) as error:
        make_scale(mean, std)
    assert str(error.value) == said


def test_grey_is_repeated_and_colour_becomes_its_luminance():
    grey = torch.tensor([[[[0.25]]]])
    assert to_channels(grey, 3).flatten().tolist() == [0.25] * 3
    colour = torch.tensor([[[[1.0]], [[0.5]], [[0.25]]]])
    torch.testing.assert_close(to_channels(colour, 1), torch.tensor([[[[0.299 + 0.2935 + 0.0285]]]]))
    assert to_channels(colour, 3) is colour
    assert to_channels(colour, None) is colour


def test_other_channels_are_not_made():
    with pytest.raises(
        InputError, match="takes images of 4 channels, and these have 3; only grey and colour"
    ):
        to_channels(torch.zeros(1, 3, 2, 2), 4)
