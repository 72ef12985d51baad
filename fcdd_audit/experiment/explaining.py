"""Explains a detector's images and measures the heatmaps: overlap with masks, sanity, cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors import Detector, Scorer
from fcdd_audit.explainers import Explainer, lowering, raising
from fcdd_audit.explainers.baselines import baseline
from fcdd_audit.explainers.cost import cost
from fcdd_audit.explainers.sanity import cascade, one_by_one
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures import faithfulness
from fcdd_audit.measures.localization import AREA, area_share, dilate, measure_all
from fcdd_audit.measures.lowering import measure_signed
from fcdd_audit.measures.table import family

KEPT = 16  # test images of each side whose heatmaps are kept for the report, and set the scale there
LEVELS = 1001  # quantiles kept of that heat
CHECKED = ("split", "metric", "value")  # columns of the checks
DEFECT = "defect"
NOISE, NOISE_DRAWS = 0.02, 2  # standard deviation, for images in [0, 1]; how often
COST_BATCH = 4  # images that costs are measured on


class Explained(NamedTuple):
    """Paired images of which one variant is explained. part: `nominal` or `anomalous`, which bear the
    artifact, or `defect`, which don't and whose mask is the true anomaly's. order: the places of those that
    are explained, in turn, int64 (n,)."""

    part: str
    pairs: Pairs
    variant: str
    order: Tensor

    def images(self, first: int, last: int) -> Tensor:
        """What is explained from one turn to before another, uint8 (N, C, H, W)."""
        return self.pairs.variants[self.variant][self.order[first:last]]

    def masks(self, first: int, last: int) -> Tensor:
        """What their heatmaps are compared with, bool (N, 1, H, W). ValueError if there is nothing."""
        mask = self.pairs.mask_of(self.variant)
        if mask is None:
            raise ValueError(f"{self.part} images have no masks to compare heatmaps with")
        return mask[self.order[first:last]]

    @property
    def measured(self) -> bool:
        """Whether there is a mask to compare heatmaps with."""
        return self.pairs.mask_of(self.variant) is not None


@dataclass(frozen=True)
class Maps:
    """What an explainer's maps of some images come to.

    overlaps: one row an image and mask; no rows for an artifact without a place. examples: the first KEPT
    maps of each side, (up to 2 * KEPT, H, W), nominal ones first. levels: evenly spaced quantiles, (LEVELS,),
    of the heat in them, of as many of each side as the smaller one has. Both are None where these images
    weren't among those that were explained. lowering: the parts of the same maps that lower the score, like
    `examples`; None for maps without sign.
    """

    overlaps: pd.DataFrame
    examples: np.ndarray | None
    levels: np.ndarray | None
    lowering: np.ndarray | None = None


def batches(images: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Images in [0, 1] on the device, from uint8 (N, C, H, W)."""
    for batch in images.split(scored_at_once(device)):
        yield _on(batch, device)


def _on(images: Tensor, device: torch.device) -> Tensor:
    x = images.to(device).float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def in_turn(mask: Tensor | None, images: int) -> Tensor:
    """The places of the images to explain, int64: any first n of them are spread evenly over all.

    mask: bool (images, 1, H, W): of images with and without one, those with one are taken. The order is that
    of the places with their bits reversed (van der Corput 1935).
    """
    places = torch.arange(images)
    if mask is not None and mask.any():
        places = places[mask.flatten(1).any(dim=1)]
    bits = max(1, len(places) - 1).bit_length()
    reversed_bits = [int(f"{place:0{bits}b}"[::-1], 2) for place in range(len(places))]
    return places[torch.tensor(reversed_bits, dtype=torch.int64).argsort()]


def scored_at_once(device: torch.device) -> int:
    """How many images are scored in one pass: on a CPU what its cache holds, since more take longer."""
    return 16 if device.type == "cpu" else 128


