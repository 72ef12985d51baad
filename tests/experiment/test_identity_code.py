"""What a record is of: the code behind its numbers."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch

from fcdd_audit import DETECTORS, EXPLAINERS
from fcdd_audit._version import __version__
from fcdd_audit.detectors import NETWORKS
from fcdd_audit.edits.base import EDITS
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment import identity
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import checked, explained, scored, trained, trained_place
from fcdd_audit.experiment.records import key_of
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.measures.table import MEASURES, measure_of
from fcdd_audit.remedies import REMEDIES, Penalty

CONTROL = Cell("fcdd", 0, AS_IS)
PLANT = Plant("frame", ("anomalous",), 1.0)

SOURCE = """
from dataclasses import dataclass
import torch
from torch import nn
from fcdd_audit import OwnNetwork
from fcdd_audit.detectors.hsc import HSC
from fcdd_audit.detectors.networks import Small
from fcdd_audit.edits.as_is import AsIs
from fcdd_audit.edits.drop import Drop
from fcdd_audit.explainers.gradients import Gradient
from fcdd_audit.remedies.consistency import Consistency


class OwnDetector(HSC):
    number = 1


class Derived(OwnDetector):
    pass


def make_network(shape):
    number = 1
    return Small(shape)


def make_trunk():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.1 * 1), nn.Conv2d(4, 4, 3))


def of_trunk(shape):
    return OwnNetwork(shape, make_trunk)


def of_scaled_trunk(scale, shape):
    trunk = make_trunk()
    with torch.no_grad():
        for weight in trunk.parameters():
            weight.fill_(scale)
    return OwnNetwork(shape, trunk)


@dataclass(frozen=True)
class OwnEdit(AsIs):
    number = 1


@dataclass(frozen=True)
class OwnRemedy(Consistency):
    number = 1


class OwnExplainer(Gradient):
    number = 1


def own_overlap(heatmap, mask):
    number = 1
    return heatmap.mean(dim=(1, 2, 3))


def own_similarity(a, b):
    number = 1
    return (a - b).mean(dim=(1, 2, 3))
"""


@pytest.fixture(scope="module")
def setup(exposed_config):
    return prepare(exposed_config)


def every(setup, cell=CONTROL, explainer="native"):
    """The identities of all that can be kept of a cell."""
    return {
        "trained": trained(cell, setup),
        "scored": scored(cell, setup),
        "explained": explained(cell, setup, explainer),
        "checked": checked(cell, setup, explainer),
    }


def changed(before, after):
    """Which of them differ."""
    return {name for name in before if before[name] != after[name]}


def texts(value) -> Iterator[str]:
    """All that stands in plain values, keys too."""
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(one)
    if not isinstance(value, dict | list):
        yield str(value)


# Stages, and no versions


def test_versions_are_no_part_of_an_identity(setup, monkeypatch):
    before = every(setup)
    found = {text for one in before.values() for text in texts(one)}
    assert not found & {__version__, torch.__version__, "versions", "torch", "fcdd-audit"}
    monkeypatch.setattr("fcdd_audit.core.versions._installed", lambda: {"torch": "99.9"})
    monkeypatch.setattr("fcdd_audit.core.versions.__version__", "99.9")
    monkeypatch.setattr("fcdd_audit._version.__version__", "99.9")
    monkeypatch.setattr(torch, "__version__", "99.9")
    assert every(setup) == before


def test_another_stage_of_training_makes_everything_again(setup, monkeypatch):
    before = every(setup)
    monkeypatch.setattr(identity, "TRAINING", identity.TRAINING + 1)
    assert changed(before, every(replace(setup))) == {"trained", "scored", "explained", "checked"}


def test_another_stage_of_measuring_leaves_what_is_trained(setup, monkeypatch):
    before = every(setup)
    monkeypatch.setattr(identity, "MEASURING", identity.MEASURING + 1)
    assert changed(before, every(replace(setup))) == {"scored", "explained", "checked"}


# What was registered from elsewhere


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Makes the module of another project anew, with that number in its source."""

    def make(number):
        file = tmp_path / str(number) / "elsewhere.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            SOURCE.replace("number = 1", f"number = {number}").replace("0.1 * 1", f"0.1 * {number}")
        )
        spec = importlib.util.spec_from_file_location("elsewhere", file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "elsewhere", module)
        spec.loader.exec_module(module)
        return module

    return make


def as_measure(function, family):
    """A measure of one's own in that family."""
    like = {"overlap": "relevance_mass", "similarity": "rank_correlation"}[family]
    return replace(measure_of(like), name=function.__name__, function=function)


def test_what_is_this_packages_own_is_known_by_its_stage(setup):
    for name in ("fcdd", "hsc", "dsvdd", "ae"):
        assert trained(Cell(name, 0, AS_IS), setup)["code"] == {}


