"""Explanations compared on what they are for: which would have shown a Clever Hans, and which cry wolf?

Read from finished runs. The cases are those whose truth is known, because the artifact was planted:

- confirmed: findings that say "relies". An explainer exposes one if the interval of its excess pixel AUROC
  lies above the threshold, and hides it if it lies below; of each explainer alone, as somebody who uses only
  this one would see it, so without what answers pay for looks and for their number.
- relying twins: planted twins whose own dependence is above the threshold, of detectors that work and
  findings that aren't cleared. Exposed if their own excess is above its threshold.
- cleared: findings that say "does not rely". To show the artifact there is a false alarm.
- control pairs: each control in the planted twin's place, beside that of the next seed, of detectors that
  work; neither ever saw the artifact. A false alarm if the first's overlap exceeds the second's by more than
  the threshold. Maps that differ by nothing but chance do so in half of the pairs: that is the worst.

Twins share test images, and several prevalences a control: the exact intervals are as if they were
independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.core.errors import InputError
from fcdd_audit.studies.compare.bootstrap import agreement, separation
from fcdd_audit.studies.compare.cases import (
    alone,
    control_pairs,
    highest,
    lowest,
    overlap_of,
    planted_twins,
    untrained,
    with_controls,
)
from fcdd_audit.studies.compare.halves import as_judged, lowers
from fcdd_audit.studies.compare.ranking import ranked, tiered
from fcdd_audit.studies.compare.reading import CASE, read
from fcdd_audit.studies.compare.results import Compared, Comparison, Count
from fcdd_audit.studies.compare.sanity import checked, cost

CHECKS = ("similarity", "faithfulness")  # families of the measures that maps are checked by


def compare(folders: Sequence[Path]) -> Comparison:
    """Explainers on detectors over all these runs. InputError for a folder that holds no finished run with
    twins, for one given twice, or runs whose thresholds differ."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("a run is given twice; give each once")
    runs = [read(folder, str(place)) for place, folder in enumerate(folders)]
    if any(run.options != runs[0].options for run in runs):
        raise InputError("the runs have different options of explainers; compare those that share them")
    thresholds = runs[0].thresholds
    if any((run.thresholds, run.headline) != (thresholds, runs[0].headline) for run in runs):
        raise InputError("the runs were judged with different thresholds; compare those that share them")
    findings = pd.DataFrame(
        [
            {
                "run": run.described["id"],
                **{key: one[key] for key in (*CASE[1:], "detector", "verdict", "control_auroc")},
                "explainers": one["explainers"],
            }
            for run in runs
            for one in run.findings
        ]
    )
    results = pd.concat([run.results for run in runs], ignore_index=True)
    costs = pd.concat([run.costs for run in runs], ignore_index=True)
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        for row in run.explainers:
            key = (row["detector"], row["explainer"])
            if key not in known or known[key]["unavailable"] is not None:  # it works in one of the runs
                known[key] = row
    headline = runs[0].headline
    measures = {
        name: measure
        for run in runs
        for name, measure in run.measures.items()
        if name == headline or measure["family"] in CHECKS
    }
    alike = [name for name, measure in measures.items() if measure["family"] == "similarity"]
    rows = [
        _compared(about, findings, results, costs, thresholds, headline, alike) for about in known.values()
    ]
    ordered = tiered(ranked(rows), float(measures[headline]["chance"]))
    return Comparison([run.described for run in runs], thresholds, ordered, measures)


def _compared(
    about: dict[str, Any],
    findings: pd.DataFrame,
    results: pd.DataFrame,
    costs: pd.DataFrame,
    limits: dict[str, float],
    headline: str,
    alike: Sequence[str],
) -> Compared:
    """headline: the measure of overlap. alike: those of similarity."""
    detector, name = about["detector"], about["explainer"]
    judged = findings[findings["detector"] == detector]
    found = [next((one for one in each if one["explainer"] == name), None) for each in judged["explainers"]]
    shown = judged.assign(
        excess=[None if one is None else alone(one, headline) for one in found],
        lowers=[one is not None and lowers(one) for one in found],
    ).dropna(subset=["excess"])
    works = shown["control_auroc"].astype(float) >= limits["usable_auroc"]
    shown = shown.assign(possible=works & (shown["verdict"] != "does-not-rely"))
    confirmed, cleared = (shown[shown["verdict"] == verdict] for verdict in ("relies", "does-not-rely"))
    own = results[results["detector"] == detector]
    mine = as_judged(own, name, shown, headline)
    planted = planted_twins(own, mine, shown, headline)
    relying = planted[planted["possible"] & (planted["dependence"] > limits["shift"])]
    controls = overlap_of(mine, "control", headline)
    beside = with_controls(relying, controls)
    spent = costs[(costs["detector"] == detector) & (costs["explainer"] == name)] if len(costs) else costs

    def count(hits: Iterable[bool]) -> Count:
        return Count.of(hits, limits["confidence"])

    return Compared(
        detector=detector,
        explainer=name,
        reference=about["reference"],
        unavailable=about["unavailable"],
        rank=0,
        exposes=count(lowest(one) > limits["reveal"] for one in confirmed["excess"]),
        hides=count(highest(one) < limits["reveal"] for one in confirmed["excess"]),
        exposes_twins=count(relying["excess"] > limits["reveal"]),
        false_alarms=count(lowest(one) > limits["reveal"] for one in cleared["excess"]),
        alarms_on_controls=count(control_pairs(controls, shown[works]) > limits["reveal"]),
        separation=separation(beside, controls, limits["confidence"]),
        agreement=agreement(planted, limits["confidence"]),
        overlap={
            "planted": float(relying["overlap"].mean()),
            "control": float(
                beside.merge(controls, on=[*CASE, "seed"], suffixes=("", "_control"))[
                    "overlap_control"
                ].mean()
            ),
            "untrained": untrained(mine, relying, headline),
        },
        **checked(mine, alike),
        **cost(spent),
        halves=tuple(dict.fromkeys("lowers" if lowered else "raises" for lowered in shown["lowers"])),
        field=about["field"],
        stride=about["stride"],
    )
