"""Where the seconds of an audit go: decoding, training, scoring, explaining, measuring, judging, records.

python benchmarks/shares.py [--case default] [--device cpu]
python benchmarks/shares.py --case horses --data DIR [--steps 10] [--device cpu]

Other settings of an audit are given as --name=value, such as --batch_size=16.
Prints the seconds and the share of each part, of (default) the default audit, or of (horses) an audit of
VOC's horses at 224 px with the paper's network, whose DIR is that of benchmarks/voc_horses.py: 657 test
images. All is done in this process, with an empty store and a new cache, and the package is timed from
outside: a second belongs to the innermost part. On a GPU the parts' borders wait for it.
Of `horses` the training is cut to --steps, since it takes hours on a CPU; so the shares are printed as they
were, and as they would be with the paper's number of steps at the same seconds a step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

from clock import OTHER, Clock, watching  # noqa: E402
from voc_horses import lay_out_dose, shared_settings  # noqa: E402

import fcdd_audit.designs.twins.run  # noqa: E402  # whoever calls what is timed must be imported
import fcdd_audit.report  # noqa: E402, F401
from fcdd_audit import make_config, run_audit  # noqa: E402
from fcdd_audit.config.audit import AuditConfig  # noqa: E402
from fcdd_audit.datasets import DATASETS  # noqa: E402
from fcdd_audit.detectors.training.schedule import length_of  # noqa: E402

TRAINING = "training"
PARTS = {
    "decoding and preparing": (
        "experiment.setup:prepare",
        "experiment.setup:Setup.trained_on",
        "experiment.setup:Setup.contents",
        "experiment.setup:Setup.untrained",
        "experiment.cells:before_training",
        "datasets.base:AuditData.fingerprint",
    ),
    TRAINING: ("detectors.training.loop:fit_stack",),
    "scoring": ("experiment.cells:score",),
    "explaining": ("experiment.explaining:maps_of", "experiment.explaining:check_explainer"),
    "measuring": (
        "experiment.explaining:explain",
        "experiment.explaining:_overlaps",
        "experiment.lowering:lowering_rows",
    ),
    "judging and rendering": (
        "experiment.tables:evidence",
        "experiment.tables:results_table",
        "verdict.judge:judge",
        "designs.twins.run:_run_part",
        "report.page:render_report",
    ),
    "searching the images": (
        "discovery.origin:check_origin",
        "experiment.searched:quick_search",
    ),
    "records": (
        "experiment.store:Store.read",
        "experiment.store:Store.write",
        "experiment.trainings:load",
        "experiment.work:missing",
        "experiment.kept:maps_file",
        "experiment.kept:table_file",
        "experiment.kept:scores_file",
        "experiment.reading:read_question",
        "experiment.reading:read_heat",
    ),
}
TARGETS = [(part, f"fcdd_audit.{path}") for part, paths in PARTS.items() for path in paths]
# What a round of work does between its parts isn't judging.
TARGETS.append((OTHER, "fcdd_audit.experiment.finishing:Finisher.finish_all"))


@dataclass(frozen=True)
class Shares:
    """seconds: by part. steps: training steps of a detector, and how many the recipe has."""

    seconds: dict[str, float]
    steps: int
    whole: int

    def scaled(self) -> dict[str, float]:
        """The seconds with all steps of the recipe, as fast as those that were made."""
        more = self.whole / self.steps
        return {part: one * (more if part == TRAINING else 1) for part, one in self.seconds.items()}


def around(seconds: Mapping[str, float]) -> float:
    """The share of everything but training."""
    return 1 - seconds[TRAINING] / sum(seconds.values())


def timed(config: AuditConfig, whole: AuditConfig | None = None) -> Shares:
    """Run the audit in this process. whole: the same with the uncut recipe; None: it isn't cut."""
    clock = Clock()
    with watching(clock, TARGETS), clock.part(OTHER):
        run_audit(config)
    data = DATASETS[config.data.dataset]().load(config.data_request(config.nominal_classes()[0]))
    steps, all_steps = (
        length_of(one.detector.recipe.optimisation, len(data.train_nominal)).steps
        for one in (config, whole or config)
    )
    return Shares(dict(clock.seconds), steps, all_steps)


def default_shares(work: Path, changes: Mapping[str, Any]) -> Shares:
    """Of the default audit, with these settings."""
    return timed(make_config({"out": work / "runs", "cache": work / "cache", "workers": 1}, changes))


def horses_shares(data: Path, work: Path, steps: int, changes: Mapping[str, Any]) -> Shares:
    """Of an audit of the horses at 224 px with the paper's network, trained for so many steps, with these
    settings; the explainers are those of every audit."""
    settings = {**shared_settings(data, work), **lay_out_dose(data, work)}
    del settings["explainer"]
    settings |= {"preset": "paper", "detector": "fcdd", "seeds": 3, "prevalence": (1.0,), **changes}
    return timed(make_config(settings, {"steps": steps}), make_config(settings))


def table(found: Shares) -> str:
    """Seconds and shares, as they were, and with all steps."""
    scaled = found.scaled()
    columns = [found.seconds] if found.steps == found.whole else [found.seconds, scaled]
    lines = [
        f"{part:<24}"
        + "".join(f"{one[part]:>10.1f} s {100 * one[part] / sum(one.values()):>5.1f} %" for one in columns)
        for part in sorted(found.seconds, key=found.seconds.__getitem__, reverse=True)
    ]
    whole = "".join(f"{sum(one.values()):>10.1f} s        " for one in columns)
    apart = "".join(f"{100 * around(one):>18.1f} %" for one in columns)
    head = [] if len(columns) == 1 else [f"{'':<24}{found.steps:>12} steps{found.whole:>12} steps"]
    return "\n".join([*head, *lines, f"{'all':<24}{whole}", f"{'all but training':<24}{apart}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=("default", "horses"), default="default")
    parser.add_argument("--data", type=Path, help="of benchmarks/voc_horses.py, for --case horses")
    parser.add_argument("--steps", type=int, default=10, help="of a training of horses")
    parser.add_argument("--device", default="auto")
    options, more = parser.parse_known_args()
    if options.case == "horses" and options.data is None:
        parser.error("--case horses needs --data DIR")
    if unlike := [one for one in more if "=" not in one]:
        parser.error(f"what is '{unlike[0]}'? Settings are given as --name=value")
    changes = {"device": options.device, **dict(one.removeprefix("--").split("=", 1) for one in more)}
    print(f"imports: {time.perf_counter() - STARTED:.1f} s")
    with tempfile.TemporaryDirectory() as work:
        if options.case == "default":
            found = default_shares(Path(work), changes)
        else:
            found = horses_shares(options.data, Path(work), options.steps, changes)
    print(table(found))


if __name__ == "__main__":
    main()
