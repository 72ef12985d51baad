"""A long list of measurements that are made one after the other: what the benchmarks of discovery share."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from rows import write_rows

from fcdd_audit.core.text import percent
from fcdd_audit.measures.statistics import share

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class LongList:
    """A list of jobs, named tuples of numbers and names, and how each is done.

    about: what the command says about itself. name: of the table, results/NAME.csv.gz. jobs: the most
    telling first. row_of: from a job and the folder of images to the columns besides the job's own. report:
    from all rows to lines of Markdown.
    """

    about: str
    name: str
    jobs: Callable[[], Iterable[NamedTuple]]
    row_of: Callable[[Any, Path], dict[str, Any]]
    report: Callable[[pd.DataFrame], list[str]]

    @property
    def path(self) -> Path:
        return RESULTS / f"{self.name}.csv.gz"

    def rows(self) -> pd.DataFrame:
        """All rows that are there; text that is empty is no missing number."""
        every = list(self.jobs())
        if not self.path.exists():
            return pd.DataFrame(columns=every[0]._fields)
        texts = [name for name, value in every[0]._asdict().items() if isinstance(value, str)]
        kept = pd.read_csv(
            self.path, dtype=dict.fromkeys(texts, object), keep_default_na=False, na_values=[""]
        )
        return kept.fillna(dict.fromkeys(texts, ""))

    def left(self, table: pd.DataFrame) -> list[NamedTuple]:
        """The jobs that have no row yet."""
        every = list(self.jobs())
        done = {tuple(row) for row in table[list(every[0]._fields)].itertuples(index=False)}
        return [job for job in every if tuple(job) not in done]

    def row(self, job: NamedTuple, root: Path) -> dict[str, Any]:
        """A job's row, with the seconds that it took."""
        started = time.monotonic()
        row = {**job._asdict(), **self.row_of(job, root)}
        return {**row, "seconds": round(time.monotonic() - started, 1)}

    def go_on(self, minutes: float, root: Path) -> None:
        """Do what is left, until the time is up; every row is kept at once."""
        started = time.monotonic()
        table = self.rows()
        for job in self.left(table):
            if time.monotonic() - started >= 60 * minutes:
                break
            row = pd.DataFrame([self.row(job, root)])
            table = row if table.empty else pd.concat([table, row], ignore_index=True)
            write_rows(self.path, table)
            print(f"{time.monotonic() - started:.0f} s: {job}", file=sys.stderr, flush=True)

    def plan(self, root: Path) -> str:
        """How many are left and how long they take, from the rows of the same first column, else from one."""
        table = self.rows()
        left = self.left(table)
        first = type(left[0])._fields[0] if left else ""
        taken = {} if table.empty or not left else table.groupby(first)["seconds"].mean().to_dict()
        for job in left:
            if job[0] not in taken:
                taken[job[0]] = self.row(job, root)["seconds"]
        hours = sum(taken[job[0]] for job in left) / 3600
        return f"{len(left)} left, about {hours:.1f} hours on one core"

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """The command."""
        parser = argparse.ArgumentParser(description=self.about.splitlines()[0])
        parser.add_argument("--data-root", type=Path)
        parser.add_argument("--minutes", type=float, default=float("inf"))
        parser.add_argument("--plan", action="store_true")
        parser.add_argument("--report", action="store_true")
        options = parser.parse_args(arguments)
        if options.report:
            print("\n".join(self.report(self.rows())))
            return
        if options.data_root is None:
            parser.error("give --data-root")
        torch.set_num_threads(1)
        if options.plan:
            print(self.plan(options.data_root))
            return
        self.go_on(options.minutes, options.data_root)


def rate(said: pd.Series) -> str:
    """How many of how many, with the exact interval."""
    if said.empty:
        return "none made"
    found = share(int(said.sum()), len(said))
    interval = percent({"value": found.value, "low": found.low, "high": found.high})
    return f"{int(said.sum())} of {len(said)}: {interval}"
