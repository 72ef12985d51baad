"""What is said of remedies: the shape of it in findings.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.said import said

Mended = Literal["mended", "open", "none", "nothing"]


@dataclass(frozen=True)
class Change:
    """A number of the planted twins (before) and of the remedied ones (after), means over pairs."""

    before: Annotated[Interval, said("Of the planted twins.")]
    after: Annotated[Interval, said("Of the remedied twins.")]
    difference: Annotated[Interval, said("After less before, by pair.")]


@dataclass(frozen=True)
class OtherCue:
    """What a remedy does to another artifact of the audit."""

    artifact: Annotated[str, said("Its name.")]
    shift: Annotated[Change, said("Its score shift, cut off at 5 a pair.")]
    rise: Annotated[Interval, said("How much further it moves the score than before, without its sign.")]


@dataclass(frozen=True)
class RemedyFinding:
    """What one remedy does: the twins of the question, trained again with it."""

    remedy: Annotated[
        str, said("Its name; `placebo` is none: it shows what pasting alone, and chance, change.")
    ]
    does: Annotated[str, said("What it does, in words.")]
    unfit: Annotated[str | None, said("Why it can't work here; then it wasn't trained. Null: it was.")]
    strength: Annotated[
        float | None, said("What its term of the loss is multiplied by; null of a changed training set.")
    ] = None
    pairs: Annotated[int, said("How many pairs have numbers.")] = 0
    removed: Annotated[
        Interval | None,
        said(
            "1 - |shift after| / |shift before|, with Fieller's interval; null where the shift before isn't "
            "surely another than 0."
        ),
    ] = None
    shift: Annotated[
        Change | None,
        said("The score shift by the artifact, cut off at 5 a pair, in inter-quartile ranges."),
    ] = None
    auroc: Annotated[
        Change | None, said("AUROC on all test images, without the artifact: what the remedy costs.")
    ] = None
    recall: Annotated[
        Change | None,
        said("Share of the anomalies without it that each twin catches at its own frozen threshold."),
    ] = None
    alarms: Annotated[
        Change | None,
        said("New alarms, or anomalies that hide, because of the artifact, as in `effects`."),
    ] = None
    harm: Annotated[
        Change | None,
        said(
            "Of an artifact that is put on images which came without it: alarms with it less alarms with a "
            "placebo, over all donors and receivers; else null."
        ),
    ] = None
    harm_removed: Annotated[
        Interval | None,
        said("1 - |harm after| / |harm before|; null where the harm before isn't surely another than 0."),
    ] = None
    heat: Annotated[
        Change | None,
        said("Share of the heat of the first explainer on the artifact; null where it has no place."),
    ] = None
    explainer: Annotated[str | None, said("Whose heat that is.")] = None
    others: Annotated[tuple[OtherCue, ...], said("The other artifacts of the audit.")] = ()
    minutes: Annotated[
        tuple[float, ...] | None, said("Of a training, before and with the remedy, means.")
    ] = None
    failed: Annotated[
        tuple[str, ...], said("Trainings without numbers, and why: their pairs don't count.")
    ] = ()


@dataclass(frozen=True)
class Mending:
    """What is recommended: chosen on one half of the pairs, checked on the other."""

    answer: Annotated[
        Mended,
        said(
            "`mended`: one remedy is surely good enough on pairs that didn't choose it; `open`: one may be; "
            "`none`: none is; `nothing`: there is nothing to mend."
        ),
    ]
    remedy: Annotated[str | None, said("Which one; null where none is chosen.")]
    said: Annotated[str, said("The same in words.")]
    chosen_on: Annotated[int, said("How many pairs chose it.")] = 0
    checked_on: Annotated[int, said("How many others checked it.")] = 0
