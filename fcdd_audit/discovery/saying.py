"""A discovery in words, from candidates.json. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fcdd_audit.core.text import number

SURE = 0.05  # family-wise error of a candidate
KINDS = {
    "repeated": "repeated mark",
    "pasted": "pasted window",
    "placeless": "how the sides were made",
    "near-copies": "near-copies",
}
NULLS = {
    "mirrored": "The same images, each mirrored left to right or not by the toss of a coin. Where no side of "
    "an image is special that changes nothing, but a mark in a corner is then in one place on two images "
    "only if both are mirrored alike. The p-value is the share of such searches, this one among them, whose "
    "strongest find is at least as strong as this.",
    "exchanged": "The images that windows are cut from, exchanged between the sides at random. The p-value "
    "is the share of such exchanges, this one among them, in which the strongest windows stand out as much.",
}
VIEWS = {  # at native scale
    "lower-left": "lower left corner",
    "lower-right": "lower right corner",
    "upper-left": "upper left corner",
    "upper-right": "upper right corner",
    "left": "middle of the left edge",
    "right": "middle of the right edge",
    "bottom": "middle of the bottom edge",
    "top": "middle of the top edge",
}
SIDES = {"nominal": "normal", "images": ""}  # as people call them
ACROSS = 0.8  # share of the view from which on a place is no corner
ENDS = (1 / 3, 2 / 3)

Group = Literal["sure", "unsure", "unjudged", "made"]
Entry = Mapping[str, Any]


def group_of(one: Entry) -> Group:
    """Where a candidate stands on the page: beyond chance, not, without a null, or about how images were
    made."""
    if one["kind"] in ("placeless", "near-copies"):
        return "made"
    if one["p"] is None:
        return "unjudged"
    return "sure" if one["p"] <= SURE else "unsure"


def of_group(candidates: Sequence[Entry], group: Group) -> list[Entry]:
    """The candidates that stand there, in their order."""
    return [one for one in candidates if group_of(one) == group]


def answer(content: Entry) -> list[str]:
    """What was found, in a sentence or more, by rule."""
    candidates = content["candidates"]
    sure = of_group(candidates, "sure")
    said = [_found(sure) if sure else _nothing(content)]
    apart = of_group(candidates, "unjudged")
    if apart:
        said.append(_apart(apart))
    for one in of_group(candidates, "made"):
        said.append(_made(one))
    return said


def _found(sure: Sequence[Entry]) -> str:
    best = sure[0]
    marks = [one for one in sure if one["kind"] == "repeated"]
    windows = len(sure) - len(marks)
    parts = [_counted(len(marks), "mark repeats", "marks repeat")] if marks else []
    if windows:
        parts.append(_counted(windows, "kind of window moves the score", "kinds of windows move the score"))
    place = place_words(best)
    where = "" if best["box"] is None else f"at {place}, " if place.startswith("the") else f"{place}, "
    found = f"{' and '.join(parts)} in these images"
    if len(sure) == 1:
        return f"{found}: {where}on {shares_words(best)}."
    return f"{found}; the surest{', ' + where if where else ' '}is on {shares_words(best)}."


def _counted(count: int, single: str, several: str) -> str:
    return f"{count} {single if count == 1 else several}"


def _nothing(content: Entry) -> str:
    unsure = of_group(content["candidates"], "unsure")
    strongest = f" (the strongest has p = {p_words(unsure[0]['p'])})" if unsure else ""
    return f"Nothing repeats beyond what chance gives{strongest}{_sensitivity(content['sensitivity'])}"


def _sensitivity(spiked: Sequence[Entry]) -> str:
    if not spiked:
        return ". Whether a mark would have been found was not asked, or could not be tried."
    found = sum(one["found"] for one in spiked)
    bearers = " or ".join(map(str, sorted({one["bearers"] for one in spiked})))
    were = "was" if found == 1 else "were"
    return f": of marks put on {bearers} of these images, {found} of {len(spiked)} {were} found."


def _apart(unjudged: Sequence[Entry]) -> str:
    count, first = len(unjudged), unjudged[0]
    listed = "One find is" if count == 1 else f"{count} finds are"
    place = place_words(first)
    where = f"at {place}" if place.startswith("the") else place
    which = "it is" if count == 1 else "the first is"
    on = shares_words(first)
    return f"{listed} listed apart, since no null can judge how sure: {which} {where}, on {on}."


def _made(one: Entry) -> str:
    if one["kind"] == "near-copies":
        both = one["evidence"].get("groups across sides", 0)
        across = f", and {_counted(both, 'group has', 'groups have')} images of both sides" if both else ""
        verb = "is a near-copy" if len(one["bearers"]) == 1 else "are near-copies"
        return f"{len(one['bearers'])} images {verb} of another{across}."
    named = ", ".join(map(str, one["evidence"].get("differs in", ())))
    by = f": {named}" if named else ""
    if one["evidence"].get("content-free"):
        return f"The sides can be told apart without looking at what they show{by}."
    return f"The sides differ in how their images look{by}; that can be due to what they show."


def shares_words(one: Entry) -> str:
    """`20 of 240 normal and 0 of 240 anomalous images`."""
    parts = [
        " ".join(filter(None, (f"{bearing} of {images}", SIDES.get(side, side))))
        for side, (bearing, images) in one["counts"].items()
    ]
    return f"{' and '.join(parts)} images"


def place_words(one: Entry) -> str:
    """Where in its view a candidate is: `the lower left`, `across the image`; a dash without a place."""
    if one["box"] is None:
        return "–"
    if one["view"] in VIEWS:
        return f"the {VIEWS[one['view']]} of the files, at their own scale"
    left, top, width, height = one["box"]
    if width >= ACROSS and height >= ACROSS:
        return "all over the image"
    vertical = _third(top + height / 2, "upper", "lower") if height < ACROSS else ""
    horizontal = _third(left + width / 2, "left", "right") if width < ACROSS else ""
    if width >= ACROSS:
        return f"the {({'upper': 'top', 'lower': 'bottom'}).get(vertical, 'middle')}, across"
    if height >= ACROSS:
        return f"the {horizontal or 'middle'}, from top to bottom"
    if vertical and horizontal:
        return f"the {vertical} {horizontal}"
    part = {"upper": "top", "lower": "bottom"}.get(vertical, horizontal)
    return f"the middle of the {part}" if part else "the middle"


def _third(centre: float, first: str, last: str) -> str:
    return first if centre < ENDS[0] else last if centre > ENDS[1] else ""


def kind_words(one: Entry) -> str:
    """The kind of a candidate."""
    kind: str = one["kind"]
    return KINDS.get(kind, kind)


def p_words(p: float | None) -> str:
    """Two digits that count; a dash for none."""
    if p is None:
        return "–"
    if p < 1e-4:
        return "< 0.0001"
    digits = 2
    while p < 10 ** (1 - digits) and digits < 5:
        digits += 1
    return number(p, digits)
