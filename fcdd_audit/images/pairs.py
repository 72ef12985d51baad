"""Paired images: one side's test images, each as it is and as it could be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fcdd_audit.core.mapped import as_bytes
from fcdd_audit.core.sides import Side


@dataclass(frozen=True)
class Pairs:
    """The test images of one side in several variants, paired by place.

    names: N names, for people. variants: by name, uint8 (N, C, H, W): `clean`, without the artifact, and
    `marked`, with it; an audit adds what it needs, such as `elsewhere`, from which as much was removed as the
    artifact at another place. mask: where the artifact is on the marked images, bool (N, 1, H, W), all False
    on images that don't bear it; None for an artifact without a place. masks: of a variant with a mask of its
    own: that of `clean` says where the true anomaly is. ValueError for shapes and types that don't fit.
    """

    side: Side
    names: tuple[str, ...]
    variants: Mapping[str, Tensor]
    mask: Tensor | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for needed in ("clean", "marked"):
            if needed not in self.variants:
                raise ValueError(f"paired images have no variant '{needed}'")
        shape = self.variants["clean"].shape
        if len(shape) != 4 or shape[0] != len(self.names):
            raise ValueError(f"paired images are (N, C, H, W) with N names, not {tuple(shape)}")
        for name, images in self.variants.items():
            if images.shape != shape or images.dtype != torch.uint8:
                raise ValueError(
                    f"the variant '{name}' is {images.dtype} {tuple(images.shape)}; it must be uint8 "
                    f"{tuple(shape)} like the clean images"
                )
        of_mask = (shape[0], 1, *shape[2:])
        for name, mask in {"marked": self.mask, **self.masks}.items():
            if mask is not None and (mask.shape != of_mask or mask.dtype != torch.bool):
                raise ValueError(
                    f"the mask of '{name}' is {mask.dtype} {tuple(mask.shape)}; it must be bool {of_mask}"
                )

    def __len__(self) -> int:
        return len(self.names)

    def mask_of(self, variant: str) -> Tensor | None:
        """What heatmaps of a variant are compared with: its own mask, else the artifact's."""
        return self.masks.get(variant, None if variant == "clean" else self.mask)

    @property
    def bearing(self) -> Tensor | None:
        """Which images bear the artifact, bool (N,); None for one without a place."""
        return None if self.mask is None else self.mask.flatten(1).any(dim=1)

    def at(self, places: Tensor) -> Pairs:
        """Only the images at these places, int64 (n,), in their order, with all that is theirs."""
        return Pairs(
            self.side,
            tuple(self.names[place] for place in places.tolist()),
            {name: images[places] for name, images in self.variants.items()},
            None if self.mask is None else self.mask[places],
            {name: mask[places] for name, mask in self.masks.items()},
        )

    def content(self) -> str:
        """Hex digest of every name, pixel and mask, in order."""
        digest = hashlib.sha256(repr((self.side, self.names)).encode())
        parts = {**self.variants, "mask": self.mask, **{f"mask of {k}": v for k, v in self.masks.items()}}
        for name, tensor in parts.items():
            digest.update(name.encode())
            if tensor is not None:
                digest.update(as_bytes(tensor))
        return digest.hexdigest()
