"""Batches of training images, from wherever they fit: host memory, a file behind it, or the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

Feeding = Literal["direct", "resident", "streamed"]
Batch = tuple[Tensor, Tensor | None]
Key = tuple[int, tuple[int, ...], tuple[int, ...], torch.dtype]


class TrainingImages(NamedTuple):
    """The images of a training: uint8 (N, C, H, W) on the CPU; masks: bool (M, 1, H, W), of the anomalous
    ones."""

    nominal: Tensor
    anomalous: Tensor
    masks: Tensor | None


class Feed(Protocol):
    """Serves nominal and anomalous images under one numbering: nominal ones first."""

    def epoch(self, chosen: Tensor) -> Iterator[Batch]:
        """The chosen images, uint8 (N, C, H, W), and their masks, bool (N, 1, H, W), or None, step by step.

        chosen: (steps, N), on the CPU. The masks of nominal images are all False.
        """
        ...


@dataclass(frozen=True)
class Ranking:
    """An epoch's images, (steps, N) each, nominal ones first: those of both kinds are then gathered apart
    and put back into their order. `nominal`: how many of a step's are."""

    index: Tensor
    back: Tensor
    nominal: list[int]

    @classmethod
    def of(cls, chosen: Tensor, first: int) -> Ranking:
        """chosen: (steps, N); numbers from `first` on are those of anomalous images."""
        anomalous = chosen >= first
        order = anomalous.byte().argsort(dim=1, stable=True)
        index = chosen.gather(1, order) - first * anomalous.gather(1, order)
        return cls(index, order.argsort(dim=1), (~anomalous).sum(dim=1).tolist())

    def gather(self, step: int, nominal: Tensor, anomalous: Tensor) -> Tensor:
        """The step's rows of both; nothing else is copied or read."""
        index, count = self.index[step], self.nominal[step]
        joined = nominal.new_empty((len(index), *nominal.shape[1:]))
        torch.index_select(nominal, 0, index[:count], out=joined[:count])
        torch.index_select(anomalous, 0, index[count:], out=joined[count:])
        return joined.index_select(0, self.back[step])


class Direct:
    """Gathers on the CPU, from the tensors as they are; they may be memory-mapped and larger than memory."""

    def __init__(self, nominal: Tensor, anomalous: Tensor, masks: Tensor | None) -> None:
        self.nominal, self.anomalous, self.masks = nominal, anomalous, masks
        self.blank = torch.zeros((), dtype=torch.bool).expand(len(nominal), 1, *nominal.shape[-2:])

    def batch(self, ranking: Ranking, step: int) -> Batch:
        images = ranking.gather(step, self.nominal, self.anomalous)
        return images, None if self.masks is None else ranking.gather(step, self.blank, self.masks)

    def epoch(self, chosen: Tensor) -> Iterator[Batch]:
        ranking = Ranking.of(chosen, len(self.nominal))
        return (self.batch(ranking, step) for step in range(len(chosen)))


class Resident:
    """Keeps a copy of all images of one training, or of several as `Together` serves them, on the device: a
    step is one gather there. What trainings share is there once."""

    def __init__(self, sources: Sequence[TrainingImages], device: torch.device) -> None:
        self.device = device
        self.images, starts = _joined_once([one for source in sources for one in source[:2]], 0, device)
        self._first = _column([len(source.nominal) for source in sources], device)
        self._nominal, self._anomalous = _column(starts[::2], device), _column(starts[1::2], device)
        self.masks: Tensor | None = None
        masks = [source.masks for source in sources if source.masks is not None]
        if masks:  # row 0 is that of every nominal image
            self.masks, starts = _joined_once(masks, 1, device)
            self._masked = _column(starts, device)

    def batch(self, chosen: Tensor) -> Batch:
        """chosen: (N,) of each training, one after the other, on the device."""
        each = chosen.unflatten(0, (len(self._first), -1))
        nominal, other = each < self._first, each - self._first
        places = torch.where(nominal, each + self._nominal, other + self._anomalous)
        images = self.images.index_select(0, places.flatten())
        if self.masks is None:
            return images, None
        places = torch.where(nominal, 0, other + self._masked)
        return images, self.masks.index_select(0, places.flatten())

    def epoch(self, chosen: Tensor) -> Iterator[Batch]:
        return map(self.batch, chosen.to(self.device))


