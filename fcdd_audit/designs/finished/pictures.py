"""The pictures that a report of a finished detector shows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.sides import Side
from fcdd_audit.designs.affected import by_affect
from fcdd_audit.designs.finished.loading import Loaded
from fcdd_audit.designs.finished.measuring import Measured, score_all
from fcdd_audit.designs.finished.tested import Mark
from fcdd_audit.experiment.folder import VARIANTS


def pictures_of(loaded: Loaded, measured: Mapping[Side, Measured]) -> dict[str, np.ndarray]:
    """Test images clean, with the artifact and with the first placebo, or as much removed elsewhere, and the
    heatmaps of each. Without placebos their places are taken by the clean images.

    Of each side, of the images that placebos are tried on, those whose score the artifact moves most, in the
    median and least the wrong way. Variants as in VARIANTS, uint8 (n, C, H, W), `name`, `side` and `why`,
    (n,), `mask`, bool (n, 1, H, W), if the artifact has a place; `score`, (variants, n); for each explainer
    `heat.NAME`, float16 (variants, n, H, W), to be multiplied with `scale.NAME`.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*VARIANTS, "mask")}
    names: list[str] = []
    sides: list[str] = []
    whys: list[str] = []
    for side, tested in loaded.tested.items():
        moved = (measured[side].marked - measured[side].clean)[tested.tried.numpy()]
        chosen = by_affect(moved if side == "nominal" else -moved)
        turns = torch.tensor([turn for turn, _ in chosen])
        shown = tested.pairs.at(tested.tried[turns])
        found = {**shown.variants, "placebo": shown.variants["clean"]}
        mask = shown.mask
        if tested.kinds:
            artifact, placebo = islice(tested.marks(), 2)
            found["placebo"] = _stored(placebo, turns)
            if not tested.found:  # where the placebo is
                found["marked"], mask = _stored(artifact, turns), artifact.mask[turns]
        for variant in VARIANTS:
            parts[variant].append(found[variant].numpy())
        if mask is not None:
            parts["mask"].append(mask.numpy())
        names += shown.names
        sides += [side] * len(shown)
        whys += [why for _, why in chosen]
    arrays: dict[str, np.ndarray] = {name: np.concatenate(found) for name, found in parts.items() if found}
    for name, explain in loaded.explainers.items():
        variants = (torch.from_numpy(arrays[variant]).to(loaded.device).float() / 255 for variant in VARIANTS)
        heat = np.stack([explain(x)[:, 0].detach().cpu().numpy() for x in variants])
        scale = np.float32(heat.max() or 1)
        # Gradients are too small for float16 as they are.
        arrays |= {f"heat.{name}": (heat / scale).astype(np.float16), f"scale.{name}": scale}
    score = loaded.opened.scorer.score
    scores = [score_all(score, torch.from_numpy(arrays[variant]), loaded.device) for variant in VARIANTS]
    about = {"name": np.array(names), "side": np.array(sides), "why": np.array(whys)}
    return {**arrays, **about, "score": np.stack(scores)}


def _stored(mark: Mark, turns: Tensor) -> Tensor:
    return (mark.images[turns] * 255).round().byte()
