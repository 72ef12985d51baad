"""CUDA graphs: a step is recorded once, and replayed without launching its kernels one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

WARM_UP = 2  # steps before a step is recorded: what is made once is made then

log = logging.getLogger("fcdd_audit")


class Recorder(Protocol):
    """How steps are recorded."""

    def warm(self, step: Callable[[], None]) -> None:
        """Do a step before one is recorded."""
        ...

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """What does the same again and again, without doing it now. RuntimeError if it can't be."""
        ...


class CudaRecorder:
    """Records CUDA graphs of steps that draw from these generators on the device. Where that fails, the list
    gets new ones that go on alike: the old ones may stay bound to what failed."""

    def __init__(self, device: torch.device, generators: list[torch.Generator]) -> None:
        self.generators, self.stream = generators, torch.cuda.Stream(device)

    def warm(self, step: Callable[[], None]) -> None:
        """On the stream that is recorded from: what autograd makes belongs to one."""
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            step()
        torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        kept = [generator.get_state() for generator in self.generators]
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                step()
        except RuntimeError:
            self.generators[:] = renewed(self.generators, kept)
            raise
        return graph.replay


def renewed(generators: Sequence[torch.Generator], states: Sequence[Tensor]) -> list[torch.Generator]:
    """New generators on the same devices, in these states."""
    made = [torch.Generator(one.device) for one in generators]
    for generator, state in zip(made, states, strict=True):
        generator.set_state(state)
    return made


def recorder_on(device: torch.device, generators: list[torch.Generator]) -> Recorder | None:
    """What records steps there that draw from these generators; None: nothing does."""
    return CudaRecorder(device, generators) if device.type == "cuda" else None


class Replayed:
    """Does a step as it is, at first; then records it, and replays that.

    step: its tensors stay where they are. Where it can't be recorded it goes on as it is, and the log says
    so. replays: how many steps were replayed.
    """

    def __init__(self, step: Callable[[], None], recorder: Recorder) -> None:
        self._step, self._recorder = step, recorder
        self._recorded: Callable[[], None] | None = None
        self._made = 0
        self.replays = 0

    def __call__(self) -> None:
        if self._made == WARM_UP:
            self._recorded = self._try()
        self._made += 1
        if self._recorded is not None:
            self._recorded()
            self.replays += 1
        elif self._made <= WARM_UP:
            self._recorder.warm(self._step)
        else:
            self._step()

    def _try(self) -> Callable[[], None] | None:
        try:
            return self._recorder.record(self._step)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            log.warning("training launches its kernels one by one: no CUDA graph can be made (%s)", reason)
            return None
