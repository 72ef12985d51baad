"""A discovery from start to end: load, search, write, render."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.config.audit import AuditConfig, make_config
from fcdd_audit.config.discovered import USED
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.core.versions import versions
from fcdd_audit.datasets.handed import HANDED
from fcdd_audit.discovery.candidates import Candidate
from fcdd_audit.discovery.discover import DRAWS, QUICK, SAMPLED, Discovery, Search
from fcdd_audit.discovery.discover import discover as search
from fcdd_audit.discovery.pasted import Score
from fcdd_audit.discovery.sides import FOLDER, WITHOUT_SIDES, Sides, sides_of_dataset
from fcdd_audit.discovery.written import Files, files_of
from fcdd_audit.experiment.devices import cores
from fcdd_audit.experiment.folder import DISCOVERY, SCHEMA
from fcdd_audit.experiment.writer import RunWriter
from fcdd_audit.images.handed import image_sets
from fcdd_audit.images.sets import told_apart
from fcdd_audit.models import open_model, wrap
from fcdd_audit.report import render_report
from fcdd_audit.report.inline import inline_candidates

OWN = re.compile(
    r"mark-[0-9]+\.png|masks-[0-9]+|(pictures|template)-[0-9]+\.npz"
)  # an older one may have had more
NAME = "discovery"
REFUSED = {"dataset", "data_root", "nominal_class", "name", "download"}  # by `discover`


@dataclass(frozen=True)
class Discovered:
    """A discovery, and where it is written.

    content: of candidates.json. kept_by: the temporary folder, where none was asked for; it is there as long
    as this object is.
    """

    found: Discovery
    folder: Path
    content: dict[str, Any]
    kept_by: tempfile.TemporaryDirectory[str] | None = None

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Best first."""
        return self.found.candidates

    @property
    def sure(self) -> tuple[Candidate, ...]:
        """Those whose family-wise p is at most 0.05."""
        return self.found.sure

    @property
    def frame(self) -> pd.DataFrame:
        """A row a candidate and side: id, kind, side, bearing, images, difference, p, null."""
        keys = ("id", "kind", "side", "bearing", "images", "difference", "p", "null")
        rows = [
            (one["id"], one["kind"], side, *counts, one["difference"], one["p"], one["null"])
            for one in self.content["candidates"]
            for side, counts in one["counts"].items()
        ]
        return pd.DataFrame(rows, columns=list(keys))

    def as_json(self) -> dict[str, Any]:
        """The content of candidates.json."""
        return self.content

    def to_html(self, path: str | Path) -> Path:
        """Write the page, one file that needs no other, and return its path. OSError if it can't be."""
        return Path(shutil.copyfile(self.report, Path(path).expanduser()))

    def _repr_html_(self) -> str:
        """The candidates, for a notebook."""
        return inline_candidates(self.content)


def discover(
    images: Any,
    anomalous: Any = None,
    *,
    image_size: int | None = None,
    draws: int = DRAWS,
    sample: int = SAMPLED,
    sensitivity: bool = True,
    corners: bool = True,
    model: object = None,
    seed: int = 0,
    quick: bool = False,
    out: str | Path | None = None,
    progress: bool = False,
    **settings: Any,
) -> Discovered:
    """Search images for artifacts that nobody named: marks that repeat, near-copies, and how the sides were
    made.

    images: those that are searched, or, with `anomalous`, the nominal ones; forms as in `audit`. A folder by
    itself may have sides: train/nominal and train/anomalous. image_size: to which all images are resized, in
    px; images in memory stay as they are without, and have to be square.

    draws: null searches; the least p is 1 / (1 + draws). sample: so many images of a side are compared with
    each other, at most; all are matched with what was found. sensitivity: also search for marks that are put
    on the images, to say what could have been found; the first side is then compared thrice. corners: also
    search corners and edges of files that are larger than the images, at their own scale. model: a
    detector, forms as in `audit`; windows of one side are also pasted on the other's images, to see what
    moves its scores. The same seed gives the same result. quick: search as every audit does: brightness
    alone, images of at most 48 px, 192 of a side; it sets draws, sample and sensitivity. out: folder for the
    files; None: a temporary one. progress: a bar on stderr. settings: how files are read: bit_depth,
    skip_corrupt, cache, oe; and how the model is: mean, std, trust_model, device.

    InputError for what can't be searched.
    """
    model = os.fspath(model) if isinstance(model, os.PathLike) else model
    own = None if out is not None else tempfile.TemporaryDirectory(prefix="fcdd-audit-")
    folder = Path(own.name) / NAME if out is None else Path(out).expanduser()  # type: ignore[union-attr]
    if refused := {*settings} & REFUSED | {*settings} - USED:
        raise InputError(f"discover() takes no {min(refused)}; leave it out")
    given: dict[str, Any] = {
        "image_size": image_size,
        "model": model if isinstance(model, str) else None,
        "out": folder.absolute().parent,
        "name": folder.name,
        **settings,
    }
    if quick and (draws, sample, sensitivity) != (DRAWS, SAMPLED, True):
        raise InputError("quick sets draws, sample and sensitivity; leave it out, or them")
    asked = replace(QUICK, seed=seed) if quick else Search(draws, sample, sensitivity, seed, corners=corners)
    if anomalous is None and isinstance(images, str | Path):
        config = make_config(given, dataset=FOLDER, data_root=images)
        sides = _loaded(config, progress)
    else:
        config = make_config(given, dataset=HANDED)
        sides = _handed(images, anomalous, config, image_size, progress)
    result = write_discovery(config, sides, asked, quiet=not progress, score=_score(config, model))
    return Discovered(result.found, result.folder, result.content, own)


