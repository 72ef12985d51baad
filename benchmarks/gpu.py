"""What a GPU does: the default audit, trainings alone and stacked, CIFAR-10, VOC's horses, shares of time.

python benchmarks/gpu.py --data DIR --work FOLDER --out FILE.json [--minutes 12] [--only PART,...]
python benchmarks/gpu.py --tiny --device cpu --work FOLDER --out FILE.json

Parts, in this order: `audit`, the default audit as a command; `loop`, images a second of four networks;
`stacks` of small ones; `horses`, those of VOC at 224 px with the tag on none, a fifth and all; `shares`:
where the seconds of an audit go; `cifar-CLASS`, the paper's recipe for each class of CIFAR-10.
DIR holds voc_animals/ and imagenet_1k_one_each/ as for benchmarks/voc_horses.py (pictures may be re-encoded
at 224 px, by benchmarks/reencode.py), and cifar10/ (train/<class>/, test/<class>/) and tiny_imagenet_val/
(folders by WordNet id), or these two as .tar.xz.

A part that would probably end after --minutes isn't begun. Each is written to FILE when it is finished; call
it again, and it goes on with what is missing. --tiny takes noise instead of DIR, and few steps, to try all.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import shares
import speed
import torch
from gpu_audits import PAPER_AUROC, cifar_class, default_audit, horses
from gpu_tiny import write_tiny

from fcdd_audit.core.files import write_bytes
from fcdd_audit.experiment.devices import device_name

TINY_AUDIT = {"steps": 4, "seeds": 3, "detector": "fcdd", "explainer": "native"}
TINY_HORSES = {**TINY_AUDIT, "image_size": 32, "network": "small", "batch_size": 8}
TINY_CIFAR = {"steps": 2, "batch_size": 8, "network": "cnn32-s"}
SHARED_STEPS = 600  # of the trainings of horses whose shares are taken, as of those that are audited

Part = dict[str, Any]


class Asked(NamedTuple):
    """Where it runs, on what, and whether all is small."""

    data: Path
    work: Path
    device: torch.device
    tiny: bool


class Job(NamedTuple):
    """A part. seconds: that it takes on a large card, by guess; the like of it, once done, says better."""

    seconds: float
    run: Callable[[Asked], Part]


def _empty(folder: Path) -> Path:
    """Without what an earlier call left there, which would be used again."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def audit(asked: Asked) -> Part:
    return default_audit(_empty(asked.work / "audit"), str(asked.device), TINY_AUDIT if asked.tiny else {})


def loop(asked: Asked) -> Part:
    return {"rates": speed.loops(speed.TINY_CASES if asked.tiny else speed.CASES, asked.device)}


def stacks(asked: Asked) -> Part:
    case, sizes = speed.STACKED, speed.STACKS
    if asked.tiny:
        case, sizes = speed.TINY_STACKED, speed.TINY_STACKS
    stays = speed.nan_stays(case, asked.device)
    return {"case": str(case), "NaN stays": stays, "rates": speed.stacks(case, sizes, asked.device)}


def of_horses(asked: Asked) -> Part:
    return horses(asked.data, asked.work / "horses", str(asked.device), TINY_HORSES if asked.tiny else {})


def of_shares(asked: Asked) -> Part:
    device = {"device": str(asked.device)}
    default = shares.default_shares(
        _empty(asked.work / "shares"), device | (TINY_AUDIT if asked.tiny else {}) | {"name": "default"}
    )
    steps = TINY_HORSES["steps"] if asked.tiny else SHARED_STEPS
    photos = shares.horses_shares(
        asked.data, _empty(asked.work / "shares-horses"), steps, device | (TINY_HORSES if asked.tiny else {})
    )
    rows = []
    for name, found in (("default", default.seconds), ("horses", photos.seconds), ("whole", photos.scaled())):
        rows.append({"audit": name, "all but training": shares.around(found), **found})
    return {"steps": {"horses": photos.steps, "whole": photos.whole}, "shares": rows}


def of_class(name: str, asked: Asked) -> Part:
    changes = TINY_CIFAR if asked.tiny else {}
    return cifar_class(name, asked.data, asked.work / "cifar", asked.device, changes)


JOBS = {
    "audit": Job(60, audit),
    "loop": Job(90, loop),
    "stacks": Job(60, stacks),
    "horses": Job(330, of_horses),
    "shares": Job(200, of_shares),
    **{f"cifar-{name}": Job(60, functools.partial(of_class, name)) for name in PAPER_AUROC},
}


def estimate(name: str, done: Mapping[str, Part]) -> float:
    """Seconds of a part: what the like of it took, else its guess."""
    family = name.partition("-")[0]
    like = [one["seconds"] for other, one in done.items() if other.partition("-")[0] == family]
    return max(like) if like else JOBS[name].seconds


def machine(device: torch.device) -> dict[str, str]:
    return {
        "machine": device_name(str(device)),
        "system": platform.platform(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
    }


def read(path: Path, about: Mapping[str, str]) -> dict[str, Part]:
    """The finished parts. SystemExit where they are of another machine, or of another torch."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["about"] != about:
        raise SystemExit(f"'{path}' is of {found['about']}, and this is {about}; give another --out")
    parts: dict[str, Part] = found["parts"]
    return parts


def go_on(names: Sequence[str], asked: Asked, out: Path, minutes: float) -> list[str]:
    """Do the parts that are missing and fit; returns those that are left out for lack of time."""
    started = time.perf_counter()
    about = {**machine(asked.device), "size": "tiny" if asked.tiny else "full"}
    done = read(out, about)
    left = []
    for name in names:
        if name in done:
            continue
        begun = time.perf_counter()
        if begun - started + estimate(name, done) > 60 * minutes:
            left.append(name)
            continue
        found = JOBS[name].run(asked)
        done[name] = {"seconds": time.perf_counter() - begun, **found}
        write_bytes(out, json.dumps({"about": about, "parts": done}, indent=1).encode())
        print(f"{name}\n{text(done[name])}\n", flush=True)
    return left


def text(part: Part) -> str:
    """A part for people: its numbers, and its rows as tables."""
    lines = [f"  {name}: {_said(one)}" for name, one in part.items() if not isinstance(one, list)]
    for rows in (one for one in part.values() if isinstance(one, list) and one):
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [names, *([_said(row.get(name)) for name in names] for row in rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(names))]
        for row in cells:
            lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    return "\n".join(lines)


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "-" if value is None else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="for audits and decoded images")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", default=",".join(JOBS), help="of the parts")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in JOBS]:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(JOBS)}")
    if options.data is None and not options.tiny:
        parser.error("give --data DIR, or --tiny")
    if options.data is not None and not options.data.is_dir():
        parser.error(f"there is no folder '{options.data}'")
    device = torch.device(options.device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            parser.error("there is no GPU here; --tiny --device cpu tries it without")
        torch.cuda.set_device(device)
    data = options.data or write_tiny(options.work / "data")
    asked = Asked(data, options.work, device, options.tiny)
    left = go_on(names, asked, options.out, options.minutes)
    if left:
        print(f"not begun, for lack of time: {', '.join(left)}; call it again to go on")


if __name__ == "__main__":
    main()
