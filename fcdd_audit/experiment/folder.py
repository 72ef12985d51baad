"""The run folder, as it is read: without torch, so that a report can be made wherever the files are."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.core.errors import InputError

SCHEMA = 7  # of config.json and findings.json
DISCOVERY = "discovery"  # what config.json of a discovery has in place of a design
MEAN = "mean"  # stands for the nominal class in rows that are means over all of them
VARIANTS = ("clean", "marked", "placebo")  # of the images shown of a finished detector
PAIR = "planted-control"  # stands for the twin in rows of both together
TEXT_COLUMNS = ("part", "image", "variant", "explainer", "mask", "split", "metric", "twin", "set", "opinion")


@dataclass(frozen=True)
class RunFolder:
    """`path`/{report.html, findings.json, results.csv, config.json, ...}; see docs/files.md."""

    path: Path

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """One of the run's files of examples; ValueError for a name that could lead elsewhere."""
        if not re.fullmatch(r"[a-z]+-[0-9]+\.npz", name):
            raise ValueError(f"{name!r} is no file of examples")
        with np.load(self.path / name) as stored:
            return dict(stored)

    def read_table(self, name: str) -> pd.DataFrame:
        """One of the run's tables; an empty number is NaN."""
        return read_csv(self.path / name)

    def read_json(self, name: str, schema: int = SCHEMA) -> dict[str, Any]:
        """One of the run's JSON files, of that schema; InputError if the folder holds no finished run."""
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
            if content.get("schema") != schema:
                raise ValueError(f"schema {content.get('schema')}, not {schema}")
            return content
        except (OSError, ValueError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"'{self.path}' holds no finished audit ({name}: {reason});"
                " give the folder that 'fcdd-audit run' wrote"
            ) from None


def second_name(explainer: str) -> str:
    """What an explainer's second opinion is called in results.csv."""
    return f"{explainer}, other baseline"


def read_csv(path: Path | io.StringIO) -> pd.DataFrame:
    """A table whose columns are numbers but for `TEXT_COLUMNS`."""
    # Read as text first: a file called "NA" keeps its name, and numbers come back to the last bit,
    # which pandas' own parser doesn't promise in every version.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
    numbers = [str(name) for name in frame if name not in TEXT_COLUMNS]
    values = {name: np.array([float(text or "nan") for text in frame[name]], float) for name in numbers}
    return frame.assign(**values)
