import pytest

from fcdd_audit.core import registry as registry_module
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import REGISTRIES, Foreign, Registry, foreign_entries, suggest
from fcdd_audit.datasets import DATASETS
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.probes import PROBES

FAMILIES = (DATASETS, DETECTORS, EXPLAINERS, PROBES)


@pytest.fixture
def colours(monkeypatch) -> Registry[type]:
    monkeypatch.setattr(registry_module, "REGISTRIES", dict(REGISTRIES))
    registry: Registry[type] = Registry("colour")

    @registry.register("red")
    class Red:
        """
        Like a rose.

        Roses are not always red.
        """

    registry.register("green")(type("Green", (), {}))
    return registry


def test_what_is_from_elsewhere_knows_its_module(colours):
    colours.register("blue", "paint.cold")(type("Blue", (), {}))
    colours.register("grey", "fcdd_audit.paint")(type("Grey", (), {}))
    found = [one for one in foreign_entries() if one.kind == "colour"]
    assert found == [Foreign("colour", name, __name__) for name in ("red", "green")] + [
        Foreign("colour", "blue", "paint.cold")
    ]


def test_names_come_in_the_order_of_registration(colours):
    assert list(colours) == ["red", "green"]


def test_an_entry_is_found_by_its_name_only(colours):
    assert colours["red"].__name__ == "Red"
    assert "red" in colours
    assert "Red" not in colours
    assert 3 not in colours


def test_registering_gives_the_entry_back(colours):
    entry = type("Blue", (), {})
    assert colours.register("blue")(entry) is entry
    assert colours["blue"] is entry


def test_a_taken_name_is_refused_and_keeps_its_entry(colours):
    before = colours["red"]
    with pytest.raises(ValueError, match="colour 'red' is registered already"):
        colours.register("red")(type("Other", (), {}))
    assert colours["red"] is before


@pytest.mark.parametrize("word", ["gren", "GREEN", "greem"])
def test_an_unknown_name_gets_the_nearest_and_all_known_ones(colours, word):
    with pytest.raises(InputError) as error:
        colours[word]
    assert str(error.value) == f"unknown colour '{word}'; did you mean 'green'? (known: red, green)"


def test_a_name_far_from_all_gets_no_suggestion(colours):
    with pytest.raises(InputError) as error:
        colours["zzz"]
    assert str(error.value) == "unknown colour 'zzz' (known: red, green)"
    assert suggest("zzz", []) == ""


def test_the_summary_is_the_first_line_of_the_docstring(colours):
    assert colours.summary("red") == "Like a rose."


def test_the_summary_of_an_entry_without_docstring_is_empty(colours):
    assert colours.summary("green") == ""


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry in FAMILIES for name in registry]
)
def test_every_registered_entry_explains_itself_in_a_sentence(registry, name):
    summary = registry.summary(name)
    assert summary.endswith(".")
    assert len(summary) <= 110
    assert name == name.lower()
    assert not summary.startswith(f"{registry[name].__name__}("), "a dataclass's own docstring"


def test_a_lent_entry_is_there_for_as_long_as_the_context_lasts(colours):
    for _ in range(2):  # the same name again later
        with colours.lent("blue", Registry, "elsewhere"):
            assert colours["blue"] is Registry
            assert colours.homes()["blue"] == "elsewhere"
        assert list(colours) == list(colours.homes()) == ["red", "green"]


def test_a_lent_entry_goes_after_an_error_and_replaces_none(colours):
    with pytest.raises(KeyError), colours.lent("blue", Registry, "elsewhere"):
        raise KeyError
    assert "blue" not in colours
    red = colours["red"]
    with pytest.raises(ValueError, match="registered already"), colours.lent("red", Registry, "elsewhere"):
        pass
    assert colours["red"] is red
