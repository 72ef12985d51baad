"""What the files of records hold: tables as CSV, heatmaps as float16. Needs no torch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.core.arrays import npz_file
from fcdd_audit.experiment.folder import read_csv
from fcdd_audit.measures.reliance import Scores

CROSSED = "transplanted-"  # begins the name of a part that transplants were put on
TRAINING, MEASURING = "training.json", "measuring.json"  # how it went
SCORES, OVERLAPS, CHECKS, MAPS = "scores.csv", "overlaps.csv", "checks.csv", "maps.npz"
LOWERING = "lowering.csv"


def table_file(table: pd.DataFrame) -> bytes:
    """A table as CSV; numbers come back to the last bit."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def read_frame(content: bytes) -> pd.DataFrame:
    """What `table_file` was given."""
    return read_csv(io.StringIO(content.decode()))


def scores_file(scores: Scores, names: Mapping[str, tuple[str, ...]]) -> bytes:
    """One row a score: part, image, variant, score. names: of the images, validation, by side, and of those
    of a side that transplants were put on."""
    scored: dict[tuple[str, str], np.ndarray] = {("validation", "clean"): scores.validation}
    scored.update({(part, variant): values for (part, variant), values in scores.of.items()})
    scored.update({(CROSSED + part, variant): values for (part, variant), values in scores.crossed.items()})
    frames = [
        pd.DataFrame({"part": part, "image": names[part], "variant": variant, "score": values})
        for (part, variant), values in scored.items()
    ]
    return table_file(pd.concat(frames, ignore_index=True))


def read_scores(content: bytes) -> Scores:
    """What `scores_file` was given, without the names."""
    arrays: dict[Any, np.ndarray] = {
        key: group["score"].to_numpy()
        for key, group in read_frame(content).groupby(["part", "variant"], sort=False)
    }
    crossed = {
        (part.removeprefix(CROSSED), variant): arrays.pop((part, variant))
        for part, variant in [*arrays]
        if part.startswith(CROSSED)
    }
    return Scores(arrays.pop(("validation", "clean")), arrays, crossed)


def maps_file(examples: np.ndarray, levels: np.ndarray, lowering: np.ndarray | None = None) -> bytes:
    """Heatmaps, (N, H, W), in half precision, and the quantiles that set their scale. lowering: what in them
    lowers the score, like the heatmaps; None for maps without sign."""
    maps, scale = halved(examples)
    arrays = {"examples": maps, "scale": np.asarray(scale), "levels": levels}
    if lowering is not None:
        lowered, lowered_scale = halved(lowering)
        arrays |= {"lowering": lowered, "lowering_scale": np.asarray(lowered_scale)}
    return npz_file(arrays)


def halved(maps: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Maps as float16, and what they are to be multiplied with: gradients are too small for float16."""
    scale = np.float32(maps.max() or 1)
    return (maps / scale).astype(np.float16), scale


def read_maps(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """What `maps_file` was given: heatmaps in float32, quantiles."""
    with np.load(io.BytesIO(content)) as stored:
        return stored["examples"].astype(np.float32) * stored["scale"], stored["levels"]


def read_lowering(content: bytes) -> np.ndarray | None:
    """The `lowering` that `maps_file` was given, in float32."""
    with np.load(io.BytesIO(content)) as stored:
        if "lowering" not in stored:
            return None
        lowered: np.ndarray = stored["lowering"].astype(np.float32) * stored["lowering_scale"]
        return lowered
