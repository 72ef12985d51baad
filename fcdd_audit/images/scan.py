"""How large the values of a data set's image files are."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fcdd_audit.core.files import TEMPORARY
from fcdd_audit.images.ahead import in_order
from fcdd_audit.images.depth import Largest, Peak, Peaks
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.sealed import put, sealed, unsealed

FORMAT = 1  # of the file that keeps what was found
CHUNK = 4096  # files looked at ahead
log = logging.getLogger("fcdd_audit")


def find_peaks(
    galleries: Sequence[Gallery], identities: Sequence[Sequence[str]], folder: Path, progress: bool
) -> Peaks:
    """The largest values of all pictures of these galleries that hold more than 8 bits a channel.

    identities: of each gallery's pictures. folder: what was found is kept there, so that files are looked at
    once; of files with 8 bits a channel only the header is read, ever. OSError where that can't be written.
    """
    looked_at = [
        (gallery, own) for gallery, own in zip(galleries, identities, strict=True) if gallery.peak is not None
    ]
    if not any(len(gallery) for gallery, _ in looked_at):
        return Peaks()
    key = json.dumps([FORMAT, [[gallery.names, list(own)] for gallery, own in looked_at]])
    kept = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.depth"
    if (known := _read(kept)) is not None:
        return known
    found = _largest(_look([gallery for gallery, _ in looked_at], progress))
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder) as temporary:
        half = Path(temporary, "depth")
        half.write_text(sealed(found._asdict()), encoding="utf-8")
        put(half, kept)
    return found


def _read(kept: Path) -> Peaks | None:
    """What was found earlier; None if nothing was, or it is damaged."""
    try:
        found = unsealed(kept.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        log.warning("what is kept of the files' depth is damaged and is made again: %s", kept)
        return None
    return Peaks(**{kind: largest and Largest(*largest) for kind, largest in found.items()})


def _look(galleries: Sequence[Gallery], progress: bool) -> Iterator[tuple[str, Peak]]:
    """Name and largest value of each picture that holds more than 8 bits a channel."""
    for gallery in galleries:
        look = gallery.peak
        if look is None:
            continue
        for index, peak in in_order(gallery, look, "depth of", CHUNK, progress):
            if peak is not None:
                yield gallery.names[index], peak


def _largest(found: Iterator[tuple[str, Peak]]) -> Peaks:
    best: dict[bool, Largest] = {}
    for name, peak in found:
        if peak.is_float not in best or peak.value > best[peak.is_float].value:
            best[peak.is_float] = Largest(peak.value, name)
    return Peaks(best.get(False), best.get(True))
