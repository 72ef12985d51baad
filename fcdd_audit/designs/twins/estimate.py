"""What an audit of twins would take, and what of it is there already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.files import check_writable
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.edits.base import in_words
from fcdd_audit.experiment.devices import default_workers
from fcdd_audit.experiment.estimate import seconds_a_step, seconds_to_explain
from fcdd_audit.experiment.explaining import EXAMPLES
from fcdd_audit.experiment.plan import planned_work
from fcdd_audit.experiment.reuse import Reuse, reuse
from fcdd_audit.experiment.setup import Setup, prepare
from fcdd_audit.experiment.writer import RunWriter


@dataclass(frozen=True)
class Group:
    """Cells of a detector that are trained on the same edit of the images, over all seeds and classes.

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
    """What a run would take, over all nominal classes. `seconds` and `megabytes` are rough.

    groups: the cells. why: in what similar records differ that can't be used, and how often.
    """

    groups: tuple[Group, ...]
    why: dict[str, int]
    images: dict[str, int]
    seconds: float
    megabytes: float

    def lines(self) -> list[str]:
        """For people."""
        images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in self.images.items())
        return [
            *(f"cells     {group.line()}" for group in self.groups),
            *(f"not used  {count} x {reason}" for reason, count in self.why.items()),
            f"images    {images}",
            f"time      about {self.seconds:.0f} s",
            f"disk      about {self.megabytes:.0f} MB",
        ]


def estimate(config: AuditConfig, quiet: bool = True) -> Estimate:
    """Plan an audit without running it; trains each detector for a moment to learn its speed.

    Images that have to be decoded first are, and stay in the cache; a bar on stderr unless `quiet`.
    """
    folder = RunWriter.at(config.run.out / config.run_name, config.run.store)
    check_writable(folder.path)
    check_writable(folder.store.path, "--store")
    parts: list[Estimate] = []
    speeds: dict[str, tuple[float, float]] = {}
    for nominal_class in config.nominal_classes():
        setup = prepare(config, nominal_class, progress=not quiet)
        found = reuse(planned_work(plan(config, setup), setup).values(), setup, folder.store)
        parts.append(_part(config, setup, found, speeds))
    return Estimate(
        groups=_together([group for part in parts for group in part.groups]),
        why=dict(sum((Counter(part.why) for part in parts), Counter[str]())),
        images={name: sum(part.images[name] for part in parts) for name in parts[0].images},
        seconds=sum(part.seconds for part in parts),
        megabytes=sum(part.megabytes for part in parts),
    )


def _together(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Those that are of the same detector and edit as one."""
    sums: dict[tuple[str, str, bool], list[int]] = {}
    for one in groups:
        counts = sums.setdefault((one.detector, one.edit, one.trained), [0, 0, 0, 0])
        own = one.cells, one.to_train, one.to_measure, one.failed
        counts[:] = map(sum, zip(counts, own, strict=True))
    return tuple(Group(*key, *counts) for key, counts in sums.items())


def _part(
    config: AuditConfig, setup: Setup, found: Reuse, speeds: dict[str, tuple[float, float]]
) -> Estimate:
    """One nominal class. speeds: by detector, seconds a step and to explain with all explainers; is added
    to."""
    waiting = {work: one for work, one in found.missing.items() if one.trained or one.measured}
    for name in {work.cell.detector for work in waiting} - speeds.keys():
        speeds[name] = seconds_a_step(name, setup), seconds_to_explain(name, setup)
    steps = length_of(setup.recipe.optimisation, len(setup.data.train_nominal)).steps
    seconds, megabytes = 0.0, 0.0
    height, width = setup.data.shape[1:]
    rows = 2 * sum(len(one.order) for one in setup.marked if one.measured)  # on two kinds of mask
    for work, one in waiting.items():
        per_step, explaining = speeds[work.cell.detector]
        share = len({*one.explained, *one.checked}) / max(1, len(setup.explainers))
        # A fifth of a training for scoring, 2 s for writing.
        seconds += per_step * steps * (one.trained + 0.2 * one.scored) + explaining * share + 2 * one.trained
        megabytes += 2 * one.trained + 0.1 * one.scored
        megabytes += len(one.explained) * (2 * EXAMPLES * height * width * 2 + 150 * rows) / 1e6
    workers = min(config.run.workers or default_workers(setup.device), max(len(waiting), 1))
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
        seconds=seconds / workers,
        megabytes=megabytes,
    )