def at_once(device: torch.device) -> int:
    """How many images are explained in one pass. Images are always explained in the same company, so that a
    map doesn't depend, by rounding, on how many are asked for. So whole passes are explained, and on a GPU
    one isn't larger than twice the fewest that an answer needs."""
    return 16 if device.type == "cpu" else 32


def extent(parts: list[Explained], asked: int | None, device: torch.device) -> int:
    """How many images of each part are explained so that there are as many as asked for; None: all."""
    largest = max((len(part.order) for part in parts), default=0)
    wanted = largest if asked is None else min(asked, largest)
    return math.ceil(wanted / at_once(device)) * at_once(device)


def explain(
    detector: Scorer,
    name: str,
    explainer: Explainer,
    parts: list[Explained],
    device: torch.device,
    first: int,
    last: int,
) -> Maps:
    """An explainer's maps from one turn to before another: their overlap with the masks, and examples.

    first, last: whole passes of `at_once`. An artifact's mask also counts grown by half the stride of the
    detector's features, if that is known. Images without a mask are only explained as far as they are shown.
    RunError for maps that aren't finite.
    """
    size = at_once(device)
    field = getattr(detector, "map_field", None)
    grown = 0 if field is None else field.stride // 2
    frames: list[pd.DataFrame] = []
    shown: list[np.ndarray] = []
    lowered: list[np.ndarray] = []
    for part in parts:
        end = min(last, len(part.order)) if part.measured else min(last, KEPT, len(part.order))
        for turn in range(first, end, size):
            stop = min(turn + size, end)
            maps = maps_of(detector, name, explainer, part, device, turn, stop)
            if part.measured:
                frames.append(_overlaps(part, maps, explainer.signed, turn, stop, grown))
            if turn == 0 and part.part != DEFECT:
                shown.append(raising(maps[:KEPT, 0]).cpu().numpy())
                lowered.append(lowering(maps[:KEPT, 0]).cpu().numpy())
    return Maps(
        _joined(frames), _examples(shown), _levels(shown), _examples(lowered) if explainer.signed else None
    )


def maps_of(
    detector: Scorer,
    name: str,
    explainer: Explainer,
    part: Explained,
    device: torch.device,
    first: int,
    last: int,
) -> Tensor:
    """An explainer's maps of a pass of images, (N, 1, H, W) on the device, with their sign. RunError for maps
    that aren't finite."""
    # The same for all detectors: pairs stay paired.
    generator = torch_generator(0, f"explainer {name}, {part.part} images from {first}")
    maps = explainer.explain(detector, _on(part.images(first, last), device), generator)
    if not torch.isfinite(maps).all():
        raise RunError(f"{name} gives heatmaps of {type(detector).__name__} that aren't finite")
    return maps.cpu() if maps.device.type == "mps" else maps  # which has no float64


def _overlaps(part: Explained, maps: Tensor, signed: bool, first: int, last: int, grown: int) -> pd.DataFrame:
    """Rows for each kind of mask. signed: whether the maps are; what lowers the score is NaN if they aren't,
    and on a grown mask. grown: pixels by which an artifact's is dilated."""
    exact = part.masks(first, last)
    masks = {"exact": exact} if part.part == DEFECT else {"exact": exact, "dilated": dilate(exact, grown)}
    where = torch.cat(list(masks.values())).to(maps.device)
    values = measure_all(raising(maps).repeat(len(masks), 1, 1, 1), where)
    if signed:  # on the mask as it is
        rest = maps.new_full((len(where) - len(exact),), torch.nan)
        found = measure_signed(maps, exact.to(maps.device))
        values |= {name: torch.cat([value, rest]) for name, value in found.items()}
    places = part.order[first:last].tolist()
    about = {
        "part": part.part,
        "mask": np.repeat(list(masks), len(maps)),
        "turn": [*range(first, last)] * len(masks),
        "place": places * len(masks),
        "image": [part.pairs.names[place] for place in places] * len(masks),
    }
    columns = {measure: value.cpu().numpy() for measure, value in values.items()}
    frame = pd.DataFrame({**about, AREA.name: area_share(where).cpu().numpy(), **columns})
    frame = frame.reindex(columns=overlap_columns())
    return frame[frame[AREA.name] > 0]  # a found artifact isn't on every image


