"""How well a heatmap coincides with a mask, one number an image.

Every measure takes

    heatmap: (N, 1, H, W), float, finite, non-negative, higher is more responsible
    mask:    (N, 1, H, W), bool, on the same device

and returns (N,) float64 on that device, higher is better. An empty mask gives NaN: there is nothing to find;
pixel AUROC and AUPRO, which compare with the pixels outside, are NaN for a full mask too. Ties share their
credit equally, so that a flat map gets the value of chance. ValueError for other input. `measure_all` gives
all measures at once, and sorts the pixels once for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label
from torch import Tensor

from fcdd_audit.measures.table import HALF, Chance, Measure, family, register

AT_ONCE = 1 << 22  # pixels measured together: bounds the memory
TOP_SHARE = 0.01  # of the pixels, whose intersection with the mask is taken by default
FPR_LIMIT = 0.3  # up to which the per-region overlap is integrated
OF_AREA = Chance("the mask's area", lambda area: area)
TOUCHING = np.array([0, 1, 0])[:, None, None] * np.ones((3, 3), int)  # pixels of one image, diagonals too
PARTS = 16  # that rows are sorted in: more than threads, so that one held up doesn't hold up the others

T = TypeVar("T")
R = TypeVar("R")


class _Pixels:
    """Heat and mask of images, pixel by pixel; sorted when that is asked for. P = H * W.

    heat: (N, P), float32 or float64. inside: (N, P), bool. size: pixels of each mask, (N,) float64.
    """

    def __init__(self, heatmap: Tensor, mask: Tensor, sort: bool = False) -> None:
        """sort: whether `keys` are needed anyway, so that `hottest` takes them too."""
        self.mask = mask
        exact = heatmap.dtype in (torch.float32, torch.float64)
        self.heat = (heatmap if exact else heatmap.float()).flatten(1)
        self.inside = mask.flatten(1)
        self.size = self.inside.count_nonzero(dim=1).double()
        self.sort = sort or mask.device.type != "cpu"

    @property
    def count(self) -> int:
        return self.heat.shape[1]

    @cached_property
    def packed(self) -> Tensor:
        """Pixels as whole numbers, (N, P): the mask in the last bit, heat in the others.

        The bits of a number that isn't negative are in its order and leave one bit free. So sorting whole
        numbers sorts heat and mask together, without indices; of a tie, pixels outside come first.
        """
        whole = torch.int32 if self.heat.dtype == torch.float32 else torch.int64
        bits = self.heat.contiguous().view(whole)  # the shift drops the sign of a zero
        # The topmost bit turned makes the order of signed numbers that of unsigned ones.
        return ((bits << 1) | self.inside) ^ torch.iinfo(whole).min

    @cached_property
    def keys(self) -> Tensor:
        """`packed` from cold to hot, (N, P)."""
        return _sort(self.packed)

    @cached_property
    def upto(self) -> Tensor:
        """How many of the pixels up to each of `keys` are inside, itself too; (N, P) int32."""
        return (self.keys & 1).cumsum(dim=1, dtype=torch.int32)

    def inside_before(self, place: Tensor) -> Tensor:
        """How many of the pixels before a place in `keys` are inside; both (N, K)."""
        return torch.where(place > 0, self.upto.gather(1, (place - 1).clamp_min(0)), 0)

    @cached_property
    def first(self) -> Tensor:
        """Where the tie that each of `keys` belongs to begins, (N, P) int64."""
        begins = F.pad((self.keys[:, 1:] ^ self.keys[:, :-1]) & ~1 != 0, (1, 0), value=True)
        places = torch.arange(self.count, device=begins.device)
        return torch.where(begins, places, 0).cummax(dim=1).values

    def hottest(self, k: Tensor) -> Tensor:
        """The key of the k-th hottest pixel; k (N,) at least 1; (N, 1)."""
        places = self.count - k.long()
        if self.sort:
            return self.keys.gather(1, places[:, None])
        rows = list(zip(self.packed.numpy(), places.tolist(), strict=True))
        found = _threaded(lambda one: int(np.partition(one[0], one[1])[one[1]]), rows)
        return torch.tensor(found, dtype=self.packed.dtype)[:, None]

    @cached_property
    def mask_hits(self) -> Tensor:
        """Expected number of mask pixels among as many hottest ones; (N,) float64."""
        return _hottest_inside(self, self.size.clamp_min(1))

    def where_some(self, values: Tensor) -> Tensor:
        """NaN for empty masks."""
        return torch.where(self.size > 0, values, torch.nan)

    def where_both(self, values: Tensor) -> Tensor:
        """NaN for empty and for full masks."""
        return torch.where((self.size > 0) & (self.size < self.count), values, torch.nan)


def _sort(keys: Tensor) -> Tensor:
    """Rows in ascending order. On the CPU by NumPy, which has vector instructions for it."""
    if keys.device.type != "cpu":
        return keys.sort(dim=1).values
    rows = keys.numpy().copy()
    _threaded(lambda part: part.sort(axis=1), np.array_split(rows, max(1, min(PARTS, len(rows)))))
    return torch.from_numpy(rows)


def _threaded(call: Callable[[T], R], parts: list[T]) -> list[R]:
    """The results for all parts, by as many threads as torch has. For calls that release Python's lock."""
    if torch.get_num_threads() == 1:  # to start and to wait for one takes as long as many a part
        return list(map(call, parts))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(call, parts))


