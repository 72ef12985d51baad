"""What is kept in the store of a finished detector: a trained record from elsewhere, and its measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.core.versions import versions
from fcdd_audit.designs.finished.loading import SEED, Loaded
from fcdd_audit.designs.finished.measuring import Measured
from fcdd_audit.detectors import DETECTORS, NETWORKS
from fcdd_audit.detectors.base import make_options
from fcdd_audit.experiment.devices import device_name
from fcdd_audit.experiment.identity import MEASURING as STAGE
from fcdd_audit.experiment.identity import foreign, options_with_defaults
from fcdd_audit.experiment.kept import MEASURING, OVERLAPS, SCORES, TRAINING, read_frame, table_file
from fcdd_audit.experiment.records import Identity, as_json, key_of, plain
from fcdd_audit.experiment.setup import drawn
from fcdd_audit.experiment.store import MEASURED, TRAINED, Place, Store
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.probes import make_probe
from fcdd_audit.probes.chain import probes_of

CLEAN = "clean"


@dataclass(frozen=True)
class Kept:
    """Where a finished detector's records are. trained: what it is. scored: with the artifact and placebos.
    explained: the same of the heatmaps' overlaps, by explainer."""

    trained: Place
    scored: Place
    explained: Mapping[str, Place]


def places_of(loaded: Loaded, config: AuditConfig) -> Kept:
    """Of the detector, artifact, placebos and test images of a run."""
    (name,), recipe = config.detector.detectors, config.detector.recipe
    trained = plain(
        {
            "weights": loaded.weights.sha256,
            "detector": name,
            "options": asdict(make_options(name, config.options.get(name, {}))),
            "recipe": {"network": recipe.network, "normalise": recipe.normalise},
            "shape": list(loaded.data.shape),
            "code": foreign(DETECTORS[name], NETWORKS[recipe.network]),
        }
    )
    probe = make_probe(config.artifact.probe, config.options)
    sides = {"nominal": loaded.data.test_nominal, "anomalous": loaded.data.test_anomalous}
    scored = plain(
        {
            "stage": STAGE,
            "of": key_of(trained),
            "images": {f"test {side}": images.content() for side, images in sides.items()},
            "artifact": drawn(probe, loaded.data.shape),
            "placebos": config.design.placebos,
            "seed": SEED,
            "code": foreign(*map(type, probes_of(probe))),
            "device": {"type": loaded.device.type, "name": device_name(str(loaded.device))},
        }
    )
    folder = f"{MEASURED}/{key_of(scored)}"
    explained = {one: _explained(key_of(scored), one, config) for one in loaded.explainers}
    return Kept(
        (f"{TRAINED}/{key_of(trained)}", trained),
        (folder, scored),
        {one: (f"{folder}/{one}-{key_of(found)}", found) for one, found in explained.items()},
    )


def _explained(of: str, explainer: str, config: AuditConfig) -> Identity:
    kind = EXPLAINERS[explainer]
    options = options_with_defaults(kind, config.options.get(explainer, {}))
    return plain(
        {"stage": STAGE, "of": of, "explainer": explainer, "options": options, "code": foreign(kind)}
    )


def keep(store: Store, kept: Kept, loaded: Loaded, found: Mapping[Side, Measured]) -> None:
    """Keep what was measured: the scores, and the overlaps of those explainers that were asked."""
    about = {MEASURING: as_json({"versions": versions()}).encode()}
    source = {"file": loaded.weights.file, "versions": versions()}
    store.write(kept.trained, {TRAINING: as_json(source).encode()})
    names = {"nominal": loaded.data.test_nominal.names, "anomalous": loaded.data.test_anomalous.names}
    if len(found["nominal"].clean):
        scores = [
            _rows(side, names[side], variant, "score", values)
            for side, one in found.items()
            for variant, values in zip(_variants(len(one.marked)), [one.clean, *one.marked], strict=True)
        ]
        store.write(kept.scored, {SCORES: table_file(pd.concat(scores)), **about})
    for explainer, overlaps in found["nominal"].overlaps.items():
        rows = [
            _rows("nominal", names["nominal"], variant, "pixel_auroc", values)
            for variant, values in zip(_variants(len(overlaps))[1:], overlaps, strict=True)
        ]
        store.write(kept.explained[explainer], {OVERLAPS: table_file(pd.concat(rows)), **about})


def read_kept(store: Store, kept: Kept) -> dict[Side, Measured] | None:
    """What is kept of it: the scores, and the overlaps that there are; None without scores."""
    scores = store.read(kept.scored)
    if scores is None:
        return None
    found = _by_variant(scores.files[SCORES], "score")
    explained = {one: store.read(place) for one, place in kept.explained.items()}
    overlaps = {
        one: np.stack([*_by_variant(record.files[OVERLAPS], "pixel_auroc")["nominal"].values()])
        for one, record in explained.items()
        if record is not None
    }
    return {
        side: Measured(
            found[side][CLEAN],
            np.stack([values for variant, values in found[side].items() if variant != CLEAN]),
            overlaps if side == "nominal" else {},
        )
        for side in SIDES
    }


def _variants(marks: int) -> list[str]:
    """Of the images with no mark, the artifact, and the other marks."""
    return [CLEAN, "marked", *(f"placebo-{place}" for place in range(1, marks))]


def _rows(side: Side, names: tuple[str, ...], variant: str, column: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"part": side, "image": names, "variant": variant, column: values})


def _by_variant(content: bytes, column: str) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for (side, variant), group in read_frame(content).groupby(["part", "variant"], sort=False):
        found.setdefault(str(side), {})[str(variant)] = group[column].to_numpy()
    return found
