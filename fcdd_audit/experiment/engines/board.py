"""Where tasks write how many steps they made. Imports nothing heavy: a process of Ray holds it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


class Board:
    """Where tasks write how many steps they made: an actor on this machine, if it can be. It may be lost, and
    begun anew elsewhere; nothing but the progress depends on it."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        here = ray.get_runtime_context().get_node_id()
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=True)
        made = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=strategy)(_Totals)
        self.actor = made.remote()
        self.asked: Any = None

    def said(self) -> dict[int, int]:
        """By task what was written since; nothing while there is no answer, which isn't waited for."""
        if self.asked is None:
            self.asked = self.actor.said.remote()
        if not self.ray.wait([self.asked], timeout=0)[0]:
            return {}
        asked, self.asked = self.asked, None
        try:
            found: dict[int, int] = self.ray.get(asked)
        except self.ray.exceptions.RayError:
            return {}
        return found

    def close(self) -> None:
        """End it."""
        with suppress(self.ray.exceptions.RayError):
            self.ray.kill(self.actor)


class _Totals:
    """By task how many steps it made, as far as it wasn't asked for."""

    def __init__(self) -> None:
        self.totals: dict[int, int] = {}

    def write(self, number: int, total: int) -> None:
        self.totals[number] = total

    def said(self) -> dict[int, int]:
        found, self.totals = self.totals, {}
        return found
