"""Outlier exposure: auxiliary images on the anomalous side of the training data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.datasets.base import DataRequest
from fcdd_audit.datasets.confetti import MIN_SIDE, confetti
from fcdd_audit.datasets.photos import photo_crops
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.datasets.wordnet import imagenet_names, same_thing
from fcdd_audit.images.decode import Fit
from fcdd_audit.images.files import is_folder
from fcdd_audit.images.gallery import Gallery, of_folder
from fcdd_audit.images.listing import printable
from fcdd_audit.images.parts import decoded
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet

PHOTO_CROPS = 512
CONFETTI_IMAGES = 2000
CONFETTI = "confetti"
BUILT_IN = ("photos", CONFETTI, "none")


def outliers(
    request: DataRequest, default: str, nominal: ImageSet, avoid: Sequence[str] = (), fit: Fit = "squash"
) -> tuple[ImageSet, list[str]]:
    """The images that `request.oe`, or else `default`, names, and notes on them.

    They have the size and the channels of `nominal`, the nominal training images. Classes that show what one
    of the classes `avoid` shows are left out, and the notes say so. InputError for an unknown name, missing
    data, or if nothing is left.
    """
    name = default if request.oe is None else request.oe
    channels, size, _ = nominal.images.shape[1:]
    if name == "none" or not len(nominal):  # without nominal images, check_parts ends it
        return ImageSet(nominal.images[:0], ()), ["No outlier exposure."]
    if name == "photos":
        crops, names = photo_crops(
            channels, size, request.oe_limit or PHOTO_CROPS, numpy_generator(0, "outliers")
        )
        images = torch.from_numpy(np.rint(crops * 255).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()
        return ImageSet(images, names), ["Outlier exposure: crops of photos that scikit-image ships."]
    if name == CONFETTI:
        return _malformed(nominal, request)
    try:
        gallery, left_out = named_gallery(name, request)
        gallery, notes = kept_apart(gallery, avoid)
    except InputError as error:
        if request.oe is not None:
            raise
        raise InputError(f"{error}; or name other outlier exposure with --oe") from None
    drawn = gallery.sample(request.oe_limit, numpy_generator(0, "outliers"))
    notes += left_out
    found = decoded(drawn, size, elsewhere(request), notes, channels, fit, own=False)
    return found, [f"Outlier exposure: {len(found)} images of {gallery.what}.", *notes]


def elsewhere(request: DataRequest) -> Reading:
    """How files are read that are of another data set than the one asked for: with a depth of their own."""
    return replace(request.reading, bit_depth=None)


def named_gallery(name: str, request: DataRequest, train: bool = True) -> tuple[Gallery, list[str]]:
    """The pictures of a registered source, or below a folder, and notes on what was left out there.

    InputError for an unknown name, if there are none, and for what can't be read, unless it is to be skipped.
    """
    if name in SOURCES:
        gallery = SOURCES[name]().gallery(request.data_root, train, request.download)
    else:
        folder = Path(os.path.expanduser(name))
        if not name.strip() or not is_folder(folder):
            known = [*SOURCES, *BUILT_IN]
            raise InputError(
                f"outlier exposure '{name}' is neither a source of images nor a folder"
                f"{suggest(name, known)}; give --oe a folder or one of {', '.join(known)}"
            )
        gallery = of_folder(folder, f"folder '{printable(folder.resolve().name)}'")
    notes = gallery.left_out.notes(gallery.what, request.skip_corrupt)
    if not len(gallery):
        raise InputError(f"{gallery.what} has no images; fill it, or name another with --oe")
    return gallery, notes


def kept_apart(gallery: Gallery, avoid: Sequence[str]) -> tuple[Gallery, list[str]]:
    """The gallery without classes that show what one of `avoid` shows, and a note if there were any.

    InputError if nothing is left.
    """
    shared = sorted(
        {c for c in dict.fromkeys(gallery.classes) if c and any(same_thing(c, other) for other in avoid)}
    )
    if not shared:
        return gallery, []
    kept = gallery.without(*shared)
    shown = ", ".join(imagenet_names().get(name, name) for name in shared)
    if not len(kept):
        raise InputError(
            f"all outlier exposure of {gallery.what} shows classes of the data set itself ({shown}); name "
            "another with --oe"
        )
    return kept, [f"Left out of it, because the data set has them: {shown}."]


def _malformed(nominal: ImageSet, request: DataRequest) -> tuple[ImageSet, list[str]]:
    """Nominal images with confetti on them, each image as often as any other."""
    side = nominal.images.shape[-1]
    if side < MIN_SIDE:
        raise InputError(
            f"confetti needs images of at least {MIN_SIDE} px, not {side}; raise --image-size, or name other "
            "outlier exposure with --oe"
        )
    count = request.oe_limit or CONFETTI_IMAGES
    order = torch.randperm(len(nominal), generator=torch_generator(0, "confetti images"))
    chosen = order.repeat(-(-count // len(nominal)))[:count]
    images, masks = confetti(nominal.images[chosen], torch_generator(0, "confetti"))
    names = tuple(f"confetti-{i:04d}" for i in range(count))
    note = f"Outlier exposure: {count} nominal training images with confetti on them."
    if request.confetti_mask == "full":  # an anomaly without a mask is taken as anomalous everywhere
        return ImageSet(images, names), [note]
    return ImageSet(images, names, masks), [note]
