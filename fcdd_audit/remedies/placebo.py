"""What pasting alone does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.placebo import Placebo as PlaceboEdit
from fcdd_audit.remedies.base import REMEDIES, ByImages, Case, one_sided, placeless


@REMEDIES.register("placebo")
@dataclass(frozen=True)
class Placebo(ByImages):
    """No remedy: pastes regions without the artifact, as many as `balance`. Is asked for with any other."""

    does: ClassVar[str] = "as many regions without it are pasted"

    def unfit(self, case: Case) -> str | None:
        return placeless(case) or one_sided(case)

    def change(self) -> Edit:
        return PlaceboEdit()
