"""What images that repeat something have in common: a mark, as a blend that can be put on other images.

Three steps. *Alignment*: every bearer is moved by a few pixels so that gradients agree. *Support*: where the
bearers' mean gradient is steeper than that of any decoy, which is the group of most alike images among those
without the mark, found, sized and aligned in the same way. *Blend*: on the support, opacity and colour by the
likelihood of each bearer's pixels given its own background, which is predicted from around the mark. What is
without a support is no mark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from fcdd_audit.core.colours import LUMA

Box = tuple[int, int, int, int]

FEWEST = 5  # bearers, below which nothing is told from chance
FEWEST_OTHERS = 20
ROUNDS = 3  # of alignment
FLAT = 0.02  # root mean square gradient under which a window resembles nothing
PRIOR = 4  # bearers that the others' spread of gradients counts for
SEEDS, DECOYS = 128, 4  # of each view, images that groups are sought around, and the most alike ones kept
PLACES = 4  # beside the box where decoys are sought
POOL = 384  # images that decoys are made of
SURPLUS = 1.4  # times the strongest decoy: more than that is a mark
NOTHING = 1.0  # strength of decoys on images that are flat
STRONGEST = 5  # a fifth of a region's pixels counts
GROUPS, MATCHES = 20, 10  # random groups, and others of like contrast that each bearer is replaced from
GROWTHS = 4  # of the support, at most
QUANTILED = 1 << 23  # values at most that a quantile is taken of
LOWER = 0.99  # quantile of chance's pixels over which what touches the support belongs to it
HALO = 2  # px around the support in which the blend may still be
RING = 5  # px around that, from which the background is predicted
NEAREST = 900  # pixels of the ring at most
RIDGE = 0.02  # of the pixels' covariance, as a share of the variance
DEGREES = 5.0  # of freedom of Student's t: backgrounds miss by much more often than a Gaussian
SCALES = (0.2, 3.0)  # of a bearer's errors, by contrast
STORED = 2 / 255  # what 8 bits and compression add to every pixel
OPACITIES = 26  # from 0 to 1
SPREADS = (0.1, 0.2, 0.35)  # of a colour that varies between bearers
EVIDENCE = 3.0  # by which the log likelihood must grow before a colour varies
SOLID = 0.3  # opacity under which a colour isn't said to vary
STEPS = 30  # of expectation and maximisation
FAINT = 0.04  # opacity under which there is no mark
WEAK, TYPICAL = 0.25, 0.9  # as a share of this quantile of the opacities: also no mark


@dataclass(frozen=True)
class Extracted:
    """A mark that several images bear.

    support: bool (h, w). alpha, colour: float32 (C, h, w) in [0, 1]; alpha is 0 outside the support and the
    same in all channels. moves: int64 (B, 2), rows and columns by which each bearer's mark lies off the box.
    box: top, left, height and width in pixels, grown from the given one. varies: share of the support, in
    [0, 1], whose colour differs between bearers by more than what shines through explains, as other digits or
    handwriting do. surplus: how strong it is, in units of the strongest decoy.
    """

    support: Tensor
    alpha: Tensor
    colour: Tensor
    moves: Tensor
    box: Box
    varies: float
    surplus: float

    def masks(self, frame: tuple[int, int]) -> Tensor:
        """Where it is on each bearer: bool (B, 1, H, W) for images of that height and width."""
        return _laid(self.support[None, None], self.box, self.moves, frame)


def extract(
    bearing: Tensor, others: Tensor, box: Box, *, shift: int = 2, generator: torch.Generator
) -> Extracted | None:
    """The mark that the bearing images share near the box; None where there is none.

    bearing, others: uint8 (N, C, H, W), C is 1 or 3. box: top, left, height, width in pixels. shift: how far
    a bearer's mark may lie off the box, in pixels. generator: draws the decoys. ValueError for other images,
    a box that isn't inside them, fewer than 5 bearing images or fewer than 20 others.
    """
    _check(bearing, others, box, shift)
    region = _grown(box, shift + HALO, (bearing.shape[2], bearing.shape[3]))
    pool = others[torch.randperm(len(others), generator=generator)[:POOL]]
    usual = _gradients(pool).mean(dim=0)
    mine, theirs = (_Fields.of(images, usual, region, shift) for images in (bearing, pool))
    seeds = torch.randperm(len(bearing), generator=generator)[:SEEDS]
    medoid = int(seeds[_likeness(mine, seeds, region).sum(dim=1).argmax()])
    moves, template = _aligned(mine, region, mine.window(region)[medoid])
    spread = theirs.spread(region)
    strength = _strength(mine.window(region, moves), mine.weights, spread)
    decoys = _decoys(pool, len(bearing), region, shift, generator)
    surplus = _overall(strength) / max(NOTHING, *map(_overall, decoys))
    if surplus < SURPLUS:
        return None
    chance = _by_chance(mine, theirs, template, region, spread, generator)
    found = _support(strength, chance)
    for _ in range(GROWTHS):  # where the blend goes on beyond the support, so does the mark
        if not found.any():
            return None
        alpha, colour, varying = _blend(bearing, pool, moves, found, region, shift, generator)
        limit = max(FAINT, WEAK * float(alpha[0][found].quantile(TYPICAL)))
        support = alpha[0] >= limit
        if not (support & ~found).any():
            break
        found = found | support
    if not support.any():
        return None
    return Extracted(
        support,
        torch.where(support, alpha, 0.0),
        torch.where(support, colour, 0.0),
        moves,
        region,
        float(varying[support].float().mean()),
        surplus,
    )


def _check(bearing: Tensor, others: Tensor, box: Box, shift: int) -> None:
    for name, images in (("bearing", bearing), ("others", others)):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"{name} are {images.dtype} of shape {tuple(images.shape)}; "
                "they must be uint8 of shape (N, 1 or 3, H, W)"
            )
    if bearing.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"bearing images are {tuple(bearing.shape[1:])} and others {tuple(others.shape[1:])}; "
            "they must be alike"
        )
    if len(bearing) < FEWEST or len(others) < FEWEST_OTHERS:
        raise ValueError(
            f"{len(bearing)} bearing images and {len(others)} others; "
            f"at least {FEWEST} and {FEWEST_OTHERS} are needed"
        )
    top, left, height, width = box
    inside = top >= 0 and left >= 0 and top + height <= bearing.shape[2] and left + width <= bearing.shape[3]
    if not inside or height < 2 or width < 2:
        raise ValueError(f"box {box} must be inside images of {tuple(bearing.shape[2:])} and at least 2x2 px")
    if shift < 0:
        raise ValueError(f"shift is {shift}; it must be 0 or more")


def _grown(box: Box, by: int, frame: tuple[int, int]) -> Box:
    """A box grown on all sides as far as the image goes."""
    top, left, height, width = box
    first = max(0, top - by), max(0, left - by)
    last = min(frame[0], top + height + by), min(frame[1], left + width + by)
    return first[0], first[1], last[0] - first[0], last[1] - first[1]


def _dilated(support: Tensor, by: int) -> Tensor:
    """Support, bool (h, w), and what is up to so many pixels away."""
    grown = F.max_pool2d(support[None, None].float(), 2 * by + 1, stride=1, padding=by)
    return grown[0, 0] > 0


def _cut(padded: Tensor, box: Box, moves: Tensor, pad: int) -> Tensor:
    """Windows (N, C, h, w) of images padded on all sides, each displaced by its own move, (N, 2)."""
    top, left, height, width = box
    image = torch.arange(len(padded))[:, None, None]
    rows = (top + pad + moves[:, :1] + torch.arange(height))[:, :, None]
    columns = (left + pad + moves[:, 1:] + torch.arange(width))[:, None, :]
    return padded.movedim(1, -1)[image, rows, columns].movedim(-1, 1)


def _laid(values: Tensor, box: Box, moves: Tensor, frame: tuple[int, int]) -> Tensor:
    """Values, (1, C, h, w), at the box displaced by each move: (B, C, H, W), 0 elsewhere; what lies outside
    the frame is cut off."""
    top, left, height, width = box
    pad = int(moves.abs().max()) if len(moves) else 0
    canvas = values.new_zeros(len(moves), values.shape[1], frame[0] + 2 * pad, frame[1] + 2 * pad)
    image = torch.arange(len(moves))[:, None, None]
    rows = (top + pad + moves[:, :1] + torch.arange(height))[:, :, None]
    columns = (left + pad + moves[:, 1:] + torch.arange(width))[:, None, :]
    canvas.movedim(1, -1)[image, rows, columns] = values.movedim(1, -1)
    return canvas[:, :, pad : pad + frame[0], pad : pad + frame[1]]


# Alignment


@dataclass(frozen=True)
class _Fields:
    """Gradients of images. padded: (N, 2, H + 2 shift, W + 2 shift). weights: (N,), inverse squares of each
    image's contrast outside the region, mean 1."""

    padded: Tensor
    weights: Tensor
    shift: int

    @staticmethod
    def of(images: Tensor, usual: Tensor, region: Box, shift: int) -> _Fields:
        """usual: the mean gradient of images without the mark, (2, H, W), which is taken off."""
        field = _gradients(images)
        outside = torch.ones(field.shape[2:])
        top, left, height, width = region
        outside[top : top + height, left : left + width] = 0
        if outside.mean() < 0.25:  # little is left of the image
            outside[:] = 1
        contrast = (field.square().sum(dim=1) * outside).sum(dim=(1, 2)) / outside.sum()
        # Half the usual contrast at least, or a few flat images would decide alone.
        weights = 1 / (contrast + contrast.median() / 4 + 1e-6)
        return _Fields(F.pad(field - usual, (shift,) * 4), weights / weights.mean(), shift)

    def window(self, box: Box, moves: Tensor | None = None) -> Tensor:
        """The box in each image, displaced by its own move, (N, 2), or by the same, (2,): (N, 2, h, w)."""
        if moves is not None and moves.ndim == 2:
            return _cut(self.padded, box, moves, self.shift)
        down, right = (0, 0) if moves is None else moves.tolist()
        top, left, height, width = box
        top, left = top + self.shift + down, left + self.shift + right
        return self.padded[:, :, top : top + height, left : left + width]

    def spread(self, box: Box) -> Tensor:
        """Weighted variance of each gradient, (2, h, w)."""
        windows = self.window(box)
        weights = self.weights[:, None, None, None]
        mean = (weights * windows).mean(dim=0)
        return (weights * (windows - mean).square()).mean(dim=0)

    def take(self, indices: Tensor) -> _Fields:
        return _Fields(self.padded[indices], self.weights[indices], self.shift)


