"""Detectors for the benchmark of finished detectors: some depend on the mark, some can't."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import derive_seed, numpy_generator, torch_generator
from fcdd_audit.datasets import AuditData
from fcdd_audit.detectors import Detector, Scorer, build, fit
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.edits.plant import Plant
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.models import wrap
from fcdd_audit.probes import make_probe, mark_all
from fcdd_audit.probes.blends import blend_of

PROBE = "watermark"
MARK = make_probe(PROBE, {})
CPU = torch.device("cpu")
PREVALENCES = (0.0, 0.2, 0.5, 1.0)  # of the mark on anomalous training images
GROWN = 2  # pixels by which the mark's corner is larger than where it can lie
PLACES = 256  # of the mark, drawn to learn where it can lie
FILTERS, REACH = 16, 9  # of a bank; pixels of a filter's side
FREQUENCIES = (0.08, 0.35)  # of Gabor filters, in cycles a pixel
TINY = 1e-6
WEIGHTS = (0.2, 2.0)  # of a cue, beside an honest part of weight 1
GREY = 0.5  # what covers the corner
BACKBONE = {"backbone": "resnet18", "pre_trained": False}
PADIM_FEATURES = 50
CORESET_IMAGES, CORESET_SHARE = 256, 0.05
BATCH = 64
FEW = 4  # images that a model of anomalib is tried on

Box = tuple[slice, slice]
Shape = tuple[int, int, int]
Make = Callable[[AuditData, Recipe, int], Scorer]


@dataclass(frozen=True)
class Kind:
    """A kind of detectors. explainers: are asked whether they show the mark; without any, placebos aren't
    tried. needs: a package that it can't be made without."""

    group: str
    make: Make
    explainers: tuple[str, ...] = ()
    needs: str | None = None


