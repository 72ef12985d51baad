"""The first sentences of a twins' report, by rule, from findings.json and config.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.text import number, share
from fcdd_audit.report.naming import artifact_name, artifacts_named, detector_name, listed, map_name
from fcdd_audit.verdict.words import alarms_of, caught_words, verdict_words

Finding = Mapping[str, Any]

# What a detector does, of one and of several.
DOES = {
    ("relies", "alarms"): (
        "learns {it} and raises false alarms because of it",
        "learn {it} and raise false alarms because of it",
    ),
    ("relies", "hides"): (
        "learns {it} and misses anomalies because of it",
        "learn {it} and miss anomalies because of it",
    ),
    ("relies", "none"): (
        "learns {it}, without harm at this threshold",
        "learn {it}, without harm at this threshold",
    ),
    ("relies", "open"): (
        "learns {it}; whether that does harm is open",
        "learn {it}; whether that does harm is open",
    ),
    ("relies", ""): ("learns {it}", "learn {it}"),
    ("does-not-rely", "alarms"): (
        "doesn't rely on {it}, yet raises false alarms",
        "don't rely on {it}, yet raise false alarms",
    ),
    ("does-not-rely", "hides"): (
        "doesn't rely on {it}, yet misses anomalies",
        "don't rely on {it}, yet miss anomalies",
    ),
    ("does-not-rely", ""): ("doesn't rely on {it}", "don't rely on {it}"),
    ("inconclusive", ""): ("gets no verdict", "get no verdict"),
}
LACKS = {
    "pairs": ("more pairs of twins are needed", "more pairs of twins are needed"),
    "images": ("more images are needed", "more images are needed"),
    "failed-pairs": ("too many trainings failed", "too many trainings failed"),
    "working-control": ("it doesn't detect", "they don't detect"),
    "training": ("its training wasn't enough", "their training wasn't enough"),
    "room": ("it has nothing left to lose", "they have nothing left to lose"),
    "identical": (
        "it can't learn anything from that side",
        "they can't learn anything from that side",
    ),
    None: ("it can't be told", "it can't be told"),
}
COUNTED = {"pairs": "pairs_needed", "images": "images_needed"}
BORNE = {  # where the artifact was in training, by direction: on all images, and on a share
    "anomalous": ("every anomalous image", "{share} of the anomalous images"),
    "nominal": ("every normal image", "{share} of the normal images"),
    "oe": (
        "all of the outlier exposure and nowhere else",
        "{share} of the outlier exposure and nowhere else",
    ),
    "all-but-oe": (
        "every training image but the outlier exposure",
        "{share} of all training images but the outlier exposure",
    ),
    "found-on-anomalous": ("anomalous images that all bear", "anomalous images of which {share} bear"),
    "found-on-nominal": ("normal images that all bear", "normal images of which {share} bear"),
    "transplanted-from-anomalous": (
        "anomalous images that all bear",
        "anomalous images of which {share} bear",
    ),
    "transplanted-from-nominal": ("normal images that all bear", "normal images of which {share} bear"),
}
ORDER = ("relies", "does-not-rely", "inconclusive")
SHOWS = {"yes": "shows it", "no": "doesn't show it", "inconclusive": "can't tell"}
NAMED = 3  # nominal classes, or detectors with numbers in the answer, at most


@dataclass(frozen=True)
class Chip:
    """An explainer and its answer in a word or two. kind: `yes`, `no`, `open` or `unjudged`."""

    explainer: str
    answer: str
    kind: str


@dataclass(frozen=True)
class Row:
    """One finding in a line.

    about: prevalence and nominal class where they vary, else "". verdict: as in findings.json. effect: what
    `planted` and `control`, shares as text, are of: `raise a false alarm` or `of anomalies missed`; "" where
    nothing was scored. interval: of their difference, as the verdict used it.
    seeds: `5 of 5` pairs rely; "" without pairs.
    """

    detector: str
    about: str
    verdict: str
    said: str
    effect: str
    interval: str
    planted: str
    control: str
    seeds: str
    chips: tuple[Chip, ...]


@dataclass(frozen=True)
class _Part:
    """What one detector does in some of its findings. where: which of them, "" for all."""

    verdict: str
    harm: str
    where: str


def headline(findings: Sequence[Finding]) -> list[str]:
    """Who learns the artifact, who doesn't, who gets no verdict: sentences that name each detector once, for
    each artifact; and for each direction, where a detector was asked about several."""
    directions = several(findings, "plant_on")
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding["probe"], finding["plant_on"] if directions else "")
        groups.setdefault(key, []).append(finding)
    return [sentence for (_, side), group in groups.items() for sentence in _headline(group, side)]


def several(findings: Sequence[Finding], key: str) -> bool:
    """Whether a detector was asked about several of these, of one class and artifact."""
    asked: dict[tuple[str, str, str], set[Any]] = {}
    for one in findings:
        about = (one["nominal_class"], one["probe"], one["detector"])
        asked.setdefault(about, set()).add(one[key])
    return any(len(values) > 1 for values in asked.values())


def _headline(findings: Sequence[Finding], side: str) -> list[str]:
    """Of one artifact. side: the direction, where it has to be named, else ""."""
    by_detector: dict[str, list[Finding]] = {}
    for finding in findings:
        by_detector.setdefault(finding["detector"], []).append(finding)
    told: dict[str, list[Finding]] = {}
    untold: dict[str, list[Finding]] = {}
    for detector, own in by_detector.items():
        clear = any(finding["verdict"] != "inconclusive" for finding in own)
        (told if clear else untold)[detector] = own
    name = artifact_name(findings[0]["probe"])
    label = f", and tested with it {DIRECTIONS[side].label}" if side and DIRECTIONS[side].found else ""
    caught = [
        f"{', '.join(filter(None, (detector_name(one['detector']), about)))}: {said}."
        for one, about in zip(findings, abouts(findings), strict=True)
        if (said := caught_words(one))
    ]
    return [*_told(told, name, label), *_untold(untold, name, side, alone=not told), *caught[:NAMED]]


def scope(
    findings: Sequence[Finding], own_code: Mapping[str, str], together: bool = False, found: bool = False
) -> str:
    """What was tested: a recipe, and no model of the reader's.

    own_code: by detector, the user's function that trained it, as in config.json. together: whether all
    artifacts were planted at once. found: whether the artifact came with the images.
    """
    by_hand = f" ({listed(map(detector_name, own_code))} by your own code)" if own_code else ""
    end = f"No finished model{'' if own_code else ' of yours'} was tested."
    if any(DIRECTIONS[finding["plant_on"]].found for finding in findings):
        return (
            "This tests a training recipe: the artifact came with the images, and each detector was trained "
            f"anew{by_hand}, on the images as they are and on images rid of it. {end}"
        )
    if found:
        return (
            "This tests a training recipe: the tool took the artifact, which came with the images, off all "
            f"training images, and trained each detector anew{by_hand}, without it and with it on a share of "
            f"them. {end}"
        )
    named = artifacts_named(finding["probe"] for finding in findings)
    one = len({finding["probe"] for finding in findings}) == 1
    itself, how = "itself", f"with and without {'it' if one else 'each of them'}"
    if together:
        itself, how = "itself, all at once,", "with all of them and with all but one"
    return (
        f"This tests a training recipe: the tool planted the {named} {itself} and trained each detector "
        f"anew{by_hand}, {how}. {end}"
    )


def rows(findings: Sequence[Finding]) -> list[Row]:
    """A row for each finding, in order."""
    return [_row(finding, label) for finding, label in zip(findings, abouts(findings), strict=True)]


def abouts(findings: Sequence[Finding]) -> list[str]:
    """What tells each finding from others of its detector: artifact, class, direction and prevalence, where
    they vary."""
    probes, classes, doses = (
        len({finding[key] for finding in findings}) > 1 for key in ("probe", "nominal_class", "prevalence")
    )
    directions = several(findings, "plant_on")
    return [
        ", ".join(
            [finding["probe"]] * probes
            + [finding["nominal_class"]] * classes
            + [DIRECTIONS[finding["plant_on"]].label] * directions
            + [f"{dose(finding['prevalence'])} of the images"] * doses
        )
        for finding in findings
    ]


def dose(prevalence: float) -> str:
    """A share of training images: `20 %`; small ones with up to three digits."""
    return f"{100 * prevalence:.3g} %"


def trust(noted: Mapping[str, Any]) -> list[str]:
    """How often such audits were right, with counts, and what is to be minded.

    noted: `error_rates` of config.json. Counted are disjoint audits that share no pair and whose truth is
    known: the artifact is relied on, or it isn't.
    """
    kinds = [rate for rate in noted["rates"] if rate["independent"] and rate["prevalence"] is not None]
    relied = [
        rate for rate in kinds if rate["relied_on"] == "yes" and (not rate["null"] or rate["carries_over"])
    ]
    free = [rate for rate in kinds if rate not in relied and rate["relied_on"] == "no"]
    known = [*relied, *free]
    audits = _audits(known)
    if not audits:
        return ["How often such verdicts are right wasn't measured for these detectors."]
    wrong = sum(rate["wrong_clears"] for rate in known)
    untold = _say(known, "inconclusive")
    true, false = (f"{_say(rates, 'relies')} of {_audits(rates)}" for rates in (relied, free))
    return [
        f"Of {audits} {'audit' if audits == 1 else 'audits'} whose truth is known, “relies” was said in "
        f"{true} where it is true{_of(relied)} and in {false} where it is false; {wrong} gave a "
        "wrong all-clear.",
        f"{untold} couldn't tell, which is no all-clear.",
        *_cautions(noted),
    ]


def _of(rates: Iterable[Mapping[str, Any]]) -> str:
    """Whose rates they are, in brackets; empty text for none."""
    names = list(dict.fromkeys(detector_name(rate["detector"]) for rate in rates))
    return f" ({listed(names)})" if names else ""


def _audits(rates: Iterable[Mapping[str, Any]]) -> int:
    return sum(rate["audits"] for rate in rates)


def _say(rates: Iterable[Mapping[str, Any]], verdict: str) -> int:
    return sum(rate["verdicts"].get(verdict, 0) for rate in rates)


def _cautions(noted: Mapping[str, Any]) -> list[str]:
    """In what the audit differs from those that were counted."""
    found = []
    if noted["differs_in"]:
        found.append(f"These are a guide only: this audit has another {listed(noted['differs_in'])}.")
    if noted["missing"]:
        found.append(f"Not measured for {listed(map(detector_name, noted['missing']))}.")
    return found


def _told(by_detector: Mapping[str, list[Finding]], name: str, tested: str) -> list[str]:
    """A sentence for each way in which the artifact lay in training. tested: how, in words, or ""."""
    leads: dict[str, dict[tuple[_Part, ...], list[str]]] = {}
    for detector, own in by_detector.items():
        groups = leads.setdefault(_lead(own), {})
        groups.setdefault(_parts(own), []).append(detector_name(detector))
    sentences = []
    for index, (lead, groups) in enumerate(leads.items()):
        clauses = [f"{listed(names)} {_does(parts, len(names))}" for parts, names in groups.items()]
        artifact = f"the {name}" if index == 0 else "it"
        sentences.append(f"Trained {lead.format(artifact=artifact)}{tested}, {'; '.join(clauses)}.")
    return sentences


def _untold(by_detector: Mapping[str, list[Finding]], name: str, side: str, alone: bool) -> list[str]:
    """Of the detectors without a verdict: what is missing. alone: whether there are no others."""
    groups: dict[tuple[tuple[str | None, int | None], ...], list[str]] = {}
    for detector, own in by_detector.items():
        groups.setdefault(_missing(own), []).append(detector_name(detector))
    where = ""
    if side:
        label = DIRECTIONS[side].label
        where = f" ({label})" if DIRECTIONS[side].found else f" {label}"
    first = [f"Whether the {name} is learned{where} can't be told."] if alone else []
    return first + [
        f"{listed(names)}: no verdict, {listed(_lacks(*one, len(names)) for one in missing)}."
        for missing, names in groups.items()
    ]


def _missing(own: Sequence[Finding]) -> tuple[tuple[str | None, int | None], ...]:
    """What is missing, each once, with the largest number that is asked for, if one is known of all."""
    kinds = dict.fromkeys(finding["missing"] for finding in own)
    counts = {
        kind: [finding[COUNTED[kind]] for finding in own if finding["missing"] == kind]
        for kind in kinds
        if kind in COUNTED
    }
    return tuple(
        (kind, max(known) if all(known := counts.get(kind, [])) and known else None) for kind in kinds
    )


def _lacks(kind: str | None, count: int | None, detectors: int) -> str:
    if count is not None:
        return f"about {count} {'pairs of twins' if kind == 'pairs' else 'images'} are needed"
    return LACKS[kind][detectors > 1]


def _lead(own: Sequence[Finding]) -> str:
    """How a detector was trained, with `{artifact}` in place of its name."""
    shares: dict[str, list[float]] = {}
    for finding in own:
        known = shares.setdefault(finding["plant_on"], [])
        if finding["prevalence"] not in known:
            known.append(finding["prevalence"])
    found = DIRECTIONS[own[0]["plant_on"]].found
    places = [_borne(direction, sorted(known), found) for direction, known in shares.items()]
    if found:
        return f"on {listed(places, 'or')} {{artifact}}"
    return f"with {{artifact}} on {listed(places, 'or')}"


def _borne(direction: str, shares: Sequence[float], found: bool) -> str:
    every, some = BORNE[direction]
    if list(shares) == [1]:
        return every
    if found and len(shares) > 1:
        return some.format(share=f"{dose(shares[0])} to {dose(shares[-1])}")
    return some.format(share=listed(map(dose, shares), "or"))


def _parts(own: Sequence[Finding]) -> tuple[_Part, ...]:
    """What a detector does: once for all of its findings, or verdict by verdict."""
    verdicts = list(dict.fromkeys(finding["verdict"] for finding in own))
    if len(verdicts) > 1:
        return tuple(_Part(verdict, "", _where(own, verdict)) for verdict in ORDER if verdict in verdicts)
    harms = {_harm(finding) for finding in own}
    classes = len({finding["nominal_class"] for finding in own})
    where = f"on each of {classes} classes" if classes > 1 else ""
    return (_Part(verdicts[0], harms.pop() if len(harms) == 1 else "", where),)


def _harm(finding: Finding) -> str:
    """The harm, where there is something to say of it."""
    key = (finding["verdict"], finding["harm"])
    return finding["harm"] if key in DOES else ""


def _where(own: Sequence[Finding], verdict: str) -> str:
    """In which of a detector's findings that verdict was given."""
    given = [finding for finding in own if finding["verdict"] == verdict]
    classes = {finding["nominal_class"] for finding in own}
    if len(classes) == 1:
        return f"at {listed(dose(one) for one in sorted({finding['prevalence'] for finding in given}))}"
    if len(classes) < len(own):
        return f"in {len(given)} of {len(own)} cases"
    if len(given) <= NAMED:
        return f"on {listed(finding['nominal_class'] for finding in given)}"
    return f"on {len(given)} of {len(own)} classes"


