"""One cell: a detector trained under one condition and seed, scored and explained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors import DETECTORS, Detector, Scorer
from fcdd_audit.detectors.training.loop import FIRST, DivergedError, Losses, fit_stack
from fcdd_audit.detectors.training.members import Member, Term
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.edits.base import Edit, TrainingSet
from fcdd_audit.experiment.explaining import Explained, batches
from fcdd_audit.experiment.kept import CROSSED
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.remedies import Penalty


@dataclass(frozen=True)
class Cell:
    """What is to be trained and measured within a setup.

    edit: what the detector is trained on. trained: False stands for the network before it is. term: what is
    added to its loss; None: nothing.
    """

    detector: str
    seed: int
    edit: Edit
    trained: bool = True
    term: Penalty | None = None


def together(cell: Cell, setup: Setup) -> tuple[Cell, ...]:
    """The cells that are trained in one step with it, itself among them: of the same detector, edit and term,
    by seed. It depends on what is asked, not on what is done already, so that they are the same every time.

    Seeds that don't fit into one stack are spread evenly over several.
    """
    most = setup.stack_limits.get(cell.detector, 1) if cell.trained else 1
    group = next((seeds for seeds in setup.seed_groups if cell.seed in seeds), (cell.seed,))
    size = math.ceil(len(group) / math.ceil(len(group) / most))
    first = group.index(cell.seed) // size * size
    return tuple(replace(cell, seed=seed) for seed in group[first : first + size])


def train_stack(
    cells: Sequence[Cell],
    setup: Setup,
    device: torch.device,
    on_step: Callable[[int], object] = lambda steps: None,
) -> list[tuple[Detector, Losses | DivergedError]]:
    """Trained detectors and their losses. Twins of a seed differ in the edit only, or in a term of the loss.

    They are trained in one step; one by one where an edit leaves them unlike numbers of images, so that their
    epochs end apart. One that diverges has the error in place of its losses, and stops no other. on_step:
    told after each training step how many trainings made one. InputError if the detector can't be trained on
    this data.
    """
    members = [_member(cell, setup, device) for cell in cells]
    lengths = {length_of(setup.recipe.optimisation, len(member.nominal)) for member in members}
    parts = [members] if len(lengths) == 1 else [[member] for member in members]
    found = [losses for part in parts for losses in fit_stack(part, setup.recipe, device, on_step)]
    return [(member.detector, losses) for member, losses in zip(members, found, strict=True)]


def _member(cell: Cell, setup: Setup, device: torch.device) -> Member:
    training = setup.trained_on(cell.edit, cell.seed, learned(cell.detector))
    return Member(
        setup.untrained(cell.detector, cell.seed),
        training.nominal.images,
        training.anomalous.images,
        cell.seed,
        training.anomalous.masks,
        _term(cell, training, device),
    )


def learned(detector: str) -> tuple[Side, ...]:
    """The sides whose images a detector gets; those of the nominal one normalise."""
    return tuple(side for side in SIDES if side in ("nominal", *DETECTORS[detector].learns_from))


def _term(cell: Cell, training: TrainingSet, device: torch.device) -> Term | None:
    if cell.term is None:
        return None
    return cell.term.made().term(training, cell.term.artifact, cell.seed, device)


def before_training(cell: Cell, setup: Setup) -> Detector:
    """The network as its training begins: Deep SVDD has its centre then."""
    detector = setup.untrained(cell.detector, cell.seed).eval()
    nominal = setup.trained_on(cell.edit, cell.seed, learned(cell.detector)).nominal.images
    first = torch.randperm(len(nominal), generator=torch_generator(cell.seed, "batches"))[:FIRST]
    detector.start(nominal.index_select(0, first))
    return detector


def score(detector: Scorer, setup: Setup, device: torch.device) -> Scores:
    """Scores of the validation images, of the test images in every variant, and of transplants. RunError for
    scores that aren't finite."""
    of: dict[tuple[Side, str], np.ndarray] = {}
    for side, pairs in setup.pairs.items():
        for variant, images in pairs.variants.items():
            of[side, variant] = _scores(detector, images, device, f"{side} test")
    crossed = {
        (side, variant): _scores(detector, images, device, f"{side} test")
        for side, one in setup.transplants.items()
        for variant, images in one.variants.items()
    }
    return Scores(_scores(detector, setup.validation.images, device, "validation"), of, crossed)


def _scores(detector: Scorer, images: Tensor, device: torch.device, part: str) -> np.ndarray:
    with torch.no_grad():
        scores = torch.cat([detector.score(x) for x in batches(images, device)])
    if not torch.isfinite(scores).all():
        raise RunError(f"{type(detector).__name__} gives {part} images scores that aren't finite")
    return scores.cpu().double().numpy()


def scored_names(setup: Setup) -> dict[str, tuple[str, ...]]:
    """Of the scored images: validation, by side, and those that transplants are put on."""
    return {
        "validation": setup.validation.names,
        **{side: one.names for side, one in setup.pairs.items()},
        **{CROSSED + side: one.names for side, one in setup.transplants.items()},
    }


def explained_parts(cell: Cell, setup: Setup) -> list[Explained]:
    """What is explained; of the network before training only what its maps can be compared on."""
    if cell.trained:
        return [*setup.marked, *setup.defects]
    return [part for part in setup.marked if part.measured]
