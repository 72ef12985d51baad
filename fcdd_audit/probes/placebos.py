"""Placebos: marks of an artifact's size, places and contrast, but of other content.

Most placebos rearrange the artifact's own pixels inside its mask, in the order of another picture: they have
exactly its values, hence its contrast and coverage. What the picture is makes the kind of placebo.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fcdd_audit.core.registry import Registry
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.probes.blends import Blend
from fcdd_audit.probes.stamps import glyphs

ROUNDS = 30  # of fitting a surrogate to the spectrum
REACH, MIN_REACH = 1 / 8, 4.0  # of the correlations that it keeps: share of the longer side; pixels
FLAT = 1 / 255  # a content that varies less has no other order
KEPT = 64  # shapes of masks whose placebos are remembered
PERIODS = (2.0, 8.0)  # of a grating, over its longer side
LETTERS = string.ascii_uppercase + string.digits
SPREAD = 1.5  # pixels by which ink that is left over thickens letters
FLAT_KIND = "flat"
FLATS = (1.0, -1.0)  # one brighter than the image, one darker


class Content(NamedTuple):
    """What a placebo is made for. mask: bool (h, w), the artifact's, cut to its box. shade: (h, w), how the
    artifact changes a grey of 0.5. donors: images in grey, (N, H, W), at least as large as the box."""

    mask: np.ndarray
    shade: np.ndarray
    donors: np.ndarray


Picture = Callable[[Content, np.random.Generator], np.ndarray]
PLACEBOS: Registry[Picture] = Registry("placebo")


@PLACEBOS.register("text")
def text(content: Content, rng: np.random.Generator) -> np.ndarray:
    """Other letters, as many as fit into the box."""
    height, width = content.mask.shape
    count = int(np.clip(round(width / max(1, height) * 1.5), 1, 24))
    outlined, letters = glyphs("".join(rng.choice(list(LETTERS), size=count)))
    cover, bright = (
        np.asarray(drawn.resize((width, height), Image.Resampling.BOX), np.float64) / 255
        for drawn in (outlined, letters)
    )
    field = 2 * bright - cover  # letters 1, their outline -1, else 0
    return field + gaussian_filter(field, SPREAD) / 4


@PLACEBOS.register("permuted")
def permuted(content: Content, rng: np.random.Generator) -> np.ndarray:
    """The artifact's own pixels, about as busy in every direction, but of random shapes.

    An iterated amplitude-adjusted Fourier surrogate. Blocks cut out and permuted are no such null: cut edges
    make them rougher than the artifact, and cut frames and lattices come out as they were.
    Source: Schreiber & Schmitz 1996, Phys. Rev. Lett. 77, 635.
    """
    mask = content.mask
    values = content.shade[mask] - content.shade[mask].mean()  # else the outline would make the spectrum
    ordered = np.sort(values, kind="stable")
    field = np.zeros(mask.shape)
    field[mask] = values
    amplitude = _amplitude(field)
    rank = np.empty(len(values), dtype=np.int64)
    field[mask] = rng.permutation(values)
    wanted = field[mask]
    for _ in range(ROUNDS):
        phase = np.angle(np.fft.rfft2(field))
        wanted = np.fft.irfft2(amplitude * np.exp(1j * phase), s=mask.shape)[mask]
        rank[np.argsort(wanted, kind="stable")] = np.arange(len(values))
        field[mask] = ordered[rank]
    field[mask] = wanted
    return field


@PLACEBOS.register("grating")
def grating(content: Content, rng: np.random.Generator) -> np.ndarray:
    """Stripes of a random width and direction."""
    height, width = content.mask.shape
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    frequency = rng.uniform(*PERIODS) / max(height, width)
    rows, columns = np.mgrid[:height, :width]
    along = rows * np.sin(angle) + columns * np.cos(angle)
    return np.sin(2 * np.pi * frequency * along + phase)


@PLACEBOS.register("donor")
def donor(content: Content, rng: np.random.Generator) -> np.ndarray:
    """A patch of another image."""
    height, width = content.mask.shape
    image = content.donors[rng.integers(len(content.donors))]
    top, left = (
        rng.integers(side - part + 1) for side, part in zip(image.shape, (height, width), strict=True)
    )
    return image[top : top + height, left : left + width]


def kinds(count: int) -> tuple[str, ...]:
    """The kind of each of so many placebos: after the first two flat ones, if there is more than one of each
    other kind, and the others in turn."""
    flat = len(FLATS) if count > len(PLACEBOS) + len(FLATS) else 0
    first, *others = islice(cycle(PLACEBOS), count - flat)
    return (first, *(FLAT_KIND,) * flat, *others)


@dataclass(frozen=True)
class _Pixels:
    """The pixels that placebos are made of, by the place in the mask that they come from. orders: of each
    placebo, (placebos, P), which mean nothing of the flat ones. level: root mean square of the shade. flat: 1
    or -1 of an artifact that is brighter, or darker, than a grey of 0.5 by the same all over; else 0."""

    orders: Tensor
    level: float
    flat: float


class Placebos:
    """Makes placebos of blends: placebo k is the same mark on all images whose masks have the same shape.

    Its order of pixels comes from the content of the first image of that shape. So an artifact that is drawn
    anew for every image, such as noise, stays so in its placebos. An artifact that looks the same all over
    its mask has no other order: its placebos are as strong, half brighter and half darker than the image, and
    the flat ones are the other way.

    count: how many placebos there are. seed: of their contents. donors: images to cut patches from, uint8
    (N, C, H, W), of the size of the images.
    """

    def __init__(self, count: int, seed: int, donors: Tensor) -> None:
        self.seed, self.kinds = seed, kinds(count)
        self.donors = donors.float().mean(dim=1).cpu().numpy()
        self._known: dict[tuple[tuple[int, ...], bytes], _Pixels] = {}

    def of(self, blend: Blend) -> Iterator[Blend]:
        """The placebos of a blend, one after the other, with the same masks."""
        groups = list(self._groups(blend))
        for number, kind in enumerate(self.kinds):
            alpha, paint = (torch.zeros(blend.alpha.shape, device=blend.alpha.device) for _ in range(2))
            for images, places, pixels in groups:
                order = pixels.orders[number]
                if kind == FLAT_KIND:
                    sign = -pixels.flat or FLATS[number - 1]  # else one would be the artifact itself
                    _fill(alpha, paint, images, places, *_levelled(blend, images, places, pixels.level, sign))
                elif pixels.flat:
                    signs = torch.where(order * 2 < places.shape[1], -1.0, 1.0)
                    _fill(
                        alpha, paint, images, places, *_levelled(blend, images, places, pixels.level, signs)
                    )
                else:
                    source = places[:, order]
                    taken = (_taken(values, images, source) for values in (blend.alpha, blend.paint))
                    _fill(alpha, paint, images, places, *taken)
            yield Blend(alpha, paint, blend.mask)

    def _groups(self, blend: Blend) -> Iterator[tuple[Tensor, Tensor, _Pixels]]:
        """Images whose masks have the same shape: (n,), their pixels in the mask, (n, P), and what their
        placebos are made of."""
        masks, shades = blend.mask[:, 0].cpu().numpy(), blend.shade.double().cpu().numpy()
        groups: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
        for image, mask in enumerate(masks):
            if mask.any():
                shape = mask[_box(mask)]
                groups.setdefault((shape.shape, shape.tobytes()), []).append(image)
        for key, images in groups.items():
            first = images[0]
            box = _box(masks[first])
            if key not in self._known:
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[key] = self._pixels(Content(masks[first][box], shades[first][box], self.donors))
            numbers = torch.tensor(images, device=blend.mask.device)
            places = blend.mask[numbers].flatten(1).nonzero()[:, 1].view(len(images), -1)
            yield numbers, places, self._known[key]

    def _pixels(self, content: Content) -> _Pixels:
        rng = numpy_generator(self.seed, "content of placebos")
        shade = content.shade[content.mask]
        pictures = [
            shade if kind == FLAT_KIND else PLACEBOS[kind](content, rng)[content.mask] for kind in self.kinds
        ]
        flat = float(np.sign(shade.mean()) or 1) if float(np.ptp(shade)) < FLAT else 0.0
        orders = np.stack([_ranks(one) if flat else arranged(shade, one) for one in pictures])
        return _Pixels(torch.from_numpy(orders), float(np.sqrt(np.square(shade).mean())), flat)


def arranged(values: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The number of the value, of (P,), that goes to each pixel of a picture, (P,), so that the highest goes
    to the brightest pixel."""
    return np.argsort(values, kind="stable")[_ranks(picture)]


