"""Scores and heatmaps of images with the artifact, and with placebos in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import Side
from fcdd_audit.measures.localization import pixel_auroc
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.surrogates import Blend, Placebos, blend_of

BATCH = 128  # images scored at a time
Score = Callable[[Tensor], Tensor]


def places(seed: int, side: Side) -> torch.Generator:
    """What draws where `placebo_test` puts the artifact on the images of a side, batch by batch."""
    return torch_generator(seed, f"places of the artifact on {side} images")


@dataclass(frozen=True)
class Measured:
    """One side's scores: clean, (N,), and marked, (1 + placebos, N), the artifact first. overlaps: by
    explanation, pixel AUROC of the heatmaps, like marked."""

    clean: np.ndarray
    marked: np.ndarray
    overlaps: dict[str, np.ndarray]


def measure(
    score: Score | None,
    images: Tensor,
    probe: Probe,
    marks: Placebos,
    generator: torch.Generator,
    device: torch.device,
    bar: Any,
    explainers: Mapping[str, Score],
) -> Measured:
    """Scores of one side's images, clean and with each mark, and how heatmaps overlap with the marks' masks.

    score: None: only the overlaps. bar: moves on by each image. RunError for scores or heatmaps that aren't
    finite.
    """
    clean: list[np.ndarray] = []
    marked: list[np.ndarray] = []
    overlaps: dict[str, list[np.ndarray]] = {name: [] for name in explainers}
    for batch in images.split(BATCH):
        x = batch.to(device).float() / 255
        artifact = blend_of(probe, x.shape, generator, device)
        if score is not None:
            clean.append(_scores(score, x))
        rows: list[np.ndarray] = []
        heat: dict[str, list[np.ndarray]] = {name: [] for name in explainers}
        for mark in chain([artifact], marks.of(artifact)):
            shown = mark.on(x)
            if score is not None:
                rows.append(_scores(score, shown))
            for name, explain in explainers.items():
                heat[name].append(_overlap(name, explain, shown, mark.mask))
        marked.append(np.stack(rows or [np.empty(0)]))
        for name, maps in heat.items():
            overlaps[name].append(np.stack(maps))
        bar.update(len(x))
    return Measured(
        np.concatenate(clean or [np.empty(0)]),
        np.concatenate(marked, axis=1),
        {name: np.concatenate(batches, axis=1) for name, batches in overlaps.items()},
    )


def _scores(score: Score, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        scores = score(x)
    if scores.shape != (len(x),):
        raise InputError(
            f"score gives values of shape {tuple(scores.shape)} for {len(x)} images; it must give one number "
            "an image"
        )
    if not torch.isfinite(scores).all():
        raise RunError("the detector gives test images scores that aren't finite")
    return scores.cpu().double().numpy()


def _overlap(name: str, explain: Score, x: Tensor, mask: Tensor) -> np.ndarray:
    heat = explain(x).detach()
    if not torch.isfinite(heat).all():
        raise RunError(f"the explanation '{name}' gives heatmaps that aren't finite")
    return pixel_auroc(heat.cpu(), mask.cpu()).numpy()


def correlation(artifact: Blend, placebo: Blend) -> float:
    """Of a placebo's content with the artifact's, in [-1, 1]."""
    where = artifact.mask[:, 0]
    pair = torch.stack([artifact.shade[where], placebo.shade[where]])
    return float(torch.corrcoef(pair)[0, 1])
