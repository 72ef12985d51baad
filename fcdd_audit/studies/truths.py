"""Kinds of pairs of twins whose truth is known: what was done, and whether "relies" would be a false alarm.

Imports nothing heavy: what plans or derives the pairs is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fcdd_audit.core.late import Late
from fcdd_audit.core.registry import Registry


@dataclass(frozen=True)
class Truth:
    """One kind of pairs whose truth is known. It has `trained` or `derived`.

    label: says what was done, with `{share}` (" on 20 %", or nothing) and `{decoy}` in place of what varies.
    null: whether "relies" is a false alarm. trained: from a `planning.Planner` to the `Condition`s whose
    pairs are trained. derived: from the rows of a pool to rows of further pairs that cost no training; they
    share twins with other kinds, so that their audits aren't independent of these. may_carry_over: whether it
    is no null where the pairs say that the probed artifact is relied on all the same.
    """

    label: str
    null: bool
    trained: Callable[..., Any] | None = None
    derived: Callable[..., Any] | None = None
    may_carry_over: bool = False

    @property
    def summary(self) -> str:
        """One line for lists."""
        return self.label.format(share="", decoy="another artifact")


TRUTHS: Registry[Truth] = Registry("truth")

TRUTHS.register("planted")(
    Truth("artifact planted{share}", null=False, trained=Late("fcdd_audit.studies.planning:planted"))
)
TRUTHS.register("unrelated-seeds")(
    Truth(
        "two clean twins of unrelated seeds",
        null=True,
        derived=Late("fcdd_audit.studies.unrelated:unrelated_seeds"),
    )
)
TRUTHS.register("both-sides")(
    Truth(
        "planted{share} of both sides alike",
        null=True,
        trained=Late("fcdd_audit.studies.planning:both_sides"),
    )
)
TRUTHS.register("other-artifact")(
    Truth(
        "{decoy} planted instead{share}",
        null=True,
        trained=Late("fcdd_audit.studies.planning:other_artifact"),
        may_carry_over=True,
    )
)
