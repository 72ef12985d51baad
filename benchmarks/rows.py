"""Rows of a benchmark that goes on from what is there."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd

from fcdd_audit.core.files import write_bytes


def write_rows(path: Path, table: pd.DataFrame) -> None:
    """A table as .csv.gz, written at once: always the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as file:
        file.write(table.to_csv(index=False, lineterminator="\n").encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, packed.getvalue())
