"""A candidate of a discovery, promoted to an artifact that is audited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, Field, PositiveInt, TypeAdapter, ValidationError, model_validator
from torch import Tensor

from fcdd_audit.core.arrays import spread
from fcdd_audit.core.errors import InputError
from fcdd_audit.images.decode import Fit, Origin
from fcdd_audit.images.masks import read_mask
from fcdd_audit.images.paths import safe_paths
from fcdd_audit.natural.artifacts import NATURAL, Region, fitted
from fcdd_audit.probes.placed import Placed

CANDIDATES = "candidates.json"
KINDS = ("repeated", "pasted")
WHY_NOT = {
    "near-copies": "near-copies are images, and can't be put on others; remove all but one of each group",
    "placeless": "it has no place, and can't be put on images; make both sides in the same way, or probe "
    "jpeg, resize, blur or noise",
}
WHOLE = "image"  # the view of whole images
LAYERS = 64  # bearers, at most, whose places or pixels are used

Box = tuple[float, float, float, float]


class _Entry(BaseModel):
    """A candidate of candidates.json, as far as an audit needs it; see docs/files.md."""

    id: str
    kind: str
    bearers: tuple[str, ...]
    view: str
    box: Box | None
    mark: Annotated[str | None, Field(pattern=r"^mark-[0-9]+\.png$")]
    masks: Annotated[str | None, Field(pattern=r"^masks-[0-9]+$")]
    template: Annotated[str | None, Field(pattern=r"^template-[0-9]+\.npz$")]
    evidence: dict[str, Any]

    @property
    def windows(self) -> list[Box] | None:
        """A box a bearer, of one that lies elsewhere on each."""
        given = self.evidence.get("windows")
        return None if given is None else TypeAdapter(list[Box]).validate_python(given)

    @model_validator(mode="after")
    def _fits(self) -> _Entry:
        if self.kind in KINDS and self.bearers:
            if (self.mark is None) != (self.masks is None):
                raise ValueError("a mark and its masks go together")
            windows = self.windows
            if windows is not None and len(windows) != len(self.bearers):
                raise ValueError(f"{len(windows)} windows of {len(self.bearers)} bearers")
            if windows is None and self.box is None and self.masks is None:
                raise ValueError("it has no place")
        return self


class _Content(BaseModel):
    """candidates.json, as far as an audit needs it."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    dataset: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    candidates: list[_Entry]


