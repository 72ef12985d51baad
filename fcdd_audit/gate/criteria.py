"""Criteria that findings have to meet, and what becomes of each: from findings.json to an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.core.text import number, one_line, percent
from fcdd_audit.verdict.words import training_words, verdict_words

Finding = Mapping[str, Any]  # one of those in findings.json
Result = Literal["passed", "failed", "inconclusive", "not asked"]

CODES: dict[Result, int] = {"passed": 0, "failed": 1, "inconclusive": 3}
WORST_FIRST: tuple[Result, ...] = ("failed", "inconclusive", "passed", "not asked")
VERDICTS = {"relies": "relies on", "vulnerable": "is vulnerable to"}  # what --fail-on can name
FOUND_BY = {"twins": "relies", "finished": "vulnerable"}  # by design, the one of them that it can find
HARMED = {"anomalous": "new alarms", "nominal": "anomalies newly hidden"}  # by the artifact's side
ABOUT = ("dataset", "nominal_class", "detector", "probe", "plant_on", "prevalence")


@dataclass(frozen=True)
class Criterion:
    """What every finding has to meet.

    name, limit: as the command line has them. asks: what is asked of the artifact, in words. judge: the
    result, and what was found, in words.
    """

    name: str
    limit: str | float
    asks: Callable[[Finding], str]
    judge: Callable[[Finding], tuple[Result, str]]


@dataclass(frozen=True)
class Outcome:
    """What became of one criterion at one finding, in single lines.

    criterion: None where none was asked. name: the question, the same from run to run. said: what was found.
    """

    finding: Finding
    criterion: Criterion | None
    name: str
    result: Result
    said: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **{key: self.finding[key] for key in ABOUT},
            "criterion": self.criterion.name if self.criterion else None,
            "limit": self.criterion.limit if self.criterion else None,
            "name": self.name,
            "result": self.result,
            "said": self.said,
        }


def fail_on(words: str) -> Criterion:
    """No verdict may be among those that `words` lists with commas; InputError for an unknown one."""
    wanted = tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    known = ", ".join(VERDICTS)
    if not wanted:
        raise InputError(f"--fail-on names no verdict; name one or more of: {known}")
    for word in wanted:
        if word not in VERDICTS:
            hint = suggest(word, list(VERDICTS))
            raise InputError(f"--fail-on: unknown verdict '{word}'{hint} (known: {known})")

    def asks(finding: Finding) -> str:
        fitting = [word for word in wanted if word == FOUND_BY.get(finding["design"])]
        return " or ".join(VERDICTS[word] for word in fitting or wanted)

    def judge(finding: Finding) -> tuple[Result, str]:
        warned = training_words(finding) if finding["missing"] != "training" else None
        said = verdict_words(finding) if warned is None else f"{warned}; {verdict_words(finding)}"
        if FOUND_BY.get(finding["design"], wanted[0]) not in wanted:
            return "not asked", f"{said}; such an audit can't find '{','.join(wanted)}'"
        if finding["verdict"] in wanted:
            return "failed", said
        if finding["verdict"] == "inconclusive":
            return "inconclusive", f"{said}; {finding['reason']}" if finding["reason"] else said
        return "passed", said

    return Criterion("fail-on", ",".join(wanted), asks, judge)


def max_new_alarms(limit: float) -> Criterion:
    """New alarms, or anomalies newly hidden, may surely not be above a share; InputError if it is none."""
    allowed = f"at most {100 * _share('--max-new-alarms', limit):g} % allowed"

    def asks(finding: Finding) -> str:
        return f"{harmed(finding)} by"

    def judge(finding: Finding) -> tuple[Result, str]:
        alarms = finding["alarms"]
        if alarms is None:
            return "inconclusive", finding["reason"] or f"no number of {harmed(finding)}"
        said = f"{percent(alarms)} {harmed(finding)}, {allowed}"
        if alarms["low"] is None or alarms["high"] is None:
            return "inconclusive", f"{said}; there is no interval"
        if alarms["low"] > limit:
            return "failed", said
        return ("passed" if alarms["high"] <= limit else "inconclusive"), said

    return Criterion("max-new-alarms", limit, asks, judge)


def min_auroc(limit: float) -> Criterion:
    """Without the artifact, the AUROC may not be lower; InputError if the limit is no share."""
    needed = f"at least {_share('--min-auroc', limit):g} needed"

    def judge(finding: Finding) -> tuple[Result, str]:
        auroc = finding["control_auroc"]
        if auroc is None:
            return "inconclusive", finding["reason"] or "no AUROC"
        return ("failed" if auroc < limit else "passed"), f"AUROC {number(auroc, 3)}, {needed}"

    return Criterion("min-auroc", limit, lambda finding: "AUROC with no", judge)


def outcomes(findings: Iterable[Finding], criteria: Sequence[Criterion]) -> list[Outcome]:
    """Every criterion at every finding, in order.

    Twins that are identical by construction have no answer that could meet a criterion: they aren't asked.
    """
    return [outcome for finding in findings for outcome in _of_one(finding, criteria)]


def overall(found: Iterable[Outcome]) -> Result:
    """The worst result; inconclusive where nothing was asked."""
    results = {outcome.result for outcome in found} - {"not asked"}
    return min(results, key=WORST_FIRST.index, default="inconclusive")


def exit_code(found: Iterable[Outcome]) -> int:
    """1 if a criterion failed, else 3 if one is inconclusive or nothing was asked, else 0."""
    return CODES[overall(found)]


def artifact_words(finding: Finding) -> str:
    """The artifact, and where it was in training, or on which images a finished detector meets it."""
    direction = DIRECTIONS[finding["plant_on"]]
    if finding["prevalence"] is None:
        side = finding["finished"]["side"] if finding["finished"] else direction.changed
        return f"{finding['probe']} on {side} test images"
    share = f"{100 * finding['prevalence']:.3g} %"
    return f"{finding['probe']} {direction.trained.format(share=share)}"


def harmed(finding: Finding) -> str:
    """What the finding's `alarms` count."""
    return HARMED[DIRECTIONS[finding["plant_on"]].side]


def _of_one(finding: Finding, criteria: Sequence[Criterion]) -> list[Outcome]:
    artifact = artifact_words(finding)
    if finding["missing"] == "identical":
        name = one_line(f"{finding['detector']}: {artifact}")
        said = one_line(finding["reason"] or verdict_words(finding))
        return [Outcome(finding, None, name, "not asked", said)]
    made = []
    for criterion in criteria:
        result, said = criterion.judge(finding)
        name = one_line(f"{finding['detector']}: {criterion.asks(finding)} {artifact}")
        made.append(Outcome(finding, criterion, name, result, one_line(said)))
    return made


def _share(option: str, limit: float) -> float:
    if not 0 <= limit <= 1:  # not so of NaN either
        raise InputError(f"{option} is {limit:g}; give a share from 0 to 1")
    return limit
