"""What the commands print: tables for people, on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fcdd_audit.auditing import AuditResult
    from fcdd_audit.designs.finished import FinishedEstimate
    from fcdd_audit.experiment.planning import Estimate
    from fcdd_audit.studies.calibrate import CalibrationResult
    from fcdd_audit.studies.compare import Comparison

IN_A_LINE = 5  # explainers


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Rows in columns; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_rates(result: CalibrationResult) -> None:
    from fcdd_audit.report.page import span

    rows: list[tuple[str, ...]] = [
        ("detector", "truth", "prevalence", "audits", "says relies (95 %)", "mean reliance", "other")
    ]
    for rate in result.as_json()["rates"]:
        others = [f"{count} {word}" for word, count in rate["verdicts"].items() if word != "relies"]
        prevalence = "" if rate["prevalence"] is None else f"{rate['prevalence']:g}"
        truth = f"{rate['truth']} ({rate['decoy']})" if rate["decoy"] else rate["truth"]
        rows.append(
            (
                *(rate["detector"], truth, prevalence, str(rate["audits"])),
                *(span(rate["says_relies"]), span(rate["reliance"]), ", ".join(others)),
            )
        )
    print_table(rows)
    print(result.folder / "calibration.json")


def print_findings(result: AuditResult) -> None:
    from fcdd_audit.report.page import number, span

    found = result.as_json()
    rows: list[tuple[str, ...]] = [
        ("nominal", "detector", "planted on", "prevalence", "verdict", "reliance (95 %)", "explanations")
    ]
    for finding in found["findings"]:
        rows.append(
            (
                finding["nominal_class"],
                finding["detector"],
                finding["plant_on"],
                f"{finding['prevalence']:g}",
                finding["verdict"],
                span(finding["reliance"]),
                _quadrants(finding["explainers"]),
            )
        )
    for mean in found["means"]:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in mean["verdicts"].items())
        side = mean["plant_on"]
        prevalence = "" if mean["prevalence"] is None else f"{mean['prevalence']:g}"
        rows.append(("mean", mean["detector"], side, prevalence, verdicts, number(mean["reliance"]), ""))
    many = len({finding["nominal_class"] for finding in found["findings"]}) > 1
    if not many:
        rows = [row[1:] for row in rows]
    print_table(rows)
    for finding in result.findings:
        if finding.reason:
            about = f"{finding.nominal_class}, " if many else ""
            print(f"{about}{finding.detector}: {finding.reason}")
    print(result.report)


def _quadrants(explainers: list[dict[str, Any]]) -> str:
    """Each explainer's quadrant; of more than a line holds, those that have none are counted only."""
    shown = [one for one in explainers if not one["reference"]]
    if len(shown) <= IN_A_LINE:
        return ", ".join(f"{one['explainer']}: {one['quadrant']}" for one in shown) or "–"
    named = [f"{one['explainer']}: {one['quadrant']}" for one in shown if one["quadrant"] != "undecided"]
    return ", ".join([*named, f"{len(shown) - len(named)} undecided"])


def print_finished(result: AuditResult) -> None:
    from fcdd_audit.report.page import number, span

    rows: list[tuple[str, ...]] = [
        ("detector", "artifact on", "verdict", "beyond placebos (95 %)", "p", "explanations")
    ]
    for finding in result.as_json()["findings"]:
        shown = [f"{e['explainer']}: {e['quadrant']}" for e in finding["explainers"]]
        placebo = finding["placebo"]
        numbers = span(finding["reliance"]), number(placebo["p_holm"])
        side = f"{placebo['side']} images"
        rows.append((finding["detector"], side, finding["verdict"], *numbers, ", ".join(shown) or "–"))
    print_table(rows)
    for finding in result.findings:
        if finding.reason and finding.placebo:
            print(f"{finding.placebo['side']} images: {finding.reason}")
    print(result.report)


def print_estimate(plan: Estimate | FinishedEstimate) -> None:
    from fcdd_audit.designs.finished import FinishedEstimate

    images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in plan.images.items())
    if isinstance(plan, FinishedEstimate):
        print(f"scored  {plan.scored} images, with {plan.placebos} placebos; {plan.explained} explained")
    else:
        print(f"cells   {plan.cells}, of which {plan.finished} finished")
    print(f"images  {images}")
    print(f"time    about {plan.seconds:.0f} s")
    print(f"disk    about {plan.megabytes:.0f} MB")


def print_comparison(found: Comparison, page: Path) -> None:
    from fcdd_audit.report.page import number

    rows: list[tuple[str, ...]] = [
        ("detector", "rank", "explainer", "exposes", "of twins", "false alarms", "on controls", "agreement")
    ]
    for row in found.as_json()["explainers"]:
        if row["unavailable"] is None:
            counts = [
                f"{row[key]['hits']} of {row[key]['trials']}"
                for key in ("exposes", "exposes_twins", "false_alarms", "alarms_on_controls")
            ]
            place = str(row["rank"] or "")
            agreement = number(row["agreement"]["value"])
            rows.append((row["detector"], place, row["explainer"], *counts, agreement))
    print_table(rows)
    print(page)
