"""Images of noise, and a mark put on some of them."""

import torch


def scenes(count, side=32, channels=1, seed=0):
    """Smooth noise, different in every image: uint8 (count, channels, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, side // 4, side // 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    fine = torch.rand(count, channels, side, side, generator=generator)
    return ((0.8 * smooth + 0.2 * fine) * 255).round().byte()


def stamped(images, bearers, top=2, left=2, side=8, seed=9):
    """The same noisy square, black and white, on the bearers."""
    generator = torch.Generator().manual_seed(seed)
    mark = (torch.rand(side, side, generator=generator) > 0.5).byte() * 255
    found = images.clone()
    for place in bearers:
        found[place, :, top : top + side, left : left + side] = mark
    return found
