"""The first screen of a finished detector's report: the answer, one picture, a row a side, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.text import percent, plain
from fcdd_audit.experiment.folder import VARIANTS
from fcdd_audit.report.advice import MOST, Advice, further
from fcdd_audit.report.display import normalise, shown_limits
from fcdd_audit.report.first import SIZE, WITHOUT, First, Heat, Picture, View
from fcdd_audit.report.headline import SHOWS, Chip, Row
from fcdd_audit.report.naming import artifact_name, detector_name, listed
from fcdd_audit.report.readings import reading
from fcdd_audit.report.strips import heat_uri, photo_uri
from fcdd_audit.verdict.words import LACKS, verdict_words

Finding = Mapping[str, Any]

PEOPLE = {"nominal": "normal", "anomalous": "anomalous"}
# By side: what a vulnerable and a robust detector does, and what can't be told.
DOES = {
    "nominal": (
        "raises false alarms because of {it}, on {share} of normal images",
        "raises no false alarms because of {it}",
        "whether it raises false alarms because of {it} can't be told",
    ),
    "anomalous": (
        "misses anomalies because of {it}, {share} of them",
        "misses no anomalies because of {it}",
        "whether it misses anomalies because of {it} can't be told",
    ),
}
FOUND = (
    "decides {share} of {images} images {how} because they bear {it}",
    "decides {images} images alike with and without {it}",
    "whether {it} changes its decisions on {images} images can't be told",
)
VERDICTS = ("vulnerable", "robust", "inconclusive")
ALONE = {"yes": "Other marks in its place do less.", "no": "Many other marks in its place do as much."}
SPECIFIC = {"yes": "yes", "no": "no, others too", "inconclusive": "can't tell"}
EFFECT = {"nominal": "raise a false alarm", "anomalous": "are missed"}
MARKS = ("date", "logo", "watermark")  # to test next
CHANCE = 0.5  # pixel AUROC
KINDS = {"inconclusive": "open"}  # of chips


def first_screen(
    config: Mapping[str, Any], findings: Sequence[Finding], arrays: Mapping[str, np.ndarray]
) -> First:
    """The first screen. arrays: the run's examples-0.npz."""
    limit = config["config"]["design"]["thresholds"]["reveal"]
    return First(
        headline(findings),
        scope(findings),
        picture(config, findings, arrays),
        [_row(finding, limit) for finding in findings],
        trust(config["error_rates"]["rates"], artifact_name(findings[0]["probe"])),
        advise(findings),
        finished=True,
    )


def headline(findings: Sequence[Finding]) -> list[str]:
    """What the detector does because of the artifact, and whether other marks do as much."""
    detector = detector_name(findings[0]["detector"])
    name = artifact_name(findings[0]["probe"])
    clauses = [
        _does(finding, f"the {name}" if place == 0 else "it") for place, finding in enumerate(findings)
    ]
    told = [finding["verdict"] != "inconclusive" for finding in findings]
    first = clauses[0] if told[0] else f"{clauses[0]}: {_lacking(findings[0])}"
    sentences = [f"{detector}{':' if not told[0] else ''} {first}"]
    for finding, clause, clear in zip(findings[1:], clauses[1:], told[1:], strict=True):
        sentences.append(f"It {clause}" if clear else f"{clause.capitalize()}: {_lacking(finding)}")
    specific = {finding["specific"] for finding in findings if finding["verdict"] == "vulnerable"}
    alone = ALONE.get(specific.pop() or "") if len(specific) == 1 else None
    return [f"{one}." for one in sentences] + ([alone] if alone else [])


def _does(finding: Finding, it: str) -> str:
    side = finding["finished"]["side"]
    found = DIRECTIONS[finding["plant_on"]].found
    words = FOUND if found else DOES[side]
    share = percent({**finding["alarms"], "low": None, "high": None})
    righted = finding["finished"]["righted"]
    how = "wrongly"
    if found and righted and righted["value"] > finding["alarms"]["value"]:
        share, how = percent({**righted, "low": None, "high": None}), "rightly only"
    return words[VERDICTS.index(finding["verdict"])].format(it=it, share=share, how=how, images=PEOPLE[side])


