"""Remedied twins are trained beside the others and said in all files."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from fcdd_audit import InputError, Thresholds, make_config, run_audit
from fcdd_audit.auditing import explain_run, remedy_run
from fcdd_audit.cli.app import app
from fcdd_audit.config.parts import RunSettings
from fcdd_audit.designs.twins.estimate import estimate, estimated_seconds
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.designs.twins.remedied import remedied
from fcdd_audit.designs.twins.run import _work_of
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Work
from fcdd_audit.probes import PROBES
from fcdd_audit.remedies import REMEDIES, Penalty

ALWAYS = Thresholds(shift=-100.0, usable_auroc=0.0)  # every score relies
SOME = ("drop", "balance", "consistency")


@pytest.fixture(scope="module")
def config(patches_config, tmp_path_factory):
    out = tmp_path_factory.mktemp("remedied")
    return patches_config.having(out=out, prevalence=0.5, seeds=3, thresholds=ALWAYS, explained=4)


@pytest.fixture(scope="module")
def plain(config):
    """A finished run without remedies."""
    return run_audit(config)


@pytest.fixture(scope="module")
def mended(plain, config):
    """The same folder, after remedies were tried."""
    before = dict(pd.read_csv(plain.folder / "results.csv").twin.value_counts())
    result = remedy_run(plain.folder, SOME)
    return result, before


def content(folder, name="findings.json"):
    return json.loads((folder / name).read_text())


def test_only_remedied_twins_are_trained_in_a_finished_run(mended):
    result, before = mended
    work = content(result.folder, "config.json")["work"]
    assert work["trained"] == 3 * len([*SOME, "placebo"])
    assert work["detectors"] == 6 + work["trained"]
    rows = dict(pd.read_csv(result.folder / "results.csv").twin.value_counts())
    assert {name: rows[name] for name in before} == before
    assert set(rows) - set(before) == {f"remedied-{name}" for name in (*SOME, "placebo")}


def test_findings_say_what_each_remedy_does(mended):
    (finding,) = content(mended[0].folder)["findings"]
    found = {one["remedy"]: one for one in finding["remedies"]}
    assert list(found) == [name for name in REMEDIES if name in (*SOME, "placebo")]
    for one in found.values():
        assert one["pairs"] == 3
        assert one["unfit"] is None
        assert 0 <= one["auroc"]["after"]["value"] <= 1
        assert 0 <= one["recall"]["before"]["value"] <= 1
        assert one["explainer"] == "native"
        assert 0 <= one["heat"]["after"]["value"] <= 1
        assert one["minutes"][0] > 0
    assert found["consistency"]["strength"] == 1
    assert len({one["shift"]["before"]["value"] for one in found.values()}) == 1, "of the same planted twins"
    assert len({one["heat"]["after"]["value"] for one in found.values()}) == 4
    assert finding["mending"]["answer"] in ("none", "open")


def test_the_page_and_the_terminal_say_it(mended, config):
    page = mended[0].report.read_text()
    assert "Is it mended?" in page
    assert "Can it be mended?" in page
    result = CliRunner().invoke(app, ["remedy", str(mended[0].folder), "--how", "inpaint"])
    assert result.exit_code == 0, result.output
    assert "remedies for" in result.stdout
    assert "inpaint" in result.stdout
    assert "mended? " in result.stdout
    assert content(mended[0].folder, "config.json")["work"]["trained"] == 3, "only what is new"


def test_one_run_with_remedies_gives_the_same_numbers(plain, mended, config, tmp_path, without_page):
    whole = run_audit(config.having(out=tmp_path, remedies=(*SOME, "inpaint")))
    remedy_run(plain.folder, ("inpaint",))
    assert (whole.folder / "results.csv").read_bytes() == (plain.folder / "results.csv").read_bytes()


def test_a_run_with_remedies_is_explained_without_training(mended, monkeypatch, without_page):
    monkeypatch.setattr(
        "fcdd_audit.experiment.trainings.train_stack", lambda *_: pytest.fail("a detector was trained")
    )
    explain_run(mended[0].folder, ["gradient"])
    (finding,) = content(mended[0].folder)["findings"]
    assert finding["remedies"]


def test_where_nothing_relies_there_is_nothing_to_mend(config, tmp_path, without_page):
    result = run_audit(
        config.having(out=tmp_path, remedies=("all",), thresholds=Thresholds(usable_auroc=0.0, shift=20.0))
    )
    (finding,) = content(result.folder)["findings"]
    assert finding["remedies"] == []
    assert finding["mending"]["answer"] == "nothing"
    assert finding["mending"]["said"].startswith("nothing to mend: the verdict is")
    assert not pd.read_csv(result.folder / "results.csv").twin.str.startswith("remedied").any()


def test_what_cannot_work_is_said_and_not_trained(config, tmp_path, without_page):
    result = run_audit(config.having(out=tmp_path, prevalence=1.0, remedies=("drop",)))
    (finding,) = content(result.folder)["findings"]
    drop = finding["remedies"][0]
    assert (drop["remedy"], drop["pairs"], drop["removed"]) == ("drop", 0, None)
    assert drop["unfit"] == "every anomalous training image bears the artifact, and none would be left"
    assert finding["mending"]["answer"] == "none"


def test_found_artifacts_are_mended_too(squares_config, tmp_path, without_page):
    result = run_audit(
        squares_config.having(
            out=tmp_path,
            seeds=3,
            thresholds=ALWAYS,
            remedies=("all",),
            removal="inpaint",
            halves="removed",
        )
    )
    (finding,) = content(result.folder)["findings"]
    assert {one["remedy"]: one["pairs"] for one in finding["remedies"]} == dict.fromkeys(REMEDIES, 3)
    work = content(result.folder, "config.json")["work"]
    assert work["trained"] == 3 * (2 + len(REMEDIES) - 1), "inpaint is what the control is trained on"


def test_other_artifacts_of_the_audit_are_measured_on_the_same_trainings(plain, config):
    setup = prepare(config)
    other = prepare(config.having(probe="patch"))
    other = type(other)(**{**other.__dict__, "plantable": {**setup.plantable, "patch": PROBES["patch"]()}})
    store = Store(plain.folder / "store")
    with store.opened(), engaged(RunSettings(workers=1), store) as finisher:
        found = remedied(
            config.having(remedies=("drop",)),
            setup,
            plan(config, setup),
            plain.findings,
            store,
            finisher.finish_all,
            {"patch": other},
        )
    (finding,) = found.findings
    for one in finding.remedies:
        (cue,) = one.others
        assert cue.artifact == "patch"
        assert cue.shift.before.value == 5, "cut off: a grey patch on noise, for hardly trained detectors"
    scored = [*(plain.folder / "store").glob("measured/*/scores.csv")]
    assert len({path.read_bytes() for path in scored}) == len(scored)


def test_what_remedies_make_can_be_taken_away(config, tmp_path, without_page):
    target = tmp_path / "mended"
    run_audit(config.having(out=tmp_path / "out", remedies=("drop", "consistency"), export=target))
    folders = {path.name.rpartition("-")[2]: path for path in target.iterdir()}
    assert set(folders) == {"drop", "consistency"}
    listed = pd.read_csv(folders["drop"] / "train.csv")
    assert dict(listed.side.value_counts()) == {"nominal": 19, "anomalous": 12}, "5 of 24 set the threshold"
    for row in listed.itertuples():
        with Image.open(folders["drop"] / row.file) as image:
            assert image.size == (32, 32)
    assert listed[listed.side == "anomalous"].name.nunique() <= 6, "the others bore it"
    assert (folders["consistency"] / "detector.safetensors").stat().st_size > 0
    with pytest.raises(InputError, match="isn't empty; name a new folder with --export"):
        run_audit(config.having(out=tmp_path / "out", remedies=("drop",), export=target))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"remedies": "balanse"}, "unknown remedy 'balanse'; did you mean 'balance'"),
        ({"export": "somewhere"}, "--export is for what remedies make; name some with --remedy"),
        ({"remedies": "all", "model": "m:make"}, "--remedy is for twins"),
        ({"consistency.strength": 0}, "consistency strength is 0; it must be over 0"),
    ],
)
def test_bad_input(given, said):
    with pytest.raises(InputError, match=said):
        make_config(given)


def test_a_run_that_has_nothing_to_try_or_no_twins_is_refused(plain):
    with pytest.raises(InputError, match="name remedies with --how"):
        remedy_run(plain.folder, ())
    described = content(plain.folder, "config.json")
    described["config"]["detector"] |= {"model": "m:make", "detectors": ["fcdd", "hsc", "ae"]}
    described["config"]["artifact"]["prevalence"] = [1.0]
    described["config"]["design"] |= {"seeds": "auto", "remedies": []}
    other = plain.folder.parent / "finished"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="mend your training, train again"):
        remedy_run(other, ("drop",))


def test_a_dry_run_says_what_remedies_may_take(plain, config):
    """Those that are in the store take nothing."""
    again = config.having(out=plain.folder.parent, name=plain.folder.name)
    remedy_run(plain.folder, SOME)
    planned = estimate(again.having(remedies=SOME))
    assert planned.remedies == 0
    assert not [line for line in planned.lines() if line.startswith("remedies")]
    more = estimate(again.having(remedies=(*SOME, "randomise")))
    assert more.remedies > 0
    assert f"remedies  up to {more.remedies:.0f} s more, where scores rely" in more.lines()


def test_a_dry_run_leaves_out_what_cannot_work(config, tmp_path):
    """Of a side that is full of it, nothing can be dropped."""
    planned = estimate(config.having(out=tmp_path, prevalence=1.0, remedies=("drop",)))
    some = estimate(config.having(out=tmp_path, prevalence=1.0, remedies=("drop", "inpaint")))
    assert planned.remedies < some.remedies


def test_what_the_control_is_trained_on_counts_once():
    work = {"cells": 5, "trained": 4, "measured": 5, "failed": 0}
    part = SimpleNamespace(detectors=frozenset("abcd"), work=work)
    inpainted = SimpleNamespace(detectors=frozenset("cde"), trained=1, measured=1)
    also = SimpleNamespace(detectors=frozenset("ef"), trained=1, measured=2)
    assert _work_of([part], [inpainted, also]) == {
        "cells": 7,
        "trained": 6,
        "measured": 8,
        "failed": 0,
        "detectors": 6,
    }


def test_a_dry_run_knows_that_terms_of_the_loss_take_longer(config, tmp_path):
    setup, steps = prepare(config), 100
    setup = replace(setup, recipe=setup.recipe.changed(steps=steps))
    store, one = Store(tmp_path), config.having(workers=1)

    def seconds(term):
        """Of a training, with a second a step; it is scored besides, and written."""
        work = Work(Cell("fcdd", 0, AS_IS, term=term), ())
        return estimated_seconds(one, setup, store, [work], {"fcdd": (1.0, 0.0)}) - 0.2 * steps - 2

    with store.opened():
        assert seconds(None) == pytest.approx(steps)
        assert seconds(Penalty("consistency", setup.probe)) == pytest.approx(3 * steps)
        assert seconds(Penalty("outside", setup.probe)) == pytest.approx(5 * steps)


def test_every_nominal_class_is_mended(classes_config, tmp_path, without_page):
    """AE learns from nominal images only, so that there is nothing to balance for it."""
    result = run_audit(
        classes_config.having(
            out=tmp_path, prevalence=0.5, seeds=3, thresholds=ALWAYS, remedies=("balance",), explained=2
        )
    )
    found = content(result.folder)["findings"]
    assert [(one["nominal_class"], one["detector"], one["remedies"][0]["pairs"]) for one in found] == [
        ("airplane", "fcdd", 3),
        ("airplane", "ae", 0),
        ("cat", "fcdd", 3),
        ("cat", "ae", 0),
    ]
    assert "trained on nominal images only" in found[1]["remedies"][0]["unfit"]
    rows = pd.read_csv(result.folder / "results.csv")
    assert set(rows[rows.twin == "remedied-balance"].nominal_class) == {"airplane", "cat", "mean"}
