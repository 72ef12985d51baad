"""Two audits that ask the same question, with differences worked out by hand."""

import json
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit import InputError
from fcdd_audit.experiment.folder import SCHEMA
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.studies.compare import Change, compare_runs
from fcdd_audit.studies.compare.change import changed
from fcdd_audit.studies.compare.differing import differing
from fcdd_audit.studies.compare.questions import Audit, obstacle
from fcdd_audit.studies.compare.saying import points, said_of_alarms

ABOUT = {"dataset": "made-up", "nominal_class": "grass", "detector": "fcdd", "probe": "bars"}
BEFORE = {0: 0.8, 1: 0.9, 2: 1.0}  # new alarms by seed
AFTER = {0: 0.1, 1: 0.0, 2: 0.2}
NAN = float("nan")


def config(design="twins", **changes):
    return {
        "schema": SCHEMA,
        "design": design,
        "config": {
            "data": {"dataset": "made-up", "cache": None},
            "detector": {"recipe": {"epochs": 5, **changes}},
            "design": {"thresholds": {"confidence": 0.95}},
            "run": {"out": "reports"},
        },
        "data": [{"nominal_class": "grass", "fingerprint": "abc"}],
        "probe": "Bars()",
    }


def finding(**changes):
    return {
        **ABOUT,
        "plant_on": "anomalous",
        "prevalence": 1.0,
        "verdict": "relies",
        "harm": "alarms",
        "missing": None,
        "pairs_needed": None,
        "images_needed": None,
        "control_auroc": 0.9,
        **changes,
    }


def rows_of(one, alarms, auroc=None):
    """Rows of results.csv: of each seed the alarms, ten times that as dependence, and the control's AUROC."""
    for seed, value in alarms.items():
        about = {**{name: one[name] for name in (*ABOUT, "plant_on")}, "seed": seed, "explainer": ""}
        pair = {**about, "prevalence": one["prevalence"], "twin": "planted-control", "split": "conflict"}
        yield {**pair, "metric": "excess_alarms", "value": value}
        yield {**pair, "metric": "dependence", "value": 4 * value}
        control = {**about, "prevalence": 0.0, "twin": "control", "metric": "auroc"}
        yield {**control, "split": "clean", "value": (auroc or {}).get(seed, 0.9)}
        yield {**control, "split": "marked", "value": 0.1}
        yield {**control, "twin": "planted", "split": "clean", "value": 0.2}


def twins(*asked, name="run", **changes):
    """asked: findings with their alarms by seed."""
    rows = [row for one, alarms in asked for row in rows_of(one, alarms)]
    table = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates()  # a control serves all prevalences
    return Audit(name, "twins", config(**changes), [one for one, _ in asked], table)


def finished(hits, images=100, name="model", shift=2.0, auroc=0.9, **changes):
    numbers = {"rate": {"value": hits / images}, "images": images, "shift": shift}
    one = finding(
        detector=name,
        prevalence=None,
        verdict="vulnerable",
        control_auroc=auroc,
        finished=numbers,
        design="finished",
    )
    return Audit(name, "finished", config("finished", **changes), [one], pd.DataFrame())


def write(folder, audit):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(audit.config))
    found = {"schema": SCHEMA, "run": audit.name, "findings": audit.findings}
    (folder / "findings.json").write_text(json.dumps(found))
    audit.results.reindex(columns=COLUMNS).to_csv(folder / "results.csv", index=False)
    return folder


def only(found):
    (one,) = found.questions
    return one


def test_seeds_in_common_are_paired():
    one = only(changed(twins((finding(), BEFORE)), twins((finding(), AFTER))))
    # Differences -.7, -.9, -.8: mean -.8, error .1 / sqrt(3).
    margin = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert one.how == "paired"
    assert one.alarms.difference.value == pytest.approx(-0.8)
    assert one.alarms.difference.low == pytest.approx(max(-1, -0.8 - margin))
    assert one.alarms.difference.high == pytest.approx(-0.8 + margin)
    assert one.dependence.difference.value == pytest.approx(-3.2)
    assert one.dependence.difference.high == pytest.approx(4 * (-0.8 + margin))
    assert (one.control_auroc.before.value, one.control_auroc.difference.value) == (pytest.approx(0.9), 0)
    assert one.before.cases == one.after.cases == 3
    assert one.said == "fcdd: new alarms 90 % before, 10 % after: 80 points fewer (55 to 100)"