def _joined_once(tables: Sequence[Tensor], blank: int, device: torch.device) -> tuple[Tensor, list[int]]:
    """Tables of rows of one shape as one on the device, each that is the same once, after so many rows of
    zeros; and in which row each of them begins."""
    begin: dict[Key, int] = {}
    length = blank
    for table in tables:
        if _key(table) not in begin:
            begin[_key(table)] = length
            length += len(table)
    joined = torch.empty((length, *tables[0].shape[1:]), dtype=tables[0].dtype, device=device)
    joined[:blank].zero_()
    for table in {_key(one): one for one in tables}.values():
        joined[begin[_key(table)] :][: len(table)].copy_(table)
    return joined, [begin[_key(table)] for table in tables]


def _key(table: Tensor) -> Key:
    """The same of tensors that are the same."""
    return table.data_ptr(), tuple(table.shape), table.stride(), table.dtype


def _column(numbers: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(numbers, device=device)[:, None]


class Streamed:
    """Gathers on the host, one batch ahead in a thread of its own; to CUDA, copies without waiting."""

    def __init__(
        self, nominal: Tensor, anomalous: Tensor, masks: Tensor | None, device: torch.device
    ) -> None:
        self.source, self.device = Direct(nominal, anomalous, masks), device
        self.pinned = device.type == "cuda"  # else a copy not waited for could read reused memory

    def batch(self, ranking: Ranking, step: int) -> Batch:
        images, masks = self.source.batch(ranking, step)
        if not self.pinned:
            return images, masks
        return images.pin_memory(), None if masks is None else masks.pin_memory()

    def epoch(self, chosen: Tensor) -> Iterator[Batch]:
        ranking = Ranking.of(chosen, len(self.source.nominal))
        with ThreadPoolExecutor(1, thread_name_prefix="fcdd-audit-feed") as ahead:
            upcoming = ahead.submit(self.batch, ranking, 0)
            for step in range(len(chosen)):
                images, masks = upcoming.result()
                if step + 1 < len(chosen):
                    upcoming = ahead.submit(self.batch, ranking, step + 1)
                yield (
                    images.to(self.device, non_blocking=self.pinned),
                    None if masks is None else masks.to(self.device, non_blocking=self.pinned),
                )


class Together:
    """The batches of several trainings as one: the images of the first, then those of the second, and so on,
    as many of each."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self.feeds = feeds

    def epoch(self, chosen: Tensor) -> Iterator[Batch]:
        parts = chosen.chunk(len(self.feeds), dim=1)
        epochs = [feed.epoch(part) for feed, part in zip(self.feeds, parts, strict=True)]
        return map(_joined, zip(*epochs, strict=True))


def _joined(batches: Sequence[Batch]) -> Batch:
    masks = [mask for _, mask in batches if mask is not None]
    return torch.cat([images for images, _ in batches]), torch.cat(masks) if masks else None


def choose_feeding(size: int, device: torch.device) -> Feeding:
    """How `size` bytes of images and masks are best served: copied to a GPU once if they take at most half
    of its free memory (on MPS: of the memory recommended), as far as torch can tell."""
    if device.type == "cpu":
        return "direct"
    room = 0
    if device.type == "cuda":  # what torch holds and doesn't use is free too
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        room = torch.cuda.mem_get_info(device)[0] + kept
    elif device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):
        room = torch.mps.recommended_max_memory()
    return "resident" if size <= room // 2 else "streamed"


def open_feed(
    sources: Sequence[TrainingImages],
    device: torch.device,
    feeding: Feeding | None = None,
) -> Feed:
    """Serves the images of one training, or of several as `Together` does, on `device`, by default as
    `choose_feeding` says. All ways give the same batches. Images that several share are copied once.

    ValueError for another way, and for direct batches on another device than the CPU.
    """
    kept = {_key(table): table for source in sources for table in source if table is not None}
    way = feeding or choose_feeding(sum(table.numel() for table in kept.values()), device)
    if way == "resident":
        return Resident(sources, device)
    keys = {tuple(None if table is None else _key(table) for table in source) for source in sources}
    alone = sources[:1] if len(keys) == 1 else sources
    feeds = [_open(source, device, way) for source in alone]
    return feeds[0] if len(feeds) == 1 else Together(feeds)


def _open(source: TrainingImages, device: torch.device, way: Feeding) -> Feed:
    if way == "direct" and device.type == "cpu":
        return Direct(*source)
    if way == "streamed":
        return Streamed(*source, device)
    raise ValueError(f"feeding is {way!r} on {device}; it is direct (on the CPU), resident or streamed")
