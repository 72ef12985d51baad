"""The artifact is taken off the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.inpaint import Inpaint as InpaintEdit
from fcdd_audit.remedies.base import REMEDIES, ByImages, Case, placeless


@REMEDIES.register("inpaint")
@dataclass(frozen=True)
class Inpaint(ByImages):
    """Fills the artifact in from around it on the training images; what is left is smooth, maybe a cue."""

    does: ClassVar[str] = "it is filled in from around it on the training images"

    def unfit(self, case: Case) -> str | None:
        return placeless(case)

    def change(self) -> Edit:
        return InpaintEdit()
