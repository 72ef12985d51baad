from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import NEEDS, check_options, options_of
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import PROBES

ENTRIES = [entry for registry in (PROBES, NATURAL, EXPLAINERS, DETECTORS) for _, entry in registry.items()]


@dataclass(frozen=True)
class Brush:
    kind: ClassVar[str] = "no option"

    wet: bool = False
    hairs: int = 7
    width: float = 0.5
    tip: str = "round"
    angle: float | None = None
    wood: Literal["ash", "oak"] = "ash"
    colours: tuple[str, ...] = ()


class Painter:
    Options = Brush


class Nothing:
    pass


def test_options_are_the_fields_of_a_dataclass_by_their_declared_types():
    found = {name: (option.kind, option.optional) for name, option in options_of(Brush).items()}
    assert found == {
        "wet": (bool, False),
        "hairs": (int, False),
        "width": (float, False),
        "tip": (str, False),
        "angle": (float, True),
        "wood": (str, False),
        "colours": (tuple, False),
    }
    assert options_of(Brush)["hairs"].default == 7
    assert options_of(Painter) == options_of(Brush)
    assert options_of(Nothing) == {}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_every_option_of_every_entry_has_a_plain_type_and_accepts_its_default(entry):
    for name, option in options_of(entry).items():
        assert option.kind in (bool, int, float, str), name
        assert option.accepts(option.default), name


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("wet", [True, False], [0, 1, "true", None]),
        ("hairs", [0, -3], [True, 1.0, "1", None]),
        ("width", [1, 0.5], [True, "1", None, float("inf"), float("nan")]),
        ("angle", [None, 3, 0.5], [False, "1", float("inf")]),
        ("tip", ["", "flat"], [1, None]),
        ("wood", ["oak"], [1]),
    ],
)
def test_values_are_of_the_declared_type(option, good, bad):
    for value in good:
        check_options("brush", Brush, {option: value})
    for value in bad:
        wanted = NEEDS[options_of(Brush)[option].kind]
        with pytest.raises(InputError) as error:
            check_options("brush", Painter, {option: value})
        assert str(error.value) == f"brush {option} is {value!r}; {wanted}"


def test_an_unknown_option_gets_the_nearest_and_all_known_ones():
    with pytest.raises(InputError) as error:
        check_options("brush", Brush, {"hair": 1})
    assert str(error.value) == (
        "brush has no option 'hair'; did you mean 'hairs'? "
        "(known: wet, hairs, width, tip, angle, wood, colours)"
    )
    with pytest.raises(InputError, match=r"^x has no option 'hair' \(known: none\)$"):
        check_options("x", Nothing, {"hair": 1})
