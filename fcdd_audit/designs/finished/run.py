"""Tests a finished detector against placebos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.sides import Side
from fcdd_audit.designs.audited import Audited, check_known, describe_data, part_of
from fcdd_audit.designs.finished.findings import finding_on, results_table
from fcdd_audit.designs.finished.kept import keep, places_of, read_kept
from fcdd_audit.designs.finished.loading import SEED, Loaded, load
from fcdd_audit.designs.finished.measuring import BATCH, Measured
from fcdd_audit.designs.finished.pictures import pictures_of
from fcdd_audit.designs.finished.placebos import judged, likeness_of, measure_sides
from fcdd_audit.experiment.store import Store
from fcdd_audit.probes import make_probe
from fcdd_audit.probes.surrogates import Placebos
from fcdd_audit.verdict.findings import Finding

EXAMPLES_FILE = "examples-0.npz"


def run(config: AuditConfig, store: Store, quiet: bool, known: Mapping[str, Any] | None = None) -> Audited:
    """Test the detector with the configured weights against placebos: one finding for each side.

    What is in the store already isn't measured again. known: see `Design.run`. A bar on stderr unless
    `quiet`. InputError for what can't be audited, RunError for a detector whose scores or heatmaps aren't
    finite.
    """
    loaded = load(config, quiet)
    if known is not None:
        check_known(known, 0, loaded.data.fingerprint())
        if part_of(known, "weights", "sha256") != loaded.weights.sha256:
            raise InputError(
                f"the weights of the run '{part_of(known, 'run')}' have changed since; run the audit "
                "again with the explainers that you want"
            )
    pictures = pictures_of(loaded, config)  # before all else: says what can't have placebos
    probe = make_probe(config.artifact.probe, config.options)
    shape = loaded.data.test_nominal.images[:BATCH].shape
    alike = likeness_of(Placebos(config.design.placebos, SEED), probe, shape, loaded.device)
    measured = _measured(loaded, config, store, quiet)
    result = judged(measured, alike, config.design.placebos, SEED, config.design.thresholds)
    findings = [finding_on(config, loaded.data, result, side) for side in result.sides]
    return Audited(
        findings=findings,
        tables={"results.csv": results_table(config, loaded.data, result)},
        arrays={EXAMPLES_FILE: pictures},
        described={
            "weights": {"file": loaded.weights.file, "sha256": loaded.weights.sha256},
            "data": [describe_data(loaded.data, loaded.data.fingerprint())],
            "explainers": [],
            "questions": [_question(finding) for finding in findings],
        },
        device=str(loaded.device),
        precision="float32",
    )


def _measured(loaded: Loaded, config: AuditConfig, store: Store, quiet: bool) -> dict[Side, Measured]:
    """From the store, and what isn't there from the detector; explanations in the explainers' order."""
    kept = places_of(loaded, config)
    found = read_kept(store, kept)
    asked = {
        name: one
        for name, one in loaded.explainers.items()
        if found is None or name not in found["nominal"].overlaps
    }
    if found is None or asked:
        fresh = measure_sides(
            loaded.detector.score if found is None else None,
            {"nominal": loaded.data.test_nominal.images, "anomalous": loaded.data.test_anomalous.images},
            make_probe(config.artifact.probe, config.options),
            config.design.placebos,
            SEED,
            asked,
            loaded.device,
            progress=not quiet,
        )
        keep(store, kept, loaded, fresh)
        found = read_kept(store, kept)
        if found is None:
            raise RunError(f"'{store.path}' was changed meanwhile; run the same command again")
    overlaps = {name: found["nominal"].overlaps[name] for name in loaded.explainers}
    return {**found, "nominal": replace(found["nominal"], overlaps=overlaps)}


def _question(finding: Finding) -> dict[str, Any]:
    return {
        "nominal_class": finding.nominal_class,
        "detector": finding.detector,
        "plant_on": finding.plant_on,
        "examples": EXAMPLES_FILE,
    }
