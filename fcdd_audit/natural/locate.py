"""Artifacts that the data came with: where they are, and the test images without them."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.datasets.base import MIN_TEST
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.natural.artifacts import NaturalArtifact
from fcdd_audit.natural.removal import elsewhere, inpaint


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
    masks = _find(
        artifact,
        data,
        {
            name: part
            for name, part in parts.items()
            if artifact.on_outliers or name != "train_anomalous" or not data.outlier_exposure
        },
    )
    if not any(_bearing(masks[f"train_{side}"]).any() for side in SIDES):
        raise InputError(
            f"none of the {sum(len(parts[f'train_{side}']) for side in SIDES)} training images of "
            f"'{data.name}' bears the artifact, so that no detector can have learned it; check the "
            f"annotations' names (an image is called '{data.train_nominal.names[0]}')"
        )
    return masks


def locate_tested(artifact: NaturalArtifact, data: AuditData) -> dict[str, Tensor]:
    """The same on test images alone; all False elsewhere. InputError as `locate`, but for training images."""
    return _find(
        artifact, data, {name: part for name, part in data.parts().items() if name.startswith("test")}
    )


def _find(artifact: NaturalArtifact, data: AuditData, looked_at: dict[str, ImageSet]) -> dict[str, Tensor]:
    """Masks of all parts, looked for on some of them."""
    parts = data.parts()
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
    bearing = {name: int(_bearing(mask).sum()) for name, mask in masks.items()}
    if all(bearing[f"test_{side}"] < MIN_TEST for side in SIDES):
        raise InputError(
            f"{bearing['test_nominal']} nominal and {bearing['test_anomalous']} anomalous test images of "
            f"'{data.name}' bear the artifact; at least {MIN_TEST} of one side are needed to see what its "
            "removal does"
        )
    return masks


def bearing_share(masks: dict[str, Tensor]) -> dict[Side, float]:
    """Of the training images of each side, how many bear it, in [0, 1]; 0 of none. masks: as of `locate`."""
    bears = {side: _bearing(masks[f"train_{side}"]) for side in SIDES}
    return {side: float(bears[side].double().mean()) if len(bears[side]) else 0.0 for side in SIDES}


def found_pairs(
    data: AuditData, masks: dict[str, Tensor], progress: bool = False
) -> tuple[dict[Side, Pairs], list[str]]:
    """The test images as they were found, with the artifact removed, and with as much removed elsewhere; and
    what must be said of them.

    masks: as `locate` gives them. Test images that bear the artifact come first on each side.
    """
    pairs: dict[Side, Pairs] = {}
    crowded = 0
    for side in SIDES:
        name = f"test_{side}"
        order = torch.argsort((~_bearing(masks[name])).int(), stable=True).tolist()
        part, mask = data.parts()[name].take(order), masks[name][order]
        away = elsewhere(mask, torch_generator(0, f"removal elsewhere {side}"), part.masks)
        crowded += int(_bearing(away & mask).sum())
        variants = {
            "clean": inpaint(part.images, mask, progress),
            "marked": part.images,
            "elsewhere": inpaint(part.images, away, progress),
        }
        pairs[side] = Pairs(
            side, part.names, variants, mask, {} if part.masks is None else {"clean": part.masks}
        )
    notes = []
    if crowded:
        notes.append(
            f"On {crowded} test images there is no room to remove as much elsewhere without touching the "
            "artifact, so that what this costs is over-stated."
        )
    return pairs, notes


def counts_note(data: AuditData, masks: dict[str, Tensor]) -> str:
    """On how many images of each part the artifact was found."""
    counts = ", ".join(
        f"{int(_bearing(masks[name]).sum())} of {len(part)} {name.replace('_', ' ')}"
        for name, part in data.parts().items()
    )
    return f"The artifact was found on these images: {counts}."


def _bearing(masks: Tensor) -> Tensor:
    """Which images bear the artifact, bool (N,)."""
    return masks.flatten(1).any(dim=1)
