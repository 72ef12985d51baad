"""How often are verdicts right? Many pairs of twins whose truth is known, trained bit by bit.

python benchmarks/calibration.py default|textures|cifar10 [--data-root DIR] [--minutes M] [--chunk 8]
                                 [--plan] [--report FILE.json]

Appends one row a pair and measure to benchmarks/results/NAME.csv.gz, and goes on from the rows that are
there: their pairs aren't trained again. Weights, scores and images aren't kept. The most telling pairs come
first, and all kinds in turn, so that whatever is there is a balanced picture.

--plan     how many trainings are left, and the hours that they would take, from a short timing
--minutes  begin nothing new after so many minutes
--report   no training: writes the rates of what is there, as calibration.json, and prints them as a table

`cifar10` needs the folder that docs/calibration.md has made, as --data-root.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from old_rule import PAIRS as OLD_PAIRS
from old_rule import old_verdicts
from rows import write_rows

from fcdd_audit.config.audit import make_config
from fcdd_audit.config.parts import RunSettings
from fcdd_audit.core.files import write_text
from fcdd_audit.core.text import number, span
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Work
from fcdd_audit.studies.calibrate import (
    Calibration,
    CalibrationResult,
    calibration_setup,
    cell_numbers,
    conditions_of,
    describe,
    rates_of,
)
from fcdd_audit.studies.planning import Condition
from fcdd_audit.studies.pool import Numbers, Pool, joined, pair_rows, pools, read_pool, with_derived
from fcdd_audit.studies.truths import TRUTHS

RESULTS = Path(__file__).parent / "results"
WORKERS = 2
CHUNK = 8  # seeds of one block that are trained together
PREVALENCES = (1.0, 0.2, 0.05, 0.5)  # in this order
FIRST_PREVALENCES = (1.0, 0.2)  # trained with the nulls
STAGES = (16, 32)  # pairs of the first conditions, before all the rest
PAIRS, NULL_PAIRS = 64, 32
LISTS: dict[str, dict[str, Any]] = {  # settings of each list of trainings
    "default": {},
    "textures": {"dataset": "textures", "detector": "fcdd,hsc"},
    "cifar10": {
        "dataset": "folder",
        "detector": "fcdd,hsc,ae",
        "image_size": 32,
        "epochs": 8,
        "flip": 0.5,
        "shift": 0.125,
    },
}


@dataclass(frozen=True)
class Chunk:
    """What is trained together. pairs: by condition, those of its pairs that are missing."""

    pairs: Mapping[Condition, tuple[tuple[Cell, Cell], ...]]

    def cells(self, known: Mapping[Cell, Numbers]) -> list[Cell]:
        """Those that have to be trained: a control that another pair has already isn't among them."""
        both = (cell for pairs in self.pairs.values() for pair in pairs for cell in pair)
        return [cell for cell in dict.fromkeys(both) if cell not in known]


def calibration_of(name: str, data_root: Path | None, **changes: Any) -> Calibration:
    """What a list calibrates. changes: of its settings, for a try."""
    given = {"prevalence": PREVALENCES, "workers": WORKERS, **LISTS[name], **changes}
    if data_root is not None:
        given["data_root"] = data_root
    return Calibration(make_config(given), PAIRS, NULL_PAIRS)


def chunks(conditions: Sequence[Condition], table: pd.DataFrame, size: int) -> Iterator[Chunk]:
    """What isn't in the table, in the order in which it is to be trained: all blocks of seeds in turn."""
    there = set(
        zip(*(table[name] for name in ("detector", "truth", "decoy", "prevalence", "seed")), strict=True)
    )
    planned: set[tuple[Any, ...]] = set()
    for most, telling in (*((stage, True) for stage in STAGES), (max(PAIRS, NULL_PAIRS), False)):
        blocks: dict[tuple[str, int], list[Condition]] = {}
        for one in conditions:
            if not telling or TRUTHS[one.truth].null or one.prevalence in FIRST_PREVALENCES:
                blocks.setdefault((one.detector, one.control[0].seed), []).append(one)
        for first in range(0, most, size):
            for together in blocks.values():
                missing = {}
                for one in together:
                    pairs = {_key(one, pair): pair for pair in one.pairs[first : min(first + size, most)]}
                    new = {key: pair for key, pair in pairs.items() if key not in there | planned}
                    planned |= new.keys()
                    if new:
                        missing[one] = tuple(new.values())
                if missing:
                    yield Chunk(missing)


def _key(condition: Condition, pair: tuple[Cell, Cell]) -> tuple[Any, ...]:
    about = (condition.detector, condition.truth, condition.decoy, condition.prevalence)
    return (*about, pair[1].seed)


def controls_in(table: pd.DataFrame, conditions: Sequence[Condition]) -> dict[Cell, Numbers]:
    """The numbers of the controls that are in the table."""
    cells = {(cell.detector, cell.seed): cell for one in conditions for cell in one.control}
    known: dict[Cell, dict[str, float]] = {}
    for row in table[["detector", "seed", "measure", "control"]].itertuples(index=False):
        if (row.detector, row.seed) in cells:
            known.setdefault(cells[row.detector, row.seed], {})[row.measure] = row.control
    return known


def train(
    cells: Sequence[Cell],
    conditions: Sequence[Condition],
    setup: Setup,
    calibration: Calibration,
    workers: int,
) -> Mapping[Cell, Numbers]:
    """Train and score cells in a store that is gone afterwards: the only place that trains. Cells without
    numbers are named on stderr, and tried again the next time."""
    with tempfile.TemporaryDirectory(prefix="fcdd-audit-calibration-") as folder:
        store = Store(Path(folder) / "store")
        works = [Work(cell) for cell in cells]
        with store.opened():
            with engaged(RunSettings(workers=workers), store) as finisher:
                failures = finisher.finish_works(works, setup)
            for cell, reason in failures.items():
                print(f"{cell.detector}, seed {cell.seed}: {reason}", file=sys.stderr)
            whole = [work for work in works if work.cell not in failures]
            return cell_numbers(whole, conditions, setup, store, calibration)


