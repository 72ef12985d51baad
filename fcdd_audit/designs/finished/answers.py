"""What the test of a finished detector answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from fcdd_audit.core.sides import Side
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.findings import Answer, Harm, Missing, Verdict, without_nan


@dataclass(frozen=True)
class Beyond:
    """Is it more than what placebos do?

    value: of the artifact, mean over images. placebos: of each. excess: value less their mean. as_strong: how
    many do as much or more. p: rank p-value; p_holm: corrected for what is asked together. reason: why there
    is no clear answer.
    """

    answer: Answer
    reason: str | None
    value: Interval
    placebos: tuple[float, ...]
    excess: Interval
    as_strong: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Step:
    """A weakened, shrunk or moved artifact. share: of its opacity, or of its height and width. newly_wrong:
    of the images tried. p: exact, that this isn't over the limit."""

    share: float
    newly_wrong: float
    p: float


@dataclass(frozen=True)
class Dose:
    """How much of the artifact it takes, and where.

    images: how many were tried. opacity, size: steps from weak to strong. least_opacity, least_size: the
    least step from which on all are surely harmful; None: none is. why_no_size, why_no_places: why these
    can't be varied. places: newly wrong decisions with the artifact's upper left corner at each of these rows
    and columns of pixels.
    """

    images: int
    opacity: tuple[Step, ...]
    least_opacity: float | None
    size: tuple[Step, ...] = ()
    least_size: float | None = None
    why_no_size: str | None = None
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    places: tuple[tuple[float, ...], ...] = ()
    why_no_places: str | None = None


@dataclass(frozen=True)
class SideAnswer:
    """What the artifact does on the images of one side.

    side: the images that bear it. On `nominal` ones it raises alarms, on `anomalous` ones it hides them.
    verdict, missing, reason: as in `Finding`. harm: what it does at the threshold. rate: share of the images
    whose decision it turns wrong, with the exact interval that the verdict used. righted: of a found
    artifact, share of the images that are right only because of it. p: of the verdict's direction, exact;
    p_holm: corrected for both sides. images_needed: how many would settle the verdict, with even odds.
    wrong_clean, wrong_marked: share of wrong decisions without and with the artifact. shift, auroc_lost: see
    `measures.placebos`. specific: None where it can't be asked, and why_not_specific says why.
    """

    side: Side
    verdict: Verdict
    missing: Missing | None
    reason: str | None
    harm: Harm | None
    images: int
    rate: Interval
    righted: Interval | None
    p: float
    p_holm: float
    images_needed: int | None
    wrong_clean: float
    wrong_marked: float
    shift: float
    auroc_lost: float
    specific: Beyond | None
    why_not_specific: str | None
    likeness: float
    kinds: tuple[str, ...]
    dose: Dose | None = None


@dataclass(frozen=True)
class Result:
    """All answers on one detector and artifact.

    auroc, auroc_in_use: on the test images without the artifact, and as they are in use. threshold,
    threshold_from: the frozen one, and where it is from. shown: by explainer, whether heatmaps of marked
    nominal images show the artifact; the reason where that can't be asked is in `why_not_shown`. explained:
    images. notes: what must be known of the scores.
    """

    auroc: float
    auroc_in_use: float
    threshold: float
    threshold_from: str
    sides: tuple[SideAnswer, ...]
    shown: dict[str, Beyond]
    why_not_shown: str | None
    explained: int
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Plain values; a number that isn't there is None."""
        return without_nan(asdict(self))