def test_only_pairs_that_both_have_count_where_it_is_paired():
    one = only(changed(twins((finding(), {**BEFORE, 7: 0.0})), twins((finding(), {**AFTER, 9: 1.0}))))
    assert one.alarms.before.value == pytest.approx(0.9)
    assert one.alarms.difference.value == pytest.approx(-0.8)
    assert (one.before.cases, one.after.cases) == (3, 3)


def test_without_two_seeds_in_common_the_means_are_independent():
    later = {seed + 2: value for seed, value in AFTER.items()}  # seed 2 is common
    one = only(changed(twins((finding(), BEFORE)), twins((finding(), later))))
    # Both variances are .01 of three: Welch's degrees of freedom are 4.
    margin = stats.t.ppf(0.975, 4) * math.sqrt(0.02 / 3)
    assert one.how == "unpaired"
    assert one.alarms.difference.value == pytest.approx(-0.8)
    assert one.alarms.difference.high == pytest.approx(-0.8 + margin)
    assert (one.before.cases, one.after.cases) == (3, 3)


def test_one_pair_each_has_no_interval():
    one = only(changed(twins((finding(), {0: 0.8})), twins((finding(), {0: 0.1}))))
    assert one.said == "fcdd: new alarms 80 % before, 10 % after: 70 points fewer (no interval)"
    assert math.isnan(one.alarms.difference.low)


def test_twins_without_numbers_have_none():
    one = only(changed(twins((finding(), {})), twins((finding(), AFTER))))
    assert math.isnan(one.alarms.before.value)
    assert one.said == "fcdd: new alarms aren't known of both"


def test_the_auroc_is_that_of_images_in_use():
    asked = finding(plant_on="found-on-anomalous")
    one = only(changed(twins((asked, BEFORE)), twins((asked, AFTER))))
    assert one.control_auroc.before.value == pytest.approx(0.1), "found artifacts are there in use: marked"


def test_counts_of_images_have_newcombes_interval():
    one = only(changed(finished(48, 80, "a.onnx"), finished(56, 70, "b.onnx", shift=1.5, auroc=0.95)))
    assert one.how == "counts"
    assert (one.alarms.difference.low, one.alarms.difference.high) == pytest.approx(
        (0.0524, 0.3339), abs=5e-5
    )
    assert (one.before.detector, one.after.detector) == ("a.onnx", "b.onnx")
    assert (one.before.cases, one.after.cases) == (80, 70)
    assert one.dependence.difference.value == pytest.approx(-0.5)
    assert one.control_auroc.difference.value == pytest.approx(0.05)
    assert math.isnan(one.control_auroc.difference.low)
    assert one.said == "b.onnx: new alarms 60 % before, 80 % after: 20 points more (5 to 33)"


def test_a_shift_that_isnt_known_stays_unknown():
    one = only(changed(finished(4, shift=None), finished(4, epochs=6)))
    assert math.isnan(one.dependence.before.value)
    assert math.isnan(one.dependence.difference.value)


SHARES = st.dictionaries(st.integers(0, 6), st.floats(0, 1), min_size=1, max_size=5)


@given(SHARES, SHARES)
def test_exchanged_audits_flip_the_signs(first, second):
    there = only(changed(twins((finding(), first)), twins((finding(), second))))
    back = only(changed(twins((finding(), second)), twins((finding(), first))))
    for name in ("alarms", "dependence", "control_auroc"):
        one, other = getattr(there, name), getattr(back, name)
        assert one.before == other.after or math.isnan(one.before.low)
        flipped = (-other.difference.value, -other.difference.high, -other.difference.low)
        found = (one.difference.value, one.difference.low, one.difference.high)
        assert found == pytest.approx(flipped, nan_ok=True)


