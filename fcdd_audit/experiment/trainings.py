"""Records of trainings: made if they are missing, and read; why one failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from filelock import Timeout
from safetensors.torch import load as load_weights
from safetensors.torch import save as save_weights

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import RunError
from fcdd_audit.core.versions import versions
from fcdd_audit.detectors import Detector
from fcdd_audit.detectors.training.loop import DivergedError, Losses
from fcdd_audit.detectors.weights import IN_RECORD
from fcdd_audit.experiment.cells import Cell, before_training, together, train_stack
from fcdd_audit.experiment.identity import trained_place
from fcdd_audit.experiment.kept import TRAINING
from fcdd_audit.experiment.own import own_model
from fcdd_audit.experiment.records import Record, as_json
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Place, Store
from fcdd_audit.models import Model
from fcdd_audit.models.own import FailedTrainingError, OwnDetector, Traits, own_kind

log = logging.getLogger("fcdd_audit")

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")

Made = tuple[dict[str, bytes], dict[str, Any]]  # a record's files, and what is said of how it went


class NoNumbersError(RunError):
    """A cell has no numbers, and why: the audit goes on without it."""


def needed(store: Store, place: Place) -> Record:
    """The record of that place. RunError if there is none."""
    found = store.read(place)
    if found is None:
        raise RunError(f"'{store.path / place[0]}' was removed meanwhile; run the same command again")
    return found


def failure(cell: Cell, setup: Setup, store: Store) -> str | None:
    """Why its training failed, as it is recorded; None: it didn't."""
    record = store.read(trained_place(cell, setup)) if cell.trained else None
    return None if record is None else failed_because(record)


def record_killed(cell: Cell, setup: Setup, store: Store, reason: str) -> None:
    """Keep why there is no trained detector, unless there is one: then measuring was killed."""
    place = trained_place(cell, setup)
    if cell.trained:
        # Another run that trains it will know.
        with suppress(Timeout), store.making(_locked(cell, setup), wait=False):
            if store.read(place) is None:
                store.write(place, _failed_files(reason, again=True))


def failed_because(record: Record) -> str | None:
    reason: str | None = record.json(TRAINING).get("failed")
    return reason


def may_succeed(record: Record) -> bool:
    """Whether a failed training may succeed another time: it ran out of memory, or was killed."""
    return bool(record.json(TRAINING).get("again", False))


def _failed_files(reason: str, again: bool) -> dict[str, bytes]:
    return {TRAINING: as_json({"failed": reason, "again": again, "versions": versions()}).encode()}


def make_trained(
    cell: Cell, setup: Setup, store: Store, on_step: Callable[[int], object] = lambda steps: None
) -> Record:
    """The record of a cell's training, made if it is missing or may succeed another time, with those of the
    cells that are trained together with it."""
    place = trained_place(cell, setup)
    stack = together(cell, setup)
    with store.making(_locked(cell, setup)):
        found = store.read(place)
        if found is None or may_succeed(found):
            for one, files in zip(stack, _trained_files(stack, setup, on_step), strict=True):
                store.write(trained_place(one, setup), files, instead_of=may_succeed)
    return needed(store, place)


def _locked(cell: Cell, setup: Setup) -> Place:
    """What is locked while its stack is trained."""
    return trained_place(together(cell, setup)[0], setup)


def _trained_files(
    stack: Sequence[Cell], setup: Setup, on_step: Callable[[int], object]
) -> list[dict[str, bytes]]:
    started = time.perf_counter()
    try:
        with deterministic():
            made = _train(stack, setup, on_step)
    except FailedTrainingError as error:  # what it fails for needn't be in the code
        return [_failed_files(str(error), again=True)]
    except (MemoryError, RuntimeError) as error:
        reason = out_of_memory(error)
        if len(stack) == 1:
            return [_failed_files(reason, again=True)]
        log.warning("%d twins in one step: %s; they are trained in two halves", len(stack), reason)
    else:
        return [_files_of(one, (time.perf_counter() - started) / len(stack)) for one in made]
    half = len(stack) // 2
    return [files for part in (stack[:half], stack[half:]) for files in _trained_files(part, setup, on_step)]


def _files_of(made: Made | DivergedError, seconds: float) -> dict[str, bytes]:
    if isinstance(made, DivergedError):
        return _failed_files(str(made), again=False)
    files, about = made
    return {TRAINING: as_json({**about, "seconds": seconds, "versions": versions()}).encode(), **files}


def _train(
    stack: Sequence[Cell], setup: Setup, on_step: Callable[[int], object]
) -> list[Made | DivergedError]:
    """The detectors' weights; nothing of a model of the user's own code, which may be anything."""
    own = own_kind(stack[0].detector)
    if own is not None:
        (cell,) = stack
        return [({}, {"losses": [], "model": Traits.of(own_model(own, cell, setup)).as_json()})]
    return [
        losses if isinstance(losses, DivergedError) else _made(detector, losses)
        for detector, losses in train_stack(stack, setup, torch.device(setup.device), on_step)
    ]


def _made(detector: Detector, losses: Losses) -> Made:
    weights = {name: value.cpu().contiguous() for name, value in detector.state_dict().items()}
    about = {"steps": losses.steps, "losses": losses.epochs, "tenths": losses.tenths}
    if losses.replayed:
        about["replayed"] = losses.replayed
    return {IN_RECORD: save_weights(weights)}, about


def out_of_memory(error: Exception) -> str:
    """What to say of it; any other error is raised again."""
    if isinstance(error, MemoryError) or any(one in str(error) for one in OUT_OF_MEMORY):
        return "it ran out of memory"
    raise error


def load(cell: Cell, setup: Setup, store: Store) -> Detector | Model:
    """The trained detector as it is kept, or the network before training, on the setup's device.

    What the user's own code makes isn't kept: it is trained again where this process hasn't done it.
    NoNumbersError where training failed.
    """
    if cell.trained:
        record = needed(store, trained_place(cell, setup))
        if (reason := failed_because(record)) is not None:
            raise NoNumbersError(reason)
        if (own := own_kind(cell.detector)) is not None:
            return _own(own, cell, setup)
        detector = setup.untrained(cell.detector, cell.seed).eval()
        detector.load_state_dict(load_weights(record.files[IN_RECORD]))
    else:
        detector = before_training(cell, setup)
    return detector.to(setup.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _own(kind: type[OwnDetector], cell: Cell, setup: Setup) -> Detector | Model:
    try:
        with deterministic():
            return own_model(kind, cell, setup)
    except FailedTrainingError as error:  # as it didn't before
        raise NoNumbersError(str(error)) from error