def _examples(shown: list[np.ndarray]) -> np.ndarray | None:
    return np.concatenate(shown) if shown else None


def _levels(shown: list[np.ndarray]) -> np.ndarray | None:
    if not shown:
        return None
    even = min(map(len, shown))
    return heat_levels(np.concatenate([maps[:even] for maps in shown]))


def heat_levels(heat: np.ndarray) -> np.ndarray:
    """Evenly spaced quantiles of heat of any shape, (LEVELS,)."""
    ordered = np.sort(heat, axis=None)  # so many quantiles of it are found much faster
    return np.quantile(ordered, np.linspace(0, 1, LEVELS)).astype(np.float32)


def overlap_columns() -> list[str]:
    """Columns of the overlaps."""
    measures = (*family("overlap"), *family("signed"))
    return ["part", "mask", "turn", "place", "image", AREA.name, *(one.name for one in measures)]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=overlap_columns())


def check_explainer(
    detector: Detector,
    name: str,
    explainer: Explainer,
    parts: list[Explained],
    device: torch.device,
    count: int,
    unit: float,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Sanity and faithfulness of an explainer on the first `count` marked images of each side; and its costs.

    Rows of split, metric, value, means over the images:
    cascade-1, cascade-2, ...: similarity with the maps of copies whose last
    1, 2, ... layers are redrawn. layer-1, ...: where only that one is, counted from the end. noise: with the
    maps of slightly noisy images. deletion, insertion: what the score does, in `unit`, as pixels are taken
    away (put in), hottest first. Costs: seconds and megabytes a map, and seconds to score an image.
    """
    marked = torch.cat([part.images(0, count) for part in parts if part.part != DEFECT])
    x = marked.to(device).float() / 255

    def explained(model: Detector, images: Tensor) -> Tensor:
        return explainer.explain(model, images, torch_generator(0, f"explainer {name}")).cpu()

    maps = raising(explained(detector, x))
    changed = {split: [raising(explained(copy, x))] for split, copy in _copies(detector).items()}
    if "cascade-1" in changed:
        changed["layer-1"] = changed["cascade-1"]
    changed["noise"] = [raising(explained(detector, images)) for images in _noisy(x)]
    rows: list[tuple[str, str, float]] = [
        (split, measure.name, _alike(measure.function, maps, others))
        for split, others in changed.items()
        for measure in family("similarity")
    ]
    rows += _faithfulness(detector, x, maps.to(device), unit)
    few = x[:COST_BATCH]
    _score(detector, few)  # warms up
    score = cost(lambda: _score(detector, few), device).seconds
    spent = cost(lambda: explained(detector, few), device)
    costs = {"seconds": spent.seconds, "megabytes": spent.megabytes, "seconds_to_score": score}
    return pd.DataFrame(rows, columns=list(CHECKED)), {key: one / len(few) for key, one in costs.items()}


def _noisy(x: Tensor) -> list[Tensor]:
    return [
        (x + NOISE * torch.randn(x.shape, generator=torch_generator(draw, "noise")).to(x)).clamp(0, 1)
        for draw in range(NOISE_DRAWS)
    ]


def _copies(detector: Detector) -> dict[str, Detector]:
    """With redrawn layers; layer-1 is left out, since it is cascade-1."""
    copies = {
        **_numbered("cascade", cascade(detector, torch_generator(0, "redrawn weights"))),
        **_numbered("layer", one_by_one(detector, torch_generator(0, "redrawn weights"))),
    }
    copies.pop("layer-1", None)
    return copies


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
