"""What the scores of one question's pairs of twins do: the numbers that a verdict is decided on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fcdd_audit.measures.effects import CLEAN_AUROC, DROP, NEW_ALARMS, PLACEBO, RIGHT, SHIFT, USUAL_AUROC
from fcdd_audit.measures.reliance import cut
from fcdd_audit.measures.transplants import crossed_interval, crossed_p_value
from fcdd_audit.verdict.evidence import Crossed, Evidence
from fcdd_audit.verdict.findings import Transplant
from fcdd_audit.verdict.seen import Seen, seen
from fcdd_audit.verdict.thresholds import Thresholds
from fcdd_audit.verdict.training import Training, judge_training

WAYS = 2  # of saying "does not rely"


@dataclass(frozen=True)
class Pairs:
    """What the scores of one question's pairs do."""

    item: Evidence
    limits: Thresholds

    def _seen(self, values: np.ndarray) -> Seen:
        return seen(values, self.item.turns, self.item.looks, self.limits.clear_pairs)

    def _differences(self, name: str) -> np.ndarray:
        planted, control = self.item.scores[name]
        return planted - control

    @cached_property
    def dependence(self) -> Seen:
        return self._seen(cut(self._differences(SHIFT.name)))

    @cached_property
    def own_shift(self) -> Seen:
        """The planted twins' own: what merely moves the control the other way is no dependence."""
        return self._seen(cut(self.item.scores[SHIFT.name][0]))

    @cached_property
    def alarms(self) -> Seen:
        return self._seen(self._differences(NEW_ALARMS.name))

    @cached_property
    def drop(self) -> Seen:
        return self._seen(self._differences(DROP.name))

    def usual_auroc(self) -> tuple[np.ndarray, np.ndarray]:
        """On the test images as the detector meets them in use: without the artifact, unless it is theirs."""
        return self.item.scores.get(USUAL_AUROC.name, self.item.scores[CLEAN_AUROC.name])

    @cached_property
    def ability(self) -> float:
        """The AUROC by which it is judged whether the control detects."""
        if self.item.ability is not None:
            return self.item.ability
        return float(self.item.scores[CLEAN_AUROC.name][1].mean())

    @cached_property
    def training(self) -> Training | None:
        """None without pairs."""
        if self.item.obstacle is not None or not self.item.pairs:
            return None
        return judge_training(self.ability, self.item.steps, self.item.tenths, self.limits)

    @property
    def untrained(self) -> str | None:
        """Why the control's training wasn't enough, and what to do; None: it was."""
        return None if self.training is None else self.training.said

    def relies(self) -> float:
        """p-value of "relies"."""
        limit = self.limits.shift
        return max(self.dependence.p_value(limit, True), self.own_shift.p_value(limit, True))

    def clears(self) -> float:
        """p-value of "does not rely", which is said in either of two ways, and so paid for twice: of the
        score itself, and, unless that surely shifts, of what it does."""
        ways = [self.dependence.p_value(self.limits.shift, False)]
        if not self.shifts():
            alarms = self.alarms.p_value(self.limits.no_alarms, False)
            ways.append(max(alarms, self.drop.p_value(self.limits.reliance, False)))
        return min(1.0, WAYS * min(ways))

    def shifts(self) -> bool:
        """Whether the score surely shifts beyond the control's: then what it does can't clear it."""
        return self.dependence.p_value(self.limits.shift, True) <= self.limits.tail

    def control_follows(self) -> bool:
        """Whether a control that was rid of a discovered artifact moves by it, beyond a placebo, by more than
        a dependence: its training may not be rid of it. False where masks say what bears it."""
        placebo = self.item.scores.get(PLACEBO.name)
        if placebo is None or not self.item.searched:
            return False
        own = cut(self.item.scores[SHIFT.name][1]) - cut(placebo[1])
        return bool(own.mean() > self.limits.shift)

    def _crossed(self) -> tuple[Crossed, ...]:
        """Of a control that detects; what another misses says nothing of the artifact."""
        able = float(self.usual_auroc()[1].mean()) >= self.limits.weak_auroc
        return self.item.transplants if able else ()

    def transplants(self, tails: tuple[float, float]) -> tuple[Transplant, ...]:
        """What it does where it is put on others. tails: the chances to err, over all looks."""
        share = self.item.looks[-1].share
        spent = tails[0] * share, tails[1] * share
        if self.item.judged_side == "anomalous":  # where harm is negative, its upper limit is what shows it
            spent = spent[1], spent[0]
        return tuple(
            Transplant(
                self.item.judged_side,
                one.planted.shape[1],
                one.planted.shape[2],
                one.passing,
                crossed_interval(one.planted, spent),
                crossed_interval(one.planted - one.control, spent, (-2, 2)),
            )
            for one in self._crossed()
        )

    def transplant_harms(self, tails: tuple[float, float]) -> tuple[bool, bool]:
        """Whether it surely does harm at the frozen threshold, and more than to the control; and whether it
        surely does little."""
        sign = 1 if self.item.judged_side == "nominal" else -1
        share = self.item.looks[-1].share
        for one in self._crossed()[:1]:
            own, beyond = sign * one.planted, sign * (one.planted - one.control)
            harms = max(crossed_p_value(own, self.limits.alarms, True), crossed_p_value(beyond, 0.0, True))
            spares = crossed_p_value(own, self.limits.no_alarms, False)
            many = len(own) >= self.limits.clear_pairs
            return harms <= tails[0] * share, many and spares <= tails[1] * share
        return False, False

    def room(self) -> float:
        """What is left to lose beyond the control: the lesser of AUROC and decisions."""
        scores = self.item.scores
        auroc = float(self.usual_auroc()[0].mean() - scores[DROP.name][1].mean())
        decisions = float(scores[RIGHT.name][0].mean() - scores[NEW_ALARMS.name][1].mean())
        return min(auroc, decisions)
