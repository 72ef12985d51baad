"""What moves the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from fcdd_audit.core.recipe import Optimisation


def make_optimizer(learnt: Sequence[Tensor], given: Optimisation) -> Optimizer:
    """Adam, or SGD with Nesterov's momentum. On a GPU the learning rate is there too, so that a recorded step
    reads it: change it in place."""
    lr: Any = given.lr
    options: dict[str, Any] = {}
    if learnt[0].is_cuda:
        lr = torch.tensor(given.lr, device=learnt[0].device)
        options = {"fused": True}
    if given.optimizer == "sgd":
        return SGD(learnt, lr=lr, momentum=0.9, nesterov=True, weight_decay=given.weight_decay, **options)
    return Adam(learnt, lr=lr, weight_decay=given.weight_decay, capturable=learnt[0].is_cuda, **options)
