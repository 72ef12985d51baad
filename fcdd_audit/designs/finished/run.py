"""Tests a finished detector: vulnerable or robust, to this mark or to any, and whether heatmaps show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.core.text import share
from fcdd_audit.core.threads import one_if_short
from fcdd_audit.designs.audited import Audited, check_known, describe_data, part_of
from fcdd_audit.designs.finished.answers import Dose, Result
from fcdd_audit.designs.finished.clipping import Clipped, clipped
from fcdd_audit.designs.finished.dose import STEPS, dose_of
from fcdd_audit.designs.finished.findings import findings_of, results_table
from fcdd_audit.designs.finished.judging import Sides, judge
from fcdd_audit.designs.finished.kept import keep, places_of, read_kept
from fcdd_audit.designs.finished.loading import Loaded, copies, load
from fcdd_audit.designs.finished.measuring import Measured, measure, score_all
from fcdd_audit.designs.finished.pictures import pictures_of
from fcdd_audit.experiment.devices import cores
from fcdd_audit.experiment.explaining import scored_at_once
from fcdd_audit.experiment.store import Store
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.detection import threshold
from fcdd_audit.studies.finished_rates import finished_rates
from fcdd_audit.verdict.findings import Finding

EXAMPLES_FILE = "examples-0.npz"
MOST_HANDS = 4
TOGETHER = 4  # marks that are explained in one pass
FEW_HELD = 20  # images; of fewer the 95 % quantile is their highest score


def run(config: AuditConfig, store: Store, quiet: bool, known: Mapping[str, Any] | None = None) -> Audited:
    """Test the detector with the configured weights, or the model: one finding for each side.

    What is in the store already isn't measured again. known: see `Design.run`. A bar on stderr unless
    `quiet`. InputError for what can't be audited, RunError for a detector whose scores or heatmaps aren't
    finite.
    """
    loaded = load(config, quiet)
    if known is not None:
        check_known(known, 0, loaded.data.fingerprint())
        if _sums(part_of(known, "detector")) != _sums(loaded.opened.about):
            raise InputError(
                f"the detector of the run '{part_of(known, 'run')}' has changed since; run the audit again "
                "with the explainers that you want"
            )
    return examine(config, loaded, store, quiet)


def _sums(about: Mapping[str, Any]) -> dict[str, Any]:
    """The digests of a detector's files."""
    return {name: value for name, value in about.items() if name.startswith("sha256")}


def examine(config: AuditConfig, loaded: Loaded, store: Store, quiet: bool) -> Audited:
    """The same of what is loaded."""
    few = loaded.pairs["nominal"].variants["clean"][: scored_at_once(loaded.device)]
    with deterministic(), one_if_short(lambda: score_all(loaded.opened.scorer.score, few, loaded.device)):
        scored = _score(loaded)
        limit, limit_from = _threshold(config, loaded)
        count = loaded.explained
        measured = _measured(loaded, config, store, quiet, count)
        result = judge(
            loaded.tested,
            measured,
            scored.usual,
            scored.clean,
            limit,
            limit_from,
            count,
            config.design.thresholds,
            scored.clipped,
        )
        result = _with_doses(result, loaded, config, measured, quiet)
        pictures = pictures_of(loaded, measured)
    findings = findings_of(config, loaded, result)
    return Audited(
        findings=findings,
        tables={"results.csv": results_table(config, loaded, result)},
        arrays={EXAMPLES_FILE: pictures},
        described={
            "detector": {"name": loaded.opened.name, **loaded.opened.about},
            "notes": [*loaded.opened.notes, *result.notes],
            "unexplained": loaded.unexplained,
            "error_rates": {"rates": finished_rates(min(len(one.pairs) for one in loaded.tested.values()))},
            "units": {name: EXPLAINERS[name].unit for name in loaded.explainers},
            "data": [describe_data(loaded.data, loaded.data.fingerprint())],
            "explainers": [],
            "questions": [_question(finding) for finding in findings],
        },
        device=str(loaded.device),
        precision="float32",
    )


@dataclass(frozen=True)
class _Scored:
    """Scores of all test images. usual: as the detector meets them in use. clean: without the artifact."""

    usual: Sides
    clean: Sides
    clipped: Clipped


