"""Is the photographer's tag found among the VOC horses, by nobody's hint, and on other animals that bear it?

python benchmarks/discovery_horses.py --data-root DIR [--horses] [--others]

--horses  search the 523 horses as `discover --sample 523` does, and print the first candidates: p, view, how
          many of the alike images and how many have the tag (8 horses do); about eight minutes on two cores
--others  cut the tag out of the horses' corners, put it on 6, 10 and 20 photographs of each other animal, and
          search these, 200 each; prints whether it was found (p at most 5 %, half of the bearers true);
          about a minute and a half a search
--data-root  the folder that has voc_animals/

Nothing that shows the photographs is kept.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.datasets import DataRequest
from fcdd_audit.discovery.discover import Search, discover
from fcdd_audit.discovery.extraction import Extracted, extract
from fcdd_audit.discovery.sides import sides_of_dataset
from fcdd_audit.discovery.views import Cut, corner_views
from fcdd_audit.images.gallery import of_files

TAGGED = ["000392", "001420", "001960", "005114", "007748", "008142", "009665", "009841"]
OTHERS, COUNTS = ("cat", "cow", "dog", "sheep"), (6, 10, 20)
SIZE = 64  # px, of the images; the corners are searched at the files' own scale
LEVEL, FIRST = 0.05, 3
BOX = (60, 4, 32, 88)  # top, left, height and width: where tags are in a lower left corner of 96 px


def candidates(root: Path, sample: int) -> Iterator[tuple[str, float, tuple[str, ...]]]:
    """View, p and bearers of the first that repeat."""
    sides = sides_of_dataset("folder", DataRequest(data_root=root, image_size=SIZE))
    asked = Search(sample=sample, sensitivity=False)
    found = discover(dict(sides.images), asked, galleries=sides.galleries)
    for one in found.candidates:
        if one.kind == "repeated" and one.p is not None:
            yield one.view, one.p, one.bearers


def tagged(names: Iterable[str]) -> int:
    """How many of these images have the tag."""
    return sum(any(tag in name for tag in TAGGED) for name in names)


def tag_of(horses: Path) -> tuple[Extracted, Cut]:
    """The tag as it is extracted from the corners of the horses that have it."""
    files = sorted(horses.glob("*"))
    views = corner_views(of_files(files, horses, "horses"))
    has = torch.tensor([tagged([files[place].name]) > 0 for place in views.places])
    images = views.views[0].images
    mark = extract(images[has], images[~has], BOX, generator=torch_generator(0, "tag of the horses"))
    if mark is None:
        raise SystemExit("no mark is common to the lower left corners of the horses that have the tag")
    return mark, views.cuts[0]


def with_tag(file: Path, mark: Extracted, cut: Cut) -> Image.Image:
    """The photograph with the tag so many pixels from its lower left corner."""
    with Image.open(file) as picture:
        pixels = np.array(picture.convert("RGB"))
    top, left = cut.anchor.place((pixels.shape[0], pixels.shape[1]), cut.crop)
    top, left = top + mark.box[0], left + mark.box[1]
    part = pixels[top : top + mark.box[2], left : left + mark.box[3]]
    alpha, colour = (_last(one).numpy() for one in (mark.alpha, mark.colour))
    part[:] = (part * (1 - alpha) + 255 * alpha * colour).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _last(values: Tensor) -> Tensor:
    """(C, h, w) as (h, w, 3)."""
    return values.expand(3, -1, -1).movedim(0, -1)


def search_others(animals: Path, mark: Extracted, cut: Cut) -> Iterator[str]:
    """A line a search."""
    for animal in OTHERS:
        files = sorted((animals / animal).glob("*"))
        order = numpy_generator(0, f"bearers of the tag among {animal}").permutation(len(files))
        for count in COUNTS:
            bearing = {files[place].stem for place in order[:count]}
            with tempfile.TemporaryDirectory() as folder:
                for file in files:
                    if file.stem in bearing:
                        with_tag(file, mark, cut).save(Path(folder) / f"{file.stem}.jpg", quality=90)
                    else:
                        (Path(folder) / file.name).symlink_to(file.resolve())
                found = list(candidates(Path(folder), len(files)))
            best = max(found[:FIRST], key=lambda one: _true(one[2], bearing))
            true = _true(best[2], bearing)
            hit = best[1] <= LEVEL and 2 * true >= len(best[2])
            yield (
                f"{count} of {len(files)} {animal}: {'found' if hit else 'not found'}, p {best[1]:.3f}, view "
                f"{best[0]}, {true} of {len(best[2])} named bearers true"
            )


def _true(names: Iterable[str], bearing: set[str]) -> int:
    """How many of the named images bear the tag."""
    return len(bearing & {Path(name).stem for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--horses", action="store_true")
    parser.add_argument("--others", action="store_true")
    options = parser.parse_args()
    animals = options.data_root / "voc_animals" / "images"
    if options.horses:
        for place, (view, p, bearers) in enumerate(candidates(animals / "horse", 523), 1):
            print(
                f"#{place}: p {p:.3f}, {view}, {tagged(bearers)} of {len(bearers)} have the tag", flush=True
            )
    if options.others:
        for line in search_others(animals, *tag_of(animals / "horse")):
            print(line, flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
