"""The quick search of every audit."""

import json

import numpy as np
import pytest
import torch

from fcdd_audit import ImageSet
from fcdd_audit.datasets import AuditData
from fcdd_audit.experiment import searched
from fcdd_audit.experiment.searched import MOST, can_be_searched, quick_search
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
    (found,) = content["candidates"]
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


def test_other_names_are_another_search(store):
    quick_search(MARKED, store, quiet=True)
    other = data(MARKED.train_nominal.images, MARKED.train_anomalous.images, few_photographs=True)
    renamed = AuditData(**{**vars(MARKED), "train_nominal": named(MARKED.train_nominal.images, "else")})
    for one in (other, renamed):
        quick_search(one, store, quiet=True)
    assert len(list(store.all("searched"))) == 3


def test_near_copies_are_listed_after_marks_and_not_of_few_photographs(store):
    images = stamped(scenes(50, seed=2), range(14))
    images[30:36] = images[30]
    kinds = [
        [one["kind"] for one in json.loads(quick_search(one, store, True)["candidates.json"])["candidates"]]
        for one in (
            data(scenes(40, seed=1), images),
            data(scenes(40, seed=1), images, few_photographs=True),
        )
    ]
    assert kinds[0] == ["repeated", "near-copies"]
    assert "near-copies" not in kinds[1]
    assert len(kinds[1]) <= MOST


@pytest.mark.parametrize(
    "one",
    [
        data(scenes(20), scenes(20, seed=1)),
        data(scenes(40, side=12), scenes(40, side=12)),
        data(torch.zeros(40, 1, 32, 16, dtype=torch.uint8), torch.zeros(40, 1, 32, 16, dtype=torch.uint8)),
    ],
)
def test_what_cannot_be_searched_is_not(store, one):
    assert not can_be_searched(one)
    assert quick_search(one, store, quiet=True) == {}
    assert not list(store.all("searched"))


def test_every_audit_searches_its_training_images(default_run):
    content = json.loads((default_run.folder / "discovery-0" / "candidates.json").read_text(encoding="utf-8"))
    assert content["candidates"] == []  # nothing repeats in the default data
    page = default_run.report.read_text(encoding="utf-8")
    assert "What repeats in the training images" in page
    assert "Nothing repeats beyond what chance gives" in page
    described = json.loads((default_run.folder / "config.json").read_text(encoding="utf-8"))
    assert described["searched"] == {"sample": 192, "largest": 48}
    assert np.prod(content["shape"]) == 32 * 32
