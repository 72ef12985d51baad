"""What all cells of a nominal class share: images, artifact, and how these are trained on and explained."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.arrays import spread
from fcdd_audit.core.directions import AUTO, DIRECTIONS, MARKED
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import as_bytes
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import DATASETS, AuditData
from fcdd_audit.detectors import Detector, build
from fcdd_audit.detectors.inputs import Normalisation, normalisation
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.detectors.training.size import most_in_a_stack
from fcdd_audit.edits.as_is import AsIs
from fcdd_audit.edits.base import EDITS, Edit, TrainingSet
from fcdd_audit.experiment.devices import device_name, precision_of
from fcdd_audit.experiment.explaining import DEFECT, Explained, in_turn
from fcdd_audit.experiment.promoted import borne, put_on, without_bearers
from fcdd_audit.experiment.transplanted import (
    REMOVED,
    TESTED,
    TRANSPLANTED,
    Transplants,
    transplanted,
)
from fcdd_audit.explainers import Explainer, make_explainer
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet, sha256
from fcdd_audit.models.own import own_kind
from fcdd_audit.natural import NATURAL, NaturalArtifact, Promoted
from fcdd_audit.natural.locate import bearing_share, counts_note, locate
from fcdd_audit.natural.transplant import cut_out
from fcdd_audit.probes import Probe, make_probe, mark_all
from fcdd_audit.probes.marking import marked_pairs
from fcdd_audit.probes.placed import Placed

AS_IS = AsIs()
MOST_LAYERS = 64  # training images that an artifact is cut out of
SMALL_SHARE = 0.05  # of a side, under which a mark was hardly learned (docs/discovery.md)
ADDRESS = re.compile(" at 0x[0-9a-f]+")  # in the words for an object without words of its own

log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class Setup:
    """What all cells of a nominal class and an artifact share.

    data: as it was loaded. pairs: its test images, by side. validation: nominal images as they are in use.
    training: what detectors can be trained on, by the edit that made it; others are applied for each cell.
    probe: the name of the artifact that is probed. artifact: itself. plantable: artifacts by name, that edits
    can plant: the probed one, and others. share: of the training images of each side, how many bear a found
    artifact; removal: the edit that rids them of it; both None where it is planted. transplanted: whether a
    found artifact is put on test images; else it is taken off those that bear it. transplants: by side, those
    of its test images that are scored with what every donor bears. obstacles: by side, why it
    can't be put on its test images.
    explainers: by detector, in the registry's order. options: by the name of a detector, probe, explainer or
    remedy. sanity: on so many test images of each side explanations are checked; 0: on none.
    trained_on_device: what detectors were trained on that aren't to be trained again, as in
    `training_device`; None: they are trained here. seed_groups: seeds whose twins may be trained in one step,
    those that one look adds; stack_limits: by detector, how many at most; 1 of those that it doesn't name.
    """

    data: AuditData
    pairs: Mapping[Side, Pairs]
    validation: ImageSet
    training: Mapping[Edit, TrainingSet]
    probe: str
    artifact: Probe | NaturalArtifact
    plantable: Mapping[str, Probe]
    recipe: Recipe
    explainers: Mapping[str, tuple[str, ...]]
    device: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sanity: int = 0
    share: Mapping[Side, float] | None = None
    removal: Edit | None = None
    transplanted: bool = False
    transplants: Mapping[Side, Transplants] = field(default_factory=dict)
    obstacles: Mapping[Side, str] = field(default_factory=dict)
    trained_on_device: Mapping[str, str] | None = None
    seed_groups: tuple[tuple[int, ...], ...] = ()
    stack_limits: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hex digests of the images, by part, and of where a found artifact is on training images."""
        as_is = self.training[AS_IS]
        return {
            **{f"train {side}": as_is.of(side).pixels() for side in SIDES},
            **{f"bearing {side}": sha256(where) for side, where in as_is.bearing.items()},
            "validation": self.validation.content(),
            **{f"test {side}": pairs.content() for side, pairs in self.pairs.items()},
            **{f"transplants {side}": one.content() for side, one in self.transplants.items()},
        }

    @cached_property
    def drawn(self) -> dict[str, dict[str, str]]:
        """Of each artifact that can be planted, what it is known by."""
        return {name: drawn(probe, self.data.shape) for name, probe in self.plantable.items()}

    @cached_property
    def marked(self) -> list[Explained]:
        """The test images that are explained as they bear the artifact, nominal and anomalous."""
        return [
            Explained(side, pairs, "marked", in_turn(pairs.mask, len(pairs)))
            for side, pairs in self.pairs.items()
        ]

    @cached_property
    def defects(self) -> list[Explained]:
        """Clean anomalous test images with a mask of the true anomaly, if there are any."""
        anomalous = self.pairs["anomalous"]
        truth = anomalous.mask_of("clean")
        if truth is None or not truth.any():
            return []
        return [Explained(DEFECT, anomalous, "clean", in_turn(truth, len(anomalous)))]

    @property
    def fingerprint(self) -> str:
        """Hex digest of the data and of what was made of them."""
        everything = f"{self.data.fingerprint()} {sorted(self.contents.items())} {self.removal!r}"
        return hashlib.sha256(everything.encode()).hexdigest()[:16]

    @cached_property
    def measuring_device(self) -> dict[str, str]:
        """Where detectors are measured: its type and name."""
        return {"type": torch.device(self.device).type, "name": device_name(self.device)}

    @cached_property
    def training_device(self) -> dict[str, str]:
        """Where detectors are trained, and what is calculated in."""
        if self.trained_on_device is not None:
            return {**self.trained_on_device, "type": torch.device(self.trained_on_device["type"]).type}
        return {**self.measuring_device, "precision": precision_of(self.recipe, self.device)}

    @property
    def trained_where(self) -> dict[str, Any]:
        """`training_device`, and how many twins were trained in one step at most, where several were."""
        return {**self.training_device, **({"stacks": dict(self.stack_limits)} if self.stack_limits else {})}

    def trained_elsewhere(self, where: Mapping[str, Any]) -> Setup:
        """The setup of detectors that were trained there, as in `trained_where`, and aren't to be again."""
        device = {name: value for name, value in where.items() if name != "stacks"}
        return replace(self, trained_on_device=device, stack_limits=where.get("stacks", {}))

    def bearing_side(self, sides: Sequence[Side]) -> Side | None:
        """Of these sides, the one of which most training images bear a found artifact; None without one."""
        bearing = self.training[AS_IS].bearing
        shares = {
            side: float(bearing[side].flatten(1).any(dim=1).float().mean())
            for side in sides
            if side in bearing
        }
        return max(shares.items(), key=lambda one: one[1])[0] if shares else None

    def trained_on(self, edit: Edit, seed: int, sides: Collection[Side] = SIDES) -> TrainingSet:
        """The training images of a twin. sides: those that it learns from; the others have no images, so that
        nothing of them is in what it learns."""
        if edit in self.training:
            return self.training[edit].only(sides)
        return edit.apply(self.training[AS_IS].only(sides), self.plantable, seed)

    def make_explainers(self, detector: str) -> dict[str, Explainer]:
        """Those that are asked of a detector."""
        return {name: make_explainer(name, self.options) for name in self.explainers.get(detector, ())}

    @cached_property
    def identities(self) -> dict[tuple[str, Any], dict[str, Any]]:
        """What was found of its cells' identities already: finding them takes a while, and is asked often."""
        return {}

    @cached_property
    def _layers(self) -> dict[str, str]:
        return {}

    def layers(self, detector: str) -> str:
        """Digest of a detector's layers, and of the weights that its seed 0 begins with."""
        if detector not in self._layers:
            model = self.untrained(detector, 0)
            digest = hashlib.sha256(str(model).encode())
            for value in model.state_dict().values():
                digest.update(as_bytes(value))
            self._layers[detector] = digest.hexdigest()[:16]
        return self._layers[detector]

    def untrained(self, detector: str, seed: int) -> Detector:
        """A detector before training. Twins share the standardisation: that of the images as loaded."""
        nominal = self.data.train_nominal.images
        options = dict(self.options.get(detector, {}))
        return build(detector, nominal, seed, options, self.recipe.network, self._normalisation)

    @cached_property
    def _normalisation(self) -> Normalisation:
        """Found once: that of many large images takes as long as many training steps."""
        return normalisation(self.recipe.normalise, self.data.train_nominal.images)


