"""Images that bear the artifact are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.drop import Drop as DropEdit
from fcdd_audit.remedies.base import REMEDIES, ByImages, Case


@REMEDIES.register("drop")
@dataclass(frozen=True)
class Drop(ByImages):
    """Leaves out the training images that bear the artifact; others of their side take their places."""

    does: ClassVar[str] = "the training images that bear it are left out"

    def unfit(self, case: Case) -> str | None:
        full = [side for side, share in case.share.items() if share == 1]
        return f"every {full[0]} training image bears the artifact, and none would be left" if full else None

    def change(self) -> Edit:
        return DropEdit()
