"""Localisation measures against Quantus and anomalib: the same numbers, and how fast.

python benchmarks/localization.py [--maps 1000] [--theirs 100] [--side 224] [--threads 2]

Prints AUPRO against a plain sweep over thresholds. With `pip install quantus` beside this package, for each
measure that both have, the largest difference on the same maps and masks, milliseconds a map of both, and the
ratio; and small cases in which Quantus's number isn't the one that its measure is defined by. Quantus is
timed on fewer maps, since it takes as long for each. With `pip install anomalib`, its AUPRO, image by image.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from skimage.measure import label
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from fcdd_audit.measures import localization as ours

try:
    import quantus
except ImportError:
    quantus = None
try:
    from anomalib.metrics.aupro import _AUPRO
except ImportError:
    _AUPRO = None

TOP = 1000
SWEPT = 20  # maps, as each threshold of a sweep looks at all pixels
LEVELS = 64  # of heat, for the sweep

# Quantus's name, ours, options of both.
CASES: dict[str, tuple[str, str, dict[str, int]]] = {
    "pointing game": ("PointingGame", "pointing_game", {}),
    "top-k intersection": ("TopKIntersection", "top_k_intersection", {"k": TOP}),
    "relevance rank": ("RelevanceRankAccuracy", "relevance_rank", {}),
    "relevance mass": ("RelevanceMassAccuracy", "relevance_mass", {}),
    "pixel AUROC": ("AUC", "pixel_auroc", {}),
}


def by_quantus(metric: str, heat: Tensor, mask: Tensor, **options: Any) -> np.ndarray:
    """Quantus's numbers. It asks for a model and images, which these measures don't look at."""
    side = heat.shape[-1]
    measure = getattr(quantus, metric)(disable_warnings=True, display_progressbar=False, **options)
    found = measure(
        model=nn.Sequential(nn.Flatten(), nn.Linear(side * heat.shape[-2], 2)),
        x_batch=np.zeros(heat.shape, dtype=np.float32),
        y_batch=np.zeros(len(heat), dtype=int),
        a_batch=heat.numpy().copy(),
        s_batch=mask.numpy(),
        device="cpu",
    )
    return np.array(found, dtype=float)


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def swept_aupro(heat: np.ndarray, mask: np.ndarray, limit: float = 0.3) -> float:
    """Per-region overlap at every threshold, integrated by the trapezoid rule."""
    regions = label(mask, connectivity=2)
    fpr, pro = [0.0], [0.0]
    for threshold in np.unique(heat)[::-1]:
        hot = heat >= threshold
        fpr.append((hot & ~mask).sum() / (~mask).sum())
        pro.append(float(np.mean([hot[regions == one].mean() for one in range(1, regions.max() + 1)])))
    inside = [x for x in fpr if x < limit]
    points = [*inside, limit]
    return float(np.trapezoid([*pro[: len(inside)], np.interp(limit, fpr, pro)], points)) / limit


def images(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Smooth random maps, and a mark of a tenth of the image in a random place."""
    generator = torch.Generator().manual_seed(0)
    heat = gaussian_blur(torch.rand(count, 1, side, side, generator=generator), [9, 9], [2.0, 2.0])
    mask = torch.zeros(count, 1, side, side, dtype=torch.bool)
    height, width = side // 6, side // 2
    for one in mask:
        top, left = (int(torch.randint(side - size, (), generator=generator)) for size in (height, width))
        one[:, top : top + height, left : left + width] = True
    return heat, mask


