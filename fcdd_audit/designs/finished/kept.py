"""What is kept in the store of a finished detector: a trained record from elsewhere, and its measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.sides import Side
from fcdd_audit.core.versions import versions
from fcdd_audit.designs.finished.loading import Loaded
from fcdd_audit.designs.finished.measuring import Measured
from fcdd_audit.designs.finished.tested import SEED
from fcdd_audit.experiment.devices import device_name
from fcdd_audit.experiment.identity import MEASURING as STAGE
from fcdd_audit.experiment.identity import foreign, options_with_defaults
from fcdd_audit.experiment.kept import MEASURING, OVERLAPS, SCORES, TRAINING, read_frame, table_file
from fcdd_audit.experiment.records import Identity, as_json, key_of, plain
from fcdd_audit.experiment.setup import drawn
from fcdd_audit.experiment.store import MEASURED, TRAINED, Place, Store
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural import NaturalArtifact
from fcdd_audit.probes.chain import probes_of

CLEAN, MARKED, TRIED = "clean", "marked", "tried"


@dataclass(frozen=True)
class Kept:
    """Where a finished detector's records are. trained: what it is. scored: with the artifact and placebos.
    explained: the same of the heatmaps' overlaps, by explainer."""

    trained: Place
    scored: Place
    explained: Mapping[str, Place]


def places_of(loaded: Loaded, config: AuditConfig, explained: int) -> Kept:
    """Of the detector, artifact, placebos and test images of a run. explained: how many images are.
    ValueError for a model that only its code knows."""
    if loaded.opened.identity is None:
        raise ValueError("a model that only its code knows isn't kept")
    trained = plain(loaded.opened.identity)
    scored = plain(
        {
            "stage": STAGE,
            "of": key_of(trained),
            "images": {f"test {side}": pairs.content() for side, pairs in loaded.pairs.items()},
            **_artifact(loaded),
            **_halves(loaded),
            "placebos": loaded.placebos,
            "compared": loaded.compared,
            "seed": SEED,
            "device": {"type": loaded.device.type, "name": device_name(str(loaded.device))},
        }
    )
    folder = f"{MEASURED}/{key_of(scored)}"
    found = {one: _explained(key_of(scored), one, config, explained) for one in loaded.explainers}
    return Kept(
        (f"{TRAINED}/{key_of(trained)}", trained),
        (folder, scored),
        {one: (f"{folder}/{one}-{key_of(own)}", own) for one, own in found.items()},
    )


def _halves(loaded: Loaded) -> dict[str, Any]:
    """Of a found artifact, from which side's images it is taken off, and which it is put on."""
    if not isinstance(loaded.artifact, NaturalArtifact):
        return {}
    return {"removed": {side: one.found for side, one in loaded.tested.items()}}


def _artifact(loaded: Loaded) -> dict[str, Any]:
    """What it is known by; of a found one the images say all."""
    if isinstance(loaded.artifact, NaturalArtifact):
        return {"artifact": repr(loaded.artifact), "code": foreign(type(loaded.artifact))}
    return {
        "artifact": drawn(loaded.artifact, loaded.data.shape),
        "code": foreign(*map(type, probes_of(loaded.artifact))),
    }


def _explained(of: str, explainer: str, config: AuditConfig, images: int) -> Identity:
    kind = EXPLAINERS[explainer]
    options = options_with_defaults(kind, config.options.get(explainer, {}))
    return plain(
        {
            "stage": STAGE,
            "of": of,
            "explainer": explainer,
            "options": options,
            "images": images,
            "code": foreign(kind),
        }
    )


def keep(store: Store, kept: Kept, loaded: Loaded, found: Mapping[Side, Measured]) -> None:
    """Keep what was measured: the scores, and the overlaps of those explainers that were asked."""
    about = {MEASURING: as_json({"versions": versions()}).encode()}
    source = {**loaded.opened.about, "versions": versions()}
    store.write(kept.trained, {TRAINING: as_json(source).encode()})
    if any(len(one.clean) for one in found.values()):
        scores = [_scores(loaded, side, one) for side, one in found.items()]
        store.write(kept.scored, {SCORES: table_file(pd.concat(scores)), **about})
    for side, one in found.items():
        for explainer, overlaps in one.overlaps.items():
            names = _tried_names(loaded, side)[: overlaps.shape[1]]
            rows = [
                _rows(side, names, f"{TRIED}-{place}", "pixel_auroc", values)
                for place, values in enumerate(overlaps)
            ]
            store.write(kept.explained[explainer], {OVERLAPS: table_file(pd.concat(rows)), **about})


def _scores(loaded: Loaded, side: Side, one: Measured) -> pd.DataFrame:
    names, tried = loaded.tested[side].pairs.names, _tried_names(loaded, side)
    rows = [_rows(side, names, CLEAN, "score", one.clean), _rows(side, names, MARKED, "score", one.marked)]
    rows += [
        _rows(side, tried, f"{TRIED}-{place}", "score", values) for place, values in enumerate(one.tried)
    ]
    return pd.concat(rows)


def _tried_names(loaded: Loaded, side: Side) -> tuple[str, ...]:
    tested = loaded.tested[side]
    return tuple(tested.pairs.names[place] for place in tested.tried.tolist())


def read_kept(store: Store, kept: Kept) -> dict[Side, Measured] | None:
    """What is kept of it: the scores, and the overlaps that there are; None without scores."""
    scores = store.read(kept.scored)
    if scores is None:
        return None
    explained = {one: store.read(place) for one, place in kept.explained.items()}
    overlaps = {
        one: _by_variant(record.files[OVERLAPS], "pixel_auroc")
        for one, record in explained.items()
        if record is not None
    }
    return {
        side: Measured(  # type: ignore[misc]
            variants.pop(CLEAN),
            variants.pop(MARKED),
            np.stack([*variants.values()]) if variants else np.empty((0, 0)),
            {one: np.stack([*values[side].values()]) for one, values in overlaps.items() if side in values},
        )
        for side, variants in _by_variant(scores.files[SCORES], "score").items()
    }


def _rows(side: Side, names: tuple[str, ...], variant: str, column: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"part": side, "image": names, "variant": variant, column: values})


def _by_variant(content: bytes, column: str) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for (side, variant), group in read_frame(content).groupby(["part", "variant"], sort=False):
        found.setdefault(str(side), {})[str(variant)] = group[column].to_numpy()
    return found
