"""Explains a trained detector's images and measures the heatmaps: overlap with masks, sanity, cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors import Detector
from fcdd_audit.explainers import Explainer, raising
from fcdd_audit.explainers.baselines import baseline
from fcdd_audit.explainers.cost import cost
from fcdd_audit.explainers.sanity import cascade, one_by_one
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures import faithfulness
from fcdd_audit.measures.localization import AREA, area_share, dilate, measure_all
from fcdd_audit.measures.table import family

EVALUATION_BATCH = 128
EXAMPLES = 2  # test images of each side whose heatmaps are kept for the report
SCALED_BY = 32  # test images of each side whose heat sets the scale of what is shown
LEVELS = 1001  # quantiles kept of that heat
CHECKED = ("explainer", "split", "metric", "value")  # columns of the checks
DEFECT = "defect"
NOISE, NOISE_DRAWS = 0.02, 2  # standard deviation, for images in [0, 1]; how often
COST_BATCH = 4  # images that costs are measured on


class Explained(NamedTuple):
    """Paired images of which one variant is explained. part: `nominal` or `anomalous`, which bear the
    artifact, or `defect`, which don't and whose mask is the true anomaly's."""

    part: str
    pairs: Pairs
    variant: str

    @property
    def images(self) -> Tensor:
        """What is explained, uint8 (N, C, H, W)."""
        return self.pairs.variants[self.variant]

    @property
    def mask(self) -> Tensor | None:
        """What heatmaps are compared with, bool (N, 1, H, W), or None."""
        return self.pairs.mask_of(self.variant)


@dataclass(frozen=True)
class Explanations:
    """localization: one row an image, explainer and mask, one column a measure; no rows for an artifact
    without a place. untrained: the same of the network before training; no rows where that wasn't asked for.
    heatmaps: of the examples, by explainer, (2 * EXAMPLES, H, W), nominal ones first. levels: by explainer,
    evenly spaced quantiles, (LEVELS,), of the heat in the maps of the first SCALED_BY marked test images of
    each side, or of as many as the smaller side has. checks: see `check_explanations`. costs: by explainer,
    seconds and megabytes a map, and seconds to score an image.
    """

    localization: pd.DataFrame
    untrained: pd.DataFrame
    heatmaps: dict[str, np.ndarray]
    levels: dict[str, np.ndarray]
    checks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CHECKED))
    costs: dict[str, dict[str, float]] = field(default_factory=dict)


def batches(images: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Images in [0, 1] on the device, from uint8 (N, C, H, W)."""
    for batch in images.split(EVALUATION_BATCH):
        x = batch.to(device).float() / 255
        yield x.contiguous(memory_format=torch.channels_last)


def spread_out(images: int, mask: Tensor | None, limit: int | None) -> Tensor:
    """Places of at most `limit` of so many images, evenly spaced, (limit,) int64; None: of all.

    mask: bool (images, 1, H, W): of images with and without one, those with one are taken.
    """
    places = torch.arange(images)
    if limit is None or images <= limit:
        return places
    if mask is not None and mask.any():
        places = places[mask.flatten(1).any(dim=1)]
    if len(places) > limit:
        places = places[torch.linspace(0, len(places) - 1, limit).round().long()]
    return places


def explain_all(
    detector: Detector,
    parts: list[Explained],
    explainers: Mapping[str, Explainer],
    device: torch.device,
    untrained: Detector | None = None,
) -> Explanations:
    """Maps of every explainer that works on the detector: their overlap with the masks, and examples.

    An artifact's mask also counts grown by half the stride of the detector's features. RunError for maps
    that aren't finite.
    """
    usable = {name: one for name, one in explainers.items() if one.unavailable(detector) is None}
    grown = detector.map_field.stride // 2
    frames, blank, heatmaps, levels = [], [], {}, {}
    for name, explainer in usable.items():
        shown = []
        generator = torch_generator(0, f"explainer {name}")  # the same for all cells: pairs stay paired
        for part in parts:
            frame, first = _measure(name, explainer, detector, part, grown, device, generator)
            frames.append(frame)
            if part.part != DEFECT:
                shown.append(first)
        heatmaps[name] = np.concatenate([maps[:EXAMPLES] for maps in shown])
        even = min(map(len, shown))
        heat = np.concatenate([maps[:even] for maps in shown])
        levels[name] = np.quantile(heat, np.linspace(0, 1, LEVELS)).astype(np.float32)
        if untrained is not None and not explainer.reference:
            generator = torch_generator(0, f"explainer {name}")
            blank += [
                _measure(name, explainer, untrained, part, grown, device, generator)[0]
                for part in parts
                if part.mask is not None and part.part != DEFECT
            ]
    return Explanations(_joined(frames), _joined(blank), heatmaps, levels)


def localized_columns() -> list[str]:
    """Columns of the localization."""
    measures = [measure.name for measure in family("overlap")]
    return ["explainer", "part", "mask", "image", AREA.name, *measures]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=localized_columns())


