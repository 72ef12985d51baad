"""Time trainings and measures of twins with this source tree and with another one, in turns.

git worktree add OTHER COMMIT
python benchmarks/cells.py OTHER [--rounds 3] [--pairs 4] [--explained 60] [--workers 2]

Both trees do the same: for each detector they train so many pairs of twins, score all test images, and
explain so many of each side with the same explainers; the network before training of the first pair is
explained too. Each turn is a process of its own with an empty store. What is timed is the work from the first
cell to the last, the start of the worker processes included: not the imports of that process, nor the loading
of the data. What an audit leaves out, or does in another order, isn't compared: see benchmarks/audits.py.
Prints the seconds of each round, and the median of the rounds' ratios, the other tree over this one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
EXPLAINERS = ("native", "grad-cam", "gradient", "occlusion", "input-x-gradient", "random", "edges")


def timed(options: argparse.Namespace) -> float:
    """Seconds that the tree on the path takes."""
    from fcdd_audit import make_config
    from fcdd_audit.edits.plant import Plant
    from fcdd_audit.experiment.cells import Cell
    from fcdd_audit.experiment.plan import usable
    from fcdd_audit.experiment.setup import AS_IS, prepare
    from fcdd_audit.experiment.store import Store
    from fcdd_audit.experiment.work import Work

    config = make_config(
        dataset=options.dataset,
        image_size=options.image_size,
        detectors=options.detectors.split(","),
        explainers=EXPLAINERS,
        explained=options.explained,
        sanity=0,
    )
    setup = prepare(config)
    # Earlier trees know from the setup how many images are explained.
    asked = {"explained": options.explained} if "explained" in {one.name for one in fields(Work)} else {}
    works = []
    for detector in config.detector.detectors:
        names = usable(detector, setup)
        for seed in range(options.pairs):
            edits = AS_IS, Plant(setup.probe, ("anomalous",), 1.0)
            works += [Work(Cell(detector, seed, edit), names, **asked) for edit in edits]
        works.append(Work(Cell(detector, 0, AS_IS, trained=False), names, **asked))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        with store.opened():
            started = time.perf_counter()
            failures = finished(works, setup, store, options.workers)
            seconds = time.perf_counter() - started
    assert not failures
    return seconds


def finished(works: list[Any], setup: Any, store: Any, workers: int) -> dict[Any, str]:
    """Do the work; returns the cells without numbers."""
    try:
        from fcdd_audit.config.parts import RunSettings
        from fcdd_audit.experiment.finishing import engaged
    except ImportError:
        return by_earlier_tree(works, setup, store, workers)
    with engaged(RunSettings(workers=workers), store) as finisher:
        return finisher.finish_all(works, setup).failures


def by_earlier_tree(works: list[Any], setup: Any, store: Any, workers: int) -> dict[Any, str]:
    """The same where there is one engine; trees that are older still start workers for each call."""
    from fcdd_audit.experiment import engines

    if not hasattr(engines, "Engine"):
        return engines.finish_all(works, setup, store, workers, True).failures  # type: ignore[attr-defined]
    with engines.Engine(store, workers) as engine:  # type: ignore[misc,call-arg]
        return engine.finish_all(works, setup).failures  # type: ignore[attr-defined]


def seconds(tree: Path) -> float:
    """Of one turn with that source."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--alone"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=True, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--explained", type=int, default=60, help="images of each side")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dataset", default="textures")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--detectors", default="fcdd,hsc")
    parser.add_argument("--alone", action="store_true", help="time the tree on the path, once")
    options = parser.parse_args()
    if options.alone:
        print(timed(options))
        return
    trees = {"here": HERE, "other": options.other.resolve()}
    ratios = []
    for number in range(options.rounds):
        turn = list(trees) if number % 2 == 0 else list(trees)[::-1]
        found = {name: seconds(trees[name]) for name in turn}
        ratios.append(found["other"] / found["here"])
        print(
            f"here {found['here']:.1f} s, other {found['other']:.1f} s, {ratios[-1]:.2f} times as fast",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.2f} times as fast")


if __name__ == "__main__":
    main()
