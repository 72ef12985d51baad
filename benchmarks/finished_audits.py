"""Audits of finished detectors, drawn from pools of images, and the truth on images that no audit sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from finished_detectors import CPU, MARK, PROBE

from fcdd_audit.config.audit import make_config
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.designs.finished.answers import Result
from fcdd_audit.designs.finished.clipping import clipped
from fcdd_audit.designs.finished.judging import judge
from fcdd_audit.designs.finished.loading import Opened, assemble
from fcdd_audit.designs.finished.measuring import Measured, measure, score_all
from fcdd_audit.designs.finished.tested import Tested
from fcdd_audit.detectors import Scorer
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.placebos import newly_wrong
from fcdd_audit.probes import mark_all
from fcdd_audit.verdict.thresholds import Thresholds

FRESH = 800  # images of each side that tell the truth
LIMITS = Thresholds()
NOTHING = np.empty((0, 0))

Places = dict[Side, np.ndarray]  # of an audit's images in the pools


@dataclass(frozen=True)
class Pool:
    """A side's images. clean, marked: scores of all, (N,). audited: places of those that audits are drawn
    from; fresh: of the others."""

    pairs: Pairs
    clean: np.ndarray
    marked: np.ndarray
    audited: np.ndarray
    fresh: np.ndarray

    def truth(self, limit: float) -> float:
        """Share of the fresh images that the mark turns wrong at the threshold."""
        return float(newly_wrong(self.clean[self.fresh], self.marked[self.fresh], limit, self.pairs.side))


def pool_of(side: Side, data: AuditData, scorer: Scorer, seed: int) -> Pool:
    """The side's images, scored, and split at random by the detector's seed."""
    images = data.parts()[f"test_{side}"]
    marked, mask = mark_all(images.images, MARK, torch_generator(0, f"marks on the pool's {side} images"))
    pairs = Pairs(side, images.names, {"clean": images.images, "marked": marked}, mask)
    clean, bearing = (score_all(scorer.score, one, CPU) for one in pairs.variants.values())
    order = numpy_generator(seed, f"fresh {side} images").permutation(len(images))
    return Pool(pairs, clean, bearing, audited=order[FRESH:], fresh=order[:FRESH])


def draw(pools: Mapping[Side, Pool], size: int, rng: np.random.Generator) -> Places:
    """The images of one audit."""
    return {side: rng.permutation(pool.audited)[:size] for side, pool in pools.items()}


def verdicts(pools: Mapping[Side, Pool], places: Places, limit: float) -> Result:
    """What an audit of these images says, without placebos and heatmaps."""
    tested, measured = {}, {}
    for side, pool in pools.items():
        own = torch.from_numpy(places[side])
        tested[side] = Tested(pool.pairs.at(own), own, (), partial(iter, ()), False, why_none="not tried")
        measured[side] = Measured(pool.clean[own], pool.marked[own], NOTHING, {})
    return judged(tested, measured, limit, 0)


def whole_audit(
    scorer: Scorer, data: AuditData, places: Places, limit: float, explainers: tuple[str, ...]
) -> Result:
    """What an audit of these images says, with placebos, and whether the explainers show the mark."""
    config = make_config(probe=PROBE, explainer=explainers, device=CPU.type)
    parts = {f"test_{side}": data.parts()[f"test_{side}"].take(places[side].tolist()) for side in SIDES}
    loaded = assemble(config, Opened("detector", scorer, None, {}), replace(data, **parts), quiet=True)
    measured = {
        side: measure(
            scorer.score,
            one,
            CPU,
            loaded.explainers if side == "nominal" else {},
            loaded.explained,
            loaded.compared,
            progress_bar(False),
        )
        for side, one in loaded.tested.items()
    }
    return judged(loaded.tested, measured, limit, loaded.explained)


def judged(
    tested: Mapping[Side, Tested], measured: Mapping[Side, Measured], limit: float, explained: int
) -> Result:
    """The answers on measured scores, as an audit gives them."""
    usual = measured["nominal"].clean, measured["anomalous"].clean
    return judge(
        tested,
        measured,
        usual,
        clean=usual,
        threshold=limit,
        threshold_from="validation images",
        explained=explained,
        limits=LIMITS,
        clipped=clipped(np.concatenate(usual)),
    )
