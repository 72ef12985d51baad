"""A contact sheet: what every probe does to a photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries
from skimage.transform import resize
from torch import Tensor

from fcdd_audit.core.colours import OUTLINE
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.datasets.photos import photo
from fcdd_audit.probes.base import PROBES, Probe
from fcdd_audit.probes.marking import mark_all

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PHOTOS = ("coffee", "chelsea", "astronaut", "rocket")  # one after the other
TILE, GAP, LABEL = 160, 12, 22  # px
COLUMNS = 3
PAPER, INK = "gainsboro", "black"


def write_sheet(path: Path) -> None:
    """Write a picture of every registered probe: the clean image with the mask's outline, and the marked
    one.

    InputError for another suffix than of `SUFFIXES`, and where the file can't be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"can't write a picture to '{path}', whose suffix isn't known; use one of {', '.join(SUFFIXES)}"
        )
    try:
        contact_sheet().save(path)
    except OSError as error:
        raise InputError(f"can't write '{path}' ({error.strerror or error}); choose another file") from None


def contact_sheet() -> Image.Image:
    """Every registered probe with its defaults, in the registry's order: name, clean, marked."""
    pair = 2 * TILE + GAP // 2
    rows = -(-len(PROBES) // COLUMNS)
    size = (GAP + COLUMNS * (pair + GAP), GAP + rows * (LABEL + TILE + GAP))
    sheet = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for index, (name, kind) in enumerate(PROBES.items()):
        left = GAP + index % COLUMNS * (pair + GAP)
        top = GAP + index // COLUMNS * (LABEL + TILE + GAP)
        probe = kind()
        clean, marked = _pictures(probe, PHOTOS[index % len(PHOTOS)])
        pen.text((left, top), name if probe.placed else f"{name} (no place)", fill=INK, font=font)
        sheet.paste(clean, (left, top + LABEL))
        sheet.paste(marked, (left + TILE + GAP // 2, top + LABEL))
    return sheet


def _pictures(probe: Probe, name: str) -> tuple[Image.Image, Image.Image]:
    """The photo with the outline of the mask, if there is one, and the marked photo."""
    image = _tile(name)
    marked, mask = mark_all(image[None], probe, torch_generator(0, "contact sheet"))
    pixels = image.movedim(0, -1).numpy()
    if mask is not None:
        pixels = np.where(find_boundaries(mask[0, 0].numpy(), mode="inner")[..., None], OUTLINE, pixels)
    return Image.fromarray(pixels.astype(np.uint8)), Image.fromarray(marked[0].movedim(0, -1).numpy())


def _tile(name: str) -> Tensor:
    """The middle square of a photo, uint8 (3, TILE, TILE)."""
    pixels = photo(name, 3)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = resize(pixels[top : top + side, left : left + side], (TILE, TILE), anti_aliasing=True)
    return torch.from_numpy((square * 255).round().astype(np.uint8)).movedim(-1, 0)
