"""The page of a change: what was before, what is after, and the difference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from fcdd_audit._version import __version__
from fcdd_audit.report.comparing_figures import changes
from fcdd_audit.report.naming import detector_name
from fcdd_audit.report.page import fill_template, script_json

NUMBERS = {
    "alarms": "new alarms",
    "dependence": "score shift",
    "control_auroc": "AUROC",
}
HOW = {
    "paired": "paired by seed, over the {} pairs of twins that both audits have",
    "unpaired": "twins not paired (fewer than two seeds in common): {} pairs before, {} after",
    "counts": "images not paired: {} before, {} after",
}
Question = dict[str, Any]


def change_page(content: dict[str, Any]) -> str:
    """comparison.html, from comparison.json."""
    questions = content["questions"]
    labels = [called(one, questions) for one in questions]
    return fill_template(
        "change.html.j2",
        title="Before and after",
        version=__version__,
        found=content,
        headline=headline(questions),
        questions=[
            {**one, "label": label, "compared": how(one)}
            for one, label in zip(questions, labels, strict=True)
        ],
        numbers=NUMBERS,
        twins=content["runs"][0]["design"] == "twins",
        figure=Markup(changes(questions, labels, "changes")),
        differs=[
            {"setting": one["setting"], **{key: plainly(one[key]) for key in ("before", "after")}}
            for one in content["differs"]
        ],
        comparison_json=script_json(content),
    )


def headline(questions: Sequence[Question]) -> str:
    """In how many questions new alarms surely fell or rose."""
    spans = [one["alarms"]["difference"] for one in questions]
    known = [span for span in spans if span["low"] is not None]
    fell = sum(span["high"] < 0 for span in known)
    rose = sum(span["low"] > 0 for span in known)
    total = len(questions)
    if total == 1:
        word = "fewer" if fell else "more" if rose else None
        return f"New alarms: surely {word} than before." if word else "New alarms: no sure change."
    parts = [f"surely fewer in {fell} of {total} questions", f"surely more in {rose}"]
    if open_ := total - fell - rose:
        parts.append(f"no sure change in {open_}")
    return f"New alarms: {', '.join(parts)}."


def called(one: Question, questions: Sequence[Question]) -> str:
    """What tells a question from the others: the detector, and what else isn't the same in all."""
    names = [
        " to ".join(dict.fromkeys(detector_name(one[stage]["detector"]) for stage in ("before", "after")))
    ]
    names += [
        one[key]
        for key in ("nominal_class", "plant_on", "probe")
        if len({other[key] for other in questions}) > 1
    ]
    shares = [one[stage]["prevalence"] for stage in ("before", "after")]
    if len({other["before"]["prevalence"] for other in questions}) > 1 and shares[0] is not None:
        names.append(" to ".join(dict.fromkeys(f"{100 * share:g} %" for share in shares)))
    return ", ".join(names)


def how(one: Question) -> str:
    """How the difference was made, in words."""
    return HOW[one["how"]].format(one["before"]["cases"], one["after"]["cases"])


def plainly(value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
