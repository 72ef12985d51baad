"""What a finished detector makes of its test images: scores, and how heatmaps overlap with marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.designs.finished.tested import Mark, Tested
from fcdd_audit.experiment.explaining import scored_at_once
from fcdd_audit.measures.localization import pixel_auroc

MAPS = 1200  # heatmaps that are made of an explainer, of images with the artifact and with placebos
Score = Callable[[Tensor], Tensor]
Hand = tuple[Score, Mapping[str, Score]]  # what scores, and what explains it, by name


@dataclass(frozen=True)
class Measured:
    """One side's numbers.

    clean, marked: scores, (N,). tried: of the images that placebos are tried on, as the first of
    `Tested.marks` change them, (1 + compared, n), the artifact first; empty if there are no placebos.
    overlaps: by explainer, pixel AUROC of heatmaps with the marks' masks, (1 + placebos, m); NaN where an
    image has no mask, or nothing else.
    """

    clean: np.ndarray
    marked: np.ndarray
    tried: np.ndarray
    overlaps: dict[str, np.ndarray]


def score_all(score: Score, images: Tensor, device: torch.device) -> np.ndarray:
    """Scores, (N,) float64, of images: uint8, or float in [0, 1], (N, C, H, W).

    InputError for scores of another shape, RunError for scores that aren't finite.
    """
    found = []
    for batch in images.split(scored_at_once(device)):
        x = _on(batch, device)
        with torch.no_grad():
            scores = score(x)
        if scores.shape != (len(x),):
            raise InputError(
                f"the detector gives values of shape {tuple(scores.shape)} for {len(x)} images; it must give "
                "one number an image"
            )
        if not torch.isfinite(scores).all():
            raise RunError("the detector gives test images scores that aren't finite")
        found.append(scores.cpu().double().numpy())
    return np.concatenate(found)


def measure(
    score: Score | None,
    tested: Tested,
    device: torch.device,
    explainers: Mapping[str, Score],
    explained: int,
    compared: int,
    bar: Any,
    others: Sequence[Hand] = (),
    together: int = 1,
) -> Measured:
    """Score one side's images, clean, marked and with placebos, and compare heatmaps with the marks' masks.

    score: None: only heatmaps. explained: at most so many of the tried images are. compared: so many of the
    placebos are scored; all are where there are heatmaps. bar: moves on by each mark. others: the same
    detector again, to work at the same time. together: so many marks are explained in one pass. Errors as in
    `score_all`, and RunError for heatmaps that aren't finite.
    """
    nothing = np.empty(0)
    clean, marked = (
        nothing if score is None else score_all(score, tested.pairs.variants[variant], device)
        for variant in ("clean", "marked")
    )
    as_found = tested.images("marked")[:explained]
    heat = {
        name: _heat(name, explain, as_found, device)
        for name, explain in explainers.items()
        if tested.found and tested.kinds
    }

    def of_marks(
        hand: Hand, turns: list[tuple[int, Mark]]
    ) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]]]:
        scored = turns if score is not None else []
        scores = [score_all(hand[0], mark.images, device) for place, mark in scored if place <= compared]
        found = {}
        for name in explainers:
            if name in heat:
                maps = [heat[name]] * len(turns)
            else:
                images = [mark.images[:explained] for _, mark in turns]
                whole = _heat(name, hand[1][name], torch.cat(images), device, together * explained)
                maps = list(whole.split(len(images[0])))
            found[name] = [_overlap(own, mark, explained) for own, (_, mark) in zip(maps, turns, strict=True)]
        bar.update(len(turns))
        return scores, found

    tried: list[np.ndarray] = []
    overlaps: dict[str, list[np.ndarray]] = {name: [] for name in explainers}
    turns = enumerate(tested.marks() if explainers else islice(tested.marks(), compared + 1))
    hands = [(score or _no_score, explainers), *others]
    with ThreadPoolExecutor(len(hands), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        spread = map if len(hands) == 1 else pool.map
        while parts := [part for _ in hands if (part := list(islice(turns, together)))]:
            for scores, own in spread(of_marks, hands[: len(parts)], parts):
                tried += scores
                for name, values in own.items():
                    overlaps[name] += values
    return Measured(
        clean,
        marked,
        np.stack(tried) if tried else np.empty((0, 0)),
        {name: np.stack(rows) for name, rows in overlaps.items() if rows},
    )


def _no_score(x: Tensor) -> Tensor:
    raise ValueError("no scores are asked for")


def _heat(name: str, explain: Score, images: Tensor, device: torch.device, size: int = 0) -> Tensor:
    """size: images in one pass, if more than is usual."""
    batches = images.split(max(size, scored_at_once(device)))
    heat = torch.cat([explain(_on(batch, device)).detach().cpu() for batch in batches])
    if not torch.isfinite(heat).all():
        raise RunError(f"the explanation '{name}' gives heatmaps that aren't finite")
    return heat


def _on(images: Tensor, device: torch.device) -> Tensor:
    """Images in [0, 1] on the device."""
    x = images.to(device)
    x = x.float() / 255 if x.dtype == torch.uint8 else x
    return x.contiguous(memory_format=torch.channels_last)


def _overlap(maps: Tensor, mark: Mark, explained: int) -> np.ndarray:
    return pixel_auroc(maps, mark.mask[:explained].cpu()).numpy()
