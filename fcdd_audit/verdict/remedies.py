"""What is said of remedies: the shape of it in findings.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from fcdd_audit.measures.statistics import Interval

Mended = Literal["mended", "open", "none", "nothing"]


def _said(words: str) -> Any:
    return Field(description=words)


@dataclass(frozen=True)
class Change:
    """A number of the planted twins (before) and of the remedied ones (after), means over pairs."""

    before: Annotated[Interval, _said("Of the planted twins.")]
    after: Annotated[Interval, _said("Of the remedied twins.")]
    difference: Annotated[Interval, _said("After less before, by pair.")]


@dataclass(frozen=True)
class OtherCue:
    """What a remedy does to another artifact of the audit."""

    artifact: Annotated[str, _said("Its name.")]
    shift: Annotated[Change, _said("Its score shift, cut off at 5 a pair.")]
    rise: Annotated[Interval, _said("How much further it moves the score than before, without its sign.")]


@dataclass(frozen=True)
class RemedyFinding:
    """What one remedy does: the twins of the question, trained again with it."""

    remedy: Annotated[
        str, _said("Its name; `placebo` is none: it shows what pasting alone, and chance, change.")
    ]
    does: Annotated[str, _said("What it does, in words.")]
    unfit: Annotated[str | None, _said("Why it can't work here; then it wasn't trained. Null: it was.")]
    strength: Annotated[
        float | None, _said("What its term of the loss is multiplied by; null of a changed training set.")
    ] = None
    pairs: Annotated[int, _said("How many pairs have numbers.")] = 0
    removed: Annotated[
        Interval | None,
        _said(
            "1 - |shift after| / |shift before|, with Fieller's interval; null where the shift before isn't "
            "surely another than 0."
        ),
    ] = None
    shift: Annotated[
        Change | None,
        _said("The score shift by the artifact, cut off at 5 a pair, in inter-quartile ranges."),
    ] = None
    auroc: Annotated[
        Change | None, _said("AUROC on all test images, without the artifact: what the remedy costs.")
    ] = None
    recall: Annotated[
        Change | None,
        _said("Share of the anomalies without it that each twin catches at its own frozen threshold."),
    ] = None
    alarms: Annotated[
        Change | None,
        _said("New alarms, or anomalies that hide, because of the artifact, as in `effects`."),
    ] = None
    harm: Annotated[
        Change | None,
        _said(
            "Of an artifact that is put on images which came without it: alarms with it less alarms with a "
            "placebo, over all donors and receivers; else null."
        ),
    ] = None
    harm_removed: Annotated[
        Interval | None,
        _said("1 - |harm after| / |harm before|; null where the harm before isn't surely another than 0."),
    ] = None
    heat: Annotated[
        Change | None,
        _said("Share of the heat of the first explainer on the artifact; null where it has no place."),
    ] = None
    explainer: Annotated[str | None, _said("Whose heat that is.")] = None
    others: Annotated[tuple[OtherCue, ...], _said("The other artifacts of the audit.")] = ()
    minutes: Annotated[
        tuple[float, ...] | None, _said("Of a training, before and with the remedy, means.")
    ] = None
    failed: Annotated[
        tuple[str, ...], _said("Trainings without numbers, and why: their pairs don't count.")
    ] = ()


@dataclass(frozen=True)
class Mending:
    """What is recommended: chosen on one half of the pairs, checked on the other."""

    answer: Annotated[
        Mended,
        _said(
            "`mended`: one remedy is surely good enough on pairs that didn't choose it; `open`: one may be; "
            "`none`: none is; `nothing`: there is nothing to mend."
        ),
    ]
    remedy: Annotated[str | None, _said("Which one; null where none is chosen.")]
    said: Annotated[str, _said("The same in words.")]
    chosen_on: Annotated[int, _said("How many pairs chose it.")] = 0
    checked_on: Annotated[int, _said("How many others checked it.")] = 0
