"""What each record is of. Planned and recorded identities come from these functions alone.

An identity holds all that the record's numbers depend on, and nothing else. Releases of this package and of
torch aren't part of it: TRAINING and MEASURING are, and are raised by hand when the same settings give other
numbers. `tests/experiment/test_stages.py` fails when one should have been.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType
from typing import Any

from fcdd_audit.core.options import options_of
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.sides import Side
from fcdd_audit.detectors import DETECTORS, NETWORKS
from fcdd_audit.edits.base import described, edits_in
from fcdd_audit.experiment.cells import Cell, learned, together
from fcdd_audit.experiment.records import Identity, key_of, plain
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import MEASURED, TRAINED, Place
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.table import family
from fcdd_audit.models.own import own_kind
from fcdd_audit.probes.chain import probes_of
from fcdd_audit.remedies import REMEDIES, Penalty

TRAINING = 1  # raised when training gives other weights from the same settings
MEASURING = 2  # raised when measuring gives other numbers from the same weights
SCORED = ("validation", "test", "transplants")  # begin the names of parts
OVERLAPS, CHECKS = ("overlap", "signed"), ("similarity", "faithfulness")  # families of measures
LOWERING = ("signed", "elsewhere")


def trained_place(cell: Cell, setup: Setup) -> Place:
    """Of a trained detector."""
    found = trained(cell, setup)
    return f"{TRAINED}/{key_of(found)}", found


def scored_place(cell: Cell, setup: Setup) -> Place:
    """Of a cell's scores; records of its explanations are below."""
    found = scored(cell, setup)
    return f"{MEASURED}/{key_of(found)}", found


def explained_place(cell: Cell, setup: Setup, explainer: str, images: int) -> Place:
    """Of an explainer's maps of so many images of each side."""
    found = explained(cell, setup, explainer)
    folder, _ = scored_place(cell, setup)
    return f"{folder}/{explainer}-{key_of(found)}-{images}", {**found, "images": images}


def checked_place(cell: Cell, setup: Setup, explainer: str) -> Place:
    """Of the checks of an explainer."""
    found = checked(cell, setup, explainer)
    folder, _ = scored_place(cell, setup)
    return f"{folder}/{explainer}-checks-{key_of(found)}", found


def lowered_place(cell: Cell, setup: Setup, explainer: str, side: Side, images: int) -> Place:
    """Of what an explainer says lowers the score, on so many images of a side."""
    found = lowered(cell, setup, explainer, side)
    folder, _ = scored_place(cell, setup)
    return f"{folder}/{explainer}-lowering-{key_of(found)}-{images}", {**found, "images": images}


def trained(cell: Cell, setup: Setup) -> Identity:
    """Of a trained detector, or of a network before training: nothing of what is probed is in it."""
    return _once(_trained, cell, setup)


def scored(cell: Cell, setup: Setup) -> Identity:
    """Of the scores of the validation and test images."""
    return _once(_scored, cell, setup)


def _once(find: Callable[[Cell, Setup], Identity], cell: Cell, setup: Setup) -> Identity:
    key = find.__name__, cell
    if key not in setup.identities:
        setup.identities[key] = find(cell, setup)
    return setup.identities[key]


def _trained(cell: Cell, setup: Setup) -> Identity:
    kind = DETECTORS[cell.detector]
    sides = learned(cell.detector) if cell.trained else ("nominal",)
    edit = described(cell.edit)
    recipe, device = _recipe(setup.recipe, cell.trained), setup.training_device
    if (own := own_kind(cell.detector)) is not None:  # its recipe is in its code
        recipe, device = {"own": own.called, "values": own.code.values}, setup.measuring_device
    finds = cell.edit.finds or cell.term is not None
    return plain(
        {
            "stage": TRAINING,
            "detector": cell.detector,
            "options": options_with_defaults(kind, setup.options.get(cell.detector, {})),
            "recipe": recipe,
            "trained": cell.trained,
            "edit": edit,
            "artifacts": {name: setup.drawn[name] for name in cell.edit.artifacts},
            "images": {side: setup.contents[f"train {side}"] for side in sides},
            "bearing": {
                side: setup.contents[name]
                for side in sides
                if finds and (name := f"bearing {side}") in setup.contents
            },
            "seed": cell.seed,
            "device": {**device, "stack": len(together(cell, setup))},
            "code": _code(cell, setup),
            **({} if cell.term is None else {"term": _term(cell.term)}),
        }
    )


