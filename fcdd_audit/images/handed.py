"""Images that are handed over in Python: arrays, tensors, pictures, paths, folders, datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import resize

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.files import find_files
from fcdd_audit.images.gallery import Gallery, of_files, of_folder
from fcdd_audit.images.parts import decoded_parts
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet

SIZE = 64  # side of images from files, in px, where none is asked for
CHANNELS = (1, 3)
NEED = (
    "give an array or tensor of them (N, C, H, W), (N, H, W, C) or (N, H, W), uint8 or floats in [0, 1], a "
    "list of images or paths, a folder, or a torch Dataset"
)


def image_sets(
    parts: Mapping[str, Any], size: int | None, reading: Reading, notes: list[str]
) -> dict[str, ImageSet]:
    """Images of several parts, all with the same channels and size.

    parts: by name, in any of these forms; of a Dataset's tuples the first item is the image. size: what
    images are resized to, in px; None: those in memory stay as they are, and files become as large, or 64 px.
    Adds to `notes` what decoding says. InputError, naming the part, for what are no images.
    """
    files = {part: gallery for part, given in parts.items() if (gallery := _files(part, given)) is not None}
    held = {part: _in_memory(part, given, size) for part, given in parts.items() if part not in files}
    if files:
        sides = {one.shape[-1] for one in held.values()}
        side = size or (sides.pop() if len(sides) == 1 else SIZE)
        decoded = decoded_parts(files, side, reading, notes)
        held |= {part: one.images for part, one in decoded.items()}
        names = {part: one.names for part, one in decoded.items()}
    else:
        names = {}
    _check_alike(held)
    channels = max(images.shape[1] for images in held.values())
    return {
        part: ImageSet(
            held[part].expand(-1, channels, -1, -1).contiguous(),
            names.get(part, tuple(f"{part} {place}" for place in range(len(held[part])))),
        )
        for part in parts
    }


def _files(part: str, given: Any) -> Gallery | None:
    """What is given as paths; None: it isn't."""
    if isinstance(given, str | Path):
        path = Path(given)
        if not path.is_dir():
            raise InputError(f"{part}: there is no folder '{path}'; {NEED}")
        if not find_files(path).paths:
            raise InputError(f"{part}: there are no images in '{path}'; {NEED}")
        return of_folder(path, part)
    if isinstance(given, list | tuple) and given and all(isinstance(one, str | Path) for one in given):
        paths = [Path(one) for one in given]
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise InputError(f"{part}: there is no file '{missing}'; {NEED}")
        whole = [path.absolute() for path in paths]
        return of_files(whole, Path(whole[0].anchor), part)
    return None


def _in_memory(part: str, given: Any, size: int | None) -> Tensor:
    """uint8 (N, C, H, W)."""
    if isinstance(given, Tensor | np.ndarray):
        if given.ndim == 3 and given.shape[0] in CHANNELS:
            raise InputError(
                f"{part}: an array of shape {tuple(given.shape)} may be one image, or {given.shape[0]} grey "
                "ones; give (N, C, H, W)"
            )
        images = _batch(part, _tensor(part, given))
        return images if size is None else _resized(images, size)
    return _stacked(part, [_batch(part, one[None]) for one in _items(part, given)], size)


def _items(part: str, given: Any) -> Iterable[Tensor]:
    """Single images, as tensors."""
    if isinstance(given, Iterable) and not isinstance(given, Mapping | str | bytes):
        found: Iterable[Any] = given
    elif hasattr(given, "__len__") and hasattr(given, "__getitem__"):
        found = (given[place] for place in range(len(given)))
    else:
        raise InputError(f"{part}: a {type(given).__name__} holds no images; {NEED}")
    for one in found:
        image = one[0] if isinstance(one, tuple | list) and len(one) else one
        if isinstance(image, Image.Image):
            yield torch.as_tensor(np.array(image.convert("L" if image.mode in ("1", "L") else "RGB")))
        elif isinstance(image, Tensor | np.ndarray):
            yield _tensor(part, image)
        else:
            raise InputError(f"{part}: a {type(image).__name__} is no image; {NEED}")


def _tensor(part: str, values: Tensor | np.ndarray) -> Tensor:
    try:
        # Torch knows no negative strides.
        return values if isinstance(values, Tensor) else torch.as_tensor(np.ascontiguousarray(values))
    except (TypeError, ValueError) as error:
        raise InputError(f"{part}: an array of {values.dtype} holds no images ({error}); {NEED}") from None


def _stacked(part: str, images: list[Tensor], size: int | None) -> Tensor:
    if not images:
        raise InputError(f"{part}: there are no images; {NEED}")
    sizes = {one.shape[2:] for one in images}
    if len(sizes) > 1 and size is None:
        raise InputError(f"{part}: the images have {len(sizes)} different sizes; say to which: image_size=64")
    channels = max(one.shape[1] for one in images)
    alike = [one.expand(-1, channels, -1, -1) for one in images]
    return torch.cat(alike if size is None else [_resized(one, size) for one in alike])


def _resized(images: Tensor, size: int) -> Tensor:
    return images if images.shape[2:] == (size, size) else resize(images, [size, size], antialias=True)


def _batch(part: str, images: Tensor) -> Tensor:
    """Images of any of the forms as uint8 (N, C, H, W)."""
    images = images.detach().cpu()
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or not len(images):
        raise InputError(f"{part}: an array of shape {tuple(images.shape)} holds no images; {NEED}")
    if images.shape[1] not in CHANNELS:
        if images.shape[3] not in CHANNELS:
            raise InputError(
                f"{part}: images of shape {tuple(images.shape[1:])} have neither 1 nor 3 channels; {NEED}"
            )
        images = images.permute(0, 3, 1, 2)
    if images.dtype == torch.uint8:
        return images.contiguous()
    if not images.is_floating_point():
        raise InputError(f"{part}: images are of {images.dtype}; {NEED}")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"{part}: images are floats from {low:g} to {high:g}; give them in [0, 1], without "
            "normalisation, which mean= and std= take"
        )
    return (images * 255).round().to(torch.uint8).contiguous()


def _check_alike(parts: Mapping[str, Tensor]) -> None:
    sizes = {part: tuple(images.shape[2:]) for part, images in parts.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{part} {'x'.join(map(str, size))}" for part, size in sizes.items())
        raise InputError(f"the images differ in size ({said}); say to which they go: image_size=64")
