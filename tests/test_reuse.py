"""What is in the store already is used again: each change of an audit does just the new work."""

import shutil

import pytest

from fcdd_audit import EXPLAINERS, run_audit
from fcdd_audit.designs.twins.estimate import estimate

NUMBERS = ("results.csv", "findings.json", "scores.csv", "curves.csv", "examples-0.npz", "heat-0.npz")


def numbers(folder):
    return {name: (folder / name).read_bytes() for name in NUMBERS}


def kinds(records):
    """How many records of each kind there are: of explainers by their name and number of images."""
    found = {}
    for name in records:
        *folder, last = name.split("/")
        kind = folder[0] if len(folder) == 1 else last.replace(f"-{last.split('-')[-2]}-", "-")
        if "-checks-" in last:
            kind = last.rpartition("-")[0]
        found[kind] = found.get(kind, 0) + 1
    return found


@pytest.fixture(scope="module")
def native(patches_config, tmp_path_factory):
    """A run with one explainer."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fcdd_audit.auditing.render_report", lambda folder: folder)
        return run_audit(patches_config.having(out=tmp_path_factory.mktemp("native"))).folder


@pytest.fixture
def rerun(native, patches_config, without_page, in_store, tmp_path):
    """Copies the run, changes it, and compares it with a fresh run of the same: what was added to the store,
    and what was there before and isn't any more, or was written again."""

    def changed(fresh=True, **settings):
        folder = tmp_path / "again" / native.name
        if not folder.exists():
            shutil.copytree(native, folder)
        before = in_store(folder / "store")
        run_audit(patches_config.having(out=tmp_path / "again", **settings))
        after = in_store(folder / "store")
        assert before.items() <= after.items(), "no record is made again, or lost"
        if fresh:
            whole = run_audit(patches_config.having(out=tmp_path / "whole", **settings)).folder
            assert numbers(folder) == numbers(whole)
        return folder, after.keys() - before.keys()

    return changed


def test_a_run_has_a_record_of_each_thing(native, in_store, work_of):
    assert kinds(in_store(native / "store")) == {"trained": 2, "measured": 2, "native-32": 3}
    assert work_of(native) == {"detectors": 2, "cells": 3, "trained": 2, "measured": 3, "failed": 0}


def test_more_explainers_train_and_score_nothing(rerun, work_of):
    folder, added = rerun(explainers=("native", "grad-cam", "occlusion"), explained=8)
    assert kinds(added) == {"grad-cam-16": 3, "occlusion-16": 3}, "of both twins, and before training"
    assert work_of(folder) == {"detectors": 2, "cells": 3, "trained": 0, "measured": 3, "failed": 0}


def test_reference_maps_are_only_made_of_trained_detectors(rerun):
    _, added = rerun(fresh=False, explainers=("native", "edges"))
    assert kinds(added) == {"edges-32": 2}


def test_another_probe_trains_planted_twins_only(
    native, patches_config, without_page, in_store, work_of, tmp_path
):
    """And with all at once, in another folder, each number is the same."""
    explainers = ("native", "grad-cam", "occlusion")
    store = shutil.copytree(native / "store", tmp_path / "shared")
    before = in_store(store)
    settings = {"explainers": explainers, "explained": 8, "probe": "bars"}
    again = run_audit(patches_config.having(**settings, store=store, out=tmp_path / "again")).folder
    added = in_store(store).keys() - before.keys()
    assert kinds(added) == {
        "trained": 1,
        "measured": 2,  # the test images bear another artifact
        "native-16": 3,
        "grad-cam-16": 3,
        "occlusion-16": 3,
    }
    assert work_of(again) == {"detectors": 2, "cells": 3, "trained": 1, "measured": 3, "failed": 0}
    assert not (again / "store").exists()
    whole = run_audit(patches_config.having(**settings, out=tmp_path / "whole")).folder
    assert numbers(again) == numbers(whole)
    assert before.items() <= in_store(store).items()


def test_more_seeds_train_the_new_ones_only(rerun, work_of):
    folder, added = rerun(seeds=2)
    assert kinds(added) == {"trained": 2, "measured": 2, "native-32": 2}, "not the network before training"
    assert work_of(folder) == {"detectors": 4, "cells": 5, "trained": 2, "measured": 2, "failed": 0}


def test_another_prevalence_trains_its_planted_twins_only(rerun, work_of):
    folder, added = rerun(prevalence=(0.5, 1.0))
    assert kinds(added) == {"trained": 1, "measured": 1, "native-32": 1}, "the control is the same"
    assert work_of(folder)["trained"] == 1


def test_a_removed_prevalence_takes_its_files(rerun):
    """Of the run, that is: the store keeps what was made."""
    folder, _ = rerun(fresh=False, prevalence=(0.5, 1.0))
    assert (folder / "heat-1.npz").is_file()
    _, added = rerun(prevalence=(0.5,))
    assert not added
    assert not (folder / "heat-1.npz").exists()


