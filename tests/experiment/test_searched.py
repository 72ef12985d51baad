"""The quick search of every audit."""

import json

import pytest
import torch

from fcdd_audit import ImageSet
from fcdd_audit.datasets import AuditData
from fcdd_audit.experiment import searched
from fcdd_audit.experiment.searched import can_be_searched, quick_search
from fcdd_audit.experiment.store import Store
from tests.discovery.marks import scenes, stamped


def named(images, name):
    return ImageSet(images, tuple(f"{name}/{place}.png" for place in range(len(images))))


def data(nominal, anomalous, **changes):
    none = nominal[:0]
    parts = {"train_nominal": nominal, "train_anomalous": anomalous}
    parts |= dict.fromkeys(("validation", "test_nominal", "test_anomalous"), none)
    return AuditData("own", "class", **{name: named(one, name) for name, one in parts.items()}, **changes)


MARKED = data(scenes(40, seed=1), stamped(scenes(50, seed=2), range(14)))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


def test_a_mark_is_found_and_kept(store, monkeypatch):
    files = quick_search(MARKED, store, quiet=True)
    content = json.loads(files["candidates.json"])
    found = content["candidates"][0]
    assert (found["id"], found["kind"]) == ("#1", "repeated")
    assert found["p"] <= 0.05
    assert set(found["bearers"]) == {f"train_anomalous/{place}.png" for place in range(14)}
    assert {"mark-1.png", "template-1.npz", "pictures-1.npz"} < {*files}
    assert "masks-1/train_anomalous/3.png" in files
    assert (content["dataset"], content["shape"]) == ("own", [1, 32, 32])
    monkeypatch.setattr(searched, "discover", None)  # isn't searched again
    assert quick_search(MARKED, store, quiet=True) == files


def test_nothing_found_is_kept_too(store):
    files = quick_search(data(scenes(40, seed=3), scenes(40, seed=4)), store, quiet=True)
    assert {*files} == {"candidates.json"}
    assert json.loads(files["candidates.json"])["candidates"] == []


def test_other_names_and_more_classes_are_another_search(store):
    quick_search(MARKED, store, quiet=True)
    quick_search(MARKED, store, quiet=True, classes=10)
    renamed = AuditData(**{**vars(MARKED), "train_nominal": named(MARKED.train_nominal.images, "else")})
    quick_search(renamed, store, quiet=True)
    assert len(list(store.all("searched"))) == 3


def test_classes_share_one_budget_of_errors(store):
    files = quick_search(MARKED, store, quiet=True, classes=11)  # 199 null searches can't tell .05 / 11
    content = json.loads(files["candidates.json"])
    assert content["draws"] == 220
    assert [one["p"] <= 0.05 / 11 for one in content["candidates"]] == [True]


def test_near_copies_are_listed_after_marks(store):
    images = stamped(scenes(50, seed=2), range(14))
    images[30:36] = images[30]
    files = quick_search(data(scenes(40, seed=1), images), store, quiet=True)
    kinds = [one["kind"] for one in json.loads(files["candidates.json"])["candidates"]]
    assert kinds[0] == "repeated"
    assert kinds.count("near-copies") == 1
    assert kinds[-1] == "near-copies"


@pytest.mark.parametrize(
    "one",
    [
        data(scenes(20), scenes(20, seed=1)),
        data(scenes(40, side=12), scenes(40, side=12)),
        data(scenes(40), scenes(40, seed=1), few_photographs=True),
        data(torch.zeros(40, 1, 32, 16, dtype=torch.uint8), torch.zeros(40, 1, 32, 16, dtype=torch.uint8)),
    ],
)
def test_what_cannot_be_searched_is_not(store, one):
    assert not can_be_searched(one)
    assert quick_search(one, store, quiet=True) == {}
    assert not list(store.all("searched"))
