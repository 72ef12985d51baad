"""Before twins of the user's own training code are planned: what explains its models?

Nobody can say that before one was trained. So the first control is trained first, or its record says it.
"""

from __future__ import annotations

from dataclasses import replace

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.kept import TRAINING
from fcdd_audit.experiment.setup import AS_IS, Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import make_trained
from fcdd_audit.models.own import OwnDetector, Traits, own_kind


def met(config: AuditConfig, setup: Setup, store: Store, quiet: bool) -> Setup:
    """The setup with the explainers that suit what the user's own code makes; of other detectors as it is.

    InputError if what the code returns can't be used.
    """
    for name in config.detector.detectors:
        kind = own_kind(name)
        if kind is not None and kind.traits is None:
            _meet(name, kind, config, setup, store, quiet)
    return replace(setup, explainers={name: config.explainers_of(name) for name in config.detector.detectors})


def _meet(
    name: str, kind: type[OwnDetector], config: AuditConfig, setup: Setup, store: Store, quiet: bool
) -> None:
    """From the first seed whose training works, of those that are judged first."""
    seeds = range(config.design.looks[0].pairs)
    with progress_bar(not quiet, total=1, desc=f"a first model ({name})", unit="model"):
        for seed in seeds:
            about = make_trained(Cell(name, seed, AS_IS), setup, store).json(TRAINING)
            if "model" in about:
                kind.meet(Traits.from_json(about["model"]), about["seconds"])
                return
