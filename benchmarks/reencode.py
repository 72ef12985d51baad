"""Bring pictures to the size and the JPEG encoding of other pictures, so that neither tells them apart.

python benchmarks/reencode.py SOURCE TARGET --like FILE.jpg

Writes every picture below SOURCE to TARGET, under its own name, squeezed to the size of FILE.jpg and saved
with its quantisation tables and chroma subsampling.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from PIL import Image, JpegImagePlugin
from tqdm import tqdm

from fcdd_audit.images.decode import decode
from fcdd_audit.images.files import find_files


def reencode(source: Path, target: Path, size: tuple[int, int], **saving: Any) -> None:
    """Every picture below `source`, squeezed to (width, height) px, as a JPEG below `target`. saving: how, as
    Pillow takes it."""
    for path in tqdm(find_files(source).paths, unit="image"):
        written = (target / path.relative_to(source)).with_suffix(".jpg")
        written.parent.mkdir(parents=True, exist_ok=True)
        picture = decode(path).picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        picture.save(written, "JPEG", **saving)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--like", type=Path, required=True)
    options = parser.parse_args()
    with Image.open(options.like) as like:
        size, tables, chroma = like.size, like.quantization, JpegImagePlugin.get_sampling(like)
    reencode(options.source, options.target, size, qtables=tables, subsampling=chroma)


if __name__ == "__main__":
    main()
