"""The page, table and JSON of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable, write_text
from fcdd_audit.report.change import change_page
from fcdd_audit.report.explainers import explainers_page
from fcdd_audit.studies.compare import Change, Comparison


def write_comparison(found: Comparison | Change, folder: Path) -> Path:
    """Write comparison.html, .csv and .json into `folder`; returns the page's path.

    InputError if it can't be written.
    """
    check_writable(folder)
    content = found.as_json()
    page = change_page(content) if isinstance(found, Change) else explainers_page(content)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "comparison.json", json.dumps(content, indent=1) + "\n")
        write_text(folder / "comparison.csv", found.table().to_csv(index=False, lineterminator="\n"))
        return write_text(folder / "comparison.html", page)
    except OSError as error:
        raise InputError(f"can't write to '{folder}' ({error.strerror}); choose another --out") from None
