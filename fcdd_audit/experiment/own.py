"""Models that the user's own training code makes: this process has them in memory, or makes them again."""

from __future__ import annotations

import torch
from torch import Tensor

from fcdd_audit.detectors import Detector
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import trained
from fcdd_audit.experiment.records import key_of
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.models import Model
from fcdd_audit.models.own import OwnDetector


def own_model(kind: type[OwnDetector], cell: Cell, setup: Setup) -> Model | Detector:
    """The cell's model, on the setup's device.

    FailedTrainingError if there is none; InputError if what the code returns can't be used.
    """

    def images() -> tuple[Tensor, Tensor]:
        training = setup.trained_on(cell.edit, cell.seed)
        return training.nominal.images, training.anomalous.images

    return kind.made(key_of(trained(cell, setup)), images, cell.seed, torch.device(setup.device))
