"""Windows that look alike."""

import torch

from fcdd_audit.discovery.lookalikes import alike


def test_windows_that_look_alike_share_a_group():
    red = torch.zeros(3, 8, 8)
    red[0] = 1
    half = red.clone()
    half[:, :4] = 0.5
    grey = torch.full((3, 16, 16), 0.5)
    assert alike([red, grey, red, half.flip(1), half]).tolist()[:3] == [0, 1, 0]
    labels = alike([half, half.flip(1), half.mT, grey * 0])
    assert labels.tolist() == [0, 0, 0, 1], "wherever it lies"
    assert alike([red]).tolist() == [0]
    assert alike([]).tolist() == []


def test_grey_windows_are_told_apart_by_their_levels():
    dark, light = torch.full((1, 8, 8), 0.1), torch.full((1, 4, 4), 0.9)
    assert alike([dark, light, dark]).tolist() == [0, 1, 0]
