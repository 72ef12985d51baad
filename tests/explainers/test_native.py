import torch
from torch import nn

from fcdd_audit.detectors import OwnNetwork, build
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.explainers import EXPLAINERS


class Residual:
    """A user's own, which rebuilds everything as grey."""

    anomaly_field, map_field = ReceptiveField(), ReceptiveField(size=3, stride=2)

    def anomaly_map(self, x):
        return (x - 0.5).square().mean(dim=1, keepdim=True)

    def score(self, x):
        return self.anomaly_map(x).mean(dim=(1, 2, 3))


def test_fcdds_map_is_the_pseudo_huber_response_of_each_cell_where_it_looks(explain):
    # Cells of 4x4 pixels that don't overlap, of a quarter of the pixels' sum: 4 times their level.
    trunk = nn.Sequential(nn.Conv2d(1, 1, 4, stride=4, bias=False))
    trunk[0].weight.data.fill_(1 / 4)
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    detector = build("fcdd", images, 0, network=OwnNetwork((1, 8, 8), trunk))
    detector.mean.fill_(0)
    detector.std.fill_(1)
    detector.head.weight.data.fill_(-1.0)
    detector.head.bias.data.fill_(0.0)
    levels = torch.tensor([[0.0, 3**0.5 / 4], [8**0.5 / 4, 15**0.5 / 4]])
    x = levels.repeat_interleave(4, 0).repeat_interleave(4, 1)[None, None]
    # Outputs 0, -sqrt(3), -sqrt(8) and -sqrt(15): sqrt(3 + 1) - 1 = 1, sqrt(8 + 1) - 1 = 2 and 4 - 1 = 3.
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).repeat_interleave(4, 0).repeat_interleave(4, 1)
    torch.testing.assert_close(explain("native", detector.eval(), x)[0, 0], expected)


def test_the_residuals_map_is_its_square(explain):
    x = torch.tensor([[[[0.5, 1.0]], [[0.1, 0.5]]]])  # two channels
    torch.testing.assert_close(explain("native", Residual(), x), torch.tensor([[[[0.08, 0.125]]]]))


def test_the_blurred_residual_shares_a_pixel_with_its_neighbours(explain):
    x = torch.full((1, 1, 5, 5), 0.5)
    x[..., 2, 2] = 1.0
    beside = torch.exp(torch.tensor(-0.5)).item()
    share = torch.tensor([0, beside, 1, beside, 0]) / (1 + 2 * beside)
    heat = explain("blurred-residual", Residual(), x, sigma=1.0)
    torch.testing.assert_close(heat[0, 0], 0.25 * share[:, None] * share)


def test_a_map_that_isnt_pixel_by_pixel_is_no_residual(noise):
    assert "no residual" in EXPLAINERS["blurred-residual"]().unavailable(build("fcdd", noise, 0))
    assert EXPLAINERS["blurred-residual"]().unavailable(build("ae", noise, 0)) is None


def test_the_grain_of_a_map_is_its_cells(noise):
    grain = EXPLAINERS["native"]().grain(build("fcdd", noise, 0), 16)
    assert (grain.size, grain.stride) == (18, 4)
    assert EXPLAINERS["native"]().grain(build("ae", noise, 0), 16) == ReceptiveField()
