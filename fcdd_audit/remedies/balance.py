"""Both sides get the artifact alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.edits.balance import Balance as BalanceEdit
from fcdd_audit.edits.base import Edit
from fcdd_audit.remedies.base import REMEDIES, ByImages, Case, one_sided, placeless


@REMEDIES.register("balance")
@dataclass(frozen=True)
class Balance(ByImages):
    """Pastes the artifact on both sides of the training images at the same rate, so that it tells nothing."""

    does: ClassVar[str] = "both sides of the training images get it at the same rate"

    def unfit(self, case: Case) -> str | None:
        return placeless(case) or one_sided(case)

    def change(self) -> Edit:
        return BalanceEdit()
