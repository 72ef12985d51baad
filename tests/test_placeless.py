"""Audits of an artifact without a place: reliance is judged, and no explanation is."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fcdd_audit import AuditConfig, Recipe, make_config, render_report, run_audit
from fcdd_audit.config.parts import RunSettings
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment.explaining import KEPT, LEVELS, overlap_columns
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.identity import scored, trained
from fcdd_audit.experiment.plan import planned_work
from fcdd_audit.experiment.reading import read_heat, read_question
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.tables import evidence, results_table
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.looks import single_look
from fcdd_audit.verdict.thresholds import Thresholds

NO_PLACE = "This artifact has no place in the image, so only scores are judged and no explanation is."
SMALL = make_config(
    probe="jpeg",
    image_size=32,
    seeds=1,
    recipe=Recipe.of(epochs=1),
    detectors=("fcdd",),
    explainers=("native", "edges"),
    workers=1,
)


@pytest.fixture(scope="module")
def defects(tmp_path_factory) -> AuditConfig:
    """Images of noise with a bright square as the defect, and masks of it."""
    root = tmp_path_factory.mktemp("defects")
    rng = np.random.default_rng(0)
    for part, count in (("train/nominal", 16), ("test/nominal", 4), ("test/anomalous", 4), ("masks", 4)):
        (root / part).mkdir(parents=True)
        for i in range(count):
            pixels = (
                rng.integers(90, 130, (32, 32), dtype=np.uint8) if part != "masks" else np.zeros((32, 32))
            )
            if part in ("test/anomalous", "masks"):
                pixels[8:16, 16:24] = 255
            Image.fromarray(pixels.astype(np.uint8)).save(root / part / f"{i}.png")
    return SMALL.having(
        dataset="folder", data_root=root, detectors=("ae",), recipe=Recipe.of(epochs=1, batch_size=8)
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The two cells of the small audit, read back, with their question, setup and store."""
    setup = prepare(SMALL)
    (question,) = plan(SMALL, setup)
    works = planned_work([question], setup)
    assert set(works) == {*question.planted, *question.control}, "nothing is to be compared before training"
    store = Store(tmp_path_factory.mktemp("store"))
    with store.opened(), engaged(RunSettings(workers=1), store) as finisher:
        assert finisher.finish_works(list(works.values()), setup) == {}
    measured = read_question(question, single_look(1), (None,), setup, store, {})
    return setup, measured, [read_heat(work, setup, store) for work in works.values()]


def test_nothing_is_measured_and_the_examples_heat_is_kept(measured):
    setup, found, heat = measured
    assert {pairs.mask for pairs in setup.pairs.values()} == {None}
    for record in found.records.values():
        columns = [name for name in overlap_columns() if name != "place"]
        assert list(record.localization) == ["explainer", *columns]
        assert record.localization.empty
        assert record.untrained.empty
    for kept in heat:
        assert list(kept) == ["native", "edges"]
        for maps, levels in kept.values():
            assert (maps.shape, levels.shape) == ((2 * KEPT, 32, 32), (LEVELS,))


def test_the_table_holds_detection_and_reliance_only(measured):
    table = results_table([measured[1]], 0.95)
    assert set(table["explainer"]) == {""}
    assert set(table["split"]) == {"validation", "clean", "marked", "aligned", "conflict"}
    assert (table["metric"] == "reliance").sum() == 1
    assert table["value"].notna().all()


def test_findings_have_no_explainers(measured):
    setup, found, _ = measured
    judged = evidence(found, setup.data, 0.95)
    assert (judged.overlaps, judged.chance, judged.references) == ({}, {}, ())
    (finding,) = judge([judged], Thresholds())
    assert finding.explainers == ()
    assert np.isfinite(finding.reliance.value)


def test_another_quality_is_another_planted_twin_and_other_test_images():
    setup = prepare(SMALL)
    other = prepare(SMALL.having(options={"jpeg": {"quality": 80}}))
    (question,) = plan(SMALL, setup)
    (control,), (planted,) = question.control, question.planted
    assert setup.fingerprint != other.fingerprint
    assert trained(planted, setup) != trained(planted, other)
    assert trained(control, setup) == trained(control, other), "it never saw the artifact"
    assert scored(control, setup) != scored(control, other)


def test_the_estimate_counts_no_overlaps(tmp_path):
    small, large = (
        estimate(SMALL.having(probe=probe, out=tmp_path)).megabytes for probe in ("jpeg", "frame")
    )
    assert 0 < small < large
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    return run_audit(SMALL.having(out=tmp_path_factory.mktemp("reports")))


def test_the_report_says_that_no_explanation_is_judged(audited):
    assert audited.folder.name == "retina-jpeg"
    assert [finding.explainers for finding in audited.findings] == [()]
    source = audited.report.read_text(encoding="utf-8")
    assert source.count(NO_PLACE) == 1
    assert '<table class="quadrants">' not in source
    assert "of its heat in the mask" not in source
    assert "the artifact's mask; the number under a map" not in source
    assert len(re.findall(r'<img [^>]* alt="native map of the planted twin of \w+">', source)) == 4
    assert json.loads((audited.folder / "config.json").read_text())["probe"] == "Jpeg(quality=25)"
    render_report(audited.folder)
    assert audited.report.read_text(encoding="utf-8") == source


def test_what_has_a_place_is_still_explained_once_chained_with_what_has_none(tmp_path):
    result = run_audit(SMALL.having(probe="frame+jpeg", out=tmp_path))
    (finding,) = result.findings
    assert [explainer.explainer for explainer in finding.explainers] == ["native", "edges"]
    assert result.folder.name == "retina-frame+jpeg"
    source = result.report.read_text(encoding="utf-8")
    assert NO_PLACE not in source
    assert "can&#39;t tell: more pairs of twins are needed" in source


def test_true_defects_are_still_localised(defects, work_of, tmp_path):
    result = run_audit(defects.having(out=tmp_path))
    table = pd.read_csv(result.folder / "results.csv", keep_default_na=False)
    explained = table[table["explainer"] != ""]
    assert set(explained["split"]) == {"defect"}
    assert set(explained["explainer"]) == {"native", "edges"}
    assert [finding.explainers for finding in result.findings] == [()]
    assert NO_PLACE in result.report.read_text(encoding="utf-8")
    again = run_audit(defects.having(out=tmp_path))
    work = work_of(again.folder)
    assert (work["detectors"], work["cells"], work["trained"], work["measured"]) == (2, 2, 0, 0)
