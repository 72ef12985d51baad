"""What twins are asked, and why some questions have no answer."""

from __future__ import annotations

from collections.abc import Sequence

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.config.parts import ArtifactSettings
from fcdd_audit.core.directions import AUTO, DIRECTIONS
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import options_of
from fcdd_audit.core.sides import Side
from fcdd_audit.datasets.base import MIN_TEST
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.edits.base import Edit, described
from fcdd_audit.edits.plant import Plant, planted_count
from fcdd_audit.edits.replant import Replant
from fcdd_audit.edits.together import Together
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.plan import Question, usable
from fcdd_audit.experiment.setup import AS_IS, Setup
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.models.own import own_kind
from fcdd_audit.natural import Promoted
from fcdd_audit.verdict.findings import IDENTICAL
from fcdd_audit.verdict.judge import Asked


def plan(config: AuditConfig, setup: Setup) -> list[Question]:
    """What is asked, detector by detector; InputError if a cell couldn't run."""
    check_trainable(config, setup)
    asking = _planted if setup.share is None else _found
    return [
        question for detector in config.detector.detectors for question in asking(detector, config, setup)
    ]


def asked_of(questions: Sequence[Question], setup: Setup) -> Asked:
    """How many answers the questions ask for."""
    open_ones = [question for question in questions if question.planted]
    explanations = 0
    if setup.pairs["nominal"].mask is not None:
        for question in open_ones:
            raises = DIRECTIONS[question.plant_on].side == "anomalous"
            telling = (EXPLAINERS[name] for name in usable(question.detector, setup))
            explanations += sum(
                not one.reference and (raises or one.either_way or one.signed) for one in telling
            )
    return Asked(len(open_ones), explanations)


def learned_side(learns_from: Sequence[Side], plant_on: str) -> str:
    """The direction in which an artifact is planted; `auto` is the side that the detector learns from."""
    if plant_on != AUTO:
        return plant_on
    return "anomalous" if "anomalous" in learns_from else "nominal"


def sides_learned(detector: str, setup: Setup) -> tuple[Side, ...]:
    """The sides that a detector learns from, of those that have images."""
    return tuple(side for side in DETECTORS[detector].learns_from if len(setup.training[AS_IS].of(side)))


def _planted(detector: str, config: AuditConfig, setup: Setup) -> list[Question]:
    """A question for each direction and prevalence."""
    learns_from = sides_learned(detector, setup)
    found_on = setup.bearing_side(learns_from)
    directions = dict.fromkeys(
        found_on if asked == AUTO and found_on is not None else learned_side(learns_from, asked)
        for asked in config.artifact.plant_on
    )
    return [
        question
        for plant_on in directions
        for question in _planted_on(plant_on, detector, learns_from, config, setup)
    ]


def _planted_on(
    plant_on: str, detector: str, learns_from: Sequence[Side], config: AuditConfig, setup: Setup
) -> list[Question]:
    """A question for each prevalence."""
    side = DIRECTIONS[plant_on].side
    about = (config.data.dataset, setup.data.nominal_class, detector, setup.probe, plant_on)
    if side not in learns_from:
        reason = (
            f"{IDENTICAL}: {detector} never sees {side} images in training, so the "
            f"twins can't differ; plant on the {learns_from[0]} side"
        )
        return [Question(*about, prevalence, obstacle=reason) for prevalence in config.artifact.prevalence]
    if (obstacle := setup.obstacles.get(DIRECTIONS[plant_on].changed)) is not None:
        return [Question(*about, prevalence, obstacle=obstacle) for prevalence in config.artifact.prevalence]
    train_images = len(setup.training[AS_IS].of(side))
    questions = []
    for prevalence in config.artifact.prevalence:
        if planted_count(train_images, prevalence) == 0:
            reason = f"{IDENTICAL}: at prevalence 0 nothing is planted"
            questions.append(Question(*about, prevalence, obstacle=reason))
            continue
        edits = _edits(config.artifact, setup, side, prevalence)
        planted, control = twins(detector, *edits, config.design.most_pairs)
        questions.append(Question(*about, prevalence, planted, control))
    return questions