def test_a_removed_explainer_takes_nothing_but_its_numbers(rerun, work_of):
    folder, _ = rerun(fresh=False, explainers=("native", "gradient"))
    assert "gradient" in (folder / "results.csv").read_text()
    _, added = rerun(explainers=("native",))
    assert not added
    assert "gradient" not in (folder / "results.csv").read_text()
    assert work_of(folder)["measured"] == 0


def test_fewer_images_are_read_from_the_record_of_more(rerun, work_of):
    folder, added = rerun(explained=5)
    assert not added
    assert work_of(folder)["measured"] == 0


def test_more_images_explain_only_what_was_not_explained_yet(rerun, monkeypatch):
    """A pass has 16 images on a CPU. Sides have 20 and 18, which are explained from the 17th on."""
    _, added = rerun(fresh=False, explained=3, explainers=("native", "gradient"))
    assert kinds(added) == {"gradient-16": 3}
    explained = []
    kind = EXPLAINERS["gradient"]

    def counting(self, detector, x, generator, explain=kind.explain):
        explained.append(len(x))
        return explain(self, detector, x, generator)

    monkeypatch.setattr(kind, "explain", counting)
    _, added = rerun(fresh=False, explained=17, explainers=("native", "gradient"))
    assert kinds(added) == {"gradient-32": 3}
    assert explained == [4, 2] * 3, "of both twins, and before training"
    _, added = rerun(explained=17, explainers=("native", "gradient"))
    assert not added


def test_checks_are_added_and_taken_away_without_anything_else(rerun, work_of):
    folder, added = rerun(fresh=False, sanity=1, explained=16)
    assert kinds(added) == {"native-checks": 2}
    assert work_of(folder)["measured"] == 2
    extra = {"costs.csv", "comparison.csv", "comparison.json", "comparison.html"}
    assert extra <= {path.name for path in folder.iterdir()}
    assert "cascade-1" in (folder / "results.csv").read_text()
    _, added = rerun(explained=16)
    assert not added
    assert not extra & {path.name for path in folder.iterdir()}
    assert "cascade-1" not in (folder / "results.csv").read_text()


def test_another_recipe_trains_all_again(rerun, work_of):
    folder, added = rerun(fresh=False, epochs=2)
    assert kinds(added) == {"trained": 2, "measured": 2, "native-32": 2}, "not the network before training"
    assert work_of(folder)["trained"] == 2


@pytest.mark.parametrize(
    ("victim", "again"),
    [
        ("trained/*/detector.safetensors", {"trained": 1}),
        ("trained/*/training.json", {"trained": 1}),
        ("measured/*/scores.csv", {"measured": 1, "native-32": 1}),
        ("measured/*/native-*/overlaps.csv", {"native-32": 1}),
        ("measured/*/native-*/identity.json", {"native-32": 1}),
    ],
)
def test_a_damaged_record_is_named_and_made_again(
    native, patches_config, without_page, in_store, caplog, tmp_path, victim, again
):
    """With what lies in its folder, and no other: numbers stay as they were."""
    folder = shutil.copytree(native, tmp_path / native.name)
    file = sorted((folder / "store").glob(victim))[0]
    file.write_bytes(file.read_bytes()[:-1])
    before = in_store(folder / "store")
    run_audit(patches_config.having(out=tmp_path))
    after = in_store(folder / "store")
    assert f"'{file.parent}' is damaged ({file.name}: its checksum is wrong) and is made again" in caplog.text
    assert after.keys() == before.keys()
    assert kinds(name for name in after if after[name] != before[name]) == again
    assert numbers(folder) == numbers(native)


# What is planned


def test_a_dry_run_says_what_is_used_again(native, patches_config, left_of, in_store):
    before = in_store(native / "store")
    config = patches_config.having(store=native / "store")

    def left(**settings):
        return tuple(left_of(estimate(config.having(**settings))).values())

    assert left() == (2, 0, 3, 0)
    assert left(explainers=("native", "grad-cam")) == (2, 0, 3, 3)
    assert left(seeds=2) == (4, 2, 5, 2)
    assert left(probe="bars") == (2, 1, 3, 3)
    assert left(prevalence=(0.5, 1.0)) == (3, 1, 4, 1)
    assert left(epochs=2) == (2, 2, 3, 2)
    assert left(store=native.parent / "nowhere") == (2, 2, 3, 3)
    assert in_store(native / "store") == before


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"epochs": 2}, "training: recipe.epochs 2, was 1"),
        ({"lr": 0.5, "batch_size": 12}, "training: recipe.batch_size 12, was 8, recipe.lr 0.5, was 0.001"),
        ({"seeds": 2}, None),
        ({"explainers": ("native", "grad-cam")}, None),
    ],
)
def test_a_dry_run_says_in_what_records_differ_that_are_not_used(native, patches_config, settings, reason):
    plan = estimate(patches_config.having(out=native.parent, **settings))
    assert plan.why == ({} if reason is None else {reason: 2})
    lines = [line for line in plan.lines() if line.startswith("not used")]
    assert lines == ([] if reason is None else [f"not used  2 x {reason}"])
