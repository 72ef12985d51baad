"""Decoded images on disk: each picture is decoded once, then mapped into memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from platformdirs import user_cache_path
from tqdm import tqdm

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import TEMPORARY, mapped
from fcdd_audit.images.decode import Decoded, Fit, Origin
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.sets import ImageSet

if TYPE_CHECKING:
    from fcdd_audit.datasets.base import DataRequest

CENTRE = 224 / 256  # of the short side: ImageNet's usual centre crop
FORMAT = 3  # of the cache's files
CHUNK = 1024  # pictures decoded ahead of the writer
NAMED = 5  # corrupt files named in an error
LEFT_OVER = 24 * 3600  # s after which a temporary file is nobody's
log = logging.getLogger("fcdd_audit")


def default_cache() -> Path:
    """The user's own cache folder; it can be deleted at any time."""
    return user_cache_path("fcdd-audit", appauthor=False)


def decoded(
    gallery: Gallery,
    size: int,
    request: DataRequest,
    notes: list[str],
    channels: int | None = None,
    fit: Fit = "squash",
) -> ImageSet:
    """The gallery's pictures as uint8 (N, C, size, size), memory-mapped from the cache.

    fit: `squash` the whole picture into the square, or cut the square out of its `centre` whose side is
    224/256 of the short side (as ImageNet is used). channels: 1, 3, or None: 1 if no picture has colour.
    A cache that is missing, stale (another size, changed files) or damaged (checksum) is built, in parallel.
    InputError for a cache that can't be written, and for pictures that can't be decoded, unless the request
    skips them: then a line on them is added to `notes`.
    """
    try:
        identities = [gallery.identity(i) for i in range(len(gallery))]
    except OSError as error:
        raise InputError(f"{gallery.what}: can't read '{error.filename}': {error.strerror}") from None
    wanted = [FORMAT, size, fit, channels, request.skip_corrupt, gallery.names, identities]
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:24]
    folder = request.cache or default_cache()
    pixels, header = folder / f"{key}.u8", folder / f"{key}.json"
    found = _checked(pixels, header, gallery.what)
    if found is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _clear(folder)
            found = _build(gallery, size, fit, channels, request, pixels, header)
        except OSError as error:
            raise InputError(
                f"can't write the image cache '{folder}': {error.strerror}; name another folder with --cache"
            ) from None
    try:
        images = mapped(pixels, tuple(found["shape"]))
    except (OSError, RuntimeError, ValueError) as error:  # torch wants to write, too
        raise InputError(
            f"can't map the image cache '{pixels}' ({' '.join(str(error).split())}); make it writable, or "
            "name another folder with --cache"
        ) from None
    names = tuple(gallery.names[i] for i in found["kept"])
    if found["corrupt"]:
        count = len(found["corrupt"])
        notes.append(f"{count} corrupt {gallery.what} images skipped: {', '.join(found['corrupt'])}")
    return ImageSet(images, names, digest=found["sha256"], origins=_read_origins(found["origins"]))