def _edits(artifact: ArtifactSettings, setup: Setup, side: Side, prevalence: float) -> tuple[Edit, Edit]:
    """Of the planted and of the control twin, which lacks the probe only."""
    probe = setup.probe
    if setup.removal is not None:
        base = str(described(setup.removal)["edit"])
        return Replant(probe, (side,), prevalence, base), setup.removal
    if not artifact.together:
        return Plant(probe, (side,), prevalence), AS_IS
    planted = Together(tuple((one, (side,), prevalence) for one in artifact.probes))
    return planted, planted.without(probe)


def _found(detector: str, config: AuditConfig, setup: Setup) -> list[Question]:
    """On the side, of those that the detector learns from, where the artifact is found most."""
    share, removal = setup.share, setup.removal
    if share is None or removal is None:
        raise ValueError(f"{config.artifact.probe} isn't found but planted")
    learns_from = sides_learned(detector, setup)
    side = max(learns_from, key=lambda one: share[one])
    how = "transplanted-from" if setup.transplanted else "found-on"
    about = (
        config.data.dataset,
        setup.data.nominal_class,
        detector,
        config.artifact.probe,
        f"{how}-{side}",
        share[side],
    )
    bearing = None if setup.transplanted else setup.pairs[side].bearing
    count = 0 if bearing is None else int(bearing.sum())
    reason = None
    if share[side] == 0:
        reason = f"{IDENTICAL}: no {side} training image, from which {detector} learns, bears it"
    elif (obstacle := setup.obstacles.get(DIRECTIONS[f"{how}-{side}"].changed)) is not None:
        reason = obstacle
    elif not setup.transplanted and count < MIN_TEST:
        reason = (
            f"{count} {side} test image(s) bear it, and at least {MIN_TEST} are needed to see what its "
            "removal does"
        )
    if reason is not None:
        return [Question(*about, obstacle=reason)]
    planted, control = twins(detector, AS_IS, removal, config.design.most_pairs)
    searched = isinstance(setup.artifact, Promoted)
    return [Question(*about, planted, control, bearing=bearing, searched=searched)]


def twins(
    detector: str, planted: Edit, control: Edit, seeds: int
) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
    """The planted and the control cells of seeds 0 to `seeds` - 1."""
    return (
        tuple(Cell(detector, seed, planted) for seed in range(seeds)),
        tuple(Cell(detector, seed, control) for seed in range(seeds)),
    )


def check_trainable(config: AuditConfig, setup: Setup) -> None:
    """Say now what would stop a cell later."""
    data = setup.data
    for detector in config.detector.detectors:
        learns = DETECTORS[detector].learns_from
        if "anomalous" in learns and not (len(data.train_anomalous) or own_kind(detector)):
            raise InputError(
                f"{detector} learns from training anomalies and '{data.name}' has none; add "
                "train/anomalous or --oe, or leave out " + detector
            )
        model = setup.untrained(detector, 0)
        reasons = {name: one.unavailable(model) for name, one in setup.make_explainers(detector).items()}
        if reasons and None not in reasons.values():
            raise InputError(
                f"none of the explainers {', '.join(reasons)} works on {detector}: "
                f"{next(iter(reasons.values()))}; add another with --explainer"
            )


def training_notes(config: AuditConfig, setup: Setup) -> list[str]:
    """What a reader must know of detectors that the user's own code trains, and of masks of true anomalies in
    the training data."""
    own = [own_kind(detector) for detector in config.detector.detectors]
    notes = [note for kind in own if kind is not None for note in kind.notes()]
    if setup.data.train_anomalous.masks is None:
        return notes
    for detector in config.detector.detectors:
        model = setup.untrained(detector, 0)
        if model.uses_masks:
            notes.append(
                f"{detector} is trained with masks of the anomalies: it is told that what lies outside them, "
                "an artifact planted there too, is nominal. So it is no cue for it, unlike for detectors "
                "without masks."
            )
        elif config.data.masks_per_defect and "supervision" in options_of(DETECTORS[detector]):
            notes.append(f"{detector} doesn't use the masks; --set {detector}.supervision=pixel makes it.")
    return notes