def _scored(cell: Cell, setup: Setup) -> Identity:
    return plain(
        {
            "stage": MEASURING,
            "of": key_of(trained(cell, setup)),
            "images": {part: found for part, found in setup.contents.items() if part.startswith(SCORED)},
            "device": setup.measuring_device,
        }
    )


def explained(cell: Cell, setup: Setup, explainer: str) -> Identity:
    """Of an explainer's maps, whatever the number of images."""
    return _of_explainer(cell, setup, explainer, OVERLAPS)


def checked(cell: Cell, setup: Setup, explainer: str) -> Identity:
    """Of the checks of an explainer."""
    return {**_of_explainer(cell, setup, explainer, CHECKS), "checked": setup.sanity}


def lowered(cell: Cell, setup: Setup, explainer: str, side: Side) -> Identity:
    """Of what an explainer says lowers the score, on images of a side, whatever their number."""
    return {**_of_explainer(cell, setup, explainer, LOWERING), "side": side}


def _of_explainer(cell: Cell, setup: Setup, explainer: str, families: tuple[str, ...]) -> Identity:
    kind = EXPLAINERS[explainer]
    measures = [measure for name in families for measure in family(name)]
    return plain(
        {
            "stage": MEASURING,
            "of": key_of(scored(cell, setup)),
            "explainer": explainer,
            "options": options_with_defaults(kind, setup.options.get(explainer, {})),
            "measures": sorted(measure.name for measure in measures),
            "code": foreign(kind, *(measure.function for measure in measures)),
        }
    )


def options_with_defaults(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of an entry, with its defaults."""
    return {name: given.get(name, option.default) for name, option in options_of(kind).items()}


def _recipe(recipe: Recipe, trained: bool) -> dict[str, Any]:
    """What counts of a recipe: epochs don't where steps are given, nor anything but the network before
    training. The precision that it comes to is the device's."""
    settings = recipe.flat()
    if not trained:
        return {name: settings[name] for name in ("network", "normalise")}
    left_out = {"precision", "steps" if settings["steps"] is None else "epochs"}
    return {name: value for name, value in settings.items() if name not in left_out}


def _term(term: Penalty) -> dict[str, Any]:
    return {"remedy": term.remedy, "artifact": term.artifact, "options": dict(term.options)}


def _code(cell: Cell, setup: Setup) -> Mapping[str, str]:
    """Of the code behind a trained detector, what isn't this package's own. What such a detector or network
    builds counts too, with the weights that it begins with: layers may be made, or read, anywhere."""
    found = _code_of_detector(cell.detector, setup)
    drawn = [one for name in cell.edit.artifacts for one in probes_of(setup.plantable[name])]
    terms = [] if cell.term is None else [REMEDIES[cell.term.remedy]]
    return {**found, **foreign(*map(type, edits_in(cell.edit)), *terms, *map(type, drawn))}


def _code_of_detector(detector: str, setup: Setup) -> dict[str, str]:
    if (own := own_kind(detector)) is not None:
        return dict(foreign(*own.code.parts))
    found = dict(foreign(DETECTORS[detector], NETWORKS[setup.recipe.network]))
    return {**found, "layers": setup.layers(detector)} if found else found


def foreign(*kinds: object) -> Mapping[str, str]:
    """Digests of the source of what isn't this package's own, and so has no stage number; with a class go its
    bases of the same project."""
    own = __name__.partition(".")[0]
    found: dict[str, str] = {}
    for kind in kinds:
        made = kind.func if isinstance(kind, partial) else kind
        project = _project(made)
        for one in getattr(made, "__mro__", (made,)):
            if _project(one) == project != own:
                name = getattr(one, "__qualname__", type(one).__qualname__)
                # Lambdas share a name.
                found[name] = hashlib.sha256(f"{found.get(name)} {_source(one)}".encode()).hexdigest()[:16]
    return found


def _source(kind: object) -> str:
    """The source; of what was made in a session or notebook, which has none, what it was compiled to."""
    try:
        return inspect.getsource(kind)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return repr([(name, _compiled(one)) for name, one in sorted({**vars(kind), "": kind}.items())])


def _compiled(one: object) -> object:
    one = getattr(one, "fget", getattr(one, "__func__", one))  # of a property, of a method of the class
    code = getattr(one, "__code__", one)
    if isinstance(code, CodeType):
        return code.co_code.hex(), code.co_names, [_compiled(constant) for constant in code.co_consts]
    return code if isinstance(code, bool | int | float | str | bytes | tuple | None) else None


def _project(kind: object) -> str:
    """The package or script that it is from."""
    home: str = getattr(kind, "__module__", None) or __name__
    return home.partition(".")[0]
