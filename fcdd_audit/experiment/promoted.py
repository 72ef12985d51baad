"""The images of an audit of a discovered candidate: those that bear it train, and others are tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.arrays import spread
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.datasets.base import MIN_TEST
from fcdd_audit.datasets.handed import HANDED
from fcdd_audit.discovery.corners import files_bearing
from fcdd_audit.discovery.matching import bearing, read_template
from fcdd_audit.discovery.views import reduced
from fcdd_audit.experiment.transplanted import LAYERS, LEAST_DONORS, TestImages, Transplants, crossed
from fcdd_audit.images.gallery import of_files
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.natural import Promoted
from fcdd_audit.natural.transplant import in_place_of
from fcdd_audit.probes.marking import marked_pairs

DONORS = 64  # images that don't bear it, at most, from which placebos are cut
TESTED = ("test_nominal", "test_anomalous")


def borne(artifact: Promoted, data: AuditData) -> dict[Side, Tensor]:
    """Where the candidate is on the training images of each side, bool (N, 1, H, W).

    InputError where these aren't the images that were searched.
    """
    check_searched(artifact, data)
    names: dict[Side, tuple[str, ...]] = {side: data.parts()[f"train_{side}"].names for side in SIDES}
    everyone = [*names["nominal"], *names["anomalous"], *data.validation.names]
    if len(set(everyone)) < len(everyone):
        raise InputError(
            f"several images of '{data.name}' have the same name, so that those that bear candidate "
            f"{artifact.id} can't be told; use image files in folders (--dataset folder)"
        )
    known = set(everyone)
    if strangers := [name for name in artifact.bearers if name not in known]:
        raise InputError(
            f"{len(strangers)} of the {len(artifact.bearers)} images that bear candidate {artifact.id} "
            f"aren't among the training images of '{data.name}' ('{strangers[0]}'); audit what was searched, "
            "with the same --dataset, --data-root, --nominal-class and --oe"
        )
    masks: dict[Side, Tensor] = {side: artifact.find(names[side], data.shape[1:]) for side in SIDES}
    if not any(mask.any() for mask in masks.values()):
        raise InputError(
            f"all images that bear candidate {artifact.id} are held out for validation, so that no detector "
            "can learn it"
        )
    return masks


def check_searched(artifact: Promoted, data: AuditData) -> None:
    """InputError unless the candidate is of such images."""
    if artifact.dataset == HANDED:
        raise InputError(
            f"candidate {artifact.id} is of images that were handed over in memory; save them as files, and "
            "search these, to audit it"
        )
    if artifact.dataset != data.name:
        raise InputError(
            f"candidate {artifact.id} is of the data set '{artifact.dataset}', and '{data.name}' is audited; "
            f"give --dataset {artifact.dataset}"
        )
    if artifact.shape != tuple(data.shape):
        own, theirs = ("x".join(map(str, shape)) for shape in (artifact.shape, data.shape))
        raise InputError(
            f"candidate {artifact.id} is of images of {own} (channels, height, width), and images of "
            f"{theirs} are audited; "
            + (
                "search again, as they are read now"
                if artifact.shape[1:] == tuple(data.shape[1:])
                else f"give --image-size {artifact.shape[1]}, or search again at that size"
            )
        )


def without_bearers(artifact: Promoted, data: AuditData, root: Path | None) -> AuditData:
    """Validation and test images that don't bear the candidate, with a note on those left out.

    root: where the data's files are, for a candidate of their corners. InputError where too few are left, and
    for test images that were searched.
    """
    check_searched(artifact, data)
    tested_names = {*data.test_nominal.names, *data.test_anomalous.names}
    if searched := [name for name in artifact.bearers if name in tested_names]:
        raise InputError(
            f"'{searched[0]}' bears candidate {artifact.id}, and is a test image of '{data.name}'; images "
            "that were searched can't be tested"
        )
    named = artifact.find(data.validation.names, data.shape[1:]).flatten(1).any(dim=1).numpy()
    validation = _without(data.validation, named | bears(artifact, data.validation, root))
    tested = {name: data.parts()[name] for name in TESTED}
    left = {name: _without(part, bears(artifact, part, root)) for name, part in tested.items()}
    for name, part in left.items():
        if len(part) < MIN_TEST:
            raise InputError(
                f"{len(part)} {name.replace('_', ' ')} images of '{data.name}' don't bear candidate "
                f"{artifact.id}; at least {MIN_TEST} are needed to put it on"
            )
    if len(data.validation) and not len(validation):
        raise InputError(
            f"all validation images bear candidate {artifact.id}, and none are left to set the threshold"
        )
    parts = {"validation": (data.validation, validation)} | {
        name: (tested[name], left[name]) for name in left
    }
    counts = [
        f"{len(every) - len(few)} of {len(every)} {name.replace('_', ' ')}"
        for name, (every, few) in parts.items()
    ]
    note = (
        f"Images that bear candidate {artifact.id} aren't tested: {', '.join(counts)} images are left out."
        if artifact.template is not None
        else f"Which test images bear candidate {artifact.id} can't be told; all are tested."
    )
    return replace(
        data,
        validation=validation,
        test_nominal=left["test_nominal"],
        test_anomalous=left["test_anomalous"],
        notes=(*data.notes, note),
    )


def bears(artifact: Promoted, part: ImageSet, root: Path | None) -> np.ndarray:
    """Which images bear the candidate as those do that were searched, bool (N,); none where that can't be
    told. InputError for a damaged template, and for a file that isn't there or can't be decoded."""
    if artifact.template is None or not len(part):
        return np.zeros(len(part), bool)
    template = read_template(artifact.template)
    if template.anchor:
        files = [(root or Path()) / name for name in part.names]
        return files_bearing(of_files(files, root or Path(), "tested"), template)
    return bearing(reduced(part.images, template.side), template)


def _without(part: ImageSet, bearers: np.ndarray) -> ImageSet:
    return part if not bearers.any() else part.take(np.flatnonzero(~bearers).tolist())


def put_on(artifact: Promoted, data: AuditData, training: Mapping[Side, Tensor]) -> TestImages:
    """Test images without the candidate, with it put on, and with a placebo: the same region of a training
    image that doesn't bear it. training: where the candidate is on training images, as `borne` gives it."""
    probe = artifact.probe((data.shape[1], data.shape[2]))
    donors = _donors(data, training, artifact.entry.mark is not None)
    generator = torch_generator(0, "stamped test images")
    pairs: dict[Side, Pairs] = {}
    transplants: dict[Side, Transplants] = {}
    few = probe.taking(spread(len(probe), LAYERS))
    drawn = torch.arange(len(few)) % len(donors)
    placebos = in_place_of(few, donors[drawn])
    for side in SIDES:
        own = marked_pairs(side, data.parts()[f"test_{side}"], probe, generator)
        if own.mask is None:
            raise ValueError("a candidate has a mask")
        drawn = torch.randint(len(donors), (len(own),), generator=torch_generator(0, f"placebos on {side}"))
        placebo = torch.where(own.mask, donors[drawn], own.variants["clean"])
        pairs[side] = Pairs(side, own.names, {**own.variants, "placebo": placebo}, own.mask, own.masks)
        if len(few) >= LEAST_DONORS:
            transplants[side] = crossed(data.parts()[f"test_{side}"], few, placebos)
    return TestImages(pairs, transplants)


def _donors(data: AuditData, training: Mapping[Side, Tensor], extracted: bool) -> Tensor:
    """Images, uint8 (n, C, H, W), that don't bear it. InputError where all do.

    Of an extracted mark they are of the side where fewest bear it, so that hardly one that the search missed
    is among them; what was cut out of bearers shows their side's scenes too, and so do its placebos.
    """
    borne_by = {side: mask.flatten(1).any(dim=1) for side, mask in training.items()}
    for one in sorted(SIDES, key=lambda side: int(borne_by[side].sum()), reverse=not extracted):
        free = (~borne_by[one]).nonzero().flatten()
        if len(free):
            drawn = torch.randperm(len(free), generator=torch_generator(0, "donors of placebos"))[:DONORS]
            return data.parts()[f"train_{one}"].images[free[drawn]]
    raise InputError("every training image bears the candidate, and none is left to compare it with")