def run_discovery(config: AuditConfig, asked: Search, quiet: bool = True) -> Discovered:
    """Search a data set, and write the folder `out`/`name`, by default discover-DATASET.

    Progress goes to stderr unless `quiet`. InputError for what can't be searched, RunError for what fails on
    the way; the files of an older discovery stay then.
    """
    check_writable(_folder(config))
    score = _score(config, config.detector.model)
    return write_discovery(config, _loaded(config, not quiet), asked, quiet, score)


def write_discovery(
    config: AuditConfig, sides: Sides, asked: Search, quiet: bool = True, score: Score | None = None
) -> Discovered:
    """Search these images, and write the folder. score: of a detector, on the configured device. Errors as
    `run_discovery`."""
    started = time.perf_counter()
    path = _folder(config)
    check_writable(path)
    _check_free(path)
    sides = sides.enough()
    asked = replace(asked, few_photographs=sides.few_photographs)
    folder = RunWriter.at(path)
    with folder.opened():
        with progress_bar(not quiet, desc="search", unit="step") as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            found = search(
                dict(sides.images),
                asked,
                galleries=sides.galleries,
                score=score,
                device=config.resolve_device(),
                advance=advance,
            )
        files = files_of(found, sides, config.data.dataset)
        described = {
            "schema": SCHEMA,
            "run": path.name,
            "design": DISCOVERY,
            "config": {
                "data": config.data.model_dump(mode="json"),
                "discovery": asdict(asked)
                | {name: getattr(config.detector, name) for name in ("model", "mean", "std", "trust_model")},
                "run": {"out": config.run.out.as_posix()},
            },
            "shape": list(next(iter(sides.images.values())).images.shape[1:]),
            "fingerprints": {side: one.content()[:16] for side, one in sides.images.items()},
            "versions": versions(),
            "device": {"system": f"{platform.system()} {platform.machine()}", "cores": cores()},
            "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            "seconds": round(time.perf_counter() - started, 1),
        }
        _write(folder, files, described)
    return Discovered(found, path, files.content)


def _score(config: AuditConfig, model: object) -> Score | None:
    """The scores of a model, on the configured device; None without one. InputError if it can't be opened."""
    if model is None:
        return None
    detector, device = config.detector, config.resolve_device()
    if isinstance(model, str):
        opened = open_model(
            model, device=device, mean=detector.mean, std=detector.std, trust=detector.trust_model
        )
    else:
        opened = wrap(model, name=type(model).__name__, device=device, mean=detector.mean, std=detector.std)
    return opened.score


def _folder(config: AuditConfig) -> Path:
    return config.run.out / (config.run.name or f"discover-{config.data.dataset}")


def _check_free(path: Path) -> None:
    """InputError if the folder is an audit's."""
    with _unread():
        if json.loads((path / "config.json").read_text(encoding="utf-8"))["design"] != DISCOVERY:
            raise InputError(f"'{path}' holds an audit; choose another --name or --out")


@contextmanager
def _unread() -> Iterator[None]:
    """What isn't there, or isn't whole, is written anew."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError):
        return


def _write(folder: RunWriter, files: Files, described: dict[str, Any]) -> None:
    older = [one.name for one in folder.path.iterdir() if OWN.fullmatch(one.name)]
    with folder.replacing(*older) as draft:
        for name, content in files.binary.items():
            draft.write_bytes(name, content)
        draft.write_json("config.json", described)
        render_report(draft.path)


def _loaded(config: AuditConfig, progress: bool) -> Sides:
    classes = config.nominal_classes()
    if len(classes) > 1:
        raise InputError(
            f"a discovery searches one nominal class at a time, and {len(classes)} are named; give one with "
            "--nominal-class"
        )
    return sides_of_dataset(config.data.dataset, config.data_request(classes[0], progress))


def _handed(images: Any, anomalous: Any, config: AuditConfig, size: int | None, progress: bool) -> Sides:
    data = config.data
    reading = config.data_request(progress=progress).reading
    notes: list[str] = []
    if data.oe is not None:
        raise InputError("discover() takes oe for a folder only; hand the images over as anomalous=")
    given = {WITHOUT_SIDES: images} if anomalous is None else {"nominal": images, "anomalous": anomalous}
    return Sides(told_apart(image_sets(given, size, reading, notes)), tuple(notes))
