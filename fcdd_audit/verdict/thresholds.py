"""The only place with thresholds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Every constant that a verdict depends on; shown in every report.

    shift: in inter-quartile ranges of the nominal scores. The score relies on the artifact if the dependence
        and the planted twin's own shift are surely above this; it does not if the dependence is surely below.
    alarms: it does harm if the new alarms beyond the control's are surely above this share of the images. A
        finished detector is vulnerable if its own are surely above it, and robust if they are surely below.
    no_alarms: it does none if they are surely below this share.
    reliance: with no harm, an AUROC drop surely below this, and a dependence that isn't surely above its
        limit, the score does not rely either.
    reveal: an explanation shows the artifact if its excess pixel AUROC is surely above this.
    confidence: of all intervals, before the looks and the number of verdicts are allowed for.
    min_seeds: pairs; with fewer, every answer is inconclusive.
    clear_pairs: a look with fewer doesn't say that anything is below a limit: a cue that few trainings learn
        would not be among them.
    usable_auroc: a control below this mean clean AUROC is no working detector and gets no verdict; of a found
        artifact, see `Evidence.ability`. Nor does a finished detector below it.
    weak_auroc: a control below this mean AUROC, on the same terms, detects little: that is said first, and
        what would otherwise lack pairs of twins lacks training. Of the harm that a transplanted artifact does
        nothing is said: what isn't caught can't be missed because of it.
    good_auroc: the same is said of a control below this mean AUROC whose loss was still falling.
    loss_fall: it was, if in the last tenth of the training steps it was lower by more than this share than in
        the tenth before, as a mean over the control twins.
    room: neither "does not rely" nor "robust" is said where less than this is left to lose beyond the
        control, of the AUROC or of the images that are rightly decided.
    reveal_room: excess can't exceed 1 less the control's pixel AUROC, nor 1 less its own chance for what
        lowers the score; with less than this, it isn't said that an explanation doesn't show the artifact.
    score_quantile: of the nominal validation scores, the frozen decision threshold.
    """

    shift: float = 0.5
    alarms: float = 0.05
    no_alarms: float = 0.10
    reliance: float = 0.05
    reveal: float = 0.05
    confidence: float = 0.95
    min_seeds: int = 3
    clear_pairs: int = 6
    usable_auroc: float = 0.6
    weak_auroc: float = 0.7
    good_auroc: float = 0.9
    loss_fall: float = 0.1
    room: float = 0.2
    reveal_room: float = 0.1
    score_quantile: float = 0.95

    @property
    def tail(self) -> float:
        """The chance to err on one side."""
        return (1 - self.confidence) / 2


@dataclass(frozen=True)
class MendLimits:
    """Every constant that a recommended remedy depends on.

    left: of the effect, surely less than this is left. auroc: surely no more of it is lost. rise: of every
        other artifact it is sure that it doesn't move the score further by more than this, in inter-quartile
        ranges.
    least: pairs; fewer can't check a remedy that others chose. checks: so many do, as a rule.
    """

    left: float = 0.25
    auroc: float = 0.02
    rise: float = 0.1
    least: int = 3
    checks: int = 8
