"""What to do next, by rule, from findings.json and config.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fcdd_audit.core.directions import AUTO, DIRECTIONS
from fcdd_audit.core.text import plain
from fcdd_audit.report.naming import artifacts_named, detector_name, listed, one_of
from fcdd_audit.verdict.words import training_words

MOST = 5
OF_TRAINING = ("training", "working-control")  # what a longer training may give
FURTHER = ("watermark", "jpeg", "frame")  # artifacts to try next
Finding = Mapping[str, Any]


@dataclass(frozen=True)
class Advice:
    """One thing to do: a sentence, and the command or setting for it, if there is one."""

    text: str
    command: str | None = None


def advise(
    found: Mapping[str, Any], config: Mapping[str, Any], searched: Sequence[Mapping[str, Any]] = ()
) -> list[Advice]:
    """At most five, the most urgent first; the last one is how to test a finished model.

    found, config: findings.json and config.json of an audit of twins. searched: what quick searches found, as
    `discovery.quick_contexts` has it.
    """
    findings = found["findings"]
    urgent = [
        *_train(findings, config["config"]),
        *_remedy(findings),
        *_origin(found["origin"]),
        *(_repeated(searched) if config["config"]["artifact"].get("candidate") is None else []),
        *_untold(findings, config),
        *_hidden(findings),
        *_harm(findings),
        *_all_clear(findings),
    ]
    return [*urgent[: MOST - 1], _finished()]


def _train(findings: Sequence[Finding], settings: Mapping[str, Any]) -> list[Advice]:
    """Of those whose control wasn't trained enough: before that, nothing else is worth much."""
    those = [finding for finding in findings if training_words(finding) is not None]
    if not those:
        return []
    names, image_size = listed(_detectors(those)), settings["data"]["image_size"]
    if all(finding["training"]["short"] == "still-falling" for finding in those):
        return [Advice(f"Train {names} longer: the loss was still falling.", _longer(those, settings))]
    size = f" than {image_size} px" if image_size else ""
    text = f"Train {names} longer, on more images, or at a larger size{size}: the control detects little."
    return [Advice(text, _longer(those, settings))]


def _longer(those: Sequence[Finding], settings: Mapping[str, Any]) -> str | None:
    """A longer training's setting: as many steps as are advised, or twice as much where that isn't known."""
    known = [(finding.get("training") or {}).get("steps_advised") for finding in those]
    if steps := [count for count in known if count is not None]:
        return f"--steps {max(steps)}"
    recipe = settings["detector"]["recipe"]
    flag, length = ("--steps", recipe["steps"]) if recipe["steps"] else ("--epochs", recipe["epochs"])
    return f"{flag} {2 * length}"


def _remedy(findings: Sequence[Finding]) -> list[Advice]:
    those = [finding for finding in findings if finding["verdict"] == "relies"]
    if not those:
        return []
    relying, name = _detectors(those), _name(those)
    if any(DIRECTIONS[finding["plant_on"]].found for finding in findings):
        return [
            Advice(
                f"Remove the {name} from the training images of {listed(relying)}, or put "
                "it equally on normal and anomalous ones, and run the same audit again."
            )
        ]
    # Not "run again": the tool would plant it again.
    return [
        Advice(
            f"If images that you train {listed(relying)} on bear the {name}, remove it or put it "
            "equally on normal and anomalous ones."
        )
    ]


def _origin(origins: Sequence[Mapping[str, Any]]) -> list[Advice]:
    """Of the first warning: a shortcut in the training images that no probe put there."""
    for origin in origins:
        if origin["status"] == "warning":
            best = _best_feature(origin)
            about = f": {best} gives the anomalous ones away" if best else ""
            return [Advice(f"Look at the other shortcut in the training images{about}.")]
    return []


def _repeated(searched: Sequence[Mapping[str, Any]]) -> list[Advice]:
    """Of the surest mark that repeats in the training images, and nobody named."""
    for one in searched:
        for card in one["cards"]:
            if card.about["p"] is not None:
                where = f"at {card.where}" if card.where.startswith("the") else card.where
                text = f"Audit the mark that repeats in the training images, {where}, on {card.shares}."
                return [Advice(text, card.command)]
    return []


def _best_feature(origin: Mapping[str, Any]) -> str | None:
    """The best feature that can't be due to what is shown, with what is typical of each side."""
    free = {group["group"] for group in origin["groups"] if group["content_free"]}
    for feature in origin["features"]:
        if feature["group"] in free:
            unit = f" {feature['unit']}" if feature["unit"] else ""
            return (
                f"{feature['label']} ({plain(feature['nominal'])}{unit} on normal, "
                f"{plain(feature['anomalous'])}{unit} on anomalous images)"
            )
    return None


def _untold(findings: Sequence[Finding], config: Mapping[str, Any]) -> list[Advice]:
    """What would settle the findings without a verdict, by what is missing; `_train` has said it of some."""
    missing: dict[str, list[Finding]] = {}
    learning = {one["detector"] for one in findings if one["missing"] != "identical"}
    for finding in findings:
        if finding["missing"] == "identical" and finding["detector"] in learning:
            continue  # the other side was asked about too
        trained = training_words(finding) is None or finding["missing"] not in OF_TRAINING
        if finding["verdict"] == "inconclusive" and finding["missing"] is not None and trained:
            missing.setdefault(finding["missing"], []).append(finding)
    return [REMEDIES[kind](those, config["config"]) for kind, those in missing.items()]