def _places(where: Tensor) -> tuple[Tensor, Tensor]:
    """Where each row of (N, P) bool holds, from the left; and which places are meant, the others are 0.

    Both (N, most), int64 and bool.
    """
    number = where.count_nonzero(dim=1)
    _, columns = where.nonzero(as_tuple=True)
    slots = torch.arange(int(number.max()) if len(where) else 0, device=where.device)
    meant = slots < number[:, None]
    places = torch.zeros(meant.shape, dtype=torch.long, device=where.device)
    places[meant] = columns
    return places, meant


Core = Callable[[_Pixels], Tensor]


def _measure(core: Core, heatmap: Tensor, mask: Tensor) -> Tensor:
    return _measured({"": core}, heatmap, mask)[""]


def _measured(cores: dict[str, Core], heatmap: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Each core's numbers; ValueError for what can't be measured."""
    if heatmap.ndim != 4 or heatmap.shape[1] != 1:
        raise ValueError(f"heatmap must be (N, 1, H, W), not {tuple(heatmap.shape)}")
    if not heatmap.is_floating_point():
        raise ValueError(f"heatmap must be float, not {heatmap.dtype}")
    if mask.dtype != torch.bool or mask.shape != heatmap.shape:
        raise ValueError(
            f"mask must be bool and of the heatmap's shape {tuple(heatmap.shape)}, not {mask.dtype} "
            f"{tuple(mask.shape)}"
        )
    found: dict[str, list[Tensor]] = {name: [] for name in cores}
    rows = max(1, AT_ONCE // max(1, heatmap[0].numel())) if len(heatmap) else 1
    for maps, masks in zip(heatmap.split(rows), mask.split(rows), strict=True):
        low, high = torch.aminmax(maps) if maps.numel() else (maps.new_zeros(()), maps.new_zeros(()))
        if not (low >= 0 and high < torch.inf):  # neither for NaN
            raise ValueError("heatmap must be finite and non-negative")
        pixels = _Pixels(maps, masks, sort=len(cores) > 1)
        for name, core in cores.items():
            found[name].append(core(pixels))
    return {name: torch.cat(parts) for name, parts in found.items()}


def _pixel_auroc(pixels: _Pixels) -> Tensor:
    keys = pixels.keys
    places = torch.arange(pixels.count, dtype=torch.int32, device=keys.device)
    before = ((keys & 1) * places).sum(dim=1).double()  # pairs of a pixel inside and any one before it
    outside_before = before - pixels.size * (pixels.size - 1) / 2  # those colder, and as hot
    won = outside_before - _tied_pairs(keys) / 2
    return pixels.where_both(won / (pixels.size * (pixels.count - pixels.size)))


def _tied_pairs(keys: Tensor) -> Tensor:
    """How many pairs of a pixel inside and one outside are equally hot, (N,) float64."""
    turn, meant = _places(keys[:, 1:] ^ keys[:, :-1] == 1)  # within a tie, the last pixel outside
    tied = keys.gather(1, turn)
    first, after = torch.searchsorted(keys, tied & ~1), torch.searchsorted(keys, tied | 1, right=True)
    return ((turn + 1 - first) * (after - turn - 1) * meant).sum(dim=1).double()


def pixel_auroc(heatmap: Tensor, mask: Tensor) -> Tensor:
    """How often a random pixel of the mask is hotter than a random one outside; ties count half."""
    return _measure(_pixel_auroc, heatmap, mask)


# The measure that decides whether an explanation shows the artifact.
HEADLINE = register(
    Measure(
        name="pixel_auroc",
        label="pixel AUROC",
        unit=None,
        bounds=(0, 1),
        chance=HALF,
        function=pixel_auroc,
        source=None,
        family="overlap",
        row=None,
    )
)


def _pixel_ap(pixels: _Pixels) -> Tensor:
    first = pixels.first
    hits_from = pixels.size[:, None] - pixels.inside_before(first)  # inside, and at least as hot
    precision = hits_from / (pixels.count - first)
    return pixels.where_some((precision * (pixels.keys & 1)).sum(dim=1) / pixels.size)


def pixel_ap(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Average precision of the pixels as a classifier of the mask.

    The step-wise sum over distinct thresholds, as scikit-learn defines it.
    """
    return _measure(_pixel_ap, heatmap, mask)


register(
    Measure(
        name="pixel_ap",
        label="pixel AP",
        unit=None,
        bounds=(0, 1),
        chance=OF_AREA,
        function=pixel_ap,
        source=None,
        family="overlap",
        row=None,
    )
)


def _relevance_mass(pixels: _Pixels) -> Tensor:
    total = pixels.heat.sum(dim=1, dtype=torch.float64)
    inside = (pixels.heat * pixels.inside).sum(dim=1, dtype=torch.float64)
    return pixels.where_some(torch.where(total > 0, inside / total, pixels.size / pixels.count))


def relevance_mass(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the heat inside the mask.

    A map of zeros counts as flat.
    """
    return _measure(_relevance_mass, heatmap, mask)


RELEVANCE_MASS = register(
    Measure(
        name="relevance_mass",
        label="relevance mass",
        unit=None,
        bounds=(0, 1),
        chance=OF_AREA,
        function=relevance_mass,
        source="Arras et al. 2022 (arXiv 2003.07258)",
        family="overlap",
        row=None,
    )
)


def _hottest_inside(pixels: _Pixels, k: Tensor) -> Tensor:
    """Expected number of mask pixels among the k hottest, k (N,) at least 1; (N,) float64."""
    last = pixels.hottest(k) | 1
    hotter, tied = pixels.packed > last, pixels.packed | 1 == last
    room = (k - hotter.count_nonzero(dim=1)) / tied.count_nonzero(dim=1)
    inside, tied_inside = ((one & pixels.inside).count_nonzero(dim=1) for one in (hotter, tied))
    return inside + room * tied_inside


def _relevance_rank(pixels: _Pixels) -> Tensor:
    return pixels.where_some(pixels.mask_hits / pixels.size)


def relevance_rank(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the mask's pixels among as many hottest ones."""
    return _measure(_relevance_rank, heatmap, mask)


register(
    Measure(
        name="relevance_rank",
        label="relevance rank",
        unit=None,
        bounds=(0, 1),
        chance=OF_AREA,
        function=relevance_rank,
        source="Arras et al. 2022 (arXiv 2003.07258)",
        family="overlap",
        row=None,
    )
)


def _top_k_intersection(pixels: _Pixels, k: int | None = None) -> Tensor:
    top = math.ceil(TOP_SHARE * pixels.count) if k is None else k
    hits = _hottest_inside(pixels, torch.full_like(pixels.size, top))
    return pixels.where_some(hits / top)


def top_k_intersection(heatmap: Tensor, mask: Tensor, k: int | None = None) -> Tensor:
    """Share of the hottest pixels, 1 % of all, that lie in the mask.

    k: how many; by default 1 %, rounded up. ValueError unless it is a number of pixels of the map.
    """
    if k is not None and not 1 <= k <= heatmap.shape[-2:].numel():
        raise ValueError(f"k must be from 1 to the {heatmap.shape[-2:].numel()} pixels of the map, not {k}")
    return _measure(lambda pixels: _top_k_intersection(pixels, k), heatmap, mask)


register(
    Measure(
        name="top_k_intersection",
        label="top-k intersection",
        unit=None,
        bounds=(0, 1),
        chance=OF_AREA,
        function=top_k_intersection,
        source="Theiner et al. 2021 (arXiv 2104.14995)",
        family="overlap",
        row=None,
    )
)


def _pointing_game(pixels: _Pixels) -> Tensor:
    hottest = pixels.heat == pixels.heat.amax(dim=1, keepdim=True)
    inside = (hottest & pixels.inside).count_nonzero(dim=1).double()
    return pixels.where_some(inside / hottest.count_nonzero(dim=1))


def pointing_game(heatmap: Tensor, mask: Tensor) -> Tensor:
    """1 if the hottest pixel is in the mask, else 0; of several equally hot ones the share that is inside."""
    return _measure(_pointing_game, heatmap, mask)


register(
    Measure(
        name="pointing_game",
        label="pointing game",
        unit=None,
        bounds=(0, 1),
        chance=OF_AREA,
        function=pointing_game,
        source="Zhang et al. 2018, Top-down neural attention by excitation backprop",
        family="overlap",
        row=None,
    )
)


def _iou_at_mask_area(pixels: _Pixels) -> Tensor:
    return pixels.where_some(pixels.mask_hits / (2 * pixels.size - pixels.mask_hits))


def iou_at_mask_area(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union of the mask and as many hottest pixels."""
    return _measure(_iou_at_mask_area, heatmap, mask)


register(
    Measure(
        name="iou_at_mask_area",
        label="IoU at the mask's area",
        unit=None,
        bounds=(0, 1),
        chance=Chance("about a / (2 - a) for a mask of area a", lambda area: area / (2 - area)),
        function=iou_at_mask_area,
        source=None,
        family="overlap",
        row=None,
    )
)


def _aupro(pixels: _Pixels, limit: float = FPR_LIMIT) -> Tensor:
    """Pixel by pixel of the mask: each raises the overlap by its share, along the line that joins its tie."""
    keys = pixels.keys
    places, meant = _places(pixels.inside)
    key, share = pixels.packed.gather(1, places), _region_shares(pixels.mask).gather(1, places)
    after = torch.searchsorted(keys, key | 1, right=True)
    first = pixels.first.gather(1, after - 1)
    # How many pixels outside are hotter, where the line begins, and at least as hot, where it ends.
    outside = pixels.count - pixels.size[:, None]
    begin, end = (outside - (place - pixels.inside_before(place)) for place in (after, first))
    left = (limit * outside - begin).clamp_min(0)  # from there to the limit
    rise = left.minimum(end - begin)
    area = left - rise + rise * rise / (2 * (end - begin).clamp_min(1))
    return pixels.where_both((share * area * meant).sum(dim=1) / (limit * outside[:, 0]))


def _region_shares(mask: Tensor) -> Tensor:
    """What each pixel of a mask is of its region, over their number; (N, P) float64, 0 outside."""
    inside = mask[:, 0].cpu().numpy()
    regions, number = label(inside, TOUCHING)
    image, *_ = places = inside.nonzero()
    region = regions[places]
    of_image = np.zeros(number + 1, dtype=int)
    of_image[region] = image
    regions_in = np.bincount(of_image[1:], minlength=len(inside))
    shares = np.zeros(inside.shape)
    shares[places] = 1 / (np.bincount(region)[region] * regions_in[image])
    return torch.from_numpy(shares).flatten(1).to(mask.device)


def aupro(heatmap: Tensor, mask: Tensor, limit: float = FPR_LIMIT) -> Tensor:
    """Share of each connected region of the mask that is hotter than a threshold, mean over the regions, and
    over thresholds up to a false positive rate of 0.3 of the pixels outside.

    Regions are 8-connected, and small ones count as much as large ones. The overlap is integrated over the
    false positive rate from 0 to `limit`, over its largest possible value; ties are joined by straight lines,
    so that a flat map gets limit / 2. In the source the pixels of all images are pooled; here each image has
    a number of its own, so that images can be paired. ValueError unless the limit is in (0, 1].
    """
    if not 0 < limit <= 1:
        raise ValueError(f"limit must be in (0, 1], not {limit}")
    return _measure(lambda pixels: _aupro(pixels, limit), heatmap, mask)


register(
    Measure(
        name="aupro",
        label="AUPRO",
        unit=None,
        bounds=(0, 1),
        chance=Chance(f"{FPR_LIMIT / 2:g}", lambda area: FPR_LIMIT / 2),
        function=aupro,
        source="Bergmann et al. 2021 (IJCV 129)",
        family="overlap",
        row=None,
    )
)


_CORES: dict[Callable[..., Any], Core] = {
    pixel_auroc: _pixel_auroc,
    pixel_ap: _pixel_ap,
    relevance_mass: _relevance_mass,
    relevance_rank: _relevance_rank,
    top_k_intersection: _top_k_intersection,
    pointing_game: _pointing_game,
    iou_at_mask_area: _iou_at_mask_area,
    aupro: _aupro,
}


def measure_all(heatmap: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """All measures of overlap by name; for those of this file the pixels are sorted once."""
    measures = family("overlap")
    cores = {one.name: _CORES[one.function] for one in measures if one.function in _CORES}
    found = _measured(cores, heatmap, mask)
    return {
        one.name: found[one.name] if one.name in found else one.function(heatmap, mask) for one in measures
    }


def area_share(mask: Tensor) -> Tensor:
    """Share of an image that its mask covers.

    mask: bool (N, 1, H, W). Returns (N,) float64.
    """
    return mask.flatten(1).double().mean(dim=1)


AREA = register(
    Measure(
        name="area",
        label="area of the mask",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=area_share,
        source=None,
        family="mask",
        row=None,
    )
)


def lift(value: float, chance: float) -> float:
    """An overlap over its level of chance; in results.csv, mean relevance mass over the mask's mean area."""
    return value / chance


RELEVANCE_LIFT = register(
    Measure(
        name="relevance_lift",
        label="lift",
        unit=None,
        bounds=(0, math.inf),
        chance=Chance("1", lambda area: 1.0),
        function=lift,
        source=None,
        family="mask",
        row=None,
    )
)


def excess(planted: np.ndarray, control: np.ndarray) -> float:
    """Pixel AUROC of the planted twin's heatmap less that of its control's on the same images, the mean.
    At 0 it finds the artifact no better.

    planted, control: (images,); an image that is NaN for one of them doesn't count.
    """
    return float(np.nanmean(planted - control))


EXCESS = register(
    Measure(
        name="excess_pixel_auroc",
        label="excess pixel AUROC",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=excess,
        source=None,
        family="pair",
        row=None,
    )
)


def dilate(mask: Tensor, pixels: int) -> Tensor:
    """The mask, bool (N, 1, H, W), grown by `pixels` in each direction, diagonals included."""
    if pixels == 0:
        return mask
    grown = F.max_pool2d(mask.float(), 2 * pixels + 1, stride=1, padding=pixels)
    return grown.bool()