def _gradients(images: Tensor) -> Tensor:
    """Of the luminance, to the right and down: (N, 2, H, W)."""
    y = _luminance(images)
    return torch.stack([F.pad(y.diff(dim=2), (0, 1)), F.pad(y.diff(dim=1), (0, 0, 0, 1))], dim=1)


def _luminance(images: Tensor) -> Tensor:
    """(N, H, W) in [0, 1] of uint8 images."""
    x = images.float() / 255
    return x[:, 0] if x.shape[1] == 1 else torch.einsum("nchw,c->nhw", x, torch.tensor(LUMA))


def _moves(shift: int) -> Tensor:
    """All displacements, (M, 2), the nearest first, so that ties go to them."""
    near = sorted(
        product(range(-shift, shift + 1), repeat=2), key=lambda move: (move[0] ** 2 + move[1] ** 2, move)
    )
    return torch.tensor(near)


def _unit(windows: Tensor) -> Tensor:
    """Windows as unit vectors, (N, d); shorter where they are flat."""
    flat = windows.flatten(1)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(FLAT * math.sqrt(flat.shape[1] / 2))


def _likeness(fields: _Fields, seeds: Tensor, region: Box) -> Tensor:
    """Correlation of the seeds' windows with those of all at their best move: (S, N)."""
    mine = _unit(fields.window(region)[seeds])
    best = torch.full((len(seeds), len(fields.padded)), -1.0)
    for move in _moves(fields.shift):
        best = torch.maximum(best, mine @ _unit(fields.window(region, move)).T)
    best[torch.arange(len(seeds)), seeds] = 1
    return best


