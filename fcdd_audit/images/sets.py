"""Images of one part of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fcdd_audit.core.mapped import as_bytes
from fcdd_audit.images.decode import Origin

CHUNK = 1024  # images hashed at a time


@dataclass(frozen=True)
class ImageSet:
    """Images of one part of a data set.

    images: uint8, (N, C, H, W), C is 1 (grey) or 3 (RGB).
    names: N names, for people; never used as paths.
    masks: bool, (N, 1, H, W), where the true anomaly is; all False where unknown. None: no masks.
    digest: SHA-256 of the pixels where it is known already, as it is of cached images.
    origins: N, how each image's file was made; None where not every image has a file of its own. Not part of
    the content: a detector never sees it. ValueError for another number of them.
    """

    images: Tensor
    names: tuple[str, ...]
    masks: Tensor | None = None
    digest: str | None = None
    origins: tuple[Origin, ...] | None = None

    def __post_init__(self) -> None:
        if self.origins is not None and len(self.origins) != len(self.images):
            raise ValueError(f"{len(self.origins)} origins of {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Sequence[int]) -> ImageSet:
        """A copy of the images at these indices, in their order, with all that belongs to them."""
        chosen = list(indices)
        return ImageSet(
            self.images[chosen],
            tuple(self.names[i] for i in chosen),
            None if self.masks is None else self.masks[chosen],
            origins=None if self.origins is None else tuple(self.origins[i] for i in chosen),
        )

    def content(self) -> str:
        """Hex digest of every pixel, mask and name, in order."""
        return hashlib.sha256(f"{self.names!r} {self.pixels()}".encode()).hexdigest()

    def pixels(self) -> str:
        """Hex digest of every pixel and mask, in order."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update((self.digest or sha256(self.images)).encode())
        if self.masks is not None:
            digest.update(sha256(self.masks).encode())
        return digest.hexdigest()


def sha256(images: Tensor) -> str:
    """Hex digest of the values, in order."""
    digest = hashlib.sha256()
    for batch in images.split(CHUNK):
        digest.update(as_bytes(batch))
    return digest.hexdigest()


def told_apart(images: Mapping[str, ImageSet]) -> dict[str, ImageSet]:
    """The sides that have images; each image with its side before its name, where sides share a name."""
    there = {side: one for side, one in images.items() if len(one)}
    names = [name for one in there.values() for name in one.names]
    if len(set(names)) == len(names):
        return there
    return {
        side: replace(one, names=tuple(f"{side}/{name}" for name in one.names)) for side, one in there.items()
    }
