"""Separable receptive-field upsampling against the 2-D transposed convolution it replaces.

python benchmarks/upsampling.py [--maps 64] [--seconds 2] [--threads 1]

Prints, for the paper's two map sizes, the largest difference between the two (each divided by what it
makes of a constant map), maps a second of both, and the ratio. The two are timed in turns, so that
the ratio holds on a noisy machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.detectors.receptive import ReceptiveField, upsample

# Map side, image side, receptive field and sigma of the paper's CIFAR-10 and ImageNet networks.
CASES = (
    (8, 32, ReceptiveField(22, 4, 1.5), 1.2),
    (28, 224, ReceptiveField(62, 8, 3.5), 8.0),
)


def transposed_convolution(maps: Tensor, field: ReceptiveField, side: int, sigma: float) -> Tensor:
    """The direct way: every cell adds a 2-D Gaussian of the size of its field."""
    taps = torch.arange(field.size) - (field.size - 1) / 2
    line = torch.exp(-0.5 * (taps / sigma) ** 2)
    full = F.conv_transpose2d(maps, (line[:, None] * line)[None, None], stride=field.stride)
    first = round((field.size - 1) / 2 - field.start)  # where pixel 0 lies in the full output
    return full[..., first : first + side, first : first + side]


def rate(function: Callable[[], object], count: int) -> float:
    """Maps a second of one call."""
    started = time.perf_counter()
    function()
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=64, help="maps a call")
    parser.add_argument("--seconds", type=float, default=4, help="time for each case")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), {options.maps} maps a call")
    for cells, side, field, sigma in CASES:
        maps = torch.rand(options.maps, 1, cells, cells, generator=torch.Generator().manual_seed(0))
        direct = transposed_convolution(maps, field, side, sigma)
        direct /= transposed_convolution(torch.ones(1, 1, cells, cells), field, side, sigma)
        difference = (upsample(maps, field, (side, side), sigma) - direct).abs().max()

        ours = partial(upsample, maps, field, (side, side), sigma)
        theirs = partial(transposed_convolution, maps, field, side, sigma)
        pairs: list[tuple[float, float]] = []
        end = time.perf_counter() + options.seconds
        while time.perf_counter() < end or len(pairs) < 5:
            pairs.append((rate(ours, options.maps), rate(theirs, options.maps)))
        separable, reference = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(
            f"{cells:>3} -> {side:<3}  max difference {difference:.1e}  separable {separable:,.0f} maps/s  "
            f"transposed convolution {reference:,.0f} maps/s  ratio {ratio:,.0f}"
        )


if __name__ == "__main__":
    main()
