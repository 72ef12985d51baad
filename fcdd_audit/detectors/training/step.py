"""One step of one training or of several, of which nothing waits for the host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.augment import Augmenter, Choices
from fcdd_audit.detectors.training.drawing import Epoch
from fcdd_audit.detectors.training.feed import Batch, Resident
from fcdd_audit.detectors.training.members import Term
from fcdd_audit.detectors.training.models import Trained


class Tables:
    """What the steps of an epoch draw from, and what they give, on the device and always at the same place.

    Which step it is is counted there too: so a step that was recorded can be replayed. chosen: numbers of
    images, labels: (steps, M * N). losses: (steps, M); total: their sum so far, (M,). seen: (steps, M, N), or
    None.
    """

    def __init__(self, steps: int, members: int, like: Tensor) -> None:
        """steps: of an epoch. like: a tensor on the device, of the losses' type."""
        self.number = torch.zeros(1, dtype=torch.int64, device=like.device)
        self._numbers = torch.arange(steps, device=like.device)
        self.losses, self.total = like.new_zeros(steps, members), like.new_zeros(members)
        self.seen: Tensor | None = None
        self.chosen: Tensor
        self.labels: Tensor
        self.choices: Choices
        self._begun = False

    def begin(self, epoch: Epoch) -> None:
        """Let it be the first step of that epoch."""
        if not self._begun:
            self.chosen = epoch.chosen.to(self.number.device, copy=True)
            self.labels, self.choices, self._begun = epoch.labels, epoch.choices, True
        else:
            self.chosen.copy_(epoch.chosen)
            self.labels.copy_(epoch.labels)
            self.choices.copy_(epoch.choices)
        self.number.zero_()
        self.total.zero_()

    def row(self, table: Tensor) -> Tensor:
        """What a table says of the step that it is."""
        return table.index_select(0, self.number)[0]

    def end_step(self, losses: Tensor, seen: Tensor | None) -> None:
        """Note what a step gave, each (M,) and (M, N), and go on to the next."""
        self.total += losses
        self._write(self.losses, losses)
        if seen is not None:
            if self.seen is None:
                self.seen = seen.new_zeros(len(self.losses), *seen.shape)
            self._write(self.seen, seen)
        self.number += 1

    def _write(self, table: Tensor, row: Tensor) -> None:
        """What an index_copy_ does, which waits for the host where algorithms are deterministic."""
        here = (self._numbers == self.number).unflatten(0, (-1, *[1] * row.ndim))
        table.copy_(torch.where(here, row.to(table.dtype), table))

    def seen_of(self, member: int, steps: int) -> Tensor | None:
        """What was seen of a training's images in the first steps of the epoch, (images,)."""
        return None if self.seen is None else self.seen[:steps, member].flatten()


class Step:
    """Augments a batch, and moves the weights once. terms: by training."""

    def __init__(
        self,
        model: Trained,
        augment: Augmenter,
        optimizer: Optimizer,
        tables: Tables,
        low: bool,
        terms: Sequence[Term | None],
    ) -> None:
        self.model, self.augment, self.optimizer = model, augment, optimizer
        self.tables, self.low, self.terms = tables, low, terms

    @property
    def needs_host(self) -> bool:
        """Whether it asks the CPU for something: terms do."""
        return any(term is not None for term in self.terms)

    def on(self, feed: Resident) -> Callable[[], None]:
        """The step with its batch, which it gets by itself from images on the device."""
        return lambda: self(feed.batch(self.tables.row(self.tables.chosen)))

    def __call__(self, batch: Batch, chosen: Tensor | None = None) -> None:
        """chosen: numbers of the batch's images, on the CPU; for terms."""
        images, masks = batch
        choices, labels = self.tables.choices.at(self.tables.number), self.tables.row(self.tables.labels)
        x, masks = self.augment(images, choices, masks)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(x.device.type, torch.bfloat16) if self.low else contextlib.nullcontext():
            losses, seen = self.model.losses(x, labels, masks)
            if chosen is not None and self.needs_host:
                losses = losses + self._added(x, chosen, choices)
        losses.sum().backward()
        self.optimizer.step()
        self.tables.end_step(losses.detach(), seen)

    def _added(self, x: Tensor, chosen: Tensor, choices: Choices) -> Tensor:
        """What the terms add, (M,)."""
        size = len(x) // len(self.terms)
        added = []
        for index, term in enumerate(self.terms):
            part = slice(index * size, (index + 1) * size)
            if term is None:
                added.append(x.new_zeros(()))
                continue
            move = partial(self.augment.moved, choices=choices.of(part))
            added.append(self.model.apply(index, _adding(term, x[part], chosen[part], move)))
        return torch.stack(added)


def _adding(
    term: Term, x: Tensor, chosen: Tensor, move: Callable[[Tensor], Tensor]
) -> Callable[[Detector], Tensor]:
    return lambda detector: term(detector, x, chosen, move)