def _aligned(fields: _Fields, region: Box, template: Tensor, rounds: int = ROUNDS) -> tuple[Tensor, Tensor]:
    """The move of each image, (N, 2), at which its window is most like the template, and the last template.

    template: (2, h, w); the mean window times its size takes its place after each round.
    """
    moves = _moves(fields.shift)
    views = torch.stack([_unit(fields.window(region, move)) for move in moves])
    aim = template.flatten()
    for _ in range(rounds):
        chosen = (views @ aim).argmax(dim=0)
        mean = views[chosen, torch.arange(len(chosen))].mean(dim=0)
        # What is repeated counts, and not the many pixels that happen to have a gradient.
        aim = mean * mean.abs()
    return moves[chosen], aim.unflatten(0, template.shape)


# Support


def _strength(windows: Tensor, weights: Tensor, spread: Tensor) -> Tensor:
    """How surely the mean gradient isn't 0, (h, w): squares of t, summed over both directions, mean over the
    gradients around each pixel.

    windows: (N, 2, h, w). weights: (N,). spread: the others' variance, (2, h, w), which steadies that of few.
    """
    weight = weights[:, None, None, None]
    mean = (weight * windows).sum(dim=0) / weights.sum()
    own = (weight * (windows - mean).square()).sum(dim=0)
    variance = (own + PRIOR * spread) / (len(windows) - 1 + PRIOR) + STORED**2
    squares = (mean.square() * weights.sum() / variance).sum(dim=0)
    return F.avg_pool2d(squares[None, None], 3, stride=1, padding=1)[0, 0]


