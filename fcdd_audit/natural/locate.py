"""Artifacts that the data came with: training data without them, and test images with them removed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.datasets.base import MIN_TEST
from fcdd_audit.experiment.cells import Found
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.natural import NaturalArtifact
from fcdd_audit.natural.removal import elsewhere, inpaint

REMOVALS = ("auto", "drop", "inpaint")


@dataclass(frozen=True)
class AsFound:
    """Test images of each side as they were found, uint8 (N, C, H, W).

    nominal_mask, anomalous_mask: where the artifact is on them, bool (N, 1, H, W).
    """

    nominal: Tensor
    nominal_mask: Tensor
    anomalous: Tensor
    anomalous_mask: Tensor


def locate(artifact: NaturalArtifact, data: AuditData) -> dict[str, Tensor]:
    """Where the artifact is on the images of each part, bool (N, 1, H, W); all False where it isn't.

    InputError if no training image bears it, or too few test images of either side do; if its mask is all of
    an image; and where the names or the outlier exposure don't tell which images bear it.
    """
    if data.malformed:
        raise InputError(
            f"the outlier exposure of '{data.name}' is confetti on its nominal training images, so that the "
            "artifact is on it too and can't be taken off; name another with --oe"
        )
    parts = data.parts()
    looked_at = {
        name: part
        for name, part in parts.items()
        if artifact.on_outliers or name != "train_anomalous" or not data.outlier_exposure
    }
    names = [name for part in looked_at.values() for name in part.names]
    if artifact.by_name and (twice := [name for name, count in Counter(names).items() if count > 1]):
        raise InputError(
            f"two images of '{data.name}' are called '{twice[0]}', so that their annotations can't be told "
            "apart; use image files in folders (--dataset folder)"
        )
    origins = [origin for part in looked_at.values() for origin in part.origins or (None,) * len(part)]
    found = artifact.find(names, data.shape[1:], data.fit, origins).split(
        [len(part) for part in looked_at.values()]
    )
    masks = {
        name: torch.zeros((len(part), 1, *data.shape[1:]), dtype=torch.bool) for name, part in parts.items()
    }
    masks |= dict(zip(looked_at, found, strict=True))
    for name, mask in masks.items():
        if mask.flatten(1).all(dim=1).any():
            whole = int(mask.flatten(1).all(dim=1).nonzero()[0])
            raise InputError(
                f"the artifact's mask covers all of '{parts[name].names[whole]}', and nothing is left to "
                "fill it from; mark a part of the image"
            )
    marked = {name: int(_marked(mask).sum()) for name, mask in masks.items()}
    if not any(marked[f"train_{side}"] for side in SIDES):
        raise InputError(
            f"none of the {sum(len(parts[f'train_{side}']) for side in SIDES)} training images of "
            f"'{data.name}' bears the artifact, so that no detector can have learned it; check the "
            f"annotations' names (an image is called '{data.train_nominal.names[0]}')"
        )
    if all(marked[f"test_{side}"] < MIN_TEST for side in SIDES):
        raise InputError(
            f"{marked['test_nominal']} nominal and {marked['test_anomalous']} anomalous test images of "
            f"'{data.name}' bear the artifact; at least {MIN_TEST} of one side are needed to see what its "
            "removal does"
        )
    return masks


def remove(
    data: AuditData, masks: dict[str, Tensor], removal: str, progress: bool = False
) -> tuple[AuditData, Found, AsFound]:
    """The data with the artifact removed from its test images, what else belongs to it, and the test images
    as they were found, with their masks.

    masks: by part, as `locate` gives them. removal: how the control's training images are rid of it: `drop`
    gives the places of images that bear it to others of their side, drawn at random, so that both twins see
    as many images in the same order; `inpaint` fills it in; `auto` drops where half of each side is left.

    Test images that bear the artifact come first on each side. InputError where dropping leaves too few.
    """
    bears = {side: _marked(masks[f"train_{side}"]) for side in SIDES}
    share: dict[Side, float] = {
        side: float(bears[side].double().mean()) if len(bears[side]) else 0.0 for side in SIDES
    }
    if removal == "auto":
        removal = "drop" if max(share.values()) <= 0.5 else "inpaint"
    training = {}
    for side in SIDES:
        part = data.parts()[f"train_{side}"]
        if removal == "drop":
            training[side] = _without(part, bears[side], side)
        else:
            training[side] = _filled(part, masks[f"train_{side}"], progress)
    tests: dict[str, Any] = {}
    as_found: dict[str, Tensor] = {}
    other: dict[Side, Tensor] = {}
    crowded = 0
    for side in SIDES:
        name = f"test_{side}"
        order = torch.argsort((~_marked(masks[name])).int(), stable=True).tolist()
        part, mask = data.parts()[name].take(order), masks[name][order]
        as_found[side], as_found[f"{side}_mask"] = part.images, mask
        tests[name] = _filled(part, mask, progress)
        away = elsewhere(mask, torch_generator(0, f"removal elsewhere {side}"), part.masks)
        other[side] = inpaint(part.images, away, progress)
        crowded += int((away & mask).flatten(1).any(dim=1).sum())
    how = {
        "drop": "they are dropped, and other images of their side take their places",
        "inpaint": "the artifact is filled in from around it",
    }[removal]
    counts = ", ".join(
        f"{int(_marked(masks[name]).sum())} of {len(part)} {name.replace('_', ' ')}"
        for name, part in data.parts().items()
    )
    notes = [f"The artifact was found on these images: {counts}. For the control twin {how}."]
    if crowded:
        notes.append(
            f"On {crowded} test images there is no room to remove as much elsewhere without touching the "
            "artifact, so that what this costs is over-stated."
        )
    found = Found(
        share, removal, training["nominal"], training["anomalous"], other["nominal"], other["anomalous"]
    )
    return replace(data, **tests, notes=(*data.notes, *notes)), found, AsFound(**as_found)


def _marked(masks: Tensor) -> Tensor:
    """Which images bear the artifact, bool (N,)."""
    return masks.flatten(1).any(dim=1)


def _without(part: ImageSet, bears: Tensor, side: str) -> ImageSet:
    if not bears.any():
        return part
    kept = (~bears).nonzero().flatten()
    if not len(kept):
        raise InputError(
            f"every {side} training image bears the artifact, and none would be left; use --control inpaint"
        )
    chosen = torch.arange(len(part))
    drawn = torch.randint(
        len(kept), (int(bears.sum()),), generator=torch_generator(0, f"in place of dropped {side} images")
    )
    chosen[bears] = kept[drawn]
    return part.take(chosen.tolist())


def _filled(part: ImageSet, masks: Tensor, progress: bool) -> ImageSet:
    return replace(part, images=inpaint(part.images, masks, progress), digest=None)
