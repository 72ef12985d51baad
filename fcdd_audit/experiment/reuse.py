"""What of a plan is in the store already, and why something similar isn't used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import scored, trained
from fcdd_audit.experiment.records import Identity, differences
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import MEASURED, TRAINED, Store
from fcdd_audit.experiment.work import Missing, Work, missing

SAME = ("detector", "seed", "trained")  # what a record must share to be worth a word


@dataclass(frozen=True)
class Reuse:
    """By work, what is missing. why: reasons why records aren't used again, and how often each holds."""

    missing: Mapping[Work, Missing]
    why: Counter[str]


def reuse(works: Iterable[Work], setup: Setup, store: Store) -> Reuse:
    """Compare the work with what is in the store."""
    todo = {work: missing(work, setup, store) for work in works}
    wanted = {work.cell: trained(work.cell, setup) for work in todo}
    kept = [one for one in store.all(TRAINED) if one not in wanted.values()]
    why = Counter(
        reason
        for work, one in todo.items()
        if one.trained
        for reason in _nearest("training", wanted[work.cell], _alike(wanted[work.cell], kept))
    )
    measured = list(store.all(MEASURED))
    why += Counter(
        reason
        for work, one in todo.items()
        if one.scored and not one.trained
        for reason in _measured(work.cell, setup, measured)
    )
    return Reuse(todo, why)


def check_trained(works: Iterable[Work], setup: Setup, store: Store) -> None:
    """InputError if a detector would have to be trained."""
    found = reuse(works, setup, store)
    lost = sum(one.trained for one in found.missing.values())
    if lost:
        why = f" ({'; '.join(found.why)})" if found.why else ""
        raise InputError(
            f"{lost} of the run's detectors aren't in the store '{store.path}'{why}, and aren't trained "
            "again for this; run the audit again with the same settings, and what you want of it"
        )


def _alike(wanted: Identity, kept: Iterable[Identity]) -> list[Identity]:
    return [
        one
        for one in kept
        if all(one.get(name) == wanted[name] for name in SAME)
        and one["edit"]["edit"] == wanted["edit"]["edit"]
    ]


def _measured(cell: Cell, setup: Setup, kept: Iterable[Identity]) -> list[str]:
    wanted = scored(cell, setup)
    return _nearest("measuring", wanted, [one for one in kept if one.get("of") == wanted["of"]])


def _nearest(what: str, wanted: Identity, kept: Iterable[Identity]) -> list[str]:
    """In what the most similar record differs, as one reason; none if there is no record."""
    found = min((list(differences(wanted, one)) for one in kept), key=len, default=[])
    return [f"{what}: {', '.join(found)}"] if found else []
