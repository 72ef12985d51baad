"""Time the default audit with this source tree and with another one, in turns.

git worktree add OTHER COMMIT
python benchmarks/audits.py OTHER [--rounds N] [FLAGS OF fcdd-audit run]

Each round runs `fcdd-audit run` once with each tree, in a new folder, the first one in turn, and both use the
same cache of decoded images. Prints the seconds, and the median of the rounds' ratios, this tree over the
other. Workers are those of the default, one thread each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def seconds(tree: Path, settings: list[str]) -> float:
    """Of one audit with that source."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "fcdd_audit", "run", "--quiet", "--out", out, *settings]
        started = time.perf_counter()
        subprocess.run(command, check=True, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)})  # noqa: S603
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options, settings = parser.parse_known_args()
    trees = {"here": HERE, "other": options.other.resolve()}
    ratios = []
    for number in range(options.rounds):
        turn = list(trees) if number % 2 == 0 else list(trees)[::-1]
        found = {name: seconds(trees[name], settings) for name in turn}
        ratios.append(found["here"] / found["other"])
        print(f"here {found['here']:.1f} s, other {found['other']:.1f} s, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
