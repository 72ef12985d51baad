"""The test images and heatmaps that the page shows of a finished detector."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.sides import SIDES
from fcdd_audit.designs.finished.loading import SEED, Loaded
from fcdd_audit.designs.finished.measuring import BATCH, places
from fcdd_audit.experiment.explaining import EXAMPLES
from fcdd_audit.experiment.folder import VARIANTS
from fcdd_audit.probes import make_probe
from fcdd_audit.probes.surrogates import Placebos, blend_of


def pictures_of(loaded: Loaded, config: AuditConfig) -> dict[str, np.ndarray]:
    """The first test images of each side, uint8 (N, C, H, W) by VARIANTS, their `mask`, `name`, `side`, and
    of each explainer `heat.NAME`, float16 (variants, N, H, W) in [0, 1], and its scale, `scale.NAME`. The
    artifact lies where the test puts it, and the placebo is its first.

    InputError for artifacts that no placebo can be made of.
    """
    marks, probe = Placebos(1, SEED), make_probe(config.artifact.probe, config.options)
    parts: dict[str, list[Tensor]] = {name: [] for name in (*VARIANTS, "mask")}
    names: list[str] = []
    sides: list[str] = []
    for side, images in zip(SIDES, (loaded.data.test_nominal, loaded.data.test_anomalous), strict=True):
        batch = images.images[:BATCH].to(loaded.device).float() / 255
        artifact = blend_of(probe, batch.shape, places(SEED, side), loaded.device)
        placebo = next(marks.of(artifact))
        for name, shown in zip(VARIANTS, (batch, artifact.on(batch), placebo.on(batch)), strict=True):
            parts[name].append(shown[:EXAMPLES])
        parts["mask"].append(artifact.mask[:EXAMPLES])
        names += images.names[:EXAMPLES]
        sides += [side] * len(images.names[:EXAMPLES])
    x = {name: torch.cat(found) for name, found in parts.items()}
    arrays = {name: (x[name] * 255).round().to(torch.uint8).cpu().numpy() for name in VARIANTS}
    for name, explain in loaded.explainers.items():
        with deterministic():
            heat = np.stack([explain(x[variant])[:, 0].detach().cpu().numpy() for variant in VARIANTS])
        scale = np.float32(heat.max() or 1)
        # Gradients are too small for float16 as they are.
        arrays |= {f"heat.{name}": (heat / scale).astype(np.float16), f"scale.{name}": scale}
    return {**arrays, "mask": x["mask"].cpu().numpy(), "name": np.array(names), "side": np.array(sides)}
