"""What an audit of a finished detector would take."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.files import check_writable
from fcdd_audit.designs.finished.kept import places_of, read_kept
from fcdd_audit.designs.finished.loading import Loaded, load
from fcdd_audit.designs.finished.measuring import BATCH
from fcdd_audit.designs.finished.pictures import pictures_of
from fcdd_audit.experiment.writer import RunWriter
from fcdd_audit.measures.localization import pixel_auroc


@dataclass(frozen=True)
class FinishedEstimate:
    """What an audit of a finished detector would take. `seconds` and `megabytes` are rough.

    scored, explained: how many images are, each as often as it is with another mark or explainer; what is in
    the store isn't.
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
    folder = RunWriter.at(config.run.out / config.run_name, config.run.store)
    check_writable(folder.path)
    check_writable(folder.store.path, "--store")
    loaded = load(config, quiet)
    pictures = pictures_of(loaded, config)
    images = {part: len(loaded.data.parts()[part]) for part in ("test_nominal", "test_anomalous")}
    found = read_kept(folder.store, places_of(loaded, config))
    known = {} if found is None else found["nominal"].overlaps
    asked = [name for name in loaded.explainers if name not in known]
    scored = 0 if found is not None else sum(images.values()) * (config.design.placebos + 2)
    explained = len(asked) * images["test_nominal"] * (config.design.placebos + 1)
    each, per_map = _seconds_an_image(loaded)
    return FinishedEstimate(
        config.design.placebos,
        images,
        scored,
        explained,
        seconds=scored * each + explained * per_map / len(loaded.explainers),
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
