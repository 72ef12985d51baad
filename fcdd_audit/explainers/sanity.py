"""Does an explanation depend on what it explains? Copies of a detector with some of its weights redrawn.

A map that stays as it is when the network's weights are drawn anew doesn't explain what the network learned.
Source: Adebayo et al. 2018, "Sanity checks for saliency maps" (arXiv 1810.03292).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import nn

from fcdd_audit.detectors.base import Detector

# Whose initial weights are random. Batch norm keeps its own: its initial ones aren't.
DRAWN = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def cascade(detector: Detector, generator: torch.Generator) -> Iterator[Detector]:
    """Copies with the last 1, 2, ... layers redrawn, to all of them."""
    copy = detector
    for place in range(len(_from_the_end(detector))):
        copy = deepcopy(copy)
        _redraw(_from_the_end(copy)[place], generator)
        yield copy


def one_by_one(detector: Detector, generator: torch.Generator) -> Iterator[Detector]:
    """Copies with one layer redrawn each, from the last to the first."""
    for place in range(len(_from_the_end(detector))):
        copy = deepcopy(detector)
        _redraw(_from_the_end(copy)[place], generator)
        yield copy


def _from_the_end(detector: Detector) -> list[nn.Conv2d | nn.ConvTranspose2d | nn.Linear]:
    return [module for module in detector.modules() if isinstance(module, DRAWN)][::-1]


def _redraw(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, generator: torch.Generator) -> None:
    """Initial weights by the layer's own rule, from the generator; the global stream stays as it is."""
    seed = int(torch.randint(2**62, (), generator=generator))
    fresh = deepcopy(layer).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        fresh.reset_parameters()
    layer.load_state_dict(fresh.state_dict())