class Subject(NamedTuple):
    """What a setup is asked about: an artifact, and, of a found one, which half of the question: whether it
    is `removed` from test images, or `transplanted` to others."""

    probe: str
    half: str = REMOVED


def subjects(config: AuditConfig) -> list[Subject]:
    """All that an audit asks about."""
    artifact = config.artifact
    found = [name for name in artifact.probes if name in NATURAL]
    halves = artifact.halves if found and artifact.candidate is None else (REMOVED,)
    if found and artifact.replanted:
        halves = (TRANSPLANTED,)
    return [Subject(probe, half) for probe in artifact.probes for half in halves]


def prepare(
    config: AuditConfig,
    nominal_class: str | None = None,
    progress: bool = False,
    subject: Subject | None = None,
) -> Setup:
    """Load the data, and mark the test images or take off what is found on them.

    subject: which of those that are asked about; None: the first.
    """
    probe, half = subject or subjects(config)[0]
    device = config.resolve_device()
    data = DATASETS[config.data.dataset]().load(config.data_request(nominal_class, progress))
    artifact = config.make_artifact(probe)
    shared: dict[str, Any] = {
        "probe": probe,
        "artifact": artifact,
        "recipe": config.detector.recipe,
        "explainers": {name: config.explainers_of(name) for name in config.detector.detectors},
        "device": str(device),
        "options": {name: dict(options) for name, options in config.options.items()},
        "sanity": config.explanation.sanity or 0,
        "seed_groups": _added_by_looks([look.pairs for look in config.design.looks]),
        "stack_limits": _stack_limits(config, data, device),
    }
    if isinstance(artifact, Promoted):
        return _prepare_promoted(config, data, artifact, shared, progress)
    if isinstance(artifact, NaturalArtifact):
        asked = _prepare_replanted if config.artifact.replanted else partial(_prepare_found, half)
        return asked(config.artifact.removal, data, artifact, shared, progress)
    directions = {name: DIRECTIONS[name] for name in config.artifact.plant_on if name != AUTO}
    by_source = [name for name, direction in directions.items() if direction.by_source]
    if by_source and not (data.outlier_exposure and len(data.train_anomalous)):
        raise InputError(
            f"--plant-on {by_source[0]} tells outlier exposure from a data set's own images, and "
            f"'{data.name}' is trained without any here; use --plant-on anomalous or nominal"
        )
    beside = config.artifact.probes if config.artifact.together else ()
    shared["plantable"] = {name: make_probe(name, config.options) for name in beside} or {probe: artifact}
    in_use = any(direction.usual == MARKED for direction in directions.values())
    return _prepare_planted(in_use, data, artifact, shared)


