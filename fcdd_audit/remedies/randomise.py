"""Both sides get marks like the artifact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.randomise import Randomise as RandomiseEdit
from fcdd_audit.remedies.base import REMEDIES, ByImages, Case, one_sided, placeless


@REMEDIES.register("randomise")
@dataclass(frozen=True)
class Randomise(ByImages):
    """Pastes marks of the same kind, of other content and colour, on both sides of the training images."""

    does: ClassVar[str] = "both sides of the training images get marks of its kind at random"

    def unfit(self, case: Case) -> str | None:
        return placeless(case) or one_sided(case)

    def change(self) -> Edit:
        return RandomiseEdit()
