"""What a search could have found: marks are put on some of the searched images, and searched for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.discovery.repeated import Compared, families_of, search
from fcdd_audit.discovery.repeats import View
from fcdd_audit.probes.chain import make_probe

BEARERS = 10
# In corners of their own, so that one search can look for all of them.
MARKS = (
    ("watermark", {"corner": "lower-left"}),
    ("logo", {"corner": "upper-right"}),
)
OPACITIES = (0.5, 0.8)


@dataclass(frozen=True)
class Spiked:
    """A mark that was put on `bearers` images of one side, and whether the search found it: a candidate of a
    family-wise p of at most 5 % most of whose images bear it."""

    mark: str
    opacity: float
    bearers: int
    found: bool
    p: float | None


def spike(
    families: Sequence[Compared], draws: int, seed: int, level: float, advance: Callable[[int], None]
) -> tuple[Spiked, ...]:
    """Marks of several opacities on BEARERS images of the first side, searched for as the images are.

    level: a p that is small enough. families: of all that is searched; those of the first side are compared
    anew. Marks that don't fit on the images are left out, and those for which there are too few images.
    """
    own = families[0][0]
    n = len(own.sampled)
    results = []
    for opacity in OPACITIES:
        images, bearing = own.view.images.clone(), {}
        order = numpy_generator(seed, f"spiked images at {opacity}").permutation(n)
        for place, (name, options) in enumerate(MARKS):
            bearers = order[place * BEARERS : (place + 1) * BEARERS]
            if len(bearers) < BEARERS:
                continue
            chosen = torch.from_numpy(bearers)
            generator = torch_generator(seed, f"spiked {name} at {opacity}")
            try:
                probe = make_probe(name, {name: {**options, "opacity": opacity}})
                marked, _ = probe.apply(images[chosen].float() / 255, generator)
            except InputError:
                continue
            images[chosen] = (marked * 255).round().byte()
            bearing[name] = set(bearers.tolist())
        changed = replace(own, view=View(own.view.name, images, images.flip(-1)))
        coins = numpy_generator(seed, f"coins of spiked images at {opacity}")
        anew = [*families_of([changed], advance), *(one for one in families if one[0] is not own)]
        repeats = search(anew, draws, coins, 0)
        found = [(set(repeat.bearers.tolist()), repeat.p) for repeat, one in repeats if one is changed]
        for name, spiked in bearing.items():
            hits = [p for who, p in found if p <= level and len(who & spiked) * 2 > len(who)]
            results.append(Spiked(name, opacity, len(spiked), bool(hits), min(hits, default=None)))
    return tuple(results)
