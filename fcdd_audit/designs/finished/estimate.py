"""What an audit of a finished detector would take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.files import check_writable
from fcdd_audit.designs.affected import SHOWN
from fcdd_audit.designs.finished.dose import STEPS
from fcdd_audit.designs.finished.loading import Loaded, load
from fcdd_audit.designs.finished.measuring import score_all
from fcdd_audit.designs.finished.tested import Tested
from fcdd_audit.experiment.folder import VARIANTS
from fcdd_audit.experiment.writer import RunWriter

TIMED = 128  # images scored
FEW = 4  # images explained to learn how long that takes


@dataclass(frozen=True)
class FinishedEstimate:
    """What an audit of a finished detector would take. `seconds` and `megabytes` are rough.

    scored, explained: how many images are, each as often as it is with another mark or explainer. dosed: how
    many more are scored for the dose, if the detector is vulnerable on every side, or with --dose.
    """

    placebos: int
    images: dict[str, int]
    scored: int
    explained: int
    dosed: int
    seconds: float
    megabytes: float

    def lines(self) -> list[str]:
        """For people."""
        images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in self.images.items())
        return [
            f"scored  {self.scored} images, with {self.placebos} placebos; {self.explained} explained; for "
            f"the dose up to {self.dosed} more",
            f"images  {images}",
            f"time    about {self.seconds:.0f} s, without the dose",
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
    images = {
        part: len(loaded.data.parts()[part]) for part in ("validation", "test_nominal", "test_anomalous")
    }
    tried = {side: len(one.tried) for side, one in loaded.tested.items() if one.kinds}
    scored = images["validation"] + 2 * (images["test_nominal"] + images["test_anomalous"])
    scored += sum(tried.values()) * (loaded.compared + 1)
    explained = min(loaded.explained, tried.get("nominal", 0)) * (loaded.placebos + 1)
    each, per_map = _seconds_an_image(loaded)
    made = sum(_seconds_a_mark(one) for one in loaded.tested.values()) * loaded.compared
    return FinishedEstimate(
        loaded.compared,
        images,
        scored,
        explained * len(loaded.explainers),
        STEPS * sum(tried.values()),
        seconds=scored * each + explained * per_map + made,
        megabytes=1 + _picture_bytes(loaded) / 1e6,
    )


def _picture_bytes(loaded: Loaded) -> int:
    """Of the images that are kept for the page, their masks and heatmaps."""
    shown = SHOWN * len(loaded.tested)
    channels, height, width = loaded.data.shape
    per_variant = channels + 2 * len(loaded.explainers)
    return shown * height * width * (len(VARIANTS) * per_variant + 1)


def _seconds_a_mark(tested: Tested) -> float:
    """Of making a placebo, once all are known."""
    marks = islice(tested.marks(), 1, 3)
    next(marks, None)
    started = time.perf_counter()
    next(marks, None)
    return time.perf_counter() - started


def _seconds_an_image(loaded: Loaded) -> tuple[float, float]:
    """Of scoring it, and of all explanations; the first pass warms up."""
    images = loaded.pairs["nominal"].variants["clean"][:TIMED]
    few = images[:FEW].to(loaded.device).float() / 255
    for _ in range(2):
        started = time.perf_counter()
        score_all(loaded.opened.scorer.score, images, loaded.device)
        scored = time.perf_counter()
        for explain in loaded.explainers.values():
            explain(few).cpu()
    return (scored - started) / len(images), (time.perf_counter() - scored) / len(few)