@NATURAL.register("candidate")
@dataclass(frozen=True)
class Promoted:
    """A candidate of a discovery: found on training images, and put on test images that don't bear it.

    file: candidates.json, or its folder, and the candidate's number: FILE#1; see --candidate.
    """

    by_name: ClassVar[bool] = True

    file: str = ""

    def __post_init__(self) -> None:
        if not self.file.strip():
            raise InputError("no candidate is named; give one with --candidate FILE#1")
        number, kind = self.id, self.entry.kind
        if kind in WHY_NOT:
            raise InputError(f"candidate {number} can't be audited: {WHY_NOT[kind]}")
        if kind not in KINDS or not self.bearers:
            raise InputError(f"candidate {number} of '{self.path}' has no images that bear it")

    @property
    def on_outliers(self) -> bool:
        return True

    @property
    def id(self) -> str:
        """Its number, such as `#1`."""
        number = self.file.rpartition("#")[2]
        if "#" not in self.file or not re.fullmatch("[0-9]{1,9}", number):
            raise InputError(
                f"'{self.file}' names no candidate; write its number too, as in candidates.json#1"
            )
        return f"#{int(number)}"

    @property
    def path(self) -> Path:
        """Of candidates.json."""
        given = Path(self.file.rpartition("#")[0]).expanduser()
        return given / CANDIDATES if given.is_dir() else given

    @property
    def dataset(self) -> str:
        """The data set that was searched."""
        return self._content.dataset

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the images that were searched: channels, height, width."""
        return self._content.shape

    @property
    def bearers(self) -> list[str]:
        """Names of the images that bear it."""
        return list(self.entry.bearers)

    @property
    def template(self) -> Path | None:
        """The file of what tells which other images bear it, or None."""
        return None if self.entry.template is None else self.path.parent / self.entry.template

    @cached_property
    def entry(self) -> _Entry:
        """What candidates.json says of it."""
        by_id = {one.id: one for one in self._content.candidates}
        if self.id not in by_id:
            known = ", ".join(by_id) or "none"
            raise InputError(f"'{self.path}' has no candidate {self.id} (known: {known})")
        return by_id[self.id]

    @cached_property
    def _content(self) -> _Content:
        try:
            return _Content.model_validate_json(self.path.read_bytes())
        except OSError as error:
            raise InputError(
                f"can't read candidates '{self.path}' ({error.strerror}); name the file that 'fcdd-audit "
                "discover' wrote, as in candidates.json#1"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(
                f"'{self.path}' isn't what 'fcdd-audit discover' writes ({where}: {first['msg']}); search "
                "again"
            ) from None

    def find(
        self,
        names: Sequence[str],
        shape: tuple[int, int],
        fit: Fit = "squash",
        origins: Sequence[Origin | None] | None = None,
    ) -> Tensor:
        """Where it is on each image, bool (N, 1, H, W) of shape (H, W); all False where it isn't borne.

        names: as they were searched. The masks are of images as a detector sees them, whatever `fit`.
        InputError where the discovery's files are damaged.
        """
        places = {name: place for place, name in enumerate(self.bearers)}
        found = torch.zeros(len(names), 1, *shape, dtype=torch.bool)
        for target, name in zip(found, names, strict=True):
            if name in places:
                target[0] = self._mask(places[name], shape)
        return found

    def probe(self, frame: tuple[int, int]) -> Placed:
        """What puts it on images of that height and width: the mark where one was extracted, at its bearers'
        places; else what lies there on the bearers whose pictures were kept. InputError as `find`."""
        if self.entry.mark is not None:
            return self._laid(self.path.parent / self.entry.mark, frame)
        if self.entry.view != WHOLE:
            raise InputError(
                f"no mark was extracted of candidate {self.id}, which is known from the view "
                f"{self.entry.view} alone, so that it can't be put on images; mask it by hand, and use "
                "--probe mask"
            )
        return self._cut_out().sized(frame)

    def _mask(self, bearer: int, shape: tuple[int, int]) -> Tensor:
        if self.entry.masks is not None:
            return fitted(self._mask_files[bearer], shape)
        box = self.entry.box if self.entry.windows is None else self.entry.windows[bearer]
        if box is None:
            raise ValueError("a candidate without a place")
        return Region(*box).find(("",), shape)[0, 0]

    @cached_property
    def _mask_files(self) -> list[np.ndarray]:
        """Of each bearer."""
        folder = self.path.parent / str(self.entry.masks)
        return [read_mask(folder / path) for path in safe_paths(self.bearers)]

    def _laid(self, file: Path, frame: tuple[int, int]) -> Placed:
        """The mark at the places of its bearers, on images of that height and width."""
        try:
            with Image.open(file) as picture:
                pixels = torch.from_numpy(np.array(picture.convert("RGBA"))).movedim(-1, 0).float() / 255
        except OSError as error:
            raise InputError(f"the mark '{file}' can't be read ({error}); search again") from None
        masks = [self._mask_files[place] for place in spread(len(self.bearers), LAYERS)]
        colour, alpha = pixels[: self.shape[0]], pixels[3:]
        layer = torch.cat([alpha, colour * alpha])
        parts = [
            Placed(laid[None, :1], laid[None, 1:], laid[None, :1] > 0).sized(frame)
            for laid in (_put(layer, mask) for mask in masks)
        ]
        return Placed(
            torch.cat([one.alpha for one in parts]),
            torch.cat([one.paint for one in parts]),
            torch.cat([one.mask for one in parts]),
        )

    def _cut_out(self) -> Placed:
        """What lies at its place on its bearers."""
        file = self.path.parent / f"pictures-{self.id[1:]}.npz"
        try:
            with np.load(file, allow_pickle=False) as arrays:
                images, names = torch.from_numpy(arrays["images"]).float() / 255, arrays["names"].tolist()
        except Exception as error:  # whatever numpy raises on a damaged file
            raise InputError(
                f"'{file}' can't be read ({type(error).__name__}), from which what bearers have is cut out; "
                "search again"
            ) from None
        mask = self.find(names, (images.shape[2], images.shape[3]))
        return Placed(mask.float(), images * mask, mask)


def _put(layer: Tensor, mask: np.ndarray) -> Tensor:
    """A layer, (C, h, w), as large as the mask, bool (H, W), where the mask is marked.

    Where the mask ends at the image's border, the mark may reach beyond it, and is cut off.
    """
    spans = []
    for axis in (0, 1):
        size, frame = layer.shape[axis + 1], mask.shape[axis]
        marked = np.flatnonzero(mask.any(axis=1 - axis))
        if not len(marked):
            return layer.new_zeros(len(layer), *mask.shape)
        first, last = int(marked[0]), int(marked[-1]) + 1
        start = last - size if first == 0 else first
        spans.append((max(0, start), min(frame, start + size), max(0, -start)))
    (top, bottom, above), (left, right, before) = spans
    whole = layer.new_zeros(len(layer), *mask.shape)
    whole[:, top:bottom, left:right] = layer[:, above : above + bottom - top, before : before + right - left]
    return whole
