"""Where stacks of cells are trained and measured."""

from fcdd_audit.core.late import Late
from fcdd_audit.experiment.engines.base import ENGINES, Engine, EngineKind, Resources

__all__ = ["ENGINES", "Engine", "EngineKind", "Resources"]

ENGINES.register("local")(
    EngineKind(
        summary="This machine: worker processes on the CPU, this process alone for a GPU.",
        start=Late("fcdd_audit.experiment.engines.local:Local"),
    )
)
ENGINES.register("ray")(
    EngineKind(
        summary="Ray: one task a stack, on the cores or GPUs of this machine or of a cluster.",
        start=Late("fcdd_audit.experiment.engines.ray:Ray"),
        addressed=True,
    )
)
