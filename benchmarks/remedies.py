"""What remedies mend, and what they do to another cue: a long list of trainings that is gone on with.

    python benchmarks/remedies.py --plan          # what there is to do, and what is done
    python benchmarks/remedies.py [--minutes 30]  # goes on with it, row by row
    python benchmarks/remedies.py --report        # tables of what is there

On textures, a watermark and a disc that moves are planted together, each independently of the other, on the
anomalous or the nominal side at prevalence .2, .5 and 1. FCDD and HSC are trained so, and with each remedy of
the watermark; nothing mends the disc. Each training is one row of results/remedies.csv.gz. Seeds 0 to 7
choose the remedy of each condition, by means; seeds 8 to 15 judge it, by intervals. Where at least 4 of the
planted twins that judge rely on the watermark, one remedy should leave surely under 25 % of its shift, cost
surely no more than .02 of the AUROC, and have the disc surely move the score by no more than .1 IQR further.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rows import write_rows

from fcdd_audit import PROBES, make_config
from fcdd_audit.core.sides import Side
from fcdd_audit.edits.together import Together
from fcdd_audit.experiment.cells import Cell, score, train
from fcdd_audit.experiment.setup import Setup, prepare
from fcdd_audit.measures.detection import auroc, threshold
from fcdd_audit.measures.differences import mean_or_value
from fcdd_audit.measures.reliance import cut, new_alarms, shift
from fcdd_audit.measures.remedies import caught, removed, rise
from fcdd_audit.remedies import PLACEBO, REMEDIES, Case, make_remedy, mending
from fcdd_audit.verdict.remedied import Tried, recommend
from fcdd_audit.verdict.thresholds import Thresholds

RESULTS = Path(__file__).parent / "results" / "remedies.csv.gz"
CUE, OTHER = "watermark", "disc"
PLANTED = "planted"
DETECTORS, PREVALENCES, SEEDS = ("hsc", "fcdd"), (0.5, 0.2, 1.0), 16
SIDES: tuple[Side, ...] = ("anomalous", "nominal")
CHOOSE = 8  # seeds; the others judge
ENOUGH = 4  # of those that judge rely, or nothing is recommended
KEYS = ["detector", "side", "prevalence", "arm", "strength", "seed"]


@dataclass(frozen=True)
class Training:
    """One row. arm: a remedy, or what is mended."""

    detector: str
    side: Side
    prevalence: float
    arm: str
    seed: int

    @property
    def unfit(self) -> str | None:
        """Why the remedy can't work."""
        share = {side: self.prevalence if side == self.side else 0.0 for side in ("nominal", "anomalous")}
        case = Case(self.detector, False, True, share)
        return None if self.arm == PLANTED else make_remedy(self.arm, {}).unfit(case)

    @property
    def strength(self) -> float:
        """Of the term; 0 without one."""
        return 0.0 if self.arm == PLANTED else make_remedy(self.arm, {}).strength or 0.0

    @property
    def key(self) -> tuple[Any, ...]:
        return self.detector, self.side, self.prevalence, self.arm, self.strength, self.seed


def planned() -> Iterator[Training]:
    """All of the list, one condition after the other."""
    for prevalence, side, detector in itertools.product(PREVALENCES, SIDES, DETECTORS):
        for seed, arm in itertools.product(range(SEEDS), (PLANTED, *REMEDIES)):
            one = Training(detector, side, prevalence, arm, seed)
            if one.unfit is None:
                yield one


def known() -> pd.DataFrame:
    return pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=KEYS)


def left(rows: pd.DataFrame) -> list[Training]:
    """What isn't done."""
    done = set(rows[KEYS].itertuples(index=False, name=None))
    return [one for one in planned() if one.key not in done]


@cache
def setups() -> dict[str, Setup]:
    """By artifact: test images with it. Both can be planted."""
    plantable = {name: PROBES[name]() for name in (CUE, OTHER)}
    config = make_config(dataset="textures", detectors=DETECTORS, seeds=SEEDS)
    return {name: replace(prepare(config.having(probe=name)), plantable=plantable) for name in plantable}


def row(one: Training) -> dict[str, Any]:
    """Train and measure."""
    first = Together(tuple((name, (one.side,), one.prevalence) for name in (CUE, OTHER)))
    edit, term = (
        (first, None) if one.arm == PLANTED else mending(one.arm, make_remedy(one.arm, {}), first, CUE)
    )
    started, device = time.perf_counter(), torch.device("cpu")
    detector, _ = train(Cell(one.detector, one.seed, edit, term=term), setups()[CUE], device)
    seconds = time.perf_counter() - started
    found = {name: score(detector, setup, device) for name, setup in setups().items()}
    own = found[CUE]
    limit = threshold(own.validation, Thresholds().score_quantile)
    return {
        **dict(zip(KEYS, one.key, strict=True)),
        **{f"shift_{name}": shift(scores, one.side) for name, scores in found.items()},
        "auroc": auroc(*own.split("usual", one.side)),
        "recall": caught(own, one.side, limit),
        "alarms": new_alarms(own, one.side, limit),
        "seconds": round(seconds, 1),
    }


