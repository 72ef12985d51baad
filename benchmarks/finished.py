"""Is a finished detector called vulnerable or robust as it truly is? Many detectors whose truth is known.

python benchmarks/finished.py [--plan] [--minutes M] [--only KIND,...] [--report] [--tell] [--data-root DIR]

Each detector is judged by many audits, drawn from half of a pool of images. Its truth is the share of newly
wrong decisions on the other half, which none of its audits sees. Appends one row a detector, side and size of
audit to benchmarks/results/finished.csv.gz, and goes on from the rows that are there: their detectors aren't
made again. Detectors, scores and images aren't kept. The most telling detectors come first.

--plan       how many detectors are left, and the hours that they would take, from one of each group
--minutes    begin nothing new after so many minutes
--only       kinds, groups of kinds (fcdd, corner, filters, blind-filters, hsc, ae, ...) or data sets
--report     makes nothing: prints the rates of what is there, in Markdown
--tell       makes nothing: writes the rates that the package tells its users
--data-root  the folder that has cifar10/, whose images are read from there; without it they are left out

Without anomalib its detectors are left out, too. What is left out is said on stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from finished_audits import LIMITS, draw, pool_of, verdicts, whole_audit
from finished_detectors import CPU, KINDS, Kind
from finished_images import SOURCE, images_of, recipe_of
from finished_report import ASKED, rates_of, report
from rows import write_rows

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.core.sides import SIDES
from fcdd_audit.datasets import AuditData
from fcdd_audit.designs.finished.answers import Result
from fcdd_audit.designs.finished.measuring import score_all
from fcdd_audit.detectors import Scorer
from fcdd_audit.measures.detection import auroc, threshold

RESULTS = Path(__file__).parent / "results" / "finished.csv.gz"
TOLD = Path(__file__).resolve().parents[1] / "fcdd_audit" / "studies" / "calibrations" / "finished.json"
FIRST_SEED, SEEDS = 3000, 12  # far from those of real audits
SIZES = (100, 400)  # images of each side in an audit
AUDITS = 20  # of each size
MADE = ["dataset", "kind", "seed"]  # columns that say which detector it is
COUNTED = ("vulnerable", "robust", "images", "working-control", "room")  # verdicts, or what is missing
ORDER = (  # data sets and groups of kinds
    *(("textures", group) for group in ("fcdd", "corner", "filters", "blind-filters")),
    *(("retina", group) for group in ("ae", "blind-ae", "anomalib")),  # which hardly work on textures
    (SOURCE, "fcdd"),
    ("textures", "hsc"),
    ("retina", "fcdd"),
    *((SOURCE, group) for group in ("corner", "filters", "blind-filters")),
    ("retina", "blind-anomalib"),
    (SOURCE, "hsc"),
)


class Job(NamedTuple):
    """A detector that is to be made and judged."""

    dataset: str
    kind: str
    seed: int


def jobs(table: pd.DataFrame, only: Sequence[str] = (), root: Path | None = None) -> list[Job]:
    """What can be made here and isn't in the table, in the order in which it is to be made."""
    there = set(table[MADE].itertuples(index=False, name=None))
    planned = (
        Job(dataset, name, FIRST_SEED + seed)
        for dataset, group in ORDER
        for seed in range(SEEDS)
        for name, kind in KINDS.items()
        if kind.group == group and (not only or {dataset, group, name} & {*only})
    )
    return [
        one
        for one in planned
        if one not in there and installed(KINDS[one.kind]) and (root or one.dataset != SOURCE)
    ]


def installed(kind: Kind) -> bool:
    """Whether the package is there that it needs."""
    return kind.needs is None or find_spec(kind.needs) is not None


def left_out(root: Path | None) -> Iterator[str]:
    """What can't be made here, and why."""
    if root is None:
        yield f"{SOURCE} is left out: it needs --data-root"
    for name, kind in KINDS.items():
        if not installed(kind):
            yield f"{name} is left out: {kind.needs} isn't installed"


def rows_of(job: Job, root: Path | None) -> pd.DataFrame:
    """Make a detector, judge it, and forget it: its rows."""
    data, kind = images_of(job.dataset, job.seed, root), KINDS[job.kind]
    with deterministic():
        scorer = kind.make(data, recipe_of(job.dataset), job.seed)
        return pd.DataFrame([{**job._asdict(), **row} for row in judged_rows(kind, scorer, data, job.seed)])