def _checked(pixels: Path, header: Path, what: str) -> dict[str, Any] | None:
    """The header of a whole and undamaged cache, else None."""
    if not (pixels.exists() and header.exists()):
        return None
    try:
        digest, text = header.read_text(encoding="utf-8").split("\n")
        if digest == hashlib.sha256(text.encode()).hexdigest():
            found: dict[str, Any] = json.loads(text)
            if _digest(pixels) == found["sha256"]:
                return found
        reason = "a checksum is wrong"
    except (OSError, ValueError) as error:
        reason = type(error).__name__
    log.warning("the image cache of %s is damaged (%s) and is built again: %s", what, reason, pixels)
    return None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def _clear(folder: Path) -> None:
    """Delete what was left behind by processes that were killed."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _build(
    gallery: Gallery,
    size: int,
    fit: Fit,
    channels: int | None,
    request: DataRequest,
    pixels: Path,
    header: Path,
) -> dict[str, Any]:
    kept: list[int] = []
    corrupt: list[str] = []
    origins: list[Origin | None] = []
    coloured = False
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=pixels.parent) as folder:
        temporary = Path(folder, "pixels")
        with temporary.open("wb") as file:
            for index, found in _decode_all(gallery, size, fit, request.progress):
                if isinstance(found, str):
                    corrupt.append(found)
                    continue
                picture, origin = found
                coloured = coloured or (channels is None and _has_colour(picture))
                kept.append(index)
                origins.append(origin)
                file.write(_rows(picture, channels or 3))
        if corrupt and not request.skip_corrupt:
            more = f" and {len(corrupt) - NAMED} more" if len(corrupt) > NAMED else ""
            raise InputError(
                f"{len(corrupt)} of {len(gallery)} {gallery.what} images can't be decoded: "
                f"{'; '.join(corrupt[:NAMED])}{more} - repair or remove them, or pass --skip-corrupt"
            )
        if channels is None:
            channels = 3 if coloured else 1
            if not coloured:
                _drop_colour(temporary, size)
        described = {
            "what": gallery.what,
            "shape": [len(kept), channels, size, size],
            "sha256": _digest(temporary),
            "kept": kept,
            "corrupt": corrupt,
            "origins": _stored_origins(origins),
        }
        text = json.dumps(described)
        half = Path(folder, "header")
        half.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}", encoding="utf-8")
        os.replace(temporary, pixels)
        os.replace(half, header)
        return described


def _stored_origins(origins: list[Origin | None]) -> dict[str, Any] | None:
    """Each distinct origin once, and which one each image has; None unless all have one.

    The files of a data set are mostly alike, and there can be a million of them.
    """
    known = [origin for origin in origins if origin is not None]
    if not known or len(known) < len(origins):
        return None
    places = {origin: place for place, origin in enumerate(dict.fromkeys(known))}
    return {"distinct": [astuple(origin) for origin in places], "of": [places[origin] for origin in known]}


def _read_origins(stored: dict[str, Any] | None) -> tuple[Origin, ...] | None:
    """What `_stored_origins` was given."""
    if stored is None:
        return None
    distinct = [Origin(*values) for values in stored["distinct"]]
    return tuple(distinct[place] for place in stored["of"])


def _decode_all(gallery: Gallery, size: int, fit: Fit, progress: bool) -> Iterator[tuple[int, Decoded | str]]:
    """Index and fitted picture, or the reason why it can't be decoded, in the gallery's order."""

    def read(index: int) -> Decoded | str:
        try:
            picture, origin = gallery.read(index)
            return Decoded(_fitted(picture, size, fit), origin)
        except UnidentifiedImageError:
            return f"{gallery.names[index]}: no picture"
        except Exception as error:  # whatever a decoder raises on a damaged file
            reason = " ".join(str(error).split()) or type(error).__name__
            return f"{gallery.names[index]}: {reason}"

    with (
        ThreadPoolExecutor() as pool,
        tqdm(
            total=len(gallery),
            desc=f"decode {gallery.what}",
            unit="image",
            leave=False,
            disable=None if progress else True,
        ) as bar,
    ):
        for first in range(0, len(gallery), CHUNK):
            indices = range(first, min(first + CHUNK, len(gallery)))
            for index, found in zip(indices, pool.map(read, indices), strict=True):
                bar.update()
                yield index, found


def _fitted(picture: Image.Image, size: int, fit: Fit) -> Image.Image:
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if fit == "centre":
        side = min(width, height) * CENTRE
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BILINEAR, box)


def _has_colour(picture: Image.Image) -> bool:
    """Whether any pixel has, whatever the file could hold."""
    bands = [np.asarray(band) for band in picture.split()]
    return not all(np.array_equal(bands[0], band) for band in bands[1:])


def _rows(picture: Image.Image, channels: int) -> bytes:
    """Channel by channel."""
    values = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return values.tobytes() if channels == 1 else np.ascontiguousarray(values.transpose(2, 0, 1)).tobytes()


def _drop_colour(path: Path, size: int) -> None:
    """Keep the first of three equal channels."""
    grey = path.with_suffix(".grey")
    with path.open("rb") as source, grey.open("wb") as target:
        while picture := source.read(3 * size * size):
            target.write(picture[: size * size])
    os.replace(grey, path)
