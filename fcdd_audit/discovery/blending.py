"""Opacity and colour of a mark, from its bearers and from images that do not bear it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from fcdd_audit.discovery.alignment import STORED, luminance
from fcdd_audit.discovery.boxes import Box, cut, dilated, grown

HALO = 2  # px around the support in which the blend may still be
RING = 5  # px around that, from which the background is predicted
NEAREST = 900  # pixels of the ring at most
RIDGE = 0.02  # of the pixels' covariance, as a share of the variance
DEGREES = 5.0  # of freedom of Student's t: backgrounds miss by much more often than a Gaussian
SCALES = (0.2, 3.0)  # of a bearer's errors, by contrast
OPACITIES = 26  # from 0 to 1
SPREADS = (0.1, 0.2, 0.35)  # of a colour that varies between bearers
EVIDENCE = 3.0  # by which the log likelihood must grow before a colour varies
SOLID = 0.3  # opacity under which a colour isn't said to vary
STEPS = 30  # of expectation and maximisation


def blended(
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
    wide = grown(region, RING, frame)
    drawn = moves[torch.randint(len(moves), (len(others),), generator=generator)]
    inside = torch.zeros(wide[2:], dtype=torch.bool)
    top, left = region[0] - wide[0], region[1] - wide[1]
    inside[top : top + region[2], left : left + region[3]] = dilated(support, HALO)
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
    return cut(x, box, moves, shift).flatten(2), cut(there, box, moves, shift).flatten(2)[:, 0] > 0


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
    y = luminance(images)
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
