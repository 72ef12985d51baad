"""Kinds of audits whose truth is known: what was done, and whether "relies" would be a false alarm.

Imports nothing heavy: what makes the trials is imported when they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fcdd_audit.core.late import Late
from fcdd_audit.core.registry import Registry


@dataclass(frozen=True)
class Truth:
    """One kind of audit whose truth is known.

    label: says what was done, with `{share}` (" on 20 %", or nothing) and `{decoy}` in place of what varies.
    trials: makes them from a `trials.Drawing`. null: whether "relies" is a false alarm. measured: whether the
    mean reliance over its audits says what detectors learned. may_carry_over: whether it is no null where
    that mean says that the probed artifact is relied on all the same.
    """

    label: str
    trials: Callable[..., Any]
    null: bool
    measured: bool = True
    may_carry_over: bool = False

    @property
    def summary(self) -> str:
        """One line for lists."""
        return self.label.format(share="", decoy="another artifact")


TRUTHS: Registry[Truth] = Registry("truth")

TRUTHS.register("planted")(
    Truth("artifact planted{share}", Late("fcdd_audit.studies.trials:planted"), null=False)
)
TRUTHS.register("unrelated-seeds")(
    Truth(
        "two clean twins of unrelated seeds",
        Late("fcdd_audit.studies.trials:unrelated_seeds"),
        null=True,
        measured=False,
    )
)
TRUTHS.register("both-sides")(
    Truth("planted{share} of both sides alike", Late("fcdd_audit.studies.trials:both_sides"), null=True)
)
TRUTHS.register("other-artifact")(
    Truth(
        "{decoy} planted instead{share}",
        Late("fcdd_audit.studies.trials:other_artifact"),
        null=True,
        may_carry_over=True,
    )
)