def _pairs(those: Sequence[Finding], settings: Mapping[str, Any]) -> Advice:
    names, design = listed(_detectors(those)), settings["design"]
    needed = [finding["pairs_needed"] for finding in those if finding["pairs_needed"]]
    if needed:
        count = max(needed)
        flag = "--max-seeds" if design["seeds"] == AUTO else "--seeds"
        longer = ", with a larger budget" if design["budget"] else ""
        return Advice(f"Train about {count} pairs of twins of {names}{longer}.", f"{flag} {count}")
    if all(finding["seeds"] < design["thresholds"]["min_seeds"] for finding in those):
        return Advice(f"Train more pairs of twins of {names}, until it can be told.", "--seeds auto")
    return Advice(f"Use more images for {names}: more pairs alone won't settle it.")


def _images(those: Sequence[Finding], settings: Mapping[str, Any]) -> Advice:
    needed = [finding["images_needed"] for finding in those if finding["images_needed"]]
    about = f"about {max(needed)}" if needed else "more"
    return Advice(f"Use {about} test images for {listed(_detectors(those))}.")


def _working(those: Sequence[Finding], settings: Mapping[str, Any]) -> Advice:
    names = _detectors(those)
    return Advice(
        f"Train {listed(names)} longer or on more images, or leave {one_of(names, 'it', 'them')} out.",
        _longer(those, settings),
    )


def _room(those: Sequence[Finding], settings: Mapping[str, Any]) -> Advice:
    return Advice(f"Try a milder artifact on {listed(_detectors(those))}: it already confuses the control.")


def _failed(those: Sequence[Finding], settings: Mapping[str, Any]) -> Advice:
    return Advice(f"Mend what made trainings of {listed(_detectors(those))} fail, then run the same again.")


def _identical(those: Sequence[Finding], settings: Mapping[str, Any]) -> Advice:
    if DIRECTIONS[those[0]["plant_on"]].found:
        names = _detectors(those)
        sees = one_of(names, "it never sees", "they never see")
        return Advice(f"Leave {listed(names)} out: {sees} the artifact in training.")
    return Advice(
        f"Put the artifact on a side that {listed(_detectors(those))} can learn from.", f"--plant-on {AUTO}"
    )


REMEDIES = {
    "pairs": _pairs,
    "images": _images,
    "working-control": _working,
    "room": _room,
    "failed-pairs": _failed,
    "identical": _identical,
}


def _hidden(findings: Sequence[Finding]) -> list[Advice]:
    """Of the first detector with explanations that surely don't show what its score relies on."""
    for finding in findings:
        hidden, exposed = (
            [one["explainer"] for one in finding["explainers"] if one["quadrant"] == quadrant]
            for quadrant in ("hidden", "exposed")
        )
        if hidden:
            better = f"{exposed[0]} shows it" if exposed else "none that was tried surely shows it"
            detector = detector_name(finding["detector"])
            return [
                Advice(
                    f"Don't look for the artifact in heatmaps of {listed(hidden)} of {detector}: {better}."
                )
            ]
    return []


def _harm(findings: Sequence[Finding]) -> list[Advice]:
    alarming, hiding = (
        [finding for finding in findings if finding["harm"] == harm] for harm in ("alarms", "hides")
    )
    said = []
    if alarming:
        of = listed(_detectors(alarming))
        said.append(Advice(f"Have people look at alarms of {of} on images with the {_name(alarming)}."))
    if hiding:
        names = _detectors(hiding)
        passing = f"{listed(names)} {one_of(names, 'lets', 'let')} pass"
        said.append(Advice(f"Have people look at images with the {_name(hiding)} that {passing}."))
    return said


def _all_clear(findings: Sequence[Finding]) -> list[Advice]:
    """What it means that no detector relies on the artifact, and what to try next."""
    if any(finding["verdict"] != "does-not-rely" for finding in findings):
        return []
    probes = [finding["probe"] for finding in findings]
    return [
        Advice(
            f"All clear holds for the {artifacts_named(probes)} and this recipe only: another artifact may "
            "be learned."
        ),
        *(
            Advice("Try another artifact that your images may bear.", f"fcdd-audit run --probe {probe}")
            for probe in further("+".join(probes))
        ),
    ]


def further(probe: str) -> list[str]:
    """An artifact to try after this one, or none."""
    return [other for other in FURTHER if other not in probe.split("+")][:1]


def _finished() -> Advice:
    return Advice("Test the model that you use, on the same data.", "fcdd-audit run --model FILE")


def _name(findings: Sequence[Finding]) -> str:
    """Their artifacts, to stand behind "the"."""
    return artifacts_named((finding["probe"] for finding in findings), "or")


def _detectors(findings: Iterable[Finding]) -> list[str]:
    """Their names, each once."""
    return list(dict.fromkeys(detector_name(finding["detector"]) for finding in findings))
