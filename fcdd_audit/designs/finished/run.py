"""Tests a finished detector against placebos."""

from __future__ import annotations

from typing import Any

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.designs.audited import Audited, describe_data
from fcdd_audit.designs.finished.findings import finding_on, results_table
from fcdd_audit.designs.finished.loading import SEED, load
from fcdd_audit.designs.finished.pictures import pictures_of
from fcdd_audit.designs.finished.placebos import placebo_test
from fcdd_audit.experiment.store import RunStore
from fcdd_audit.probes import make_probe
from fcdd_audit.verdict.findings import Finding

EXAMPLES_FILE = "examples-0.npz"


def run(config: AuditConfig, store: RunStore, quiet: bool) -> Audited:
    """Test the detector with the configured weights against placebos: one finding for each side.

    Nothing of it can be resumed, so nothing is written before it is done. A bar on stderr unless `quiet`.
    InputError for what can't be audited, RunError for a detector whose scores or heatmaps aren't finite.
    """
    loaded = load(config, quiet)
    pictures = pictures_of(loaded, config)  # before all else: says what can't have placebos
    result = placebo_test(
        loaded.detector.score,
        loaded.data.test_nominal.images,
        loaded.data.test_anomalous.images,
        make_probe(config.artifact.probe, config.options),
        config.design.placebos,
        SEED,
        loaded.explainers,
        loaded.device,
        config.design.thresholds,
        progress=not quiet,
    )
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


def _question(finding: Finding) -> dict[str, Any]:
    return {
        "nominal_class": finding.nominal_class,
        "detector": finding.detector,
        "plant_on": finding.plant_on,
        "examples": EXAMPLES_FILE,
    }
