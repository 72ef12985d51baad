"""Outcomes as Markdown, for the summary of a job or a comment on a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby

from fcdd_audit.core.text import number, percent
from fcdd_audit.gate.criteria import WORST_FIRST, Finding, Outcome, Result, artifact_words, overall
from fcdd_audit.gate.outside import markdown
from fcdd_audit.verdict.words import verdict_words

LARGEST = 900_000  # bytes; GitHub drops a summary of more than 1,024 kB
HEADLINES: dict[Result, str] = {
    "passed": "passes",
    "failed": "fails",
    "inconclusive": "gives no clear answer",
}
COLUMNS = (
    "nominal class",
    "detector",
    "artifact",
    "verdict",
    "new alarms or newly hidden",
    "AUROC",
    "result",
)
LEFT_OUT = "\n{count} more findings are left out, since a summary has at most 900 kB.\n"
HEADING = (f"| {' | '.join(COLUMNS)} |\n", f"|{' --- |' * len(COLUMNS)}\n")
UNCLEAR = "**Can't tell is not clear**: what is inconclusive was not shown to be harmless."


def summary_markdown(found: Sequence[Outcome], run: str, there: int = 0) -> str:
    """A headline and a table with a row for each finding, the worst first.

    there: bytes of the file that it is added to. Rows that make it too large are left out, and a line says
    how many.
    """
    results = Counter(outcome.result for outcome in found)
    counts = ", ".join(f"{results[result]} {result}" for result in WORST_FIRST if results[result])
    begin = "\n" if there else ""  # the file may end within a line
    begin += f"## fcdd-audit: {markdown(run)} {HEADLINES[overall(found)]}\n\n{counts or 'nothing asked'}\n\n"
    end = f"\n{UNCLEAR}\n" if overall(found) == "inconclusive" or results["inconclusive"] else ""
    room = LARGEST - there - len((begin + end).encode())
    return begin + _cut([*HEADING, *_rows(found)], room) + end


def _rows(found: Sequence[Outcome]) -> list[str]:
    groups = [(finding, list(group)) for finding, group in groupby(found, lambda outcome: outcome.finding)]
    groups.sort(key=lambda group: WORST_FIRST.index(_worst(group[1])))
    return [f"| {' | '.join(map(markdown, _cells(finding, group)))} |\n" for finding, group in groups]


def _cells(finding: Finding, group: Sequence[Outcome]) -> list[str]:
    said = "; ".join(outcome.said for outcome in group if outcome.result != "passed")
    return [
        finding["nominal_class"],
        finding["detector"],
        artifact_words(finding),
        verdict_words(finding),
        percent(finding["alarms"]),
        number(finding["control_auroc"], 3),
        f"{_worst(group)}: {said}" if said else _worst(group),
    ]


def _worst(group: Sequence[Outcome]) -> Result:
    return min((outcome.result for outcome in group), key=WORST_FIRST.index)


def _cut(lines: list[str], largest: int) -> str:
    """As many of the lines as fit into so many bytes, and how many findings don't."""
    ends = list(accumulate(len(line.encode()) for line in lines))
    if ends[-1] <= largest:
        return "".join(lines)
    kept = sum(end <= largest - len(LEFT_OUT.format(count=len(lines)).encode()) for end in ends)
    return "".join(lines[:kept]) + LEFT_OUT.format(count=len(lines) - max(kept, len(HEADING)))