def _score(loaded: Loaded) -> _Scored:
    score, device = loaded.opened.scorer.score, loaded.device
    clean, marked = (
        tuple(score_all(score, loaded.pairs[side].variants[variant], device) for side in SIDES)
        for variant in ("clean", "marked")
    )
    usual = [
        marked[place] if side in loaded.tested and loaded.tested[side].found else clean[place]
        for place, side in enumerate(SIDES)
    ]
    return _Scored((usual[0], usual[1]), (clean[0], clean[1]), clipped(np.concatenate(usual)))


def _threshold(config: AuditConfig, loaded: Loaded) -> tuple[float, str]:
    """The frozen threshold, and where it is from."""
    if loaded.threshold is not None:
        return loaded.threshold, "as given"
    held = loaded.data.validation.images
    quantile = config.design.thresholds.score_quantile
    scores = score_all(loaded.opened.scorer.score, held, loaded.device)
    few = ", which are few" if len(held) < FEW_HELD else ""
    return threshold(
        scores, quantile
    ), f"the {share(quantile)} quantile of {len(held)} {loaded.held_from}{few}"


def _measured(
    loaded: Loaded, config: AuditConfig, store: Store, quiet: bool, explained: int
) -> dict[Side, Measured]:
    """From the store, and what isn't there from the detector; explanations in the explainers' order. Of a
    model that only its code knows nothing is kept: the code may give others next time."""
    kept = None if loaded.opened.identity is None else places_of(loaded, config, explained)
    found = None if kept is None else read_kept(store, kept)
    explaining = "nominal" in loaded.tested and bool(loaded.tested["nominal"].kinds)
    known = {} if found is None or "nominal" not in found else found["nominal"].overlaps
    asked = {name: one for name, one in loaded.explainers.items() if explaining and name not in known}
    if found is None or asked:
        score = loaded.opened.scorer.score if found is None else None
        sides = {side: one for side, one in loaded.tested.items() if score or side == "nominal"}
        marks = sum(
            1 + (loaded.placebos if asked and side == "nominal" else loaded.compared) for side in sides
        )
        # Where one thread is enough for a pass, others may do other passes.
        short = torch.get_num_threads() == 1 and loaded.device.type == "cpu"
        spare = min(cores(), MOST_HANDS) - 1 if short else 0
        others = copies(loaded, spare)
        with progress_bar(not quiet, total=marks, desc="placebos", unit="mark") as bar:
            fresh = {
                side: measure(
                    score,
                    one,
                    loaded.device,
                    asked if side == "nominal" else {},
                    explained,
                    loaded.compared,
                    bar,
                    others,
                    TOGETHER if short else 1,
                )
                for side, one in sides.items()
            }
        if kept is None:
            return fresh
        keep(store, kept, loaded, fresh)
        found = read_kept(store, kept)
        if found is None:
            raise RunError(f"'{store.path}' was changed meanwhile; run the same command again")
    if "nominal" in found:
        overlaps = found["nominal"].overlaps
        ordered = {name: overlaps[name] for name in loaded.explainers if name in overlaps}
        found["nominal"] = replace(found["nominal"], overlaps=ordered)
    return found


def _with_doses(
    result: Result, loaded: Loaded, config: AuditConfig, measured: Mapping[Side, Measured], quiet: bool
) -> Result:
    """With the dose on each side where the detector is vulnerable, or on all if that is asked for."""
    wanted = [one.side for one in result.sides if config.design.dose or one.verdict == "vulnerable"]
    doses: dict[Side, Dose | None] = {}
    with progress_bar(not quiet and bool(wanted), total=len(wanted) * STEPS, desc="dose", unit="step") as bar:
        for side in wanted:
            doses[side] = dose_of(
                loaded.opened.scorer.score,
                loaded.tested[side],
                measured[side].clean,
                result.threshold,
                loaded.device,
                config.design.thresholds,
                bar,
            )
    return replace(result, sides=tuple(replace(one, dose=doses.get(one.side)) for one in result.sides))


def _question(finding: Finding) -> dict[str, Any]:
    return {
        "nominal_class": finding.nominal_class,
        "detector": finding.detector,
        "plant_on": finding.plant_on,
        "examples": EXAMPLES_FILE,
    }
