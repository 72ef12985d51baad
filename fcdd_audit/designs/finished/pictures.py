"""The pictures that a report of a finished detector shows."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.designs.finished.loading import Loaded
from fcdd_audit.designs.finished.tested import Mark
from fcdd_audit.experiment.folder import VARIANTS

EXAMPLES = 2  # test images of each side


def pictures_of(loaded: Loaded) -> dict[str, np.ndarray]:
    """Test images clean, with the artifact and with the first placebo, or as much removed elsewhere, and the
    heatmaps of each. Without placebos their places are taken by the clean images.

    Variants as in VARIANTS, uint8 (n, C, H, W), `name` and `side`, (n,), `mask`, bool (n, 1, H, W), if the
    artifact has a place; for each explainer `heat.NAME`, float16 (variants, n, H, W), to be multiplied with
    `scale.NAME`.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*VARIANTS, "mask")}
    names: list[str] = []
    sides: list[str] = []
    for side, tested in loaded.tested.items():
        shown = tested.pairs.at(tested.tried[:EXAMPLES])
        found = {**shown.variants, "placebo": shown.variants["clean"]}
        mask = shown.mask
        if tested.kinds:
            artifact, placebo = islice(tested.marks(), 2)
            found["placebo"] = _stored(placebo)
            if not tested.found:  # where the placebo is
                found["marked"], mask = _stored(artifact), artifact.mask[:EXAMPLES]
        for variant in VARIANTS:
            parts[variant].append(found[variant].numpy())
        if mask is not None:
            parts["mask"].append(mask.numpy())
        names += shown.names
        sides += [side] * len(shown)
    arrays: dict[str, np.ndarray] = {name: np.concatenate(found) for name, found in parts.items() if found}
    for name, explain in loaded.explainers.items():
        variants = (torch.from_numpy(arrays[variant]).to(loaded.device).float() / 255 for variant in VARIANTS)
        heat = np.stack([explain(x)[:, 0].detach().cpu().numpy() for x in variants])
        scale = np.float32(heat.max() or 1)
        # Gradients are too small for float16 as they are.
        arrays |= {f"heat.{name}": (heat / scale).astype(np.float16), f"scale.{name}": scale}
    return {**arrays, "name": np.array(names), "side": np.array(sides)}


def _stored(mark: Mark) -> Tensor:
    return (mark.images[:EXAMPLES] * 255).round().byte()
