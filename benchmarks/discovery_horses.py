"""Is the photographer's tag found among the VOC horses, by nobody's hint?

python benchmarks/discovery_horses.py --data-root DIR [--crop 96] [--draws 199]

The lower and upper corners of the 523 horses are searched at native scale, each against the opposite corner,
mirrored. Prints the first candidates of each view: p, how many of the first alike images and of the named
bearers have the tag (8 do), and where. Takes about four minutes a view on two cores.

--data-root  the folder that has voc_animals/
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from fcdd_audit.discovery.familywise import coins, strongest
from fcdd_audit.discovery.repeated import best_fit, upright
from fcdd_audit.discovery.repeats import View, compare
from fcdd_audit.discovery.views import corner_views
from fcdd_audit.images.gallery import of_files

TAGGED = ["000392", "001420", "001960", "005114", "007748", "008142", "009665", "009841"]
VIEWS = ("lower-left", "upper-left")
FIRST = 4  # candidates
# Of windows of a quarter of the side, and wide ones; all fields and shapes would take half an hour.
ASKED = (("gradient", 1.0), ("gradient", 2.5), ("whitened", 1.0))


def candidates(view: View, names: list[str], draws: int) -> Iterator[str]:
    """A line for each."""
    count, base = len(view.images), view.images.shape[2] // 4
    signs, gone = coins(count, draws, np.random.default_rng(0)), np.zeros(count, bool)
    families = [compare(view, field, (base, int(wide * base))) for field, wide in ASKED]
    for place in range(1, FIRST + 1):
        found = strongest(families, [signs] * len(families), [gone] * len(families))
        if not len(found.bearers):
            return
        _, bears = best_fit(view, found.window, found.bearers, found.family.field)
        first, named = (tagged(names[one] for one in own) for own in (found.bearers, bears))
        yield (
            f"{view.name} #{place}: p {found.p:.3f}; tag on {first} of {len(found.bearers)} that are alike, "
            f"{named} of {len(bears)} bearers; {found.family.field} at {upright(found.window, view)}"
            f"{', opposite corner' if found.window.mirrored else ''}"
        )
        gone[found.bearers] = gone[bears] = True


def tagged(names: Iterable[str]) -> int:
    """How many of these images have the tag."""
    return sum(any(tag in name for tag in TAGGED) for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--draws", type=int, default=199)
    options = parser.parse_args()
    base = options.data_root / "voc_animals" / "images" / "horse"
    files = sorted(base.glob("*"))
    found = corner_views(of_files(files, base, "horses"), options.crop)
    names = [files[place].name for place in found.places]
    for view in found.views:
        if view.name in VIEWS:
            for line in candidates(view, names, options.draws):
                print(line, flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