def go_on(minutes: float) -> None:
    """Append rows until the time is up."""
    torch.set_num_threads(1)
    ends = time.monotonic() + 60 * minutes
    for one in left(known()):
        if time.monotonic() > ends:
            break
        made = pd.DataFrame([row(one)])
        before = known()  # another run may have added some
        write_rows(RESULTS, made if before.empty else pd.concat([before, made], ignore_index=True))
        print(made.round(3).to_dict("records")[0], flush=True)


def tried(rows: pd.DataFrame, arm: str) -> Tried:
    """The numbers of the seeds that have both twins."""
    both = rows[rows.arm == PLANTED].merge(rows[rows.arm == arm], on="seed", suffixes=("_before", "_after"))
    both = both.sort_values("seed")

    def twins(name: str, cutting: bool = False) -> tuple[np.ndarray, np.ndarray]:
        before, after = (both[f"{name}_{when}"].to_numpy(float) for when in ("before", "after"))
        return (cut(before), cut(after)) if cutting else (before, after)

    if both.empty:
        return Tried(arm, "")
    return Tried(
        arm,
        "",
        numbers={
            "shift": twins(f"shift_{CUE}", True),
            **{name: twins(name) for name in ("auroc", "recall", "alarms")},
        },
        others={OTHER: twins(f"shift_{OTHER}", True)},
        minutes=tuple(both[f"seconds_{when}"].mean() / 60 for when in ("before", "after")),
        seeds=tuple(both.seed.astype(int)),
    )


def report(rows: pd.DataFrame) -> None:
    """A table for each condition."""
    for (prevalence, side, detector), part in rows.groupby(["prevalence", "side", "detector"], sort=False):
        planted = part[part.arm == PLANTED]
        judging = planted[planted.seed >= CHOOSE]
        relying, judged = (
            int((some[f"shift_{CUE}"] > Thresholds().shift).sum()) for some in (planted, judging)
        )
        print(
            f"\n{detector}, {side} side, prevalence {prevalence:g}: {relying} of {len(planted)} rely, "
            f"{judged} of the {len(judging)} that judge"
        )
        lines = []
        arms = [arm for arm in REMEDIES if arm in set(part.arm)]
        for arm in arms:
            one = tried(part, arm)
            if one.pairs:
                lines.append({"remedy": arm, "pairs": one.pairs, **said(one)})
        print(pd.DataFrame(lines).to_string(index=False))
        if judged >= ENOUGH:
            print(_recommended([tried(part, arm) for arm in arms]))


def said(one: Tried) -> dict[str, str]:
    """Its numbers in words."""
    gone = removed(*one.numbers["shift"])
    before, after = one.numbers["auroc"]
    lost = mean_or_value(before - after)
    further = mean_or_value(rise(one.others[OTHER]))
    shifts = one.numbers["shift"]
    return {
        "removed": "–" if gone is None else f"{gone.value:.2f} ({gone.low:.2f} to {gone.high:.2f})",
        "shift": f"{shifts[0].mean():.2f} to {shifts[1].mean():.2f}",
        "AUROC lost": f"{lost.value:.3f} ({lost.low:.3f} to {lost.high:.3f})",
        "caught": " to ".join(f"{values.mean():.2f}" for values in one.numbers["recall"]),
        "alarms": " to ".join(f"{values.mean():.2f}" for values in one.numbers["alarms"]),
        "disc further": f"{further.value:.2f} ({further.low:.2f} to {further.high:.2f})",
        "minutes": " to ".join(f"{value:.1f}" for value in one.minutes or ()),
    }


def _recommended(arms: list[Tried]) -> str:
    """Chosen on the first eight seeds and judged on the others, where there are any."""
    usable = [one for one in arms if any(seed >= CHOOSE for seed in one.seeds)]
    if not any(one.remedy != PLACEBO for one in usable):
        return "too few seeds to judge a remedy"
    return recommend(usable, PLACEBO, halves=(lambda seed: seed < CHOOSE, lambda seed: seed >= CHOOSE)).said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    if options.plan:
        todo = left(known())
        print(f"{len(list(planned()))} trainings, {len(todo)} to do")
        for one in todo[:10]:
            print(*one.key)
    elif options.report:
        report(known())
    else:
        go_on(options.minutes)


if __name__ == "__main__":
    main()
