"""What an audit of a finished detector would take."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.files import check_writable
from fcdd_audit.designs.finished.loading import Loaded, load
from fcdd_audit.designs.finished.measuring import BATCH
from fcdd_audit.designs.finished.pictures import pictures_of
from fcdd_audit.measures.localization import pixel_auroc


@dataclass(frozen=True)
class FinishedEstimate:
    """What an audit of a finished detector would take. `seconds` and `megabytes` are rough.

    scored, explained: how many images are, each as often as it is with another mark or explainer.
    """

    placebos: int
    images: dict[str, int]
    scored: int
    explained: int
    seconds: float
    megabytes: float

    def lines(self) -> list[str]:
        """For people."""
        images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in self.images.items())
        return [
            f"scored  {self.scored} images, with {self.placebos} placebos; {self.explained} explained",
            f"images  {images}",
            f"time    about {self.seconds:.0f} s",
            f"disk    about {self.megabytes:.0f} MB",
        ]


def estimate(config: AuditConfig, quiet: bool = True) -> FinishedEstimate:
    """Load all that an audit of a finished detector needs, and score a few images to learn its speed.

    A bar on stderr, for images that have to be decoded, unless `quiet`. InputError as in `run`.
    """
    check_writable(config.run.out / config.run_name)
    loaded = load(config, quiet)
    pictures = pictures_of(loaded, config)
    images = {part: len(loaded.data.parts()[part]) for part in ("test_nominal", "test_anomalous")}
    scored = sum(images.values()) * (config.design.placebos + 2)
    explained = images["test_nominal"] * (config.design.placebos + 1)
    each, per_map = _seconds_an_image(loaded)
    return FinishedEstimate(
        config.design.placebos,
        images,
        scored,
        explained * len(loaded.explainers),
        seconds=scored * each + explained * per_map,
        megabytes=1 + sum(array.nbytes for array in pictures.values()) / 1e6,
    )


def _seconds_an_image(loaded: Loaded) -> tuple[float, float]:
    """Of scoring it, and of all explanations and their overlap; the first pass warms up."""
    x = loaded.data.test_nominal.images[:BATCH].to(loaded.device).float() / 255
    mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
    mask[..., 0, 0] = True
    for _ in range(2):
        started = time.perf_counter()
        with torch.no_grad():
            loaded.detector.score(x).sum().item()
        scored = time.perf_counter()
        for explain in loaded.explainers.values():
            pixel_auroc(explain(x).detach().cpu(), mask)
    return (scored - started) / len(x), (time.perf_counter() - scored) / len(x)