def judged_rows(kind: Kind, scorer: Scorer, data: AuditData, seed: int) -> list[dict[str, Any]]:
    """One row a side and size: the truth, the verdicts of all audits, and what the first largest one answers
    besides."""
    limit = threshold(score_all(scorer.score, data.validation.images, CPU), LIMITS.score_quantile)
    pools = {side: pool_of(side, data, scorer, seed) for side in SIDES}
    ability = auroc(pools["nominal"].clean, pools["anomalous"].clean)
    rows = []
    for size in SIZES:
        rng = numpy_generator(seed, f"audits of {size} images")
        drawn = [draw(pools, size, rng) for _ in range(AUDITS)]
        found = [verdicts(pools, places, limit) for places in drawn]
        whole = None
        if size == max(SIZES) and kind.explainers:
            whole = whole_audit(scorer, data, drawn[0], limit, kind.explainers)
        for place, side in enumerate(SIDES):
            said = [one.sides[place].missing or one.sides[place].verdict for one in found]
            rows.append(
                {
                    "side": side,
                    "size": size,
                    "auroc": round(ability, 4),
                    "truth": pools[side].truth(limit),
                    **{word: Counter(said)[word] for word in COUNTED},
                    "first": said[0],
                    **answers(whole, place),
                }
            )
    return rows


def answers(whole: Result | None, place: int) -> dict[str, str]:
    """Whether it is this mark, and whether explainers show it; empty where it isn't asked."""
    specific = None if whole is None else whole.sides[place].specific
    shown = {} if whole is None or place else whole.shown
    return {
        "specific": "" if specific is None else specific.answer,
        **{name: shown[name].answer if name in shown else "" for name in ASKED},
    }


def read_rows(path: Path) -> pd.DataFrame:
    """The rows that are there; none without a file."""
    if not path.exists():
        return pd.DataFrame(columns=MADE)
    return pd.read_csv(path, keep_default_na=False)


def go_on(path: Path, minutes: float, only: Sequence[str], root: Path | None) -> None:
    """Make and judge what is missing, until the time is up."""
    started = time.monotonic()
    table = read_rows(path)
    for job in jobs(table, only, root):
        if time.monotonic() - started >= 60 * minutes:
            break
        rows = rows_of(job, root)
        table = rows if table.empty else pd.concat([table, rows], ignore_index=True)
        write_rows(path, table)
        print(f"{time.monotonic() - started:.0f} s: {job.dataset}, {job.kind}, {job.seed}", file=sys.stderr)


def left(path: Path, only: Sequence[str], root: Path | None) -> tuple[Counter[str], float]:
    """How many detectors are left, by data set and group, and the hours that they would take, from one of
    each."""
    missing = jobs(read_rows(path), only, root)
    counts = Counter(f"{one.dataset} {KINDS[one.kind].group}" for one in missing)
    firsts = {f"{one.dataset} {KINDS[one.kind].group}": one for one in reversed(missing)}
    seconds = 0.0
    for name, job in firsts.items():
        images_of(job.dataset, job.seed, root)
        started = time.monotonic()
        rows_of(job, root)
        seconds += counts[name] * (time.monotonic() - started)
    return counts, seconds / 3600


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="KIND,...")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--tell", action="store_true")
    options = parser.parse_args(arguments)
    if options.report:
        print("\n".join(report(read_rows(RESULTS))))
        return
    if options.tell:
        rates = rates_of(read_rows(RESULTS))
        TOLD.write_text(json.dumps({"rates": rates}, indent=1) + "\n", encoding="utf-8")
        return
    torch.set_num_threads(1)
    for line in left_out(options.data_root):
        print(line, file=sys.stderr)
    if options.plan:
        counts, hours = left(RESULTS, options.only, options.data_root)
        each = ", ".join(f"{count} of {name}" for name, count in counts.items())
        print(f"{counts.total()} detectors are left ({each}), about {hours:.1f} hours")
    else:
        go_on(RESULTS, options.minutes, options.only, options.data_root)


if __name__ == "__main__":
    main()