@given(SHARES)
def test_a_run_and_its_copy_differ_by_nothing(alarms):
    found = changed(twins((finding(), alarms)), twins((finding(), alarms)))
    one = only(found)
    assert found.differs == []
    assert [getattr(one, name).difference.value for name in ("alarms", "dependence", "control_auroc")] == [
        0
    ] * 3


@given(st.integers(0, 50), st.integers(0, 50))
def test_exchanged_detectors_flip_the_sign(first, second):
    there, back = (
        only(changed(finished(a, 50), finished(b, 50))).alarms.difference
        for a, b in ((first, second), (second, first))
    )
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_verdicts_are_in_words():
    after = finding(verdict="inconclusive", harm=None, missing="pairs", pairs_needed=12)
    one = only(changed(twins((finding(), BEFORE)), twins((after, AFTER))))
    assert one.before.said == "relies and raises alarms"
    assert one.after.said == "can't tell: about 12 pairs of twins are needed"


def test_a_question_may_change_its_prevalence_but_several_have_to_match():
    half = finding(prevalence=0.5)
    one = only(changed(twins((finding(), BEFORE)), twins((half, AFTER))))
    assert (one.before.prevalence, one.after.prevalence) == (1.0, 0.5)
    assert one.alarms.difference.value == pytest.approx(-0.8)
    two = twins((finding(), BEFORE), (half, AFTER))
    assert obstacle(two, twins((half, AFTER), (finding(), BEFORE))) is None
    assert obstacle(two, twins((finding(), BEFORE))) == "prevalence 0.5, 1, then 1"


def test_prevalences_are_matched_whatever_their_order():
    half = finding(prevalence=0.5)
    found = changed(twins((finding(), BEFORE), (half, AFTER)), twins((half, AFTER), (finding(), BEFORE)))
    assert [one.alarms.difference.value for one in found.questions] == [0, 0]


def test_of_several_classes_the_sentence_names_each():
    asked = [(finding(), BEFORE), (finding(nominal_class="sand", plant_on="nominal"), AFTER)]
    said = [one.said for one in changed(twins(*asked), twins(*asked)).questions]
    assert said[0].startswith("fcdd, grass: new alarms 90 %")
    assert said[1].startswith("fcdd, sand: anomalies newly hidden 10 %")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probe": "mark"}, "artifact bars, then mark"),
        ({"detector": "hsc"}, "detector fcdd, then hsc"),
        ({"plant_on": "nominal"}, "side anomalous, then nominal"),
        ({"nominal_class": "sa\nnd"}, "nominal class grass, then sa nd"),
        ({"dataset": "b", "probe": "c"}, "data set made-up, then b; artifact bars, then c"),
    ],
)
def test_what_is_asked_differently_is_said(changes, said):
    before, after = twins((finding(), BEFORE)), twins((finding(**changes), AFTER))
    assert obstacle(before, after) == said
    with pytest.raises(InputError, match="don't ask the same question") as caught:
        changed(before, after)
    assert len(str(caught.value).splitlines()) == 1


def test_designs_are_not_mixed():
    assert obstacle(twins((finding(), BEFORE)), finished(4)) == "design twins, then finished"


def test_settings_that_differ_are_listed_by_their_dotted_names():
    before, after = config(), config(epochs=9, jitter=0.1)
    after["config"]["run"]["out"] = "elsewhere"
    after["config"]["data"]["cache"] = "elsewhere"
    after["data"][0]["fingerprint"] = "def"
    after["probe"] = "Bars(size=2)"
    assert differing(before, after) == [
        {"setting": "detector.recipe.epochs", "before": 5, "after": 9},
        {"setting": "images.grass", "before": "abc", "after": "def"},
        {"setting": "resolved.probe", "before": "Bars()", "after": "Bars(size=2)"},
        {"setting": "detector.recipe.jitter", "before": None, "after": 0.1},
    ]
    assert differing(before, before) == []


