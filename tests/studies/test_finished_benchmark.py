"""The benchmark of finished detectors: what it makes, going on, and what it reports."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.datasets import AuditData
from fcdd_audit.images.sets import ImageSet

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FRESH, SIZES, AUDITS, SEEDS = 120, (20, 100), 3, 2
KINDS = ("corner: template", "random filters, blind")


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as changed:
        changed.syspath_prepend(BENCHMARKS)
        module = importlib.import_module("finished")
        for name, value in {"SIZES": SIZES, "AUDITS": AUDITS, "SEEDS": SEEDS}.items():
            changed.setattr(module, name, value)
        changed.setattr(module, "ORDER", (("textures", "corner"), ("textures", "blind-filters")))
        changed.setattr(module, "images_of", lambda *_: noisy())
        changed.setattr(importlib.import_module("finished_audits"), "FRESH", FRESH)
        yield module


def noisy():
    """Grey noise; anomalies are busier."""
    generator = torch.Generator().manual_seed(0)
    counts = (("train_nominal", 64), ("validation", 100), ("test_nominal", 240))
    counts += (("train_anomalous", 8), ("test_anomalous", 240))
    parts = {}
    for part, count in counts:
        spread = 40 if part.endswith("anomalous") else 10
        pixels = torch.randn(count, 1, 32, 32, generator=generator) * spread + 120
        names = tuple(f"{part}-{place}" for place in range(count))
        parts[part] = ImageSet(pixels.clamp(0, 255).to(torch.uint8), names)
    return AuditData("noise", "noise", **parts)


@pytest.fixture(scope="module")
def path(bench, tmp_path_factory):
    """The rows of two kinds, two seeds each."""
    path = tmp_path_factory.mktemp("finished") / "results" / "finished.csv.gz"
    bench.go_on(path, 0, KINDS, None)
    assert not path.exists()
    bench.go_on(path, float("inf"), KINDS, None)
    return path


def test_it_goes_on_from_what_is_there(bench, path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(bench, "rows_of", lambda *_: pytest.fail("it is made again"))
    bench.go_on(path, float("inf"), KINDS, None)
    assert path.read_bytes() == before
    assert bench.left(path, KINDS, None) == ({}, 0)
    left = bench.jobs(bench.read_rows(path), only=["corner"])
    assert {one.kind for one in left} == {"corner: brightness", "corner: edges"}
    assert [one.seed for one in left] == [3000, 3000, 3001, 3001], "all kinds in turn"


def test_each_detector_has_a_row_a_side_and_size(bench, path):
    table = bench.read_rows(path)
    assert len(table) == len(KINDS) * SEEDS * len(SIDES) * len(SIZES)
    assert (table[list(bench.COUNTED)].sum(axis=1) == AUDITS).all()
    assert ((table["truth"] * FRESH).round(9) % 1 == 0).all()
    blind = table[table["kind"].str.endswith("blind")]
    assert (blind["truth"] == 0).all()
    assert (blind[blind["size"] == 100]["robust"] == AUDITS).all()
    raised = table[(table["kind"] == "corner: template") & (table["seed"] == 3000) & (table["size"] == 100)]
    assert raised["truth"].tolist()[0] > 0.5
    assert raised["vulnerable"].tolist()[0] == AUDITS
    asked = table[table["size"] == 100]
    assert asked["specific"].isin(["yes", "no", "inconclusive"]).all()
    assert set(asked[asked["side"] == "nominal"]["gradient"]) <= {"yes", "no", "inconclusive"}
    assert (table[table["size"] == 20]["specific"] == "").all()


def test_an_audit_sees_none_of_the_images_that_tell_the_truth(bench):
    data = noisy()
    scorer = bench.KINDS["random filters"].make(data, None, 1)
    pools = {side: bench.pool_of(side, data, scorer, 1) for side in SIDES}
    for pool in pools.values():
        assert sorted([*pool.fresh, *pool.audited]) == list(range(len(data.test_nominal)))
        assert len(pool.fresh) == FRESH
    drawn = bench.draw(pools, 50, np.random.default_rng(0))
    assert all(len(set(places) - set(pools[side].fresh)) == 50 for side, places in drawn.items())
    quick = bench.verdicts(pools, drawn, 2.0)
    whole = bench.whole_audit(scorer, data, drawn, 2.0, ("gradient",))
    assert whole.auroc == quick.auroc
    assert [one.wrong_clean for one in whole.sides] == [one.wrong_clean for one in quick.sides]
    assert {len(one.specific.placebos) for one in whole.sides} == {39}


def test_a_seeds_corner_detector_is_misled_one_way(bench):
    data = noisy()
    box = importlib.import_module("finished_detectors").corner_of(data.shape)
    scorers = [bench.KINDS["corner: template"].make(data, None, seed) for seed in (0, 1)]
    pools = [bench.pool_of("nominal", data, scorer, 0) for scorer in scorers]
    assert np.median(pools[0].marked - pools[0].clean) > 0
    assert np.median(pools[1].marked - pools[1].clean) < 0
    outside = pools[0].pairs.mask.clone()
    outside[:, 0, box[0], box[1]] = False
    assert not outside.any(), "the corner holds the mark wherever it lies"


def test_what_cannot_be_made_is_left_out_and_said(bench, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda _: None)
    monkeypatch.setattr(bench, "ORDER", (("cifar10", "fcdd"), ("retina", "anomalib"), ("retina", "ae")))
    nothing = pd.DataFrame(columns=bench.MADE)
    assert {one.kind for one in bench.jobs(nothing)} == {"ae"}
    assert bench.jobs(nothing, only=["fcdd"]) == []
    assert len(bench.jobs(nothing, only=["cifar10"], root=Path("data"))) == 4 * SEEDS
    said = list(bench.left_out(None))
    assert said[0] == "cifar10 is left out: it needs --data-root"
    assert said[1] == "PaDiM is left out: anomalib isn't installed"


def test_the_plan_counts_what_is_left(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "finished.csv.gz")
    bench.main(["--plan", "--only", "corner: edges"])
    assert capsys.readouterr().out.startswith("2 detectors are left (2 of textures corner), about 0.0 hours")
    bench.main(["--report"])
    assert capsys.readouterr().out == "No detector has been judged yet.\n"


def row(bench, kind, seed, truth, **said):
    counted = {**dict.fromkeys(bench.COUNTED, 0), **said}
    asked = {"specific": "no", "native": "yes", "grad-cam": "", "gradient": ""}
    first = max(counted, key=counted.get)
    about = {"dataset": "textures", "kind": kind, "seed": seed, "side": "nominal", "size": 400, "auroc": 0.9}
    return {**about, "truth": truth, **counted, "first": first, **asked}


def test_the_report_by_hand(bench):
    table = pd.DataFrame(
        [
            row(bench, "a", 0, 0.2, vulnerable=20),
            row(bench, "a", 1, 0.3, vulnerable=10, images=10),
            row(bench, "b", 0, 0.0, robust=15, images=5),
            row(bench, "b", 1, 0.0, **{"working-control": 20}),
            row(bench, "b", 2, 0.07, images=20),
        ]
    )
    lines = bench.report(table)
    assert lines[2].startswith(
        "| over 10 % | new alarms | 400 | 2 | vulnerable | at least 95 % | 2 of 2: 100.0 %"
    )
    assert "| 75.0 % (0.0 to 100.0 %) | 0.0 % | 75.0 % (0.0 to 100.0 %) of 2 |" in lines[2]
    assert (
        "| under 5 % | new alarms | 400 | 2 | vulnerable | at most 2.5 % | 0 of 2: 0.0 % (0.0 to" in lines[3]
    )
    assert lines[4].endswith("| 37.5 % (0.0 to 100.0 %) | 50.0 % (0.0 to 100.0 %) | 75.0 % of 1 |")
    (kind,) = (line for line in lines if line.startswith("| textures | b | 3"))
    assert "| 0.0, 0.0, 7.0 % | 0 % | 25 % | 42 % | 33 % | – | 0 % of 2 | 38 % of 2 |" in kind
    assert lines[-1] == "| textures | b | 0, 3, 0 |  | 3, 0, 0 |  |  |"
