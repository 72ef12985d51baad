"""All the parts of a data set, read alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.ahead import in_order
from fcdd_audit.images.cache import Cached, cache_folder, cached, clear
from fcdd_audit.images.decode import Fit
from fcdd_audit.images.depth import depth_notes, depth_of
from fcdd_audit.images.files import reason_of, unread_notes
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.listing import listed
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.scan import find_peaks
from fcdd_audit.images.sets import ImageSet

CHUNK = 4096  # files identified ahead
log = logging.getLogger("fcdd_audit")


def decoded(
    gallery: Gallery,
    size: int,
    reading: Reading,
    notes: list[str],
    channels: int | None = None,
    fit: Fit = "squash",
    own: bool = True,
) -> ImageSet:
    """The pictures of a data set of one part; see `decoded_parts`."""
    return decoded_parts({"": gallery}, size, reading, notes, channels, fit, own=own)[""]


def decoded_parts(
    parts: Mapping[str, Gallery],
    size: int,
    reading: Reading,
    notes: list[str],
    channels: int | None = None,
    fit: Fit = "squash",
    beside: Sequence[Gallery] = (),
    own: bool = True,
) -> dict[str, ImageSet]:
    """The pictures of each part as uint8 (N, C, size, size), memory-mapped from the cache (see `cached`).

    All parts have the same channels and the same depth. channels: 1, 3, or None: 1 if no picture of the first
    part has colour. beside: pictures of the same data set that aren't wanted but whose depth counts, too.
    own: whether it is the audit's own data set, or outlier exposure from elsewhere.

    Adds to `notes` what the depth is, if any file holds more than 8 bits a channel, and which files were
    skipped. InputError for a cache that can't be written; for a depth that can't be (see `depth_of`); and, of
    all parts together, for pictures that can't be read or decoded, unless they are to be skipped.
    """
    galleries, identities = _readable([*parts.values(), *beside], reading, notes)
    parts = dict(zip(parts, galleries, strict=False))
    folder = cache_folder(reading)
    found: dict[str, Cached] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear(folder)
        peaks = find_peaks(galleries, identities, folder, reading.progress)
        depth = depth_of(peaks, reading.bit_depth, own)
        for (part, gallery), own_identities in zip(parts.items(), identities, strict=False):
            found[part] = cached(gallery, own_identities, size, depth, channels, fit, reading)
            channels = found[part].channels
    except OSError as error:
        raise InputError(
            f"can't write the image cache '{folder}': {reason_of(error)}; name another folder with --cache"
        ) from None
    notes += depth_notes(peaks, depth, reading.bit_depth, own)
    corrupt: dict[str, list[str]] = {}
    for part, cached_part in found.items():
        corrupt.setdefault(parts[part].what, []).extend(cached_part.corrupt)
    corrupt = {what: names for what, names in corrupt.items() if names}
    if corrupt and not reading.skip_corrupt:
        raise _undecodable(corrupt, list(parts.values()))
    for what, names in corrupt.items():
        skipped = f"{len(names)} corrupt {what} image{'s' * (len(names) > 1)} skipped"
        log.warning("%s: %s", skipped, listed(names))
        notes.append(f"{skipped}: {', '.join(names)}")
    return {part: cached_part.images for part, cached_part in found.items() if cached_part.images is not None}


def _readable(
    galleries: Sequence[Gallery], reading: Reading, notes: list[str]
) -> tuple[list[Gallery], list[list[str]]]:
    """The pictures that can be read, and their identities; what must be said of others goes to `notes`.

    InputError for others, unless they are to be skipped.
    """
    kept: list[Gallery] = []
    identities: list[list[str]] = []
    unread: dict[str, str] = {}  # by the part, in order
    for gallery in galleries:
        found = _identities(gallery, reading.progress)
        failed = {index: reason_of(one) for index, one in enumerate(found) if isinstance(one, OSError)}
        unread |= {f"{gallery.names[i]}: {reason}": gallery.what for i, reason in failed.items()}
        kept.append(gallery.take(i for i in range(len(gallery)) if i not in failed) if failed else gallery)
        identities.append([one for one in found if isinstance(one, str)])
    what = " and ".join(dict.fromkeys(unread.values()))
    notes += unread_notes(what, [*unread], reading.skip_corrupt)
    return kept, identities


def _identities(gallery: Gallery, progress: bool) -> list[str | OSError]:
    """Each picture's identity, or why its file can't be read."""

    def identify(index: int) -> str | OSError:
        try:
            return gallery.identity(index)
        except OSError as error:
            return error

    if gallery.peak is None:  # in memory: threads would only cost time
        return [identify(index) for index in range(len(gallery))]
    return [found for _, found in in_order(gallery, identify, "check", CHUNK, progress)]


def _undecodable(corrupt: Mapping[str, Sequence[str]], galleries: Sequence[Gallery]) -> InputError:
    """corrupt: names and reasons by part, of which several galleries can be."""
    sizes: dict[str, int] = {}
    for gallery in galleries:
        sizes[gallery.what] = sizes.get(gallery.what, 0) + len(gallery)
    counts = [f"{len(names)} of {sizes[what]} {what}" for what, names in corrupt.items()]
    names = [name for part in corrupt.values() for name in part]
    if len(sizes) == 1:
        whole = f"{counts[0]} images can't be decoded"
    else:
        whole = f"{len(names)} of {sum(sizes.values())} images can't be decoded ({', '.join(counts)})"
    return InputError(f"{whole}: {listed(names, '; ')} - repair or remove them, or pass --skip-corrupt")
