"""Detectors in training: one alone, or several of a kind as one by `torch.func.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from fcdd_audit.detectors.base import Detector

Told = tuple[Tensor, Tensor | None]


class Trained(Protocol):
    """M detectors that are trained together. learnt: what an optimizer changes."""

    learnt: list[Tensor]

    def losses(self, x: Tensor, labels: Tensor, mask: Tensor | None) -> Told:
        """Each detector's mean loss, (M,), and what it sees of its images, (M, N), or None.

        x: (M * N, C, H, W), the images of the first detector, then those of the second, and so on; labels,
        mask likewise.
        """
        ...

    def apply(self, index: int, function: Callable[[Detector], Tensor]) -> Tensor:
        """What a function makes of one of them, differentiable in what is learnt."""
        ...

    def finite(self) -> Tensor:
        """Whether all weights are, bool (M,)."""
        ...

    def close(self) -> None:
        """Give the detectors their weights back."""
        ...


class Alone:
    """One detector."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.learnt: list[Tensor] = [weight for weight in detector.parameters() if weight.requires_grad]

    def losses(self, x: Tensor, labels: Tensor, mask: Tensor | None) -> Told:
        loss, seen = self.detector.loss_and_seen(x, labels, mask)
        return loss[None], None if seen is None else seen[None]

    def apply(self, index: int, function: Callable[[Detector], Tensor]) -> Tensor:
        return function(self.detector)

    def finite(self) -> Tensor:
        sums = torch.stack([weight.detach().abs().sum() for weight in self.detector.parameters()])
        return torch.isfinite(sums).all()[None]

    def close(self) -> None:
        """They were never taken from it."""


class _Call(nn.Module):
    """A function of a detector as what a call does: `functional_call` gives the detector other weights."""

    def __init__(self, detector: Detector, function: Callable[[Detector], Any]) -> None:
        super().__init__()
        self.detector, self.function = detector, function

    def forward(self) -> Any:
        return self.function(self.detector)


def _with(detector: Detector, state: Mapping[str, Tensor], function: Callable[[Detector], Any]) -> Any:
    """What a function makes of a detector with these weights and buffers."""
    named = {f"detector.{name}": value for name, value in state.items()}
    return functional_call(_Call(detector, function), named, ())


class Vmapped:
    """Several detectors of one class, options and network.

    While they are stacked their weights and buffers are views of the stack's, so that each can be used, and
    changed in place, by itself.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = detectors
        self.weights, self.buffers = stack_module_state(list(detectors))
        self.learnt: list[Tensor] = [weight for weight in self.weights.values() if weight.requires_grad]
        self._bind(lambda value: value)

    @property
    def _state(self) -> dict[str, Tensor]:
        return {**self.weights, **self.buffers}

    def _bind(self, change: Callable[[Tensor], Tensor]) -> None:
        for index, detector in enumerate(self.detectors):
            _give(detector, {name: change(value.detach()[index]) for name, value in self._state.items()})

    def losses(self, x: Tensor, labels: Tensor, mask: Tensor | None) -> Told:
        def of_one(state: Mapping[str, Tensor], *batch: Tensor) -> tuple[Tensor, ...]:
            def told(detector: Detector) -> tuple[Tensor, ...]:
                return tuple(one for one in detector.loss_and_seen(*batch) if one is not None)

            found: tuple[Tensor, ...] = _with(self.detectors[0], state, told)
            return found

        batches = [
            one.unflatten(0, (len(self.detectors), -1)) for one in (x, labels, mask) if one is not None
        ]
        loss, *seen = torch.vmap(of_one)(self._state, *batches)
        return loss, seen[0] if seen else None

    def apply(self, index: int, function: Callable[[Detector], Tensor]) -> Tensor:
        own = {name: value[index] for name, value in self.weights.items()}
        found: Tensor = _with(self.detectors[index], own, function)
        return found

    def finite(self) -> Tensor:
        sums = torch.stack([weight.detach().flatten(1).abs().sum(dim=1) for weight in self.weights.values()])
        return torch.isfinite(sums).all(dim=0)

    def close(self) -> None:
        self._bind(torch.clone)


def _give(detector: Detector, state: dict[str, Tensor]) -> None:
    """Let these be its weights and buffers."""
    weights = dict(detector.named_parameters())
    for name, value in state.items():
        if name in weights:
            weights[name].data = value
        else:
            owner, _, leaf = name.rpartition(".")
            setattr(detector.get_submodule(owner), leaf, value)


def stackable(detector: Detector) -> bool:
    """Whether it can be trained in a stack and its steps replayed: its class says so itself, and no layer is
    in the way. Dropout would draw otherwise than in a lone training, and a batch norm without momentum reads
    how many batches it has seen."""
    return type(detector).__dict__.get("stacks", False) and not any(map(_is_unlike, detector.modules()))


def _is_unlike(layer: nn.Module) -> bool:
    return isinstance(layer, _DropoutNd) or (isinstance(layer, _BatchNorm) and layer.momentum is None)
