"""Images that were handed over in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet

HANDED = "python"
_handed: ContextVar[AuditData | None] = ContextVar("images that were handed over", default=None)


@DATASETS.register("python")
class Handed(DataSet):
    """Images that were handed over in Python (fcdd_audit.audit)."""

    def classes(self, root: Path | None) -> tuple[str, ...]:
        handed()
        return ()

    def load(self, request: DataRequest) -> AuditData:
        return handed()

    def missing(self, root: Path | None) -> str | None:
        return "images are handed over in Python, with fcdd_audit.audit"


def handed() -> AuditData:
    """The images that are handed over at the moment; InputError if none are."""
    data = _handed.get()
    if data is None:
        raise InputError(
            f"data set '{HANDED}' is of images that were handed over in Python and aren't kept; call "
            "fcdd_audit.audit again, or name another with --dataset"
        )
    return data


@contextmanager
def handing(data: AuditData) -> Iterator[None]:
    """Within, these are the images of the data set `python`."""
    before = _handed.set(data)
    try:
        yield
    finally:
        _handed.reset(before)
