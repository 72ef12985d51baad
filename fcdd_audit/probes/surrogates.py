"""Placebos: marks of an artifact's size, places and contrast, but of other content.

A placebo rearranges the artifact's own pixels inside its mask, so that it has exactly the same values, hence
the same contrast and coverage. The new order is a surrogate: near pixels are correlated as in the artifact,
so that it is about as busy in every direction, but its shapes are random (iterated amplitude-adjusted Fourier
transform, Schreiber & Schmitz 1996, Phys. Rev. Lett. 77, 635). Blocks cut out and permuted are no such null:
cut edges make them rougher than the artifact, and cut frames and lattices come out as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.probes.base import Probe

ROUNDS = 30  # of fitting a placebo to the spectrum
REACH, MIN_REACH = 1 / 8, 4.0  # of the correlations that it keeps: share of the longer side; pixels
LINEAR = 1e-3  # largest error of a linear blend, a quarter of a step of 8 bits
FLAT = 1 / 255  # a content that varies less can't be rearranged to another
KEPT = 64  # shapes of masks whose placebos are remembered


@dataclass(frozen=True)
class Blend:
    """A stamp as it lies on some images: x becomes x * (1 - alpha) + paint.

    alpha, paint: float (N, C, H, W). mask: bool (N, 1, H, W), where the artifact is.
    """

    alpha: Tensor
    paint: Tensor
    mask: Tensor

    def on(self, x: Tensor) -> Tensor:
        """The images x, (N, C, H, W) in [0, 1], marked, and rounded as if they had been stored so."""
        return ((x * (1 - self.alpha) + self.paint) * 255).round().clamp(0, 255) / 255

    @property
    def shade(self) -> Tensor:
        """How the stamp changes a grey of 0.5, mean over channels: (N, H, W) in [-0.5, 0.5]."""
        return (self.paint - self.alpha / 2).mean(dim=1)


def blend_of(probe: Probe, shape: torch.Size, generator: torch.Generator, device: torch.device) -> Blend:
    """What the probe lays on images of that shape, (N, C, H, W): black shows the paint, white the alpha.

    The generator, on the CPU, is left as one application leaves it. InputError for a probe without a mask, or
    one that isn't such a blend.
    """
    state = generator.get_state()
    noise = torch.rand(shape, generator=torch_generator(0, "is the probe a blend")).to(device)
    applied = []
    for x in (torch.zeros(shape, device=device), torch.ones(shape, device=device), noise):
        generator.set_state(state)  # the same places
        applied.append(probe.apply(x, generator))
    (black, mask), (white, _), (marked, _) = applied
    name = type(probe).__name__
    if mask is None or not mask.any():
        raise InputError(
            f"{name} has no mask, so there is no place for placebos to be put in; use an artifact that has a "
            "place, or train twins (fcdd-audit run)"
        )
    blend = Blend(1 - (white - black), black, mask)
    if (noise * (1 - blend.alpha) + blend.paint - marked).abs().max() > LINEAR:
        raise InputError(
            f"{name} isn't laid over the image in fixed shares, so its content can't be taken off and "
            "rearranged; use a stamp or an overlay such as watermark, or train twins (fcdd-audit run)"
        )
    return blend


def surrogate(mask: np.ndarray, shade: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random new order of a content that keeps its values and, as far as they allow, its near correlations.

    mask: bool (h, w). shade: (h, w), looked at inside the mask only. Returns (P,): the number of the pixel
    that goes to each pixel of the mask, both counted row by row. Source: Schreiber & Schmitz 1996.
    """
    values = shade[mask] - shade[mask].mean()  # else the mask's own outline would make the spectrum
    order = np.argsort(values, kind="stable")
    content = np.zeros(mask.shape)
    content[mask] = values
    amplitude = _amplitude(content)
    rank = np.empty(len(values), dtype=np.int64)
    content[mask] = rng.permutation(values)
    for _ in range(ROUNDS):
        phase = np.angle(np.fft.rfft2(content))
        wanted = np.fft.irfft2(amplitude * np.exp(1j * phase), s=mask.shape)[mask]
        rank[np.argsort(wanted, kind="stable")] = np.arange(len(values))
        content[mask] = values[order][rank]
    return order[rank]


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


class Placebos:
    """Makes placebos of blends: placebo k is the same mark on all images whose masks have the same shape.

    Its order of pixels comes from the content of the first image of that shape. So an artifact that is drawn
    anew for every image, such as noise, stays so in its placebos.

    count: how many placebos there are. seed: of their contents.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._known: dict[tuple[tuple[int, ...], bytes], Tensor] = {}

    def of(self, blend: Blend) -> Iterator[Blend]:
        """The placebos of a blend, one after the other, with the same masks.

        InputError for an artifact whose content doesn't vary.
        """
        pixels = blend.mask[0].numel()
        groups = list(self._groups(blend))
        alpha, paint = blend.alpha.flatten(2), blend.paint.flatten(2)
        for number in range(self.count):
            source = torch.arange(pixels, device=alpha.device).repeat(len(alpha), 1)
            for images, places, orders in groups:
                source[images[:, None], places] = places[:, orders[number]]
            taken = source[:, None].expand_as(alpha)
            yield Blend(
                alpha.gather(2, taken).view_as(blend.alpha),
                paint.gather(2, taken).view_as(blend.paint),
                blend.mask,
            )

    def _groups(self, blend: Blend) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Images whose masks have the same shape: (n,), their pixels in the mask, (n, P), and the placebos'
        orders of these, (placebos, P)."""
        masks, shades = blend.mask[:, 0].cpu().numpy(), blend.shade.double().cpu().numpy()
        if max((np.ptp(shade[mask]) for mask, shade in zip(masks, shades, strict=True) if mask.any())) < FLAT:
            raise InputError(
                "the artifact looks the same all over its mask, so there is no other content to be made of "
                "it; use one with a pattern, or train twins (fcdd-audit run)"
            )
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
                self._known[key] = self._orders(masks[first][box], shades[first][box])
            numbers = torch.tensor(images, device=blend.mask.device)
            places = blend.mask[numbers].flatten(1).nonzero()[:, 1].view(len(images), -1)
            yield numbers, places, self._known[key].to(blend.mask.device)

    def _orders(self, mask: np.ndarray, shade: np.ndarray) -> Tensor:
        rng = numpy_generator(self.seed, "content of placebos")
        return torch.from_numpy(np.stack([surrogate(mask, shade, rng) for _ in range(self.count)]))


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