def _measure(
    name: str,
    explainer: Explainer,
    detector: Detector,
    part: Explained,
    grown: int,
    device: torch.device,
    generator: torch.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the localization, and the first maps, (SCALED_BY, H, W) or fewer."""
    measured_on = "cpu" if device.type == "mps" else device  # which has no float64
    masks = {} if part.mask is None else {"exact": part.mask}
    if part.mask is not None and part.part != DEFECT:
        masks["dilated"] = dilate(part.mask, grown)
    explained = part.images if masks else part.images[:SCALED_BY]  # nothing to measure: what is shown
    measured: dict[str, list[pd.DataFrame]] = {kind: [] for kind in masks}
    shown: list[np.ndarray] = []
    first = 0
    for x in batches(explained, device):
        maps = raising(explainer.explain(detector, x, generator)).to(measured_on)
        if not torch.isfinite(maps).all():
            raise RunError(f"{name} gives heatmaps of {type(detector).__name__} that aren't finite")
        if not shown:
            shown.append(maps[:SCALED_BY, 0].cpu().numpy())
        for kind, where in masks.items():
            here = where[first : first + len(x)].to(measured_on)
            values = {measure: found.cpu() for measure, found in measure_all(maps, here).items()}
            measured[kind].append(pd.DataFrame(values))
        first += len(x)
    frames = []
    for kind, where in masks.items():
        about = {"explainer": name, "part": part.part, "mask": kind, "image": part.pairs.names}
        frame = pd.DataFrame({**about, AREA.name: area_share(where)}).join(
            pd.concat(measured[kind], ignore_index=True)
        )
        frames.append(frame[frame[AREA.name] > 0])  # a found artifact isn't on every image
    return _joined(frames), shown[0]


def check_explanations(
    detector: Detector,
    parts: list[Explained],
    explainers: Mapping[str, Explainer],
    device: torch.device,
    count: int,
    unit: float,
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Sanity and faithfulness of explanations on the first `count` marked images of each side; and costs.

    Rows of explainer, split, metric, value, means over the images:
    cascade-1, cascade-2, ...: similarity with the maps of copies whose last
    1, 2, ... layers are redrawn. layer-1, ...: where only that one is, counted from the end. noise: with the
    maps of slightly noisy images. deletion, insertion: what the score does, in `unit`, as pixels are taken
    away (put in), hottest first.
    """
    marked = torch.cat([part.images[:count] for part in parts if part.part != DEFECT])
    x = marked.to(device).float() / 255
    noisy = [
        (x + NOISE * torch.randn(x.shape, generator=torch_generator(draw, "noise")).to(x)).clamp(0, 1)
        for draw in range(NOISE_DRAWS)
    ]
    copies = {
        **_numbered("cascade", cascade(detector, torch_generator(0, "redrawn weights"))),
        **_numbered("layer", one_by_one(detector, torch_generator(0, "redrawn weights"))),
    }
    copies.pop("layer-1", None)  # is cascade-1
    rows: list[tuple[str, str, str, float]] = []
    costs = {}
    few = x[:COST_BATCH]
    _score(detector, few)  # warms up
    score = cost(lambda: _score(detector, few), device).seconds / len(few)
    for name, explainer in explainers.items():
        if explainer.unavailable(detector) is not None:
            continue

        def explain(
            model: Detector, images: Tensor, name: str = name, explainer: Explainer = explainer
        ) -> Tensor:
            return explainer.explain(model, images, torch_generator(0, f"explainer {name}")).cpu()

        maps = raising(explain(detector, x))
        changed = {split: [raising(explain(copy, x))] for split, copy in copies.items()}
        if "cascade-1" in changed:
            changed["layer-1"] = changed["cascade-1"]
        changed["noise"] = [raising(explain(detector, images)) for images in noisy]
        for split, others in changed.items():
            for measure in family("similarity"):
                rows.append((name, split, measure.name, _alike(measure.function, maps, others)))
        rows += [(name, *found) for found in _faithfulness(detector, x, maps.to(device), unit)]
        spent = cost(lambda explain=explain: explain(detector, few), device)  # type: ignore[misc]
        costs[name] = {
            "seconds": spent.seconds / len(few),
            "megabytes": spent.megabytes / len(few),
            "seconds_to_score": score,
        }
    return pd.DataFrame(rows, columns=list(CHECKED)), costs


def _numbered(kind: str, copies: Iterator[Detector]) -> dict[str, Detector]:
    return {f"{kind}-{place}": copy for place, copy in enumerate(copies, 1)}


@torch.no_grad()
def _score(detector: Detector, x: Tensor) -> Tensor:
    return detector.score(x)


def _alike(measure: Callable[[Tensor, Tensor], Tensor], maps: Tensor, others: list[Tensor]) -> float:
    """Mean over images and other maps; NaN where it is defined for none."""
    return float(torch.stack([measure(maps, other) for other in others]).nanmean())


def _faithfulness(
    detector: Detector, x: Tensor, maps: Tensor, unit: float
) -> Iterator[tuple[str, str, float]]:
    curves = {
        "deletion": faithfulness.deletion_curve(detector.score, x, maps, baseline(x, "mean")),
        "insertion": faithfulness.insertion_curve(detector.score, x, maps, baseline(x, "blur")),
    }
    for measure in family("faithfulness"):
        split, metric = measure.own_row
        yield split, metric, float(measure.function(curves[split]).mean()) / unit