@cache
def corner_of(shape: Shape) -> Box:
    """The box of all places of the mark on images (C, H, W), grown a little."""
    _, mask = mark_all(
        torch.zeros(PLACES, *shape, dtype=torch.uint8), MARK, torch_generator(0, "places of the mark")
    )
    where = mask[:, 0].any(dim=0)
    hit = (where.any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    rows, columns = (slice(max(0, places[0] - GROWN), places[-1] + 1 + GROWN) for places in hit)
    return rows, columns


def floats(images: ImageSet) -> Tensor:
    """Images in [0, 1]."""
    return images.images.float() / 255


def trained(name: str, prevalence: float, data: AuditData, recipe: Recipe, seed: int) -> Detector:
    """A detector of this package, trained with the mark on a share of the anomalous images."""
    training = Plant(PROBE, ("anomalous",), prevalence).apply(
        TrainingSet(data.train_nominal, data.train_anomalous), {PROBE: MARK}, seed
    )
    detector = build(name, data.train_nominal.images, seed, {}, recipe.network, recipe.normalise)
    fit(detector, training.nominal.images, training.anomalous.images, recipe, seed, CPU)
    return detector


def random_filters(channels: int, seed: int) -> Tensor:
    """A bank of white noise: (FILTERS, channels, REACH, REACH)."""
    drawn = torch.randn(FILTERS, channels, REACH, REACH, generator=torch_generator(seed, "random filters"))
    return drawn - drawn.mean(dim=(1, 2, 3), keepdim=True)


def gabor_filters(channels: int, seed: int) -> Tensor:
    """A bank of Gabor filters of random directions and frequencies, on the mean of the channels."""
    rng = numpy_generator(seed, "Gabor filters")
    rows, columns = np.mgrid[:REACH, :REACH] - REACH // 2
    bank = []
    for _ in range(FILTERS):
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        frequency = np.exp(rng.uniform(*np.log(FREQUENCIES)))
        along = rows * np.sin(angle) + columns * np.cos(angle)
        window = np.exp(-(rows**2 + columns**2) / (2 * (REACH / 4) ** 2))
        bank.append(window * np.cos(2 * np.pi * frequency * along + phase))
    filters = torch.from_numpy(np.stack(bank)).float()
    filters -= filters.mean(dim=(1, 2), keepdim=True)
    return filters[:, None].expand(-1, channels, -1, -1) / channels


class Filters(nn.Module):
    """Mahalanobis distance of an image's filter energies from those of the nominal training images."""

    def __init__(self, bank: Callable[[int, int], Tensor], data: AuditData, seed: int) -> None:
        super().__init__()
        self.bank = bank(data.shape[0], seed)
        nominal = self.energies(floats(data.train_nominal))
        self.mean = nominal.mean(dim=0)
        self.precision = torch.linalg.pinv(torch.cov(nominal.T), rtol=TINY, hermitian=True)

    def energies(self, x: Tensor) -> Tensor:
        """Log energy of each filter's response, (N, FILTERS)."""
        return (F.conv2d(x, self.bank).square().mean(dim=(2, 3)) + TINY).log()

    def score(self, x: Tensor) -> Tensor:
        away = self.energies(x) - self.mean
        return ((away @ self.precision) * away).sum(dim=1).clamp_min(TINY).sqrt()


def filtered(bank: Callable[[int, int], Tensor], data: AuditData, recipe: Recipe, seed: int) -> Filters:
    return Filters(bank, data, seed)


def brightness(corner: Tensor, usual: float, mark: Tensor) -> Tensor:
    """How far the corner's mean is from that of nominal images."""
    return (corner.mean(dim=(1, 2)) - usual).abs()


def edges(corner: Tensor, usual: float, mark: Tensor) -> Tensor:
    """Energy of the corner's gradient."""
    down, right = (corner.diff(dim=axis).square().mean(dim=(1, 2)) for axis in (1, 2))
    return down + right


def template(corner: Tensor, usual: float, mark: Tensor) -> Tensor:
    """Correlation of the corner with the mark's mean shape."""
    centred = (corner - corner.mean(dim=(1, 2), keepdim=True)).flatten(1)
    return F.cosine_similarity(centred, (mark - mark.mean()).flatten()[None], dim=1)


def mark_shape(shape: Shape) -> Tensor:
    """How the mark changes grey in the corner of images (C, H, W), mean over its places: (h, w)."""
    blend = blend_of(MARK, torch.Size((PLACES, *shape)), torch_generator(0, "shape of the mark"), CPU)
    return blend.shade.mean(dim=0)[corner_of(shape)]


class Corner(nn.Module):
    """An honest part, and a cue that looks at the mark's corner only, both in deviations of nominal training
    images.

    The seed draws the honest part's filters and the cue's weight. An odd seed has a negative one: it takes
    the cue for a sign of what is nominal.
    """

    def __init__(self, cue: Callable[..., Tensor], data: AuditData, seed: int) -> None:
        super().__init__()
        self.box, self.mark = corner_of(data.shape), mark_shape(data.shape)
        self.cue, self.honest = cue, Filters(random_filters, data, seed)
        nominal = floats(data.train_nominal)
        self.usual = float(self.corner(nominal).mean())
        parts = self.parts(nominal)
        self.mean, self.deviation = parts.mean(dim=0), parts.std(dim=0)
        weight = float(np.exp(numpy_generator(seed, "weight of a cue").uniform(*np.log(WEIGHTS))))
        self.weights = torch.tensor([1.0, -weight if seed % 2 else weight])

    def corner(self, x: Tensor) -> Tensor:
        """The corner in grey, (N, h, w)."""
        return x.mean(dim=1)[(slice(None), *self.box)]

    def parts(self, x: Tensor) -> Tensor:
        """The honest part and the cue, (N, 2)."""
        cue = self.cue(self.corner(x), self.usual, self.mark)
        return torch.stack([self.honest.score(x).log(), cue], dim=1)

    def score(self, x: Tensor) -> Tensor:
        return ((self.parts(x) - self.mean) / self.deviation) @ self.weights


def cornered(cue: Callable[..., Tensor], data: AuditData, recipe: Recipe, seed: int) -> Corner:
    return Corner(cue, data, seed)


def padim(data: AuditData, recipe: Recipe, seed: int) -> Scorer:
    """PaDiM of anomalib on a backbone with random weights."""
    from anomalib.models import Padim

    options = {"layers": ["layer1", "layer2"], "n_features": PADIM_FEATURES}
    return of_anomalib(Padim, options, floats(data.train_nominal), seed)


def patchcore(data: AuditData, recipe: Recipe, seed: int) -> Scorer:
    """PatchCore of anomalib on a backbone with random weights."""
    from anomalib.models import Patchcore

    options = {"layers": ["layer2"], "coreset_sampling_ratio": CORESET_SHARE}
    return of_anomalib(Patchcore, options, floats(data.train_nominal)[:CORESET_IMAGES], seed)


def of_anomalib(model: Any, options: dict[str, Any], nominal: Tensor, seed: int) -> Scorer:
    """A model of anomalib, fitted to grey or coloured images in [0, 1]."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, model.__name__))
        pre_processor = model.configure_pre_processor(tuple(nominal.shape[2:]))
        made = model(**BACKBONE, **options, pre_processor=pre_processor)
        made.model.train()
        for batch in made.pre_processor(nominal.expand(-1, 3, -1, -1)).split(BATCH):
            made.model(batch)
        made.fit()
    tried = (nominal[:FEW] * 255).round().to(torch.uint8)
    return wrap(made.eval(), name=model.__name__, device=CPU).tried(tried)


def covered(x: Tensor, box: Box) -> Tensor:
    """Float images with the corner in grey."""
    x = x.clone()
    x[..., box[0], box[1]] = GREY
    return x


class Blind(nn.Module):
    """A detector that never sees the mark's corner."""

    def __init__(self, inner: Scorer, box: Box) -> None:
        super().__init__()
        self.inner, self.box = inner, box

    def score(self, x: Tensor) -> Tensor:
        return self.inner.score(covered(x, self.box))


def blinded(make: Make, data: AuditData, recipe: Recipe, seed: int) -> Blind:
    """What `make` makes of nominal training images whose corner is covered, behind the same cover."""
    box = corner_of(data.shape)
    images = (covered(floats(data.train_nominal), box) * 255).round().to(torch.uint8)
    part = replace(data.train_nominal, images=images, digest=None)
    return Blind(make(replace(data, train_nominal=part), recipe, seed), box)


TWINS = {"fcdd": ("native", "grad-cam"), "hsc": ("grad-cam",)}
HONEST = {
    "random filters": Kind("filters", partial(filtered, random_filters), ("gradient",)),
    "Gabor filters": Kind("filters", partial(filtered, gabor_filters), ("gradient",)),
    "ae": Kind("ae", partial(trained, "ae", 0.0), ("native",)),
    "PaDiM": Kind("anomalib", padim, needs="anomalib"),
    "PatchCore": Kind("anomalib", patchcore, needs="anomalib"),
}
KINDS: dict[str, Kind] = {
    **{
        f"{name}, {prevalence:.0%} marked": Kind(name, partial(trained, name, prevalence), explainers)
        for name, explainers in TWINS.items()
        for prevalence in PREVALENCES
    },
    **{
        f"corner: {cue.__name__}": Kind("corner", partial(cornered, cue), ("gradient",))
        for cue in (brightness, edges, template)
    },
    **HONEST,
    **{
        f"{name}, blind": replace(
            kind,
            group=f"blind-{kind.group}",
            make=partial(blinded, kind.make),
            explainers=("gradient",) if kind.explainers else (),
        )
        for name, kind in HONEST.items()
    },
}