def test_a_detector_an_edit_a_remedy_and_a_network_from_elsewhere_are_known_by_their_source(
    setup, elsewhere, monkeypatch
):
    def found(number):
        module = elsewhere(number)
        monkeypatch.setitem(DETECTORS._entries, "own", module.OwnDetector)
        monkeypatch.setitem(EDITS._entries, "own", module.OwnEdit)
        monkeypatch.setitem(REMEDIES._entries, "own", module.OwnRemedy)
        monkeypatch.setitem(NETWORKS._entries, "own", module.make_network)
        networked = replace(setup, recipe=setup.recipe.changed(network="own"))
        fresh = replace(setup)  # as in another process
        return {
            "OwnDetector": trained(Cell("own", 0, AS_IS), fresh),
            "OwnEdit": trained(Cell("fcdd", 0, module.OwnEdit()), fresh),
            "mended by OwnEdit": trained(Cell("fcdd", 0, Mended(PLANT, "frame", module.OwnEdit())), fresh),
            "after OwnEdit": trained(Cell("fcdd", 0, Mended(module.OwnEdit(), "frame", AS_IS)), fresh),
            "OwnRemedy": trained(Cell("fcdd", 0, AS_IS, term=Penalty("own", "frame")), fresh),
            "make_network": trained(CONTROL, networked),
            "everything": trained(Cell("own", 0, module.OwnEdit()), networked),
        }

    first, again, other = found(1), found(1), found(2)
    assert first == again
    for name, one in first.items():
        assert one["code"] != other[name]["code"]
        assert {**one, "code": None} == {**other[name], "code": None}
        assert key_of(one) != key_of(other[name])


def test_a_class_from_elsewhere_is_known_by_the_source_of_its_bases_too(setup, elsewhere, monkeypatch):
    found = []
    for number in (1, 1, 2):
        monkeypatch.setitem(DETECTORS._entries, "derived", elsewhere(number).Derived)
        found.append(trained(Cell("derived", 0, AS_IS), replace(setup)))
    first, again, other = found
    assert first == again != other


def test_a_network_from_elsewhere_is_known_by_its_layers_wherever_they_are_made(
    setup, elsewhere, monkeypatch
):
    networked = replace(setup, recipe=setup.recipe.changed(network="own"))
    found = []
    for number in (1, 1, 2):
        monkeypatch.setitem(NETWORKS._entries, "own", elsewhere(number).of_trunk)
        found.append(trained(CONTROL, replace(networked)))  # another process has a setup of its own
    first, again, other = found
    assert first == again != other


def test_a_network_from_elsewhere_is_known_by_the_weights_that_it_begins_with(setup, elsewhere, monkeypatch):
    networked = replace(setup, recipe=setup.recipe.changed(network="own"))
    found = []
    for scale in (0.1, 0.1, 0.2):
        made = partial(elsewhere(1).of_scaled_trunk, scale)
        monkeypatch.setitem(NETWORKS._entries, "own", made)
        found.append(trained(CONTROL, replace(networked)))  # another process has a setup of its own
    first, again, other = found
    assert first == again != other


def test_an_explainer_from_elsewhere_is_known_by_its_source_and_the_others_stay(
    setup, elsewhere, monkeypatch
):
    found = []
    for number in (1, 1, 2):
        monkeypatch.setitem(EXPLAINERS._entries, "own", elsewhere(number).OwnExplainer)
        found.append((every(setup, explainer="own"), every(setup)))
    (first, native), (again, _), (other, after) = found
    assert changed(first, again) == set()
    assert changed(first, other) == {"explained", "checked"}
    assert native == after


@pytest.mark.parametrize(("family", "record"), [("overlap", "explained"), ("similarity", "checked")])
def test_a_measure_from_elsewhere_counts_where_it_is_measured(setup, elsewhere, monkeypatch, family, record):
    found = [every(setup)]
    for number in (1, 1, 2):
        measure = as_measure(getattr(elsewhere(number), f"own_{family}"), family)
        monkeypatch.setitem(MEASURES._entries, measure.name, measure)
        found.append(every(setup))
    without, first, again, other = found
    assert changed(without, first) == changed(first, other) == {record}
    assert changed(first, again) == set()
    assert f"own_{family}" in first[record]["measures"]
    assert first[record]["code"] != without[record]["code"]


def test_what_was_made_in_a_session_has_no_source_and_an_identity_all_the_same(setup, monkeypatch):
    made = type("Made", (DETECTORS["hsc"],), {"__module__": "__main__"})
    monkeypatch.setitem(DETECTORS._entries, "made", made)
    found = trained(Cell("made", 0, AS_IS), setup)
    assert found["code"]
    assert trained_place(Cell("made", 0, AS_IS), setup) == trained_place(Cell("made", 0, AS_IS), setup)