def _added_by_looks(pairs: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The seeds that each look adds."""
    return tuple(tuple(range(first, last)) for first, last in pairwise([0, *pairs]))


def _stack_limits(config: AuditConfig, data: AuditData, device: torch.device) -> dict[str, int]:
    if device.type != "cuda":
        return {}
    recipe, nominal = config.detector.recipe, data.train_nominal.images
    batch = length_of(recipe.optimisation, len(nominal)).batch
    channels = nominal.shape[1]
    some = Normalisation(recipe.normalise, torch.zeros(channels), torch.ones(channels))  # counts alike
    return {
        name: most_in_a_stack(
            build(name, nominal, 0, config.options.get(name, {}), recipe.network, some), batch, device
        )
        for name in config.detector.detectors
        if own_kind(name) is None
    }


def _prepare_planted(in_use: bool, data: AuditData, probe: Probe, shared: dict[str, Any]) -> Setup:
    """in_use: whether images in use bear the artifact, so that those that set the threshold do."""
    generator = torch_generator(0, "stamped test images")
    pairs = {side: marked_pairs(side, data.parts()[f"test_{side}"], probe, generator) for side in SIDES}
    validation = data.validation
    if in_use:
        marked, _ = mark_all(validation.images, probe, generator)
        validation = replace(validation, images=marked, digest=None)
    training: dict[Edit, TrainingSet] = {AS_IS: TrainingSet(data.train_nominal, data.train_anomalous)}
    return Setup(
        data=data,
        pairs=pairs,
        validation=validation,
        training=training,
        **shared,
    )


def _prepare_promoted(
    config: AuditConfig, data: AuditData, artifact: Promoted, shared: dict[str, Any], progress: bool
) -> Setup:
    bearing = borne(artifact, data)
    data = without_bearers(artifact, data, config.data.data_root)
    edit, training, share = _rid(config.artifact.removal, data, bearing, progress)
    counts = ", ".join(
        f"{int(bearing[side].flatten(1).any(dim=1).sum())} of {len(bearing[side])} {side}" for side in SIDES
    )
    note = f"Candidate {artifact.id} is on {counts} training images. For the control twin {edit.removal}."
    if max(share.values()) < SMALL_SHARE:
        log.warning(
            "candidate %s is on %s training images, under %g %% of each side: so few are hardly learned, and "
            "16 pairs of twins may not tell",
            artifact.id,
            counts,
            100 * SMALL_SHARE,
        )
    tested = put_on(artifact, data, bearing)
    return Setup(
        data=replace(data, notes=(*data.notes, note)),
        pairs=tested.pairs,
        validation=data.validation,
        training=training,
        plantable={},
        share=share,
        removal=edit,
        transplanted=True,
        transplants=tested.transplants,
        **shared,
    )


def _rid(
    removal: str, data: AuditData, bearing: Mapping[Side, Tensor], progress: bool
) -> tuple[Edit, dict[Edit, TrainingSet], dict[Side, float]]:
    """The edit that rids training images of a found artifact; the training sets, as they are and rid of it;
    and the share of each side that bears it."""
    share = bearing_share({f"train_{side}": masks for side, masks in bearing.items()})
    if removal == AUTO:
        removal = "drop" if max(share.values()) <= 0.5 else "inpaint"
    edit = EDITS[removal]()
    as_is = TrainingSet(data.train_nominal, data.train_anomalous, bearing)
    return edit, {AS_IS: as_is, edit: edit.apply(as_is, {}, 0, progress)}, share


def _prepare_replanted(
    removal: str, data: AuditData, artifact: NaturalArtifact, shared: dict[str, Any], progress: bool
) -> Setup:
    """The artifact is taken off all training images, and put on a share of them as training images bore it;
    test images get it as other test images bear it."""
    masks = locate(artifact, data)
    edit, training, _ = _rid(removal, data, {side: masks[f"train_{side}"] for side in SIDES}, progress)
    images = transplanted(data, masks, progress, either=True)
    counted = (
        f"{counts_note(data, masks)} For both twins {edit.removal}. Of the planted twin, the share of images "
        "that is asked for gets the artifact as training images bore it."
    )
    return Setup(
        data=replace(data, notes=(*data.notes, counted, *images.notes)),
        pairs=images.pairs,
        validation=images.validation or data.validation,
        training=training,
        plantable={shared["probe"]: _borne(data, masks)},
        removal=edit,
        transplants=images.transplants,
        obstacles=images.obstacles,
        **shared,
    )


def _borne(data: AuditData, masks: Mapping[str, Tensor]) -> Placed:
    """What training images bear, of at most so many of them."""
    parts = []
    for side in SIDES:
        name = f"train_{side}"
        bears = masks[name].flatten(1).any(dim=1).nonzero().flatten()
        parts.append((data.parts()[name].images[bears], masks[name][bears]))
    images, where = (torch.cat(both) for both in zip(*parts, strict=True))
    chosen = spread(len(images), MOST_LAYERS)
    return cut_out(images[chosen], where[chosen])


def _prepare_found(
    half: str,
    removal: str,
    data: AuditData,
    artifact: NaturalArtifact,
    shared: dict[str, Any],
    progress: bool,
) -> Setup:
    masks = locate(artifact, data)
    edit, training, share = _rid(removal, data, {side: masks[f"train_{side}"] for side in SIDES}, progress)
    counted = f"{counts_note(data, masks)} For the control twin {edit.removal}."
    images = TESTED[half](data, masks, progress)
    return Setup(
        data=replace(data, notes=(*data.notes, counted, *images.notes)),
        pairs=images.pairs,
        validation=images.validation or data.validation,
        training=training,
        plantable={},
        share=share,
        removal=edit,
        transplanted=half == TRANSPLANTED,
        transplants=images.transplants,
        obstacles=images.obstacles,
        **shared,
    )


def drawn(probe: Probe, shape: tuple[int, int, int]) -> dict[str, str]:
    """An artifact in words, and a digest of what it looks like on flat images of five brightnesses, (C, H, W)
    each: a picture file may change under its name."""
    levels = torch.linspace(0, 1, 5)[:, None, None, None].expand(5, *shape)
    corner = torch.zeros(1, *shape)  # a tone shows at edges only
    corner[..., : shape[1] // 2, : shape[2] // 2] = 1
    marked, _ = probe.apply(torch.cat([levels, corner]), torch_generator(0, "looks of an artifact"))
    return {"is": ADDRESS.sub("", repr(probe)), "looks": sha256((marked * 255).round().to(torch.uint8))[:16]}