def show_faults() -> None:
    """Cases small enough to compute by hand. Another image goes first: Quantus refuses flat maps alone."""
    some = torch.tensor([[[[True, False], [False, False]]]])
    second, last = some.flip(3), some.flip(2, 3)
    fine, hot = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]]]), torch.tensor([[[[0.1, 0.9], [0.9, 0.9]]]])
    cases: tuple[tuple[str, str, Tensor, Tensor, dict[str, int], str], ...] = (
        ("empty mask", "pointing game", fine, some & False, {}, "undefined"),
        ("one of three tied inside", "pointing game", hot, last, {}, "0.33"),
        ("the first of three tied inside", "relevance rank", hot, second, {}, "0.33"),
        ("the last of three tied inside", "relevance rank", hot, last, {}, "0.33"),
        ("the first of three tied inside, k = 1", "top-k intersection", hot, second, {"k": 1}, "0.33"),
        ("the last of three tied inside, k = 1", "top-k intersection", hot, last, {"k": 1}, "0.33"),
        ("a map of zeros", "relevance mass", 0 * fine, some, {}, "0.25, as of any flat map"),
    )
    print("\nright, here, Quantus:")
    for name, measure, heat, mask, options, right in cases:
        metric, function, _ = CASES[measure]
        own = getattr(ours, function)(heat, mask, **options)[0]
        theirs = by_quantus(metric, torch.cat([fine, heat]), torch.cat([some, mask]), **options)[1]
        print(f"  {measure}, {name}: {right}; {own:.2f}; {theirs:.2f}")
    signed = torch.tensor([[[[1.0, -0.9], [0.0, 0.0]]]])
    print(
        "  relevance mass, map 1, -0.9, 0, 0, the first inside: at most 1; refused, as it is negative; "
        f"{by_quantus('RelevanceMassAccuracy', signed, some)[0]:.2f}"
    )
    alone = [
        by_quantus(
            "AttributionLocalisation", *(one.repeat(n, 1, 1, 1) for one in (hot, second)), weighted=True
        )[0]
        for n in (4, 8)
    ]
    print(
        "  weighted attribution localisation, the same image in a batch of 4 and of 8: equal; "
        f"not had here; {alone[0]:.3f} and {alone[1]:.3f}"
    )


def against_quantus(heat: Tensor, mask: Tensor, number: int) -> None:
    few = heat[:number], mask[:number]
    print(f"{len(heat)} maps of {heat.shape[-1]} px here, {len(few[0])} by Quantus {quantus.__version__}")
    total = 0.0

    def show(name: str, here: float, theirs: float, difference: str) -> None:
        print(
            f"{name:<20} difference {difference:>5}  here {here * 1e3:6.2f}  Quantus {theirs * 1e3:6.1f}  "
            f"ms a map  ratio {theirs / here:6.0f}"
        )

    for name, (metric, function, options) in CASES.items():
        own = partial(getattr(ours, function), **options)
        here = min(seconds(partial(own, heat, mask)) for _ in range(5)) / len(heat)
        theirs = seconds(partial(by_quantus, metric, *few, **options)) / len(few[0])
        total += theirs
        difference = np.abs(own(*few).numpy() - by_quantus(metric, *few, **options)).max()
        show(name, here, theirs, f"{difference:.0e}")
    cores = {function: ours._CORES[getattr(ours, function)] for _, function, _ in CASES.values()}
    five = min(seconds(partial(ours._measured, cores, heat, mask)) for _ in range(5)) / len(heat)
    show("all five together", five, total, "")
    all_of_them = min(seconds(partial(ours.measure_all, heat, mask)) for _ in range(3)) / len(heat)
    print(f"{f'all {len(ours._CORES)} of ours':<20} {'':16}  here {all_of_them * 1e3:6.2f}")


def check_aupro(heat: Tensor, mask: Tensor) -> None:
    """On masks of two regions, a large and a small one; heat in levels, so that there are ties."""
    heat, mask = (heat / heat.amax() * LEVELS).round(), mask.clone()
    mask[..., :3, :3] = True
    pairs = list(zip(heat[:, 0], mask[:, 0], strict=True))
    own = ours.aupro(heat, mask).numpy()
    swept = np.array([swept_aupro(one.numpy(), inside.numpy()) for one, inside in pairs])
    print(f"AUPRO, {len(heat)} maps with ties: from a sweep {np.abs(own - swept).max():.0e}", end="")
    if _AUPRO is None:
        print("; anomalib isn't installed")
    else:
        theirs = np.array([float(_AUPRO()(one[None], inside[None].int())) for one, inside in pairs])
        print(f", from anomalib (single precision) {np.abs(own - theirs).max():.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--theirs", type=int, default=100, help="maps that Quantus is timed on")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    heat, mask = images(options.maps, options.side)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.threads} thread(s)")
    if quantus is None:
        print("Quantus isn't installed")
    else:
        against_quantus(heat, mask, options.theirs)
    check_aupro(heat[:SWEPT], mask[:SWEPT])
    if quantus is not None:
        show_faults()


if __name__ == "__main__":
    main()
