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
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from platformdirs import user_cache_path

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import TEMPORARY
from fcdd_audit.core.mapped import mapped
from fcdd_audit.images.ahead import in_order
from fcdd_audit.images.decode import Decoded, Fit, Origin
from fcdd_audit.images.depth import Depth
from fcdd_audit.images.files import reason_of
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sealed import digest_of, put, sealed, unsealed
from fcdd_audit.images.sets import ImageSet

CENTRE = 224 / 256  # of the short side: ImageNet's usual centre crop
FORMAT = 5  # of the cache's files
CHUNK = 1024  # pictures decoded ahead of the writer
LEFT_OVER = 24 * 3600  # s after which a temporary file is nobody's
log = logging.getLogger("fcdd_audit")


def default_cache() -> Path:
    """The user's own cache folder; it can be deleted at any time. InputError for a user without a home."""
    try:
        folder = user_cache_path("fcdd-audit", appauthor=False)
    except RuntimeError:
        folder = Path("~")
    if folder.parts[0] == "~":  # as older versions of platformdirs leave it
        raise InputError(
            "there is no home folder to keep decoded images in; name a folder with --cache, or set HOME"
        )
    return folder


def cache_folder(reading: Reading) -> Path:
    """The folder that decoded images are kept in. InputError as `default_cache`."""
    return reading.cache or default_cache()


class Cached(NamedTuple):
    """One gallery, decoded.

    images: None if some pictures can't be decoded and aren't skipped. channels: 1 or 3, of the images; what
    they would have if there are none. corrupt: name and reason of each picture that can't be decoded.
    """

    images: ImageSet | None
    channels: int
    corrupt: list[str]


def cached(
    gallery: Gallery,
    identities: Sequence[str],
    size: int,
    depth: Depth,
    channels: int | None,
    fit: Fit,
    reading: Reading,
) -> Cached:
    """The gallery's pictures as uint8 (N, C, size, size), memory-mapped from the cache.

    identities: of its pictures. depth: of the data set they belong to. channels: 1, 3, or None: 1 if no
    picture has colour. fit: `squash` the whole picture into the square, or cut the square out of its `centre`
    whose side is 224/256 of the short side (as ImageNet is used).

    A cache that is missing, stale (another size, changed files) or damaged (checksum) is built, in parallel.
    OSError for a cache that can't be written, InputError for one that can't be mapped.
    """
    wanted = [FORMAT, size, fit, channels, reading.skip_corrupt, astuple(depth), gallery.names, [*identities]]
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:24]
    folder = cache_folder(reading)
    pixels, header = folder / f"{key}.u8", folder / f"{key}.json"
    found = _checked(pixels, header, gallery.what)
    if found is None:
        found = _build(gallery, size, depth, channels, fit, reading, pixels, header)
    if found["corrupt"] and not reading.skip_corrupt:
        return Cached(None, found["shape"][1], found["corrupt"])
    try:
        images = mapped(pixels, tuple(found["shape"]))
    except (OSError, RuntimeError, ValueError) as error:  # torch wants to write, too
        raise InputError(
            f"can't map the image cache '{pixels}' ({' '.join(str(error).split())}); make it writable, or "
            "name another folder with --cache"
        ) from None
    names = tuple(gallery.names[i] for i in found["kept"])
    origins = _read_origins(found["origins"])
    decoded = ImageSet(images, names, digest=found["sha256"], origins=origins)
    return Cached(decoded, found["shape"][1], found["corrupt"])


def _checked(pixels: Path, header: Path, what: str) -> dict[str, Any] | None:
    """The header of a whole and undamaged cache, else None."""
    if not (pixels.exists() or header.exists()):
        return None
    try:
        found: dict[str, Any] = unsealed(header.read_text(encoding="utf-8"))
        if digest_of(pixels) == found["sha256"]:
            return found
        reason = "a checksum is wrong"
    except OSError as error:
        reason = f"{Path(error.filename or pixels).name}: {reason_of(error)}"
    except ValueError as error:
        reason = type(error).__name__ if isinstance(error, UnicodeError) else str(error)
    log.warning("the image cache of %s is damaged (%s) and is built again: %s", what, reason, pixels)
    return None


def clear(folder: Path) -> None:
    """Delete what was left behind by processes that were killed."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _build(
    gallery: Gallery,
    size: int,
    depth: Depth,
    channels: int | None,
    fit: Fit,
    reading: Reading,
    pixels: Path,
    header: Path,
) -> dict[str, Any]:
    """What is to be known of the images; they are only stored if all could be decoded, or are skipped."""
    kept: list[int] = []
    corrupt: list[str] = []
    origins: list[Origin | None] = []
    coloured = False
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=pixels.parent) as folder:
        temporary = Path(folder, "pixels")
        with temporary.open("wb") as file:
            for index, found in _decode_all(gallery, size, depth, fit, reading.progress):
                if isinstance(found, str):
                    corrupt.append(found)
                    continue
                picture, origin = found
                coloured = coloured or (channels is None and _has_colour(picture))
                kept.append(index)
                origins.append(origin)
                file.write(_rows(picture, channels or 3))
        stored = reading.skip_corrupt or not corrupt
        if channels is None:
            channels = 3 if coloured else 1
            if stored and not coloured:
                _drop_colour(temporary, size)
        described = {
            "what": gallery.what,
            "shape": [len(kept), channels, size, size],
            "sha256": digest_of(temporary),
            "kept": kept,
            "corrupt": corrupt,
            "origins": _stored_origins(origins),
        }
        if not stored:
            return described
        half = Path(folder, "header")
        half.write_text(sealed(described), encoding="utf-8")
        put(temporary, pixels)
        put(half, header)
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


def _decode_all(
    gallery: Gallery, size: int, depth: Depth, fit: Fit, progress: bool
) -> Iterator[tuple[int, Decoded | str]]:
    """Index and fitted picture, or the reason why it can't be decoded, in the gallery's order."""

    def read(index: int) -> Decoded | str:
        try:
            picture, origin = gallery.read(index, depth)
            return Decoded(_fitted(picture, size, fit), origin)
        except UnidentifiedImageError:
            return f"{gallery.names[index]}: no picture"
        except Exception as error:  # whatever a decoder raises on a damaged file
            reason = " ".join(str(error).split()) or type(error).__name__
            return f"{gallery.names[index]}: {reason}"

    return in_order(gallery, read, "decode", CHUNK, progress)


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
