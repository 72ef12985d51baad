import torch

from fcdd_audit.detectors import build
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.explainers import EXPLAINERS


class Residual:
    """A user's own, which rebuilds everything as grey."""

    anomaly_field, map_field = ReceptiveField(), ReceptiveField(size=3, stride=2)

    def anomaly_map(self, x):
        return (x - 0.5).square().mean(dim=1, keepdim=True)

    def score(self, x):
        return self.anomaly_map(x).mean(dim=(1, 2, 3))


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