def _overall(strength: Tensor) -> float:
    """Mean of the strongest fifth of the pixels: a mark's strokes are many, a natural edge is one."""
    values = strength.flatten()
    return float(values.topk(max(1, len(values) // STRONGEST)).values.mean())


def _decoys(
    pool: Tensor, count: int, region: Box, shift: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """`_strength` of decoys, each (h, w): groups of `count` images of the pool that are most alike.

    They are sought at the region and at other places, in images as they are and mirrored, as a search for
    what repeats would go through all places.
    """
    size = min(count, len(pool) // 2)
    for images, place in _views(pool, region, generator):
        fields = _Fields.of(images, _gradients(images).mean(dim=0), place, shift)
        spread = fields.spread(place)
        seeds = torch.randperm(len(images), generator=generator)[:SEEDS]
        best, members = _likeness(fields, seeds, place).topk(size, dim=1)
        for seed in best.sum(dim=1).topk(min(DECOYS, len(seeds))).indices.tolist():
            group = fields.take(members[seed])
            moves, _ = _aligned(group, place, fields.window(place)[seeds[seed]])
            # Squares of t grow with the number: a group that the pool is too small for counts as a full one.
            yield _strength(group.window(place, moves), group.weights, spread) * (count / size)


def _by_chance(
    mine: _Fields, theirs: _Fields, template: Tensor, region: Box, spread: Tensor, generator: torch.Generator
) -> Tensor:
    """`_strength` of random groups of the others, (GROUPS, h, w), matched with the bearers in contrast and
    moved to be like the bearers' template: what alignment makes of nothing."""
    away = (mine.weights.log()[:, None] - theirs.weights.log()).abs()
    near = away.topk(min(MATCHES, len(theirs.weights)), dim=1, largest=False).indices
    maps = []
    for _ in range(GROUPS):
        drawn = torch.randint(near.shape[1], (len(near), 1), generator=generator)
        group = theirs.take(near.gather(1, drawn)[:, 0])
        moves, _ = _aligned(group, region, template, rounds=1)
        maps.append(_strength(group.window(region, moves), group.weights, spread))
    return torch.stack(maps)


def _views(pool: Tensor, region: Box, generator: torch.Generator) -> Iterator[tuple[Tensor, Box]]:
    """Images and places: the region in images mirrored in all ways, and random places."""
    for axes in ((), (3,), (2,), (2, 3)):
        yield pool.flip(axes), region
    _, _, height, width = region
    room = pool.shape[2] - height, pool.shape[3] - width
    for _ in range(PLACES if any(room) else 0):
        top, left = (int(torch.randint(free + 1, (1,), generator=generator)) for free in room)
        yield pool, (top, left, height, width)


def _support(strength: Tensor, chance: Tensor) -> Tensor:
    """Where there is more than chance has anywhere, with what touches it and is over most of chance's pixels;
    gaps and holes are filled. Bool (h, w)."""
    sure = strength > chance.max()
    low = torch.quantile(chance[:, ::2, ::2].flatten()[:QUANTILED], LOWER)
    parts, _ = ndimage.label((strength > low).numpy(), np.ones((3, 3)))
    kept = np.isin(parts, np.unique(parts[sure.numpy()])) & (parts > 0)
    closed = ndimage.binary_closing(np.pad(kept, 2), np.ones((3, 3)))[2:-2, 2:-2] | kept
    return torch.from_numpy(ndimage.binary_fill_holes(closed))


# Blend


def _blend(
    bearing: Tensor,
    others: Tensor,
    moves: Tensor,
    support: Tensor,
    region: Box,
    shift: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Opacity and colour, (C, h, w), and where the colour varies, bool (h, w)."""
    frame = (bearing.shape[2], bearing.shape[3])
    wide = _grown(region, RING, frame)
    drawn = moves[torch.randint(len(moves), (len(others),), generator=generator)]
    inside = torch.zeros(wide[2:], dtype=torch.bool)
    top, left = region[0] - wide[0], region[1] - wide[1]
    inside[top : top + region[2], left : left + region[3]] = _dilated(support, HALO)
    (marked, there), (clean, _) = (
        _pixels(images, wide, displaced, shift) for images, displaced in ((bearing, moves), (others, drawn))
    )
    place = inside.flatten()
    ring = _ring(inside)
    expected, error, scale = _background(marked, clean, place, ring, wide[2:], others)
    opacity, paint, varying = _fitted(marked[:, :, place], expected, error, scale, there[:, place])
    colour = (paint / opacity.clamp_min(1e-6)).clamp(0, 1)

    def whole(values: Tensor) -> Tensor:
        canvas = values.new_zeros(*values.shape[:-1], place.numel())
        canvas[..., place] = values
        canvas = canvas.unflatten(-1, wide[2:])
        return canvas[..., top : top + region[2], left : left + region[3]]

    alpha = whole(opacity).expand(bearing.shape[1], *region[2:])
    return alpha, whole(colour), whole(varying)


def _pixels(images: Tensor, box: Box, moves: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """Displaced windows in [0, 1], (N, C, pixels), and which pixels are in the image, bool (N, pixels)."""
    x = F.pad(images.float() / 255, (shift,) * 4, mode="replicate")
    there = F.pad(torch.ones(1, 1, *images.shape[2:]), (shift,) * 4).expand(len(images), -1, -1, -1)
    return _cut(x, box, moves, shift).flatten(2), _cut(there, box, moves, shift).flatten(2)[:, 0] > 0


def _ring(inside: Tensor) -> Tensor:
    """Indices of the pixels nearest to the mark from which its background is predicted."""
    if inside.all():
        return torch.zeros(0, dtype=torch.int64)
    away = torch.from_numpy(ndimage.distance_transform_edt(~inside.numpy())).flatten()
    near = ((away > 0) & (away <= RING)).nonzero()[:, 0]
    return near[away[near].argsort(stable=True)[:NEAREST]]


def _background(
    marked: Tensor, clean: Tensor, place: Tensor, ring: Tensor, size: tuple[int, int], others: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the bearers' pixels would be without the mark.

    The best linear guess from the ring, given how pixels at each distance go together in the other images
    (kriging), then corrected by how it fares on the other images, so that their pixels regress on it with
    slope 1: a guess like this biases no opacity. marked, clean: (N, C, pixels). Returns the guess,
    (N, C, P); the error's spread among the others, (C, P); its factor for each bearer, (N,), by the contrast
    of its ring.
    """
    usual = clean.mean(dim=0)
    if len(ring):
        rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        points = torch.stack([rows.flatten(), columns.flatten()], dim=1)
        inner, outer = points[place], points[ring]
        table = _covariance(others)
        known = table[tuple((outer[:, None] - outer).abs().movedim(-1, 0))]
        known = known + RIDGE * table[0, 0] * torch.eye(len(ring))
        cross = table[tuple((inner[:, None] - outer).abs().movedim(-1, 0))]
        weights = torch.linalg.solve(known, cross.T)  # (ring, P)
    else:
        weights = torch.zeros(0, int(place.sum()))

    def guess(x: Tensor) -> Tensor:
        return usual[:, place] + (x - usual)[:, :, ring] @ weights

    guessed, truth = guess(clean), clean[:, :, place]
    centre, middle = guessed.mean(dim=0), truth.mean(dim=0)
    both = ((guessed - centre) * (truth - middle)).mean(dim=0)
    own = (guessed - centre).square().mean(dim=0)
    steady = own.mean() * 10 / len(clean)  # few others: towards the guess itself
    slope = (both + steady) / (own + steady + 1e-9)
    error = truth - middle - slope * (guessed - centre)
    contrast = [_contrast(x[:, :, ring]) for x in (clean, marked)]
    power = _power(contrast[0], error.square().mean(dim=(1, 2)))
    usual_contrast = contrast[0].pow(power).mean()
    scale = [(x.pow(power) / usual_contrast).sqrt().clamp(*SCALES) for x in contrast]
    spread = _student_scale(error / scale[0][:, None, None]) + 1e-3
    return middle + slope * (guess(marked) - centre), spread, scale[1]


def _student_scale(errors: Tensor) -> Tensor:
    """Scale of Student's t that fits errors, (N, ...), about 0; their deviation would be too large by what
    few backgrounds miss by."""
    squares = errors.square()
    scale = squares.mean(dim=0) + 1e-9
    for _ in range(STEPS):
        scale = (squares * (DEGREES + 1) / (DEGREES + squares / scale)).mean(dim=0) + 1e-9
    return scale.sqrt()


def _covariance(images: Tensor) -> Tensor:
    """Covariance of two pixels' luminance by the rows and columns between them, (H, W), mean over places."""
    y = _luminance(images)
    y = y - y.mean(dim=0)
    size = [2 * side for side in y.shape[1:]]
    power = torch.fft.rfft2(y, s=size).abs().square().mean(dim=0)
    total = torch.fft.irfft2(power, s=size)
    rows, columns = y.shape[1:]
    pairs = torch.arange(rows, 0, -1)[:, None] * torch.arange(columns, 0, -1)
    lower = torch.cat([total[:1, :columns], total.flip(0)[: rows - 1, :columns]])
    return (total[:rows, :columns] + lower) / 2 / pairs


def _contrast(ring: Tensor) -> Tensor:
    """Variance of each image's ring about its mean colour, (N,)."""
    if not ring.shape[2]:
        return torch.ones(len(ring))
    return ring.var(dim=2, correction=0).mean(dim=1) + 1e-4


def _power(contrast: Tensor, missed: Tensor) -> Tensor:
    """Power in [0, 1] of contrast, (N,), that squared errors, (N,), grow with."""
    x, y = contrast.log(), (missed + 1e-3).log()
    slope = ((x - x.mean()) * (y - y.mean())).mean() / (x.var(correction=0) + 1e-3)
    return slope.clamp(0, 1)


def _fitted(
    marked: Tensor, expected: Tensor, error: Tensor, scale: Tensor, there: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Opacity (P,), opacity times colour (C, P) and where the colour varies, bool (P,).

    A bearer's pixel is (1 - opacity) of its background and paint, off by (1 - opacity) of the background's
    error, by how the colour varies and by how the image was stored. All pixels share one distribution of
    opacity, found by expectation and maximisation (Kiefer & Wolfowitz 1956; Laird 1978): few
    bearers leave little doubt where the mark is of one piece. marked, expected: (N, C, P). there: (N, P).
    """
    opacities = torch.linspace(0, 1, OPACITIES)

    def tried(spread: float) -> tuple[Tensor, Tensor]:
        """Paint, (OPACITIES, C, P), and log likelihood, (OPACITIES, P)."""
        both = [
            _explained(marked, expected, error, scale, there, opacity, spread)
            for opacity in opacities.tolist()
        ]
        return torch.stack([paint for paint, _ in both]), torch.stack([log for _, log in both])

    paint, log = tried(0.0)
    belief = _shared_belief(log)
    opacity, painted = opacities @ belief, torch.einsum("kp,kcp->cp", belief, paint)
    varying = torch.zeros(len(opacity), dtype=torch.bool)
    best = log.max(dim=0).values + EVIDENCE
    for spread in SPREADS:
        paint, log = tried(spread)
        better = (log.max(dim=0).values > best) & (opacity >= SOLID)
        belief = log.softmax(dim=0)
        opacity = torch.where(better, opacities @ belief, opacity)
        painted = torch.where(better, torch.einsum("kp,kcp->cp", belief, paint), painted)
        best = torch.maximum(best, log.max(dim=0).values)
        varying |= better
    return opacity, painted, varying


def _shared_belief(log: Tensor) -> Tensor:
    """Posterior of each pixel over the cells, (cells, P), under the prior that all pixels together make
    likeliest. log: likelihoods, (cells, P)."""
    given = (log - log.max(dim=0).values).exp()
    share = torch.full((len(log), 1), 1 / len(log))
    for _ in range(STEPS):
        belief = share * given
        belief = belief / belief.sum(dim=0)
        share = belief.mean(dim=1, keepdim=True)
    return belief


def _explained(
    marked: Tensor,
    expected: Tensor,
    error: Tensor,
    scale: Tensor,
    there: Tensor,
    opacity: float,
    spread: float,
) -> tuple[Tensor, Tensor]:
    """The likeliest paint, (C, P), in [0, opacity], and the log likelihood then, (P,), mean over channels."""
    through = 1 - opacity
    deviation = (
        (through * error * scale[:, None, None]).square() + STORED**2 + spread**2
    ).sqrt()  # (N, C, P)
    left = marked - through * expected
    present = there[:, None].float()
    weight = present / deviation.square()
    paint = (weight * left).sum(dim=0) / weight.sum(dim=0).clamp_min(1e-9)
    for _ in range(2):  # Student's t, by weights
        off = ((left - paint) / deviation).square()
        robust = weight * (DEGREES + 1) / (DEGREES + off)
        paint = ((robust * left).sum(dim=0) / robust.sum(dim=0).clamp_min(1e-9)).clamp(0, opacity)
    off = ((left - paint) / deviation).square()
    log = -present * ((DEGREES + 1) / 2 * (off / DEGREES).log1p() + deviation.log())
    # One bearer's worth of spread went into the paint.
    lost = (present * deviation.log()).sum(dim=0) / present.sum(dim=0).clamp_min(1)
    return paint, (log.sum(dim=0) + (lost if opacity else 0)).mean(dim=0)
