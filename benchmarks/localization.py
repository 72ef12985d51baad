"""Localisation measures against Quantus: the same numbers, and how fast.

python benchmarks/localization.py [--maps 1000] [--theirs 100] [--side 224] [--threads 2]

Needs `pip install quantus` beside this package. Prints, for each measure that both have, the largest
difference on the same maps and masks, milliseconds a map of both, and the ratio; AUPRO against a plain sweep
over thresholds; and small cases in which Quantus's number isn't the one that its measure is defined by.
Quantus is timed on fewer maps, since it takes as long for each.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import quantus
import torch
from skimage.measure import label
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from fcdd_audit.measures import localization as ours

TOP = 1000
CASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[..., Any]]] = {
    "pointing game": (ours.pointing_game, quantus.PointingGame),
    "top-k intersection": (partial(ours.top_k_intersection, k=TOP), partial(quantus.TopKIntersection, k=TOP)),
    "relevance rank": (ours.relevance_rank, quantus.RelevanceRankAccuracy),
    "relevance mass": (ours.relevance_mass, quantus.RelevanceMassAccuracy),
    "pixel AUROC": (ours.pixel_auroc, quantus.AUC),
}


def by_quantus(metric: Callable[..., Any], heat: Tensor, mask: Tensor, **options: Any) -> np.ndarray:
    """Quantus's numbers. It asks for a model and images, which these measures don't look at."""
    side = heat.shape[-1]
    measure = metric(disable_warnings=True, display_progressbar=False, **options)
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
    """Cases small enough to compute by hand. An image of Quantus's own liking goes first: it refuses to
    measure flat maps alone."""
    some = torch.tensor([[[[True, False], [False, False]]]])
    fine, hot = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]]]), torch.tensor([[[[0.1, 0.9], [0.9, 0.9]]]])
    cases = {
        "pointing game, empty mask": ("pointing game", fine, some & False, "undefined"),
        "pointing game, one of three tied inside": ("pointing game", hot, some.flip(2, 3), "0.33"),
        "relevance rank, one of three tied inside": ("relevance rank", hot, some.flip(2, 3), "0.33"),
        "relevance rank, the first of three tied": ("relevance rank", hot, some.flip(3), "0.33"),
        "relevance mass, a map of zeros": ("relevance mass", 0 * fine, some, "0.25, as of any flat map"),
    }
    print("\nby hand, here, Quantus:")
    for name, (measure, heat, mask, right) in cases.items():
        own, metric = CASES[measure]
        theirs = by_quantus(metric, torch.cat([fine, heat]), torch.cat([some, mask]))[1]
        print(f"  {name}: {right}; {own(heat, mask)[0]:.2f}; {theirs:.2f}")
    signed = torch.tensor([[[[1.0, -0.9], [0.0, 0.0]]]])
    metric = partial(quantus.RelevanceMassAccuracy, abs=False, normalise=False)
    print(
        "  relevance mass, map 1, -0.9, 0, 0, the first inside: at most 1; refused, as it is negative; "
        f"{by_quantus(metric, signed, some)[0]:.2f}"
    )
    weighted = partial(quantus.AttributionLocalisation, weighted=True)
    alone = [by_quantus(weighted, hot.repeat(n, 1, 1, 1), some.flip(3).repeat(n, 1, 1, 1))[0] for n in (4, 8)]
    print(
        "  weighted attribution localisation, the same image in a batch of 4 and of 8: equal; "
        f"not had here; {alone[0]:.3f} and {alone[1]:.3f}"
    )


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
    few = heat[: options.theirs], mask[: options.theirs]
    print(f"torch {torch.__version__}, quantus {quantus.__version__}, {options.threads} thread(s)")
    print(f"{options.maps} maps of {options.side} px here, {len(few[0])} by Quantus; ms a map")
    total = [0.0, 0.0]
    for name, (own, metric) in CASES.items():
        own(*few)  # warms up
        here = min(seconds(partial(own, heat, mask)) for _ in range(3)) / len(heat)
        theirs = seconds(partial(by_quantus, metric, *few)) / len(few[0])
        difference = np.nanmax(np.abs(own(*few).numpy() - by_quantus(metric, *few)))
        total = [total[0] + here, total[1] + theirs]
        print(
            f"{name:<20} difference {difference:.0e}  here {here * 1e3:6.2f}  Quantus {theirs * 1e3:6.1f}  "
            f"ratio {theirs / here:6.0f}"
        )
    at_once = min(seconds(partial(ours.measure_all, heat, mask)) for _ in range(2)) / len(heat)
    print(
        f"all five: Quantus {total[1] * 1e3:.1f}; here all eight measures, sorted once, {at_once * 1e3:.2f}  "
        f"ratio {total[1] / at_once:.0f}"
    )
    coarse = [(heat[i, 0, ::7, ::7].mul(200).round(), mask[i, 0, ::7, ::7]) for i in range(50)]
    gaps = [
        abs(float(ours.aupro(h[None, None], m[None, None])) - swept_aupro(h.numpy(), m.numpy()))
        for h, m in coarse
    ]
    print(f"AUPRO against a sweep over thresholds, 50 maps with ties: difference {max(gaps):.0e}")
    show_faults()


if __name__ == "__main__":
    main()
