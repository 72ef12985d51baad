"""What an audit of twins would take."""

from __future__ import annotations

from dataclasses import dataclass

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.files import check_writable
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.experiment.cells import cell_key
from fcdd_audit.experiment.engines import default_workers
from fcdd_audit.experiment.estimate import seconds_a_step, seconds_to_explain
from fcdd_audit.experiment.explaining import EXAMPLES
from fcdd_audit.experiment.plan import planned_cells
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import RunStore


@dataclass(frozen=True)
class Estimate:
    """What a run would take, over all nominal classes. `seconds` and `megabytes` are rough."""

    cells: int
    finished: int
    images: dict[str, int]
    seconds: float
    megabytes: float

    def lines(self) -> list[str]:
        """For people."""
        images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in self.images.items())
        return [
            f"cells   {self.cells}, of which {self.finished} finished",
            f"images  {images}",
            f"time    about {self.seconds:.0f} s",
            f"disk    about {self.megabytes:.0f} MB",
        ]


def estimate(config: AuditConfig, quiet: bool = True) -> Estimate:
    """Plan an audit without running it; trains each detector for a moment to learn its speed.

    Images that have to be decoded first are, and stay in the cache; a bar on stderr unless `quiet`.
    """
    run = RunStore(config.run.out / config.run_name)
    check_writable(run.path)
    parts: list[Estimate] = []
    per_step: dict[str, float] = {}
    measuring: dict[str, float] = {}
    for nominal_class in config.nominal_classes():
        setup = prepare(config, nominal_class, progress=not quiet)
        cells = planned_cells(plan(config, setup))
        waiting = [cell for cell in cells if not run.has_cell(cell_key(cell, setup))]
        workers = min(config.run.workers or default_workers(setup.device), max(len(waiting), 1))
        for name in {cell.detector for cell in waiting} - per_step.keys():
            per_step[name] = seconds_a_step(name, setup)
            measuring[name] = seconds_to_explain(name, setup)
        steps = length_of(setup.recipe.optimisation, len(setup.data.train_nominal)).steps
        # A fifth more than training for scoring, 2 s for writing.
        seconds = sum(
            per_step[cell.detector] * steps * 1.2 + measuring[cell.detector] + 2 for cell in waiting
        )
        height, width = setup.data.shape[1:]
        maps = 2 * EXAMPLES * len(setup.explainers) * height * width * 2
        masks = sum(len(one.pairs) for one in setup.shown() if one.mask is not None)
        rows = 3 * masks * len(setup.explainers)  # on two kinds of mask, and untrained with every other cell
        parts.append(
            Estimate(
                cells=len(cells),
                finished=len(cells) - len(waiting),
                images={part: len(images) for part, images in setup.data.parts().items()},
                seconds=seconds / workers,
                megabytes=len(waiting) * (maps + 150 * rows + 2e6) / 1e6,
            )
        )
    return Estimate(
        cells=sum(part.cells for part in parts),
        finished=sum(part.finished for part in parts),
        images={name: sum(part.images[name] for part in parts) for name in parts[0].images},
        seconds=sum(part.seconds for part in parts),
        megabytes=sum(part.megabytes for part in parts),
    )