def test_one_artifact_as_older_runs_noted_it_is_no_difference():
    before, after = config(), config()
    before["config"]["artifact"] = {"probe": "bars", "plant_on": "auto"}
    after["config"]["artifact"] = {"probes": ["bars"], "plant_on": ["auto"], "together": False}
    assert differing(before, after) == []
    after["config"]["artifact"] = {"probes": ["bars", "disc"], "plant_on": ["auto"], "together": True}
    assert differing(before, after) == [
        {"setting": "artifact.probes", "before": ["bars"], "after": ["bars", "disc"]},
        {"setting": "artifact.together", "before": None, "after": True},
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Interval(-0.79, -0.95, -0.6), "79 points fewer (60 to 95)"),
        (Interval(0.2, 0.05, 0.33), "20 points more (5 to 33)"),
        (Interval(-0.1, -0.3, 0.1), "10 points fewer (30 fewer to 10 more)"),
        (Interval(0.01, 0.0, 0.02), "1 point more (0 to 2)"),
        (Interval(0.001, -0.02, 0.03), "no difference (2 fewer to 3 more)"),
        (Interval(-0.5, NAN, NAN), "50 points fewer (no interval)"),
    ],
)
def test_points_in_words(found, said):
    assert points(found) == said


def test_what_is_counted_depends_on_the_side():
    said = said_of_alarms(["ae"], "nominal", 0.5, 0.25, Interval(-0.25, -0.3, -0.2))
    assert said == "ae: anomalies newly hidden 50 % before, 25 % after: 25 points fewer (20 to 30)"


def test_the_json_and_the_table_have_the_numbers():
    found = changed(twins((finding(), BEFORE)), twins((finding(), {0: 0.1}), epochs=6))
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert (content["kind"], content["confidence"]) == ("change", 0.95)
    assert content["questions"][0]["alarms"]["after"] == {"value": 0.1, "low": None, "high": None}
    table = found.table().set_index(["metric", "stage"])
    assert table.index.is_unique
    assert len(table) == 9
    assert table.loc[("alarms", "difference"), "value"] == pytest.approx(-0.8)
    assert table.loc[("alarms", "difference"), "how"] == "unpaired"


# Which comparison is meant


@pytest.fixture
def folders(tmp_path):
    before = write(tmp_path / "before", twins((finding(), BEFORE)))
    return before, write(tmp_path / "after", twins((finding(), AFTER), epochs=9))


def test_two_runs_that_differ_otherwise_are_a_change(folders):
    found = compare_runs(folders)
    assert isinstance(found, Change)
    assert only(found).alarms.difference.value == pytest.approx(-0.8)
    assert [one["setting"] for one in found.differs] == ["detector.recipe.epochs"]


def test_two_finished_detectors_are_always_a_change(tmp_path):
    folders = [write(tmp_path / name, finished(hits, name=name)) for name, hits in (("a", 90), ("b", 3))]
    assert only(compare_runs(folders)).said.startswith("b: new alarms 90 % before, 3 % after")


def test_a_copy_is_a_change_where_one_is_asked_for(folders, tmp_path):
    copy = write(tmp_path / "copy", twins((finding(), BEFORE)))
    assert only(compare_runs([folders[0], copy], "change")).alarms.difference == Interval(0, 0, 0)


@pytest.mark.parametrize(
    ("which", "kind", "said"),
    [
        ([0, 0], None, "given twice"),
        ([0], "change", "takes two runs.* not 1"),
        ([0, 1, 0], "explainers", "given twice"),
        ([0, 2], "change", "artifact bars, then mark"),
        ([0, 3], None, "holds no finished audit"),
        ([0, 4], None, "is no complete run"),
    ],
)
def test_runs_that_dont_fit_are_refused_in_one_line(which, kind, said, folders, tmp_path):
    other = write(tmp_path / "other", twins((finding(probe="mark"), AFTER)))
    broken = write(tmp_path / "broken", twins((finding(), AFTER)))
    (broken / "results.csv").unlink()
    known = [*folders, other, tmp_path / "nothing", broken]
    with pytest.raises(InputError, match=said) as caught:
        compare_runs([known[place] for place in which], kind)
    assert len(str(caught.value).splitlines()) == 1
