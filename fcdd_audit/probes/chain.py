"""Several probes, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import check_options
from fcdd_audit.probes.base import PROBES, Probe

PLUS = "+"  # joins the names of a chain: watermark+jpeg


@dataclass(frozen=True)
class Chain:
    """Applies several probes in order. The mask is the union of those that have one; None if none has."""

    probes: tuple[Probe, ...]

    @property
    def placed(self) -> bool:
        """Whether any of them has a place."""
        return any(probe.placed for probe in self.probes)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        masks = []
        for probe in self.probes:
            x, mask = probe.apply(x, generator)
            if mask is not None:
                masks.append(mask)
        return x, reduce(torch.logical_or, masks) if masks else None


def probes_of(probe: Probe) -> tuple[Probe, ...]:
    """Those that it is made of: itself, unless it is a chain."""
    return probe.probes if isinstance(probe, Chain) else (probe,)


def probe_names(chain: str) -> tuple[str, ...]:
    """The registered names that `a+b` joins; InputError for an unknown one, none, or one named twice."""
    names = tuple(chain.split(PLUS))
    if "" in names:
        raise InputError(
            f"probe '{chain}' has an empty name; give one name, or several joined by {PLUS}, as in "
            f"watermark{PLUS}jpeg (known: {', '.join(PROBES)})"
        )
    for name in names:
        _ = PROBES[name]
        if names.count(name) > 1:
            raise InputError(
                f"probe '{name}' is named twice in '{chain}', but its options are given once; name it once"
            )
    return names


def make_probe(chain: str, options: Mapping[str, Mapping[str, Any]]) -> Probe:
    """The probe of that name, or the `Chain` of several, each with its options by name."""
    probes = []
    for name in probe_names(chain):
        kind, chosen = PROBES[name], options.get(name, {})
        check_options(name, kind, chosen)
        probes.append(kind(**chosen))
    return probes[0] if len(probes) == 1 else Chain(tuple(probes))
