"""What an audit of twins would take, and what of it is there already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable
from fcdd_audit.core.text import duration
from fcdd_audit.designs.twins.looking import explained_at
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.designs.twins.remedied import case_of
from fcdd_audit.detectors.training.schedule import Length, length_of
from fcdd_audit.edits.base import in_words
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import default_workers
from fcdd_audit.experiment.estimate import images_checked, seconds_a_step, seconds_an_image
from fcdd_audit.experiment.explaining import KEPT
from fcdd_audit.experiment.identity import trained
from fcdd_audit.experiment.plan import Question, planned_work
from fcdd_audit.experiment.records import key_of
from fcdd_audit.experiment.reuse import Reuse, reuse
from fcdd_audit.experiment.setup import Setup, prepare, subjects
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Missing, Work, explained_images
from fcdd_audit.experiment.writer import RunWriter
from fcdd_audit.models.own import own_kind
from fcdd_audit.remedies import REMEDIES, make_remedy, mending

Speeds = dict[str, tuple[float, float]]  # by detector, seconds a training step and to explain an image
Planned = dict[int, set[str]]  # by number of pairs, keys of what is trained for questions before


@dataclass(frozen=True)
class Group:
    """Cells of a detector that are trained on the same edit of the images, over all seeds, classes and
    artifacts.

    edit: in words. trained: False: the networks before training, which are only explained. to_train,
    to_measure: how many of the cells aren't in the store yet, trained, or with all measurements. failed: how
    many failed before, and aren't tried again.
    """

    detector: str
    edit: str
    trained: bool
    cells: int
    to_train: int
    to_measure: int
    failed: int

    def line(self) -> str:
        """For people."""
        if not self.trained:
            return f"{self.detector}, before training: {self.to_measure} of {self.cells} to measure"
        again = self.cells - self.to_train - self.failed
        failed = f"; {self.failed} failed before and would fail again" if self.failed else ""
        return (
            f"{self.detector}, {self.edit}: {again} of {self.cells} used again, {self.to_train} to train, "
            f"{self.to_measure} to measure{failed}"
        )


@dataclass(frozen=True)
class Estimate:
    """What a run would take, over all nominal classes and artifacts, were every question asked at every look;
    what is settled before needs less. `seconds` and `megabytes` are rough.

    groups: the cells. why: in what similar records differ that can't be used, and how often. lengths: of the
    trainings, where they differ between nominal classes each. a_pair: by detector of which something is
    missing, the seconds that a pair of twins is trained on one core. looks: by number of pairs, the seconds
    until they are judged. remedies: seconds more to try all remedies that are asked for after the first look,
    were the score to rely on the artifact in every question.
    """

    groups: tuple[Group, ...]
    why: dict[str, int]
    images: dict[str, int]
    lengths: tuple[Length, ...]
    a_pair: dict[str, float]
    looks: dict[int, float]
    megabytes: float
    remedies: float = 0.0

    @property
    def seconds(self) -> float:
        """Until the last look."""
        return max(self.looks.values())

    def lines(self) -> list[str]:
        """For people."""
        images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in self.images.items())
        looks = "; ".join(f"{pairs} pairs: {duration(seconds)}" for pairs, seconds in self.looks.items())
        a_pair = ", ".join(f"{name} {duration(seconds)}" for name, seconds in self.a_pair.items())
        return [
            *(f"cells     {group.line()}" for group in self.groups),
            *(f"not used  {count} x {reason}" for reason, count in self.why.items()),
            f"images    {images}",
            f"training  {' or '.join(map(str, self.lengths))}"
            + (f"; a pair of twins, on one core: {a_pair}" if a_pair else ""),
            f"time      about {duration(self.seconds)}"
            if len(self.looks) == 1
            else f"time      judged after {looks}, whichever settles all",
            *([f"remedies  up to {self.remedies:.0f} s more, where scores rely"] if self.remedies else []),
            f"disk      about {self.megabytes:.0f} MB",
        ]


def estimate(config: AuditConfig, quiet: bool = True) -> Estimate:
    """Plan an audit without running it; trains each detector for a moment to learn its speed.

    Images that have to be decoded first are, and stay in the cache; a bar on stderr unless `quiet`.
    InputError for the user's own training code, of which nothing is known before it runs.
    """
    for name in config.detector.detectors:
        if own_kind(name) is not None:
            raise InputError(
                f"what {name} takes can't be estimated, since your own code trains it; run the audit, with "
                "--seeds 1 to see what a pair takes"
            )
    folder = RunWriter.at(config.run.out / config.run_name, config.run.store)
    check_writable(folder.path)
    check_writable(folder.store.path, "--store")
    parts: list[Estimate] = []
    images: Counter[str] = Counter()
    speeds: Speeds = {}
    planned: Planned = {look.pairs: set() for look in config.design.looks}
    for nominal_class in config.nominal_classes():
        for subject in subjects(config):
            setup = prepare(config, nominal_class, progress=not quiet, subject=subject)
            parts.append(_part(config, setup, folder.store, speeds, planned))
        images.update(parts[-1].images)
    return Estimate(
        groups=_together([group for part in parts for group in part.groups]),
        why=dict(sum((Counter(part.why) for part in parts), Counter[str]())),
        images=dict(images),
        lengths=tuple(dict.fromkeys(length for part in parts for length in part.lengths)),
        a_pair={name: seconds for part in parts for name, seconds in part.a_pair.items()},
        looks={pairs: sum(part.looks[pairs] for part in parts) for pairs in parts[0].looks},
        megabytes=sum(part.megabytes for part in parts),
        remedies=sum(part.remedies for part in parts),
    )


def estimated_seconds(
    config: AuditConfig, setup: Setup, store: Store, works: Iterable[Work], speeds: Speeds
) -> float:
    """What the work would take with all its workers. speeds: is added to."""
    return _cost(config, setup, reuse(works, setup, store), speeds)[0]


def _together(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Those that are of the same detector and edit as one."""
    sums: dict[tuple[str, str, bool], list[int]] = {}
    for one in groups:
        counts = sums.setdefault((one.detector, one.edit, one.trained), [0, 0, 0, 0])
        own = one.cells, one.to_train, one.to_measure, one.failed
        counts[:] = map(sum, zip(counts, own, strict=True))
    return tuple(Group(*key, *counts) for key, counts in sums.items())