def _does(parts: Sequence[_Part], detectors: int) -> str:
    phrases = [
        " ".join(filter(None, [DOES[part.verdict, part.harm][detectors > 1].format(it="it"), part.where]))
        for part in parts
    ]
    return listed(phrases)


def _row(finding: Finding, about: str) -> Row:
    alarms = alarms_of(finding)
    nominal = DIRECTIONS[finding["plant_on"]].changed == "nominal"
    pairs, seeds = finding["pairs_relying"], finding["seeds"]
    return Row(
        detector_name(finding["detector"]),
        about,
        finding["verdict"],
        verdict_words(finding),
        "" if alarms is None else "raise a false alarm" if nominal else "of anomalies missed",
        "" if alarms is None else points_between(finding["alarms"]),
        "" if alarms is None else share(alarms[0]),
        "" if alarms is None else share(alarms[1]),
        f"{pairs} of {seeds}" if seeds and pairs is not None else "",
        tuple(_chip(one) for one in finding["explainers"] if not one["reference"]),
    )


def points_between(interval: Mapping[str, float | None] | None) -> str:
    """`surely 7 to 100 points`; empty text without an interval."""
    low, high = (None, None) if interval is None else (interval["low"], interval["high"])
    if low is None or high is None:
        return ""
    return f"surely {number(100 * low, 0)} to {number(100 * high, 0)} points"


def _chip(explainer: Mapping[str, Any]) -> Chip:
    if not explainer["judged"]:
        return Chip(explainer["explainer"], "not judged", "unjudged")
    answer = explainer["reveals"]
    return Chip(map_name(explainer), SHOWS[answer], "open" if answer == "inconclusive" else answer)