def read_rows(path: Path) -> pd.DataFrame:
    """The rows that are there; none without a file."""
    return read_pool(path) if path.exists() else joined([])


def append_rows(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """All rows, with these below the others, which are written at once: always the same bytes."""
    table = joined([read_rows(path), rows])
    write_rows(path, table)
    return table


def go_on(calibration: Calibration, path: Path, minutes: float, size: int = CHUNK) -> None:
    """Train what is missing, until the time is up."""
    started = time.monotonic()
    setup = calibration_setup(calibration)
    conditions, table = conditions_of(calibration, setup), read_rows(path)
    for chunk in list(chunks(conditions, table, size)):
        if time.monotonic() - started >= 60 * minutes:
            break
        known = controls_in(table, conditions)
        numbers = train(chunk.cells(known), conditions, setup, calibration, WORKERS)
        rows = [
            pair_rows(
                replace(one, planted=tuple(p for p, _ in pairs), control=tuple(c for _, c in pairs)),
                {**known, **numbers},
                setup.data.name,
            )
            for one, pairs in chunk.pairs.items()
        ]
        table = append_rows(path, joined(rows))
        about = ", ".join(
            f"{len(pairs)} {one.detector} {one.truth} {one.prevalence:g}"
            for one, pairs in chunk.pairs.items()
        )
        print(f"{time.monotonic() - started:.0f} s: {about}", file=sys.stderr)


def left(calibration: Calibration, path: Path, size: int = CHUNK) -> tuple[dict[str, int], float]:
    """How many trainings are left, by detector, and the hours that they would take with `WORKERS`, from one
    control of each."""
    setup = calibration_setup(calibration)
    conditions, table = conditions_of(calibration, setup), read_rows(path)
    known = controls_in(table, conditions)
    cells = dict.fromkeys(cell for chunk in chunks(conditions, table, size) for cell in chunk.cells(known))
    counts: dict[str, int] = {}
    for cell in cells:
        counts[cell.detector] = counts.get(cell.detector, 0) + 1
    seconds = 0.0
    for detector, count in counts.items():
        one = next(cell for cell in cells if cell.detector == detector)
        started = time.monotonic()
        train([one], conditions, setup, calibration, 1)
        seconds += count * (time.monotonic() - started) / WORKERS
    return counts, seconds / 3600


def report(calibration: Calibration, path: Path) -> tuple[CalibrationResult, list[str]]:
    """The rates of whatever rows exist, and a table of them in Markdown, the old rule's beside them."""
    setup = calibration_setup(calibration)
    rows = read_rows(path)
    waiting = chunks(conditions_of(calibration, setup), rows, CHUNK)
    missing = sum(len(pairs) for chunk in waiting for pairs in chunk.pairs.values())
    table = with_derived(rows)
    description = {**describe(calibration, setup), "incomplete": missing}
    result = CalibrationResult(path.parent, rates_of(table, calibration), description)
    old = {_kind(pool): old_verdicts(pool, calibration.audit.design.thresholds) for pool in pools(table)}
    lines = [
        "| detector | kind | pairs | relied on | dependence | new alarms | separate audits: relies, does "
        'not, open | share that says "relies" | of drawn audits | "does not rely", drawn | pairs used | '
        f'wrong "does not rely" | old rule, {OLD_PAIRS} pairs: relies, does not, open |',
        "|" + "---|" * 13,
    ]
    for rate in result.as_json()["rates"]:
        said = old.get((rate["detector"], rate["truth"], rate["decoy"], rate["prevalence"]))
        cells = (
            *(rate["detector"], rate["label"] + ", which carries over" * rate["carries_over"]),
            *(str(rate["pairs"]), rate["relied_on"] if said is not None else ""),
            *(span(rate["known"][name]) if said is not None else "" for name in ("dependence", "alarms")),
            f"{rate['audits']}: {_counts([w for w, n in rate['verdicts'].items() for _ in range(n)])}",
            *(span(rate["says_relies"]), span(rate["drawn"]["relies"])),
            *(span(rate["drawn"]["does_not_rely"]), number(rate["drawn"]["pairs"], 1)),
            *(str(rate["wrong_clears"]), "" if said is None else f"{len(said)}: {_counts(said)}"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return result, lines


def _kind(pool: Pool) -> tuple[Any, ...]:
    return pool.detector, pool.truth, pool.decoy, pool.prevalence


def _counts(verdicts: Sequence[str]) -> str:
    return ", ".join(str(verdicts.count(word)) for word in ("relies", "does-not-rely", "inconclusive"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=LISTS)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--chunk", type=int, default=CHUNK, metavar="SEEDS")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    options = parser.parse_args(arguments)
    path = RESULTS / f"{options.name}.csv.gz"
    calibration = calibration_of(options.name, options.data_root)
    if options.plan:
        counts, hours = left(calibration, path, options.chunk)
        each = ", ".join(f"{count} of {detector}" for detector, count in counts.items())
        print(f"{sum(counts.values())} trainings are left ({each}), about {hours:.1f} hours")
    elif options.report:
        result, lines = report(calibration, path)
        write_text(options.report, json.dumps(result.as_json(), indent=1) + "\n")
        print("\n".join(lines))
    else:
        go_on(calibration, path, options.minutes, options.chunk)


if __name__ == "__main__":
    main()
