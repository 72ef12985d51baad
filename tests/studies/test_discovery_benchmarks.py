"""The benchmarks of discovery: their lists, going on, and what counts as found."""

import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit.core.seeding import numpy_generator

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """A benchmark by its name."""
    with pytest.MonkeyPatch.context() as changed:
        changed.syspath_prepend(BENCHMARKS)
        yield importlib.import_module


class Job(NamedTuple):
    name: str
    number: int


@pytest.fixture
def long_list(bench, tmp_path, monkeypatch):
    """Of four jobs that take no time."""
    module = bench("longlist")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    jobs = [Job("null", 1), Job("", 1), Job("null", 2), Job("", 2)]
    return module.LongList(
        "About.", "four", lambda: jobs, lambda job, root: {"twice": 2 * job.number}, lambda table: [""]
    )


def test_it_goes_on_from_the_rows_that_are_there(long_list, tmp_path):
    long_list.go_on(0, tmp_path)
    assert not long_list.path.exists()
    table = pd.DataFrame([long_list.row(Job("", 1), tmp_path)])
    table.to_csv(long_list.path, index=False)
    assert long_list.left(long_list.rows()) == [Job("null", 1), Job("null", 2), Job("", 2)]
    long_list.go_on(1, tmp_path)
    done = long_list.rows()
    assert list(done["twice"]) == [2, 2, 4, 4]
    assert list(done["name"]) == ["", "null", "null", ""]
    assert long_list.left(done) == []
    assert long_list.plan(tmp_path).startswith("0 left")


def test_the_long_list_is_long_enough_and_names_each_search_once(bench):
    jobs = list(bench("discovery").jobs())
    assert len(jobs) == len(set(jobs))
    assert sum(job.probe != "" for job in jobs) >= 200
    clean = [(job.source, job.set) for job in jobs if job.probe == ""]
    assert len(clean) == len(set(clean)) >= 100


@pytest.mark.parametrize("name", ["discovery_breaks", "discovery_extraction", "discovery_pasted"])
def test_each_measurement_is_listed_once(bench, name):
    jobs = list(bench(name).jobs())
    assert len(jobs) == len(set(jobs))


def test_at_least_80_searches_say_whether_pasted_windows_cry_wolf(bench):
    jobs = [job for job in bench("discovery_pasted").jobs() if job.kind == "null"]
    assert len(jobs) >= 80
    assert all({"frog"}.isdisjoint({job.nominal, job.anomalous}) for job in jobs)


def test_each_set_that_breaks_the_null_is_made_of_the_images(bench):
    module = bench("discovery_breaks")
    pool = torch.randint(
        0, 256, (700, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    bearing = {"copies": 90, "half-mirrored": 50, "words": 60, "captions": 60}
    for kind, make in module.KINDS.items():
        images, bears = make(pool, numpy_generator(0, kind))
        assert images.dtype == torch.uint8
        assert images.shape[2] == images.shape[3] == (61 if kind == "jpeg" else 64)
        assert len(bears) == len(images)
        assert int(bears.sum()) == bearing.get(kind, 0)


def test_a_group_has_half_of_the_bearers_and_half_of_it_bears(bench):
    is_group = bench("discovery_peers").is_group
    bears = np.arange(20) < 8
    assert is_group(np.arange(20) < 4, bears)  # 4 of 8 bearers, and nothing else
    assert not is_group(np.arange(20) < 3, bears)
    assert is_group(np.arange(20) < 16, bears)  # 8 of 16
    assert not is_group(np.arange(20) < 17, bears)
    assert not is_group(np.zeros(20, bool), bears)


def test_the_hottest_pixels_overlap_the_box_around_the_mark(bench):
    hottest_iou = bench("discovery_peers").hottest_iou
    where = torch.zeros(8, 8, dtype=torch.bool)
    where[2, 2] = where[3, 5] = True  # a box of 2 rows and 4 columns
    heat = torch.zeros(8, 8)
    heat[2:4, 2:6] = 1
    assert hottest_iou(heat, where) == 1
    assert hottest_iou(heat.roll(2, 1), where) == pytest.approx(4 / 12)
    assert hottest_iou(heat.roll(4, 0), where) == 0


def test_spray_finds_heatmaps_that_are_hot_at_one_place(bench):
    spray = bench("discovery_peers").spray
    maps = torch.rand(80, 32, 32, generator=torch.Generator().manual_seed(0))
    bears = np.arange(80) < 20
    assert not spray(maps, bears)["spray"]
    maps[:20, :8, :8] += 5
    assert spray(maps, bears)["spray"]


def test_what_is_extracted_of_clear_bearers_moves_a_score_as_the_mark_does(bench):
    module = bench("discovery_extraction")
    images = torch.randint(
        0, 256, (200, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    images = torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).byte()
    probe = module.Faded(module.own_probe("patch"), 0.8)
    found = module.extracted_of(module.Job("deer", "patch", 0.8, 60), probe, images)
    assert found is not None
    where = module.as_probe(found, (32, 32))
    _, mask = probe.apply(torch.zeros(1, 3, 32, 32), torch.Generator().manual_seed(0))
    assert (where.alpha[where.mask].mean() - 0.8).abs() < 0.1
    assert (where.mask[:1] & mask).sum() / (where.mask[:1] | mask).sum() > 0.4
