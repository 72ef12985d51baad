"""Audits from Python, of a model and images that are handed over."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.auditing import AuditResult, run_audit, write_audit
from fcdd_audit.config.audit import AuditConfig, make_config
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets import AuditData, ImageSet
from fcdd_audit.datasets.base import check_parts
from fcdd_audit.datasets.folder import VALIDATION_SHARE
from fcdd_audit.datasets.handed import HANDED, handing
from fcdd_audit.designs.finished.loading import assemble, opened_model
from fcdd_audit.designs.finished.run import examine
from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.images.handed import image_sets
from fcdd_audit.images.reading import Reading
from fcdd_audit.models import open_model, wrap
from fcdd_audit.models.own import own_training
from fcdd_audit.report.glossary import read_results
from fcdd_audit.report.inline import inline
from fcdd_audit.verdict.findings import Finding

NAME = "audit"
REFUSED = {"dataset", "data_root", "nominal_class", "oe", "model", "weights", "detector", "detectors", "name"}


@dataclass(frozen=True)
class Audit:
    """An audit from Python. result: what was found; its folder is temporary where none was asked for, and is
    there as long as this object is."""

    result: AuditResult
    kept_by: tempfile.TemporaryDirectory[str] | None

    @property
    def findings(self) -> list[Finding]:
        """One for each side of the images, or, of twins, for each question."""
        return self.result.findings

    @property
    def frame(self) -> pd.DataFrame:
        """All numbers, one a row: results.csv (docs/files.md)."""
        return read_results(RunFolder(self.result.folder))

    def to_html(self, path: str | Path) -> Path:
        """Write the report, one file that needs no other, and return its path. OSError if it can't be."""
        return Path(shutil.copyfile(self.result.report, Path(path).expanduser()))

    def _repr_html_(self) -> str:
        """The verdicts, for a notebook."""
        return inline(self.result.as_json())


def audit(
    model: object = None,
    nominal: Any = None,
    anomalous: Any = None,
    artifact: str = "watermark",
    *,
    validation: Any = None,
    image_size: int | None = None,
    name: str | None = None,
    fit: Callable[..., object] | None = None,
    train_nominal: Any = None,
    train_anomalous: Any = None,
    out: str | Path | None = None,
    progress: bool = False,
    **settings: Any,
) -> Audit:
    """Audit a finished detector, or, with `fit`, what training code makes.

    model: scores images, higher is more anomalous: a callable, an `nn.Module`, an estimator, an object with
    `score`, or what `--model` names (docs/models.md). nominal, anomalous: test images: an array or tensor
    (N, C, H, W), (N, H, W, C) or (N, H, W), uint8 or floats in [0, 1]; a list of images or paths; a folder; a
    torch Dataset, whose items are images or tuples that begin with one. artifact: a probe, or `region` or
    `mask`.

    validation: nominal images that set the threshold; without them, and without `threshold=`, a third of the
    nominal images is held out for it. image_size: to which all images are resized, in px. name: of the
    detector, in tables.

    fit: (nominal, anomalous, seed), uint8 (N, C, H, W), to a model; twins are trained with it, with and
    without the artifact. train_nominal, train_anomalous: what it is trained on.

    A module is put into evaluation mode, and moved to `device`. out: folder for the run's files; None: a
    temporary one. progress: bars on stderr. settings: any others, as `make_config` takes them: threshold,
    explainer, placebos, dose, mean, std, trust_model, device, options; of twins also prevalence, plant_on,
    seeds, max_seeds.

    InputError for what can't be audited, RunError for what fails on the way.
    """
    own = None if out is not None else tempfile.TemporaryDirectory(prefix="fcdd-audit-")
    folder = Path(own.name) / NAME if out is None else Path(out).expanduser()  # type: ignore[union-attr]
    given = {
        "probe": artifact,
        "image_size": image_size,
        "dataset": HANDED,
        "out": folder.absolute().parent,
        "name": folder.name,
        **settings,
    }
    if refused := set(settings) & REFUSED:
        raise InputError(
            f"audit() takes no {sorted(refused)[0]}: images and model are handed over; leave it out, or use "
            "run_audit"
        )
    if not isinstance(artifact, str):
        raise InputError(f"artifact is {artifact!r}; name a probe, or region or mask")
    if (model is None) == (fit is None):
        raise InputError("audit() takes a model, or fit= to train some; give one of them")
    if nominal is None or anomalous is None:
        raise InputError("audit() needs nominal and anomalous test images; give both")
    parts = {"test_nominal": nominal, "test_anomalous": anomalous, "validation": validation}
    if fit is None:
        result = _finished(model, name, parts, given, progress)
    else:
        parts |= {"train_nominal": train_nominal, "train_anomalous": train_anomalous}
        result = _twins(fit, name, parts, given, progress)
    return Audit(result, own)


def _finished(
    model: object,
    name: str | None,
    parts: dict[str, Any],
    given: dict[str, Any],
    progress: bool,
) -> AuditResult:
    called = name or (model if isinstance(model, str) else _name_of(model))
    config = make_config(given, model=called)
    detector, device = config.detector, config.resolve_device()
    scaled: dict[str, Any] = {"device": device, "mean": detector.mean, "std": detector.std}
    if isinstance(model, str):
        opened = open_model(model, trust=detector.trust_model, **scaled)
    else:
        opened = wrap(model, name=called, **scaled)
    height, width = opened.shape[1:]
    data = _data(parts, height if height == width else None, config, progress)
    ready = opened_model(opened, called, data, config, device)
    loaded = assemble(config, ready, data, not progress)
    return write_audit(config, lambda store: examine(config, loaded, store, not progress))


def _twins(
    fit: Callable[..., object],
    name: str | None,
    parts: dict[str, Any],
    given: dict[str, Any],
    progress: bool,
) -> AuditResult:
    if parts["train_nominal"] is None:
        raise InputError(
            "fit= needs training images; give train_nominal=, and train_anomalous= if there are any"
        )
    with own_training(fit, name) as detector:
        config = make_config(given, detector=detector)
        with handing(_data(parts, None, config, progress)):
            return run_audit(config, quiet=not progress)


def _name_of(model: object) -> str:
    return getattr(model, "__name__", None) or type(model).__name__


def _data(parts: dict[str, Any], size: int | None, config: AuditConfig, progress: bool) -> AuditData:
    """The images of all parts. size: theirs, where none was asked for. Without validation images, a fifth of
    the nominal training images is held out, if there are any."""
    notes: list[str] = []
    reading = Reading(config.data.cache, config.data.skip_corrupt, config.data.bit_depth, progress)
    there = {part: images for part, images in parts.items() if images is not None}
    found = image_sets(there, config.data.image_size or size, reading, notes)
    none = ImageSet(found["test_nominal"].images[:0], ())
    train, validation = found.get("train_nominal", none), found.get("validation", none)
    if len(train) and not len(validation):
        order = numpy_generator(0, "validation").permutation(len(train)).tolist()
        held = max(1, round(VALIDATION_SHARE * len(train)))
        train, validation = train.take(sorted(order[held:])), train.take(sorted(order[:held]))
    data = AuditData(
        name=HANDED,
        nominal_class="nominal",
        train_nominal=train,
        train_anomalous=found.get("train_anomalous", none),
        validation=validation,
        test_nominal=found["test_nominal"],
        test_anomalous=found["test_anomalous"],
        notes=tuple(notes),
    )
    return check_parts(data, test_only="train_nominal" not in there)
