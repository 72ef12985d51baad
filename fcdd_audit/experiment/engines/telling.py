"""What other processes tell of their work: steps that were made, and errors."""

from __future__ import annotations

import pickle
import time
import traceback
from dataclasses import dataclass, field

from fcdd_audit.core.errors import RunError
from fcdd_audit.experiment.engines.base import Counted

TOLD_EVERY = 0.2  # seconds after which a worker says how many steps it made


@dataclass
class Steps:
    """Counts training steps, and tells of those that are new now and then."""

    told: Counted
    new: int = 0
    last: float = field(default_factory=time.monotonic)

    def made(self, steps: int) -> None:
        """So many more were."""
        self.new += steps
        if time.monotonic() - self.last > TOLD_EVERY:
            self.tell()

    def tell(self) -> None:
        """Of all that weren't told yet."""
        if self.new:
            self.told(self.new)
        self.new, self.last = 0, time.monotonic()


class RemoteError(Exception):
    """The traceback of an error in another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Sent:
    """An error on its way from another process, and where it happened there."""

    error: Exception
    where: str

    @classmethod
    def of(cls, error: Exception) -> Sent:
        """Of one that is being handled."""
        return cls(sendable(error), traceback.format_exc())

    def raised(self) -> None:
        """Raises it as itself."""
        raise self.error from RemoteError(self.where)


def sendable(error: Exception) -> Exception:
    """The error, or, of one that can't be sent, a RunError with its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does when it is made again
        return RunError(f"unexpected {type(error).__name__} in a worker process: {error}")
    return error
