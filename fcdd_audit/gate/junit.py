"""Outcomes as JUnit XML, which every CI server reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

from fcdd_audit.core.text import number, one_line, percent
from fcdd_audit.gate.criteria import Outcome, harmed
from fcdd_audit.verdict.words import verdict_words

FINISHED = "%Y-%m-%d %H:%M:%S UTC"  # in config.json


def junit_xml(found: Sequence[Outcome], run: str, config: Mapping[str, Any]) -> bytes:
    """One suite with a case for each outcome; skipped are those without an answer.

    config: the content of config.json, whose time the suite has: the same run gives the same file.
    """
    results = Counter(outcome.result for outcome in found)
    ended = datetime.strptime(config["finished"], FINISHED).replace(tzinfo=timezone.utc)
    started = ended - timedelta(seconds=config["seconds"])
    suite = ElementTree.Element(
        "testsuite",
        name=one_line(f"fcdd-audit {run}"),
        tests=str(len(found)),
        failures=str(results["failed"]),
        errors="0",
        skipped=str(results["inconclusive"] + results["not asked"]),
        time=f"{config['seconds']:.3f}",
        timestamp=started.isoformat(timespec="seconds"),
    )
    for outcome, (classname, name) in zip(found, _unique(found, run), strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=classname, name=name)
        if outcome.result == "failed":
            ElementTree.SubElement(case, "failure", message=outcome.said).text = _details(outcome)
        elif outcome.result != "passed":
            ElementTree.SubElement(case, "skipped", message=f"{outcome.result}: {outcome.said}")
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True) + b"\n"


def _unique(found: Sequence[Outcome], run: str) -> list[tuple[str, str]]:
    """Class name and name of each case; a number tells those apart that would be the same."""
    taken: set[tuple[str, str]] = set()
    made = []
    for outcome in found:
        about = outcome.finding
        classname = one_line(f"fcdd-audit.{run}.{about['dataset']}.{about['nominal_class']}")
        name, again = outcome.name, 1
        while (classname, name) in taken:
            again += 1
            name = f"{outcome.name} ({again})"
        taken.add((classname, name))
        made.append((classname, name))
    return made


def _details(outcome: Outcome) -> str:
    """What a reader of a failure needs, since some servers show the body alone."""
    finding = outcome.finding
    lines = [
        f"{outcome.name}: {outcome.said}",
        f"verdict: {verdict_words(finding)}",
        f"{harmed(finding)}: {percent(finding['alarms'])}",
        f"AUROC: {number(finding['control_auroc'], 3)}",
        f"test images: {finding['images']}; pairs of twins: {finding['seeds']}",
    ]
    return "\n".join(map(one_line, lines))
