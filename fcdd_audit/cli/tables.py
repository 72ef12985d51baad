"""What the commands print: tables for people, on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fcdd_audit.auditing import AuditResult
    from fcdd_audit.designs import Design
    from fcdd_audit.gate.criteria import Outcome
    from fcdd_audit.studies.calibrate import CalibrationResult
    from fcdd_audit.studies.compare import Change, Comparison

CHANGED = {"alarms": "new alarms", "dependence": "score shift", "control_auroc": "AUROC"}


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Rows in columns; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_rates(result: CalibrationResult) -> None:
    from fcdd_audit.core.text import number, span

    rows: list[tuple[str, ...]] = [
        (
            *("detector", "truth", "prevalence", "pairs", "relied on", "audits: relies, does not, open"),
            *("relies (95 %)", "drawn: relies (95 %)", "pairs used"),
        )
    ]
    for rate in result.as_json()["rates"]:
        prevalence = f"{rate['prevalence']:g}" if rate["prevalence"] else ""
        truth = f"{rate['truth']} ({rate['decoy']})" if rate["decoy"] else rate["truth"]
        counts = (str(rate["verdicts"].get(word, 0)) for word in ("relies", "does-not-rely", "inconclusive"))
        rows.append(
            (
                *(rate["detector"], truth, prevalence, str(rate["pairs"]), rate["relied_on"]),
                f"{rate['audits']}: {', '.join(counts)}",
                *(span(rate["says_relies"]), span(rate["drawn"]["relies"])),
                number(rate["drawn"]["pairs"], 1),
            )
        )
    print_table(rows)
    if wrong := sum(rate["wrong_clears"] for rate in result.as_json()["rates"]):
        print(f"{wrong} audits say 'does-not-rely' where the score relies on the artifact and it does harm")
    if left_out := result.description["incomplete"]:
        print(f"{left_out} pairs are left out, since the training of a twin failed")
    print(result.folder / "calibration.json")


def print_findings(result: AuditResult, design: Design) -> None:
    """Whose training wasn't enough, the design's table, why there is no clear answer where there is none,
    what is missing, and where the page is."""
    from fcdd_audit.verdict.findings import said_of
    from fcdd_audit.verdict.words import caught_words, untrained

    content = result.as_json()
    for line in untrained(content["findings"]):
        print(line)
    print_table(design.table(content))
    print_remedies(content["findings"])
    many = len({finding.nominal_class for finding in result.findings}) > 1
    for finding in result.findings:
        about = f"{finding.nominal_class}, " if many else ""
        side = f"{finding.finished['side']} images" if finding.finished else finding.detector
        if (said := caught_words(asdict(finding))) is not None:
            print(f"{about}{side}: {said}")
        if finding.reason and finding.missing != "training":
            print(f"{about}{side}: {finding.reason}")
        if finding.failed and finding.missing != "failed-pairs":
            print(f"{about}{side}: {finding.seeds} pairs count; {said_of(finding.failed)}")
    print(result.report)


def print_remedies(findings: Sequence[dict[str, Any]]) -> None:
    """What remedies do, where any were tried, and whether one is recommended."""
    from fcdd_audit.report.headline import abouts
    from fcdd_audit.report.remedies import HEAD, mended, remedy_tables

    if any(finding["design"] != "twins" for finding in findings):
        return  # what is finished isn't trained again
    labels = abouts(findings)
    for table in remedy_tables(findings, labels):
        print(f"\nremedies for {table.about}")
        print_table([HEAD, *((row.remedy, *row.cells) for row in table.rows if row.cells)])
        for row in table.rows:
            if row.unfit:
                print(f"{row.remedy} can't work: {row.unfit}")
            for failed in row.failed:
                print(f"{row.remedy}, {failed}")
    for said in mended(findings, labels):
        print(f"mended? {said}")


def print_outcomes(found: Sequence[Outcome]) -> None:
    """A line for each outcome, and the overall result."""
    from fcdd_audit.core.text import one_line
    from fcdd_audit.gate.criteria import overall

    many = len({outcome.finding["nominal_class"] for outcome in found}) > 1
    for outcome in found:
        about = f"{one_line(outcome.finding['nominal_class'])}, " if many else ""
        print(f"{outcome.result:12}  {about}{outcome.name}: {outcome.said}")
    print(overall(found))


def print_comparison(found: Comparison) -> None:
    from fcdd_audit.core.text import number

    rows: list[tuple[str, ...]] = [
        ("detector", "tier", "explainer", "exposes", "of twins", "false alarms", "on controls", "agreement")
    ]
    for row in found.as_json()["explainers"]:
        if row["unavailable"] is None:
            counts = [
                f"{row[key]['hits']} of {row[key]['trials']}"
                for key in ("exposes", "exposes_twins", "false_alarms", "alarms_on_controls")
            ]
            place = str(row["tier"] or "")
            agreement = number(row["agreement"]["value"])
            rows.append((row["detector"], place, row["explainer"], *counts, agreement))
    print_table(rows)


def print_change(found: Change) -> None:
    """The numbers of each question, its sentence, and how many settings differ."""
    from fcdd_audit.core.text import one_line, span

    content = found.as_json()
    rows: list[tuple[str, ...]] = [("detector", "class", "number", "before", "after", "after less before")]
    for one in content["questions"]:
        about = one_line(one["after"]["detector"]), one_line(one["nominal_class"])
        for key, label in CHANGED.items():
            number = one[key]
            rows.append(
                (*about, label, *map(span, (number["before"], number["after"], number["difference"])))
            )
    print_table(rows)
    for one in content["questions"]:
        print(one_line(f"{one['said']}. Before: {one['before']['said']}. After: {one['after']['said']}."))
    count = len(content["differs"])
    print(f"{count} setting{' differs' if count == 1 else 's differ'}")


def print_candidates(content: dict[str, Any], report: Path) -> None:
    """The candidates of candidates.json, what could have been found, and where the page is."""
    from fcdd_audit.core.text import one_line
    from fcdd_audit.discovery.saying import answer, group_of, kind_words, p_words, place_words

    sides = list(content["images"])
    head = ("id", "kind", "where", *(f"on {side}" for side in sides), "p", "null")
    ranked: list[tuple[str, ...]] = []
    apart: list[tuple[str, ...]] = []
    for one in content["candidates"]:
        bearing = one["counts"] if one["bearers"] else {}
        counts = (" of ".join(map(str, bearing[side])) if side in bearing else "–" for side in sides)
        p = p_words(one["p"])
        row = (one["id"], kind_words(one), place_words(one), *counts, p, one_line(one["null"]))
        (apart if group_of(one) == "unjudged" else ranked).append(row)
    if ranked:
        print_table([head, *ranked])
    if apart:
        print("Listed apart, since no null can judge how sure:")
        print_table([head, *apart])
    print(one_line(" ".join(answer(content))))
    print(report)