def _lacking(finding: Finding) -> str:
    if finding["missing"] == "images" and finding["images_needed"]:
        return f"about {finding['images_needed']} images are needed"
    return LACKS.get(finding["missing"] or "", "see why below")


def scope(findings: Sequence[Finding]) -> str:
    """What was tested: these weights, at one threshold."""
    numbers = findings[0]["finished"]
    images = listed(f"{finding['images']} {PEOPLE[finding['finished']['side']]}" for finding in findings)
    return (
        f"This tests the finished model as it is, on {images} images, at the threshold "
        f"{plain(numbers['threshold'])} ({numbers['threshold_from']}). Nothing was trained."
    )


def trust(rates: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """How often such verdicts were right, with counts. rates: as `finished_rates` gives them."""
    by_truth = {rate["truth"]: rate for rate in rates}

    def counted(truth: str, verdict: str) -> str:
        return f"{by_truth[truth]['verdicts'][verdict]} of {by_truth[truth]['audits']}"

    return [
        f"Of audits with {rates[0]['images']} images of detectors whose truth is known, “vulnerable” was "
        f"said in {counted('over 10 %', 'vulnerable')} where the watermark turns over 10 % of the decisions "
        f"wrong, and in {counted('under 5 %', 'vulnerable')} where it turns under 5 %; “robust” in "
        f"{counted('0', 'robust')} where it turns none, and in {counted('over 10 %', 'robust')} where over "
        "10 %.",
        "“Can't tell” is no all-clear.",
        *(["Those audits were of the watermark alone."] if name != "watermark" else []),
    ]


def picture(
    config: Mapping[str, Any], findings: Sequence[Finding], arrays: Mapping[str, np.ndarray]
) -> Picture | None:
    """Of the side where the artifact turns most decisions wrong, its median image."""
    worst = max(findings, key=lambda one: (one["verdict"] == "vulnerable", one["alarms"]["value"] or 0))
    side, name = worst["finished"]["side"], artifact_name(worst["probe"])
    rows = np.flatnonzero(arrays["side"] == side).tolist()
    row = next((row for row in rows if arrays["why"][row] == "median"), rows[0])
    limit = worst["finished"]["threshold"]
    found = DIRECTIONS[worst["plant_on"]].removed
    clean, marked = (
        View(
            label,
            photo_uri(arrays[variant][row], size=SIZE),
            (reading("score", float(arrays["score"][VARIANTS.index(variant), row]), limit, side),),
        )
        for variant, label in (
            ("clean", WITHOUT[found].format(name=name)),
            ("marked", f"with the {name}"),
        )
    )
    return Picture(
        detector_name(worst["detector"]),
        "",
        verdict_words(worst),
        side,
        str(arrays["name"][row]),
        str(arrays["why"][row]),
        (clean, marked),
        _heat(config, worst, arrays, row),
    )


def _heat(
    config: Mapping[str, Any], finding: Finding, arrays: Mapping[str, np.ndarray], row: int
) -> Heat | None:
    """Of the first explainer that shows the artifact, else of the first: without and with the artifact."""
    names = [key.removeprefix("heat.") for key in arrays if key.startswith("heat.")]
    if not names:
        return None
    exposing = _in_quadrant([finding], "exposed")
    name = exposing[0] if exposing else names[0]
    maps = arrays[f"heat.{name}"].astype(np.float32) * arrays[f"scale.{name}"]
    quantile = config["config"]["explanation"]["quantile"]
    shown = normalise(maps[:2, row], quantile, maps)
    uris = {label: heat_uri(one) for label, one in zip(("without", "with it"), shown, strict=True)}
    ends = shown_limits(maps, quantile)
    return Heat(name, uris, ends["low"], ends["high"], shows=bool(exposing))


def _row(finding: Finding, limit: float) -> Row:
    """limit: excess over chance that a heatmap must surely have to point to the artifact."""
    side = finding["finished"]["side"]
    return Row(
        f"{PEOPLE[side]} images",
        "",
        finding["verdict"],
        verdict_words(finding),
        EFFECT[side],
        "",
        percent(finding["alarms"]),
        "",
        SPECIFIC.get(finding["specific"] or "", "–") if finding["verdict"] == "vulnerable" else "–",
        tuple(_chip(one, finding["finished"]["shown"], limit) for one in finding["explainers"]),
    )


def _chip(explainer: Mapping[str, Any], shown: Mapping[str, Any], limit: float) -> Chip:
    """An explanation that points to the artifact, but not more than to placebos, doesn't hide it."""
    answer = explainer["reveals"]
    if answer == "no" and (shown[explainer["explainer"]]["value"]["low"] or 0) > CHANCE + limit:
        return Chip(explainer["explainer"], "lights up on any mark", "open")
    return Chip(explainer["explainer"], SHOWS[answer], KINDS.get(answer, answer))


def advise(findings: Sequence[Finding]) -> list[Advice]:
    """At most five things to do, the most urgent first."""
    name = artifact_name(findings[0]["probe"])
    by_verdict = {word: [one for one in findings if one["verdict"] == word] for word in VERDICTS}
    told = [
        *_vulnerable(by_verdict["vulnerable"], name),
        *(advice for finding in by_verdict["inconclusive"] for advice in _untold(finding)),
        *_hidden(findings, name),
    ]
    if len(by_verdict["robust"]) == len(findings):
        said = f"Robust holds for the {name} at this threshold only; try another artifact."
        told += [Advice(said, f"--probe {probe}") for probe in further(findings[0]["probe"])]
    recipe = Advice(
        "To learn whether your training recipe learns the artifact, train twins with and without it.",
        "fcdd-audit run --data-root DIR",
    )
    return [*list(dict.fromkeys(told))[: MOST - 1], recipe]


def _vulnerable(those: Sequence[Finding], name: str) -> list[Advice]:
    if not those:
        return []
    found = [
        Advice(f"Don't let it decide on images that bear the {name}: mask it, or have people look at them."),
        Advice(f"Train it on images with the {name} equally on both sides, or without it, and test again."),
    ]
    other = next(probe for probe in MARKS if probe not in those[0]["probe"].split("+"))
    if any(one["specific"] == "no" for one in those):
        found.append(
            Advice("Expect the same of other marks in that place, and test some.", f"--probe {other}")
        )
    return found


def _untold(finding: Finding) -> list[Advice]:
    side = PEOPLE[finding["finished"]["side"]]
    if finding["missing"] == "images":
        needed = finding["images_needed"]
        return [Advice(f"Use {f'about {needed}' if needed else 'more'} {side} test images.")]
    if finding["missing"] == "working-control":
        return [
            Advice(
                "It hardly detects on these images: check their size, the normalisation and the sign of the "
                "score.",
                "--image-size, --mean, --std",
            )
        ]
    return [
        Advice("Check the threshold: at this one hardly any decision can be turned wrong.", "--threshold X")
    ]


def _hidden(findings: Sequence[Finding], name: str) -> list[Advice]:
    hidden = _in_quadrant(findings, "hidden")
    return [Advice(f"Don't look for the {name} in heatmaps of {listed(hidden)}.")] if hidden else []


def _in_quadrant(findings: Sequence[Finding], quadrant: str) -> list[str]:
    """The explainers of that field of the 2x2."""
    explainers = [one for finding in findings for one in finding["explainers"]]
    return [one["explainer"] for one in explainers if one["quadrant"] == quadrant]