def _ranks(picture: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(picture, kind="stable"), kind="stable")


def _taken(values: Tensor, images: Tensor, places: Tensor) -> Tensor:
    """Of (N, C, H, W) the pixels (n, P) of some images: (n, C, P)."""
    chosen = values[images].flatten(2)
    return chosen.gather(2, places[:, None].expand(-1, chosen.shape[1], -1))


def _levelled(
    blend: Blend, images: Tensor, places: Tensor, level: float, sign: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Alpha and paint, (n, C, P), of a mark that changes a grey of 0.5 by the level, up or down."""
    alpha = _taken(blend.alpha, images, places)
    alpha = alpha.mean(dim=(1, 2), keepdim=True).clamp(2 * level, 1).expand_as(alpha)
    return alpha, alpha / 2 + level * sign


def _fill(alpha: Tensor, paint: Tensor, images: Tensor, places: Tensor, *values: Tensor) -> None:
    """Write values, (n, C, P), to the places (n, P) of these images."""
    for target, found in zip((alpha, paint), values, strict=True):
        flat = target.flatten(2)
        own = flat[images]
        flat[images] = own.scatter(2, places[:, None].expand(-1, own.shape[1], -1), found.to(own))


def _amplitude(content: np.ndarray) -> np.ndarray:
    """Spectral amplitude of the content's autocorrelation, faded out over distance by a Gaussian.

    Without that, lines and lattices, which repeat themselves from end to end, have no surrogate but
    themselves.
    """
    reach = max(MIN_REACH, REACH * max(content.shape))
    down, right = (np.minimum(np.arange(side), side - np.arange(side)) for side in content.shape)
    fade = np.exp(-(down[:, None] ** 2 + right**2) / (2 * reach**2))
    correlation = np.fft.irfft2(np.abs(np.fft.rfft2(content)) ** 2, s=content.shape)
    return np.sqrt(np.fft.rfft2(correlation * fade).real.clip(min=0))


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
