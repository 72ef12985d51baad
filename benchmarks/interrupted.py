"""Kill an audit at random moments, go on with it, and compare what comes out with an undisturbed one.

python benchmarks/interrupted.py [--kills 30] [--seed 0] [-- SETTINGS OF RUN]

An undisturbed `fcdd-audit run` first. Then others, each start with one worker or two, that are killed
(kill -9, all processes at once) a random time after the first record of that start was begun, at most half of
what the undisturbed one takes, and started again. What an audit leaves that ends by itself is compared byte
for byte, and the next one is begun. Prints for each kill how many records there were and what was being made,
and checks that no record ever changes. Needs a system with flock.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
NAME = "audit"
RESULTS = ("results.csv", "findings.json")
SETTINGS = [
    "--image-size=32",
    "--seeds=2",
    "--steps=24",
    "--detector=fcdd,hsc",
    "--explainer=native,grad-cam,gradient",
    "--explained=16",
    "--sanity=0",
]


class Audit:
    """One run folder. kills: how often its audit was killed."""

    def __init__(self, out: Path, settings: list[str]) -> None:
        self.out, self.settings = out, settings
        self.folder, self.store = out / NAME, out / NAME / "store"
        self.kills = 0
        self.seen: dict[str, str] = {}

    def start(self, workers: int) -> subprocess.Popen[bytes]:
        """Begin, or go on; returns once a record is begun, or the audit has ended."""
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [
            sys.executable,
            "-m",
            "fcdd_audit",
            "run",
            "--quiet",
            f"--out={self.out}",
            f"--name={NAME}",
        ]
        before = self.locks()
        process = subprocess.Popen(  # noqa: S603
            [*command, f"--workers={workers}", *self.settings],
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        while process.poll() is None and self.locks() == before:
            time.sleep(0.005)
        return process

    def locks(self) -> set[Path]:
        """Of records that are being made, or were at a kill."""
        return {*self.store.glob(".locks/[tm]*ed-*")}

    def records(self, part: str) -> int:
        """How many of `trained` or `measured` there are."""
        return len([*(self.store / part).glob("**/SHA256SUMS")])

    def being_made(self) -> str:
        """What the stopped processes are at."""
        held = [path.name for path in self.locks() if is_held(path)]
        training = sum(name.startswith("trained") for name in held)
        doing = {"training": training, "measuring": len(held) - training}
        return " and ".join(f"{what} {count}" for what, count in doing.items() if count) or "something else"

    def half_written(self) -> int:
        """Files that aren't in their places yet, but those that workers read."""
        found = [
            *self.store.glob(".run-*/**/*"),
            *self.folder.glob(".tmp-*/*"),
            *self.folder.glob(".complete/*"),
        ]
        return sum(path.is_file() and "shared" not in path.parts for path in found)

    def changed(self) -> list[str]:
        """Files of records that aren't what they were at an earlier kill, or whose checksums are wrong."""
        found = {}
        for sums in self.store.glob("[tm]*/**/SHA256SUMS"):
            for line in sums.read_text().splitlines():
                digest, name = line.split("  ", 1)
                whole = hashlib.sha256((sums.parent / name).read_bytes()).hexdigest() == digest
                found[str((sums.parent / name).relative_to(self.store))] = digest if whole else "damaged"
        odd = [name for name, digest in found.items() if digest == "damaged"]
        odd += [name for name, digest in self.seen.items() if found.get(name) != digest]
        self.seen = found
        return odd

    def results(self) -> list[bytes]:
        """What is compared."""
        return [(self.folder / name).read_bytes() for name in RESULTS]


def is_held(lock: Path) -> bool:
    """Whether a process has locked that file."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def killed(audit: Audit, workers: int, after: float | None, number: int) -> bool:
    """Go on with an audit; False if it ends by itself. after: seconds until it is killed; None: it isn't."""
    process = audit.start(workers)
    try:
        assert process.wait(timeout=after) == 0, process.returncode
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGSTOP)
        doing = audit.being_made()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    audit.kills += 1
    odd = audit.changed()
    print(
        f"kill {number:2} after {after:5.2f} s with {workers} worker(s): trained {audit.records('trained')}, "
        f"measured {audit.records('measured'):2}; {doing}; {audit.half_written()} files half-written",
        flush=True,
    )
    assert not odd, odd
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("settings", nargs="*", default=SETTINGS)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as home:
        whole = Audit(Path(home, "whole"), options.settings)
        process, started = whole.start(1), time.perf_counter()
        assert process.wait() == 0, process.returncode
        seconds = time.perf_counter() - started
        print(
            f"undisturbed: {seconds:.1f} s, trained {whole.records('trained')}, measured "
            f"{whole.records('measured')}",
            flush=True,
        )
        kills = audits = identical = 0
        audit = Audit(Path(home, "0"), options.settings)
        while kills < options.kills or audit.kills:
            after = draw.uniform(0, seconds / 2) if kills < options.kills else None
            if killed(audit, draw.choice([1, 2]), after, kills + 1):
                kills += 1
                continue
            same = audit.results() == whole.results()
            left = len([*audit.folder.rglob(".[rt][mu][np]-*")])
            print(
                f"ended after {audit.kills} kills, {'identical' if same else 'DIFFERENT'}, {left} left over"
            )
            audits, identical = audits + 1, identical + (same and not left)
            audit = Audit(Path(home, str(audits)), options.settings)
        print(
            f"{kills} kills of {audits} audits: {' and '.join(RESULTS)} byte-identical to the undisturbed "
            f"one's in {identical} of {audits}"
        )
        assert identical == audits


if __name__ == "__main__":
    main()