def _cost(config: AuditConfig, setup: Setup, found: Reuse, speeds: Speeds) -> tuple[float, float]:
    """Seconds and megabytes of what is missing."""
    waiting = {work: one for work, one in found.missing.items() if one.trained or one.measured}
    for name in {work.cell.detector for work in waiting} - speeds.keys():
        speeds[name] = seconds_a_step(name, setup), seconds_an_image(name, setup)
    steps = _length(setup).steps
    seconds, megabytes = 0.0, 0.0
    height, width = setup.data.shape[1:]
    for work, one in waiting.items():
        per_step, an_image = speeds[work.cell.detector]
        images = explained_images(work, setup) * len(setup.marked)
        maps = images * len(one.explained)
        if one.checked:
            maps += images_checked(work.cell.detector, setup) * len(one.checked)
        # A fifth of a training for scoring, 2 s for writing.
        training = one.trained * _slower(work.cell)
        seconds += per_step * steps * (training + 0.2 * one.scored) + 2 * one.trained
        maps += explained_images(work, setup) * len(one.lowered)
        seconds += an_image * maps / max(1, len(work.explainers))
        megabytes += 2 * one.trained + 0.1 * one.scored
        rows = 2 * images  # on two kinds of mask
        megabytes += len(one.explained) * (2 * KEPT * height * width * 2 + 150 * rows) / 1e6
    workers = min(config.run.workers or default_workers(setup.device), max(len(waiting), 1))
    return seconds / workers, megabytes


def _slower(cell: Cell) -> float:
    """How many times as long as a plain training a cell's takes."""
    return 1.0 if cell.term is None else REMEDIES[cell.term.remedy].slower


def _length(setup: Setup) -> Length:
    return length_of(setup.recipe.optimisation, len(setup.data.train_nominal))


def _once(found: Reuse, setup: Setup, planned: set[str]) -> Reuse:
    """Without the trainings that are among those planned before. planned: is added to."""
    missing: dict[Work, Missing] = {}
    for work, one in found.missing.items():
        key = key_of(trained(work.cell, setup))
        missing[work] = replace(one, trained=one.trained and key not in planned)
        planned.add(key)
    return replace(found, missing=missing)


def _part(config: AuditConfig, setup: Setup, store: Store, speeds: Speeds, planned: Planned) -> Estimate:
    """One nominal class and artifact. speeds, planned: are added to."""
    questions = plan(config, setup)
    looks = {}
    for look in config.design.looks:
        asked = [question.first(look.pairs) for question in questions]
        works = planned_work(asked, setup, explained_at(look.pairs, config))
        found = _once(reuse(works.values(), setup, store), setup, planned[look.pairs])
        looks[look.pairs], megabytes = _cost(config, setup, found, speeds)
    return Estimate(
        groups=_together(
            [
                Group(
                    work.cell.detector,
                    in_words(work.cell.edit),
                    work.cell.trained,
                    1,
                    one.trained,
                    one.measured,
                    one.failed,
                )
                for work, one in found.missing.items()
            ]
        ),
        why=dict(found.why),
        images={part: len(images) for part, images in setup.data.parts().items()},
        lengths=(_length(setup),),
        a_pair={name: 2 * a_step * _length(setup).steps for name, (a_step, _) in speeds.items()},
        looks=looks,
        megabytes=megabytes,
        remedies=_remedies(config, setup, questions, store, speeds),
    )


def _remedies(
    config: AuditConfig, setup: Setup, questions: Sequence[Question], store: Store, speeds: Speeds
) -> float:
    """Seconds for remedied twins of the pairs of the first look."""
    first = config.design.looks[0].pairs
    works = []
    for question in questions:
        pairs = question.first(first).planted
        if not pairs:
            continue
        case = case_of(setup, pairs[0], question)
        for name in config.remedies:
            remedy = make_remedy(name, config.options)
            if remedy.unfit(case) is not None:
                continue
            for planted in pairs:
                edit, term = mending(name, remedy, planted.edit, question.probe)
                works.append(Work(replace(planted, edit=edit, term=term), (), explained=0))
    return _cost(config, setup, reuse(works, setup, store), speeds)[0]
