import json
from dataclasses import replace
from itertools import product

import pandas as pd
import pytest

from fcdd_audit import InputError
from fcdd_audit.experiment.folder import SCHEMA
from fcdd_audit.experiment.tables import COLUMNS, COSTS
from fcdd_audit.measures.table import described_measures
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.studies.compare import Compared, Count, bootstrap, compare
from fcdd_audit.studies.compare.ranking import gain, tiered

CONTROL = [0.50, 0.58, 0.50]  # pixel AUROC of the controls of seeds 0 to 2
THRESHOLDS = {"shift": 0.05, "reveal": 0.05, "confidence": 0.95, "usable_auroc": 0.6}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", 100)


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def finding(prevalence, verdict, excess, judged=True, control_auroc=0.9, others=None):
    """others: excess of further explainers by name."""
    each = {"lrp": excess, "random": interval(0, 0, 0), **(others or {})}
    explainers = [
        {
            "explainer": name,
            "reference": name == "random",
            "judged": judged,
            "side": "nominal",
            "overlaps": [
                {"side": "anomalous", "measure": "pixel_auroc", "excess": interval(9, 9, 9)},
                {"side": "nominal", "measure": "pixel_auroc_dilated", "excess": interval(9, 9, 9)},
                {"side": "nominal", "measure": "pixel_auroc", "excess": own},
            ],
        }
        for name, own in each.items()
    ]
    return {
        "nominal_class": "grass",
        "detector": "fcdd",
        "probe": "bars",
        "plant_on": "anomalous",
        "prevalence": prevalence,
        "verdict": verdict,
        "control_auroc": control_auroc,
        "images": 8,
        "explainers": explainers,
    }


def write_run(folder, findings, twins, design="twins", limit=0.05, control=CONTROL, others=None, **settings):
    """twins: by prevalence, dependence and excess of each seed. others: further explainers, by name the
    overlap of controls and the excess of planted twins, each by seed. settings: thresholds that aren't as
    usual."""
    folder.mkdir(parents=True)
    rows = []

    def add(twin, prevalence, seed, explainer, split, metric, value, nominal_class="grass"):
        row = ("made-up", nominal_class, "fcdd", "bars", "anomalous", prevalence, twin, seed)
        rows.append((*row, explainer, split, metric, value))

    for (seed, overlap), name in product(enumerate(control), ("lrp", "random")):
        add("control", 0.0, seed, name, "marked-nominal", "pixel_auroc", overlap if name == "lrp" else 0.5)
        add("control", 0.0, seed, name, "marked-nominal", "pixel_auroc", 0.99, nominal_class="mean")
        add("control", 0.0, seed, name, "untrained-nominal", "pixel_auroc", 0.4)
        for depth in range(1, 12):
            for metric in ("rank_correlation", "structural_similarity"):
                add("control", 0.0, seed, name, f"cascade-{depth}", metric, 1 - depth / 11)
                add("control", 0.0, seed, name, f"layer-{depth}", metric, depth / 11)
    for prevalence, pairs in twins.items():
        for (seed, (dependence, excess)), name in product(enumerate(pairs), ("lrp", "random")):
            own = excess if name == "lrp" else 0.0
            add("planted", prevalence, seed, name, "marked-nominal", "pixel_auroc", control[seed] + own)
            add("planted-control", prevalence, seed, name, "marked-nominal", "excess_pixel_auroc", own)
            if name == "lrp":
                add("planted-control", prevalence, seed, "", "conflict", "dependence", dependence)
    for name, (overlaps, excesses) in (others or {}).items():
        for seed, overlap in enumerate(overlaps):
            add("control", 0.0, seed, name, "marked-nominal", "pixel_auroc", overlap)
        for prevalence, (seed, excess) in product(twins, enumerate(excesses)):
            add("planted", prevalence, seed, name, "marked-nominal", "pixel_auroc", overlaps[seed] + excess)
            add("planted-control", prevalence, seed, name, "marked-nominal", "excess_pixel_auroc", excess)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "results.csv", index=False)
    costs = [
        ("fcdd", "control", 0.0, seed, "lrp", (0.1, 0.2, 0.9)[seed], (1.0, 3.0, 9.0)[seed], 0.05)
        for seed in range(3)
    ]
    pd.DataFrame(costs, columns=COSTS).to_csv(folder / "costs.csv", index=False)
    explainers = [
        {"detector": "fcdd", "explainer": name, "reference": name == "random", **rest}
        for name, rest in (
            ("random", {"unavailable": None, "field": 1, "stride": 1}),
            ("lrp", {"unavailable": None, "field": 9, "stride": 4}),
            *((name, {"unavailable": None, "field": 1, "stride": 1}) for name in others or {}),
            ("ig", {"unavailable": "because <b>so</b>", "field": None, "stride": None}),
        )
    ]
    config = {
        "schema": SCHEMA,
        "design": design,
        "config": {
            "data": {"dataset": "made-up", "image_size": None},
            "artifact": {"probe": "bars", "prevalence": list(twins)},
            "detector": {"detectors": ["fcdd"], "recipe": {"network": "small"}},
            "design": {"seeds": 3, "thresholds": {**THRESHOLDS, "shift": limit, **settings}},
            "explanation": {"explained": 4, "explainers": ["lrp", "random", "ig", *(others or {})]},
            "options": {},
        },
        "data": [{"nominal_class": "grass"}],
        "measures": described_measures(),
        "headline": "pixel_auroc",
        "device": {"name": "<script>alert(1)</script>"},
        "explainers": explainers,
    }
    (folder / "config.json").write_text(json.dumps(config))
    found = {"schema": SCHEMA, "run": folder.name, "findings": findings}
    (folder / "findings.json").write_text(json.dumps(found))
    return folder


FINDINGS = [
    finding(0.2, "does-not-rely", interval(0.2, 0.1, 0.3)),
    finding(0.5, "inconclusive", interval(0.1, -0.1, 0.3)),
    finding(1.0, "relies", interval(0.3, 0.2, 0.4)),
]
TWINS = {
    0.2: [(0.0, 0.2), (0.2, 0.2), (0.0, 0.2)],  # cleared: the one over the threshold isn't relying
    0.5: [(0.01, 0.0), (0.06, 0.04), (0.3, 0.06)],
    1.0: [(0.5, 0.3), (0.6, 0.3), (0.7, 0.3)],
}


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "one", FINDINGS, TWINS)


def add_rows(run, *rows):
    """Rows of results.csv: each a dict of what isn't as in a control's own row."""
    usual = dict.fromkeys(COLUMNS, "") | {
        "dataset": "made-up",
        "nominal_class": "grass",
        "detector": "fcdd",
        "probe": "bars",
        "plant_on": "anomalous",
        "prevalence": 0.0,
        "twin": "control",
        "seed": 0,
        "explainer": "lrp",
        "split": "marked",
    }
    table = pd.read_csv(run / "results.csv", keep_default_na=False)
    pd.concat([table, pd.DataFrame([usual | row for row in rows])]).to_csv(run / "results.csv", index=False)


def row_of(found, name):
    return next(row for row in found.rows if row.explainer == name)


def counted(count):
    return count.hits, count.trials


def test_findings_are_exposed_hidden_or_false_alarms_by_their_intervals(run):
    row = row_of(compare([run]), "lrp")
    assert counted(row.exposes) == (1, 1)
    assert counted(row.hides) == (0, 1)
    assert counted(row.false_alarms) == (1, 1)
    assert row.exposes.share.low == pytest.approx(0.025)  # Clopper-Pearson: 0.05 / 2 for one of one


def test_every_finding_counts_once_and_an_open_interval_says_nothing(tmp_path):
    excess = [
        interval(0.3, 0.06, 0.5),  # exposes
        interval(0.3, 0.05, 0.5),  # up to the threshold isn't over it
        interval(0.01, -0.1, 0.04),  # hides
        interval(0.01, -0.1, 0.05),
        interval(0.3, None, None),
    ]
    findings = [finding(place / 10, "relies", one) for place, one in enumerate(excess, 1)]
    findings += [
        finding(0.6, "does-not-rely", interval(0.3, 0.06, 0.5)),
        finding(0.7, "does-not-rely", interval(0.0, -0.1, 0.1)),
        finding(0.8, "does-not-rely", interval(-0.2, -0.3, -0.1)),
        finding(0.9, "inconclusive", interval(0.3, 0.06, 0.5)),
    ]
    row = row_of(compare([write_run(tmp_path / "run", findings, {})]), "lrp")
    assert counted(row.exposes) == (1, 5)
    assert counted(row.hides) == (1, 5)
    assert counted(row.false_alarms) == (1, 3)
    assert counted(row.exposes_twins) == (0, 0)
    assert pd.isna([row.exposes_twins.share.value, row.separation.value, row.overlap["planted"]]).all()


def test_relying_twins_are_those_over_the_threshold_unless_the_finding_is_cleared(run):
    row = row_of(compare([run]), "lrp")
    assert counted(row.exposes_twins) == (4, 5)  # not the one with an excess of 0.04
    assert row.overlap["planted"] == pytest.approx((0.62 + 0.56 + 0.8 + 0.88 + 0.8) / 5)
    assert row.overlap["control"] == pytest.approx((0.58 + 0.5 + 0.5 + 0.58 + 0.5) / 5)
    assert row.overlap["untrained"] == pytest.approx(0.4)


def test_a_detector_that_doesnt_work_has_no_relying_twins(tmp_path):
    broken = [{**one, "control_auroc": 0.4} for one in FINDINGS]
    row = row_of(compare([write_run(tmp_path / "run", broken, TWINS)]), "lrp")
    assert counted(row.exposes_twins) == (0, 0)


@pytest.mark.parametrize(("control_auroc", "trials"), [(0.6, 3), (0.599, 0), (None, 0)])
def test_a_detector_works_from_the_usable_auroc_on(tmp_path, control_auroc, trials):
    findings = [{**FINDINGS[2], "control_auroc": control_auroc}]
    row = row_of(compare([write_run(tmp_path / "run", findings, {1.0: TWINS[1.0]})]), "lrp")
    assert row.exposes_twins.trials == trials


def test_the_last_control_is_held_against_the_first_and_two_make_two_pairs(tmp_path):
    findings, twins = FINDINGS[2:], {1.0: TWINS[1.0][:2]}

    def alarms(*control):
        name = "-".join(map(str, control))
        run = write_run(tmp_path / name, findings, twins, control=control)
        return counted(row_of(compare([run]), "lrp").alarms_on_controls)

    assert alarms(0.5, 0.5, 0.7) == (1, 3)  # 0.7 - 0.5, the first
    assert alarms(0.7, 0.6, 0.5, 0.5) == (2, 4)  # falls by 0.1 twice; 0.5 - 0.7 rises
    assert alarms(0.5, 0.6) == (1, 2)


def test_a_single_control_makes_no_pair(tmp_path):
    run = write_run(tmp_path / "run", FINDINGS[2:], {1.0: TWINS[1.0][:1]}, control=[0.5])
    assert counted(row_of(compare([run]), "lrp").alarms_on_controls) == (0, 0)


def test_seeds_are_neighbours_by_number_not_by_place_in_the_table(tmp_path):
    run = write_run(tmp_path / "run", FINDINGS[2:], {1.0: TWINS[1.0]}, control=[0.58, 0.54, 0.5, 0.54])
    table = pd.read_csv(run / "results.csv", keep_default_na=False)
    mixed = pd.concat([table[table["seed"] % 2 == 0], table[table["seed"] % 2 == 1]])
    mixed.to_csv(run / "results.csv", index=False)  # 0, 2, 1, 3
    assert counted(row_of(compare([run]), "lrp").alarms_on_controls) == (0, 4)


def test_neighbouring_controls_that_differ_are_false_alarms(run):
    # 0.50 - 0.58 and 0.50 - 0.50 aren't over 0.05; 0.58 - 0.50 is.
    assert counted(row_of(compare([run]), "lrp").alarms_on_controls) == (1, 3)


def test_separation_is_the_share_of_pairs_in_which_the_relying_twin_has_more(run):
    # 0.62, 0.56, 0.80, 0.88, 0.80 against 0.50, 0.58, 0.50: all but 0.56 against 0.58.
    assert row_of(compare([run]), "lrp").separation.value == pytest.approx(14 / 15)


def test_of_equal_overlaps_half_counts_for_the_separation(tmp_path):
    twins = {1.0: [(0.5, 0.0), (0.5, 0.1), (0.5, -0.2)]}
    run = write_run(tmp_path / "run", FINDINGS[2:], twins, control=[0.5, 0.5, 0.6])
    # 0.5, 0.6, 0.4 against 0.5, 0.5, 0.6: 0.5 + 0.5 + 0, 1 + 1 + 0.5, nothing.
    found = row_of(compare([run]), "lrp").separation
    assert found.value == pytest.approx(3.5 / 9)
    assert 0 <= found.low < found.value < found.high <= 1


def test_a_control_with_others_planted_is_that_of_its_own_prevalence_only(tmp_path):
    """Each twin has its control's overlap and 0.1, and the controls of the two prevalences are far apart."""
    findings = [finding(share, "relies", interval(0.3, 0.1, 0.5)) for share in (0.5, 1.0)]
    findings[1] |= {"control_auroc": 0.4}
    twins = dict.fromkeys((0.5, 1.0), [(0.9, 0.1)] * 3)
    run = write_run(tmp_path / "run", findings, twins)
    table = pd.read_csv(run / "results.csv", keep_default_na=False)
    control = (table["twin"] == "control") & (table["nominal_class"] == "grass")
    half, whole = (table[control].assign(prevalence=share) for share in (0.5, 1.0))
    whole = whole.assign(value=whole["value"] + 0.3)
    pd.concat([table[~control], half, whole]).to_csv(run / "results.csv", index=False)
    row = row_of(compare([run]), "lrp")
    # 0.60, 0.68, 0.60 against 0.50, 0.58, 0.50; the detector of the other prevalence doesn't work.
    assert row.separation.value == 1
    assert row.overlap["control"] == pytest.approx(sum(CONTROL) / 3)
    assert counted(row.alarms_on_controls) == (1, 3)


def test_separation_without_spread_has_no_limits(tmp_path):
    run = write_run(tmp_path / "run", FINDINGS[2:], {1.0: TWINS[1.0]}, control=[0.5, 0.5, 0.5])
    found = row_of(compare([run]), "lrp").separation
    assert (found.value, pd.isna(found.low), pd.isna(found.high)) == (1, True, True)


def test_agreement_by_hand(tmp_path):
    findings = [finding(0.5, "inconclusive", interval(0, -1, 1)), FINDINGS[2]]
    twins = {0.5: [(0.1, 0.1), (0.2, 0.3), (0.3, 0.2)], 1.0: [(0.4, 0.4), (0.5, 0.5)]}
    found = row_of(compare([write_run(tmp_path / "run", findings, twins)]), "lrp").agreement
    assert found.value == pytest.approx(1 - 6 * 2 / (5 * 24))  # two ranks are off by one
    opposed = {key: [(dependence, -excess) for dependence, excess in pairs] for key, pairs in twins.items()}
    found = row_of(compare([write_run(tmp_path / "opposed", findings, opposed)]), "lrp").agreement
    assert found.value == pytest.approx(-0.9)


def test_agreement_with_what_doesnt_vary_is_not_known(run):
    assert pd.isna(row_of(compare([run]), "random").agreement.value)


def test_agreement_counts_cleared_findings_and_broken_detectors_too(tmp_path):
    broken = [{**one, "control_auroc": 0.4, "verdict": "does-not-rely"} for one in FINDINGS]
    first, second = (
        row_of(compare([write_run(tmp_path / name, findings, TWINS)]), "lrp").agreement.value
        for name, findings in (("works", FINDINGS), ("broken", broken))
    )
    assert first == second


def test_agreement_is_spearmans_and_needs_five_twins(run, tmp_path):
    expected = pd.DataFrame([pair for pairs in TWINS.values() for pair in pairs]).corr("spearman").iloc[0, 1]
    found = row_of(compare([run]), "lrp").agreement
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    few = write_run(tmp_path / "few", FINDINGS[2:], {1.0: TWINS[1.0]})
    assert pd.isna(row_of(compare([few]), "lrp").agreement.value)


def test_layers_are_in_the_order_of_their_numbers(run):
    row = row_of(compare([run]), "lrp")
    assert row.randomised["rank_correlation"] == pytest.approx([1 - depth / 11 for depth in range(1, 12)])
    assert row.single["rank_correlation"] == pytest.approx([depth / 11 for depth in range(1, 12)])


def test_checks_are_means_over_twins(run):
    rows = [
        {"split": split, "metric": metric, "value": value, "twin": twin}
        for split, metric, twin, value in (
            ("twins", "rank_correlation", "planted-control", 0.2),
            ("twins", "rank_correlation", "planted-control", 0.6),
            ("twins", "structural_similarity", "planted-control", 0.3),
            ("noise", "rank_correlation", "control", 0.9),
            ("noise", "rank_correlation", "planted", 0.7),
            ("deletion", "mean_fall", "control", 1.0),
            ("deletion", "mean_fall", "planted", 2.0),
            ("deletion", "mean_fall", "planted", ""),
            ("insertion", "mean_rise", "planted", -3.0),
        )
    ]
    add_rows(run, *rows)
    row = row_of(compare([run]), "lrp")
    assert row.twins == pytest.approx({"rank_correlation": 0.4, "structural_similarity": 0.3})
    assert row.noise["rank_correlation"] == pytest.approx(0.8)
    assert pd.isna(row.noise["structural_similarity"])
    assert (row.deletion, row.insertion) == (1.5, -3)
    assert pd.isna(row_of(compare([run]), "random").deletion)


def test_a_run_without_checks_has_no_numbers_of_them(run):
    (run / "costs.csv").unlink()
    table = pd.read_csv(run / "results.csv", keep_default_na=False)
    table[~table["split"].str.contains("cascade|layer|untrained")].to_csv(run / "results.csv", index=False)
    row = row_of(compare([run]), "lrp")
    assert row.randomised == row.single == {}
    numbers = [row.seconds, row.megabytes, row.passes, row.overlap["untrained"], *row.twins.values()]
    assert pd.isna(numbers).all()
    assert counted(row.exposes_twins) == (4, 5)


def test_means_over_classes_are_no_cases(run):
    before = row_of(compare([run]), "lrp")
    keys = {"nominal_class": "mean", "prevalence": 1.0}
    add_rows(
        run,
        {**keys, "twin": "planted-control", "explainer": "", "metric": "dependence", "value": 0.9},
        {**keys, "twin": "planted-control", "metric": "excess_pixel_auroc", "value": 0.9},
        {**keys, "twin": "planted", "metric": "pixel_auroc", "value": 0.99},
        {"nominal_class": "mean", "seed": 1, "metric": "pixel_auroc", "value": 0.1},
        {"nominal_class": "mean", "split": "untrained-nominal", "metric": "pixel_auroc", "value": 0.99},
        {"nominal_class": "mean", "split": "cascade-1", "metric": "rank_correlation", "value": 9},
    )
    assert repr(row_of(compare([run]), "lrp")) == repr(before)


def test_classes_of_a_run_are_held_apart(tmp_path):
    run = write_run(tmp_path / "run", FINDINGS[2:], {1.0: TWINS[1.0]}, control=[0.5, 0.5, 0.5])
    table = pd.read_csv(run / "results.csv", keep_default_na=False)
    sand = table[table["nominal_class"] == "grass"].assign(nominal_class="sand")
    overlap = (sand["metric"] == "pixel_auroc") & (sand["explainer"] == "lrp")
    sand.loc[overlap, "value"] = sand.loc[overlap, "value"] - 0.4
    pd.concat([table, sand]).to_csv(run / "results.csv", index=False)
    found = json.loads((run / "findings.json").read_text())
    found["findings"].append({**found["findings"][0], "nominal_class": "sand"})
    (run / "findings.json").write_text(json.dumps(found))
    row = row_of(compare([run]), "lrp")
    assert counted(row.exposes_twins) == (6, 6)
    assert counted(row.alarms_on_controls) == (0, 6), "0.5 of one class isn't held against 0.1 of the other"
    assert row.separation.value == 1, "nor is 0.4 against 0.5"


def test_costs_are_medians(run):
    row = row_of(compare([run]), "lrp")
    assert (row.seconds, row.megabytes, row.passes) == pytest.approx((0.2, 3.0, 4.0))


def test_explanations_come_first_then_references_then_what_cant_work(run):
    rows = compare([run]).rows
    assert [(row.explainer, row.rank) for row in rows] == [("lrp", 1), ("random", 0), ("ig", 0)]
    assert rows[-1].unavailable == "because <b>so</b>"


OTHERS = {  # controls, and excess of planted twins
    "blind": ([0.5, 0.5, 0.5], [0.0, 0.0, 0.0]),  # gains 0, separation 0.5
    "apart": ([0.5, 0.5, 0.5], [0.04, 0.04, 0.04]),  # gains 0, separation 1
    "shaky": ([0.5, 0.6, 0.5], [0.3, 0.3, 0.04]),  # exposes 2/3, one alarm in three
    "good": ([0.5, 0.5, 0.5], [0.3, 0.3, 0.3]),  # gains 1
}


def test_the_rank_is_by_gain_then_by_separation(tmp_path):
    findings = [
        finding(1.0, "relies", interval(0.3, 0.2, 0.4), others=dict.fromkeys(OTHERS, interval(0, 0, 0)))
    ]
    findings[0]["explainers"].append({**findings[0]["explainers"][0], "explainer": "hushed", "judged": False})
    others = {"hushed": OTHERS["good"], **OTHERS}
    rows = compare([write_run(tmp_path / "run", findings, {1.0: TWINS[1.0]}, others=others)]).rows
    assert [(row.explainer, row.rank) for row in rows] == [
        ("good", 1),
        ("lrp", 2),  # exposes all, one alarm in three
        ("shaky", 3),
        ("apart", 4),
        ("blind", 5),
        ("hushed", 0),
        ("random", 0),
        ("ig", 0),
    ]


def test_without_relying_twins_the_rank_is_by_false_alarms(tmp_path):
    others = {"shaky": OTHERS["shaky"], "good": OTHERS["good"]}
    findings = [
        finding(1.0, "inconclusive", interval(0, -1, 1), others=dict.fromkeys(others, interval(0, 0, 0)))
    ]
    twins = {1.0: [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]}
    rows = compare([write_run(tmp_path / "run", findings, twins, others=others)]).rows
    assert next(row.explainer for row in rows if row.rank) == "good"


def test_what_cant_work_says_why_and_has_no_numbers(run):
    row = row_of(compare([run]), "ig")
    assert row.unavailable == "because <b>so</b>"
    counts = (row.exposes, row.hides, row.exposes_twins, row.false_alarms, row.alarms_on_controls)
    assert [counted(one) for one in counts] == [(0, 0)] * 5
    assert row.randomised == row.single == {}
    assert row.field is row.stride is None


def test_what_isnt_judged_counts_nowhere_but_references_do(tmp_path):
    unjudged = [
        finding(one["prevalence"], one["verdict"], interval(0.2, 0.1, 0.3), False) for one in FINDINGS
    ]
    found = compare([write_run(tmp_path / "run", unjudged, TWINS)])
    row = row_of(found, "lrp")
    assert row.rank == row.exposes.trials == row.exposes_twins.trials == row.alarms_on_controls.trials == 0
    assert row_of(found, "random").exposes.trials == 1


def test_runs_are_pooled(run, tmp_path):
    row = row_of(compare([run, write_run(tmp_path / "two", FINDINGS, TWINS)]), "lrp")
    assert counted(row.exposes_twins) == (8, 10)
    assert counted(row.alarms_on_controls) == (2, 6)
    assert row.separation.value == pytest.approx(14 / 15)  # within each run


def test_runs_are_described_and_share_their_thresholds(run, tmp_path):
    found = compare([run, write_run(tmp_path / "two", FINDINGS, TWINS)])
    assert [one["run"] for one in found.runs] == ["one", "two"]
    assert len({one["id"] for one in found.runs}) == 2
    assert found.runs[0]["classes"] == ["grass"]
    assert (found.runs[0]["seeds"], found.runs[0]["prevalence"]) == (3, [0.2, 0.5, 1.0])
    assert found.thresholds == THRESHOLDS


def test_runs_of_one_name_are_no_single_run(tmp_path):
    first = write_run(tmp_path / "a/run", FINDINGS, TWINS)
    second = write_run(tmp_path / "b/run", FINDINGS, TWINS, control=[0.9, 0.9, 0.9])
    row = row_of(compare([first, second]), "lrp")
    assert counted(row.exposes_twins) == (8, 10)
    # Within the first 14 of 15, within the second all but 0.94 and 0.96 over 0.9: all.
    assert row.separation.value == pytest.approx(29 / 30)


@pytest.mark.parametrize("name", ["confidence", "usable_auroc"])
def test_runs_share_all_thresholds_that_are_shown(name, run, tmp_path):
    other = write_run(tmp_path / "two", FINDINGS, TWINS, **{name: 0.8})
    with pytest.raises(InputError, match="different thresholds"):
        compare([run, other])


def test_exact_intervals_are_at_the_confidence_of_the_run(tmp_path):
    run = write_run(tmp_path / "run", FINDINGS, TWINS, confidence=0.8)
    assert row_of(compare([run]), "lrp").exposes.share.low == pytest.approx(0.1)  # 0.2 / 2 for one of one


def test_what_works_in_one_of_the_runs_is_available(run, tmp_path):
    first = write_run(tmp_path / "first", FINDINGS, TWINS)
    config = json.loads((first / "config.json").read_text())
    for one in config["explainers"]:
        if one["explainer"] == "lrp":
            one.update(unavailable="not here", field=None, stride=None)
    (first / "config.json").write_text(json.dumps(config))
    assert row_of(compare([first, run]), "lrp").unavailable is None


@pytest.mark.parametrize("change", ["twice", "detour", "nothing", "finished", "thresholds", "incomplete"])
def test_what_cant_be_compared_is_said_in_one_line(change, run, tmp_path):
    folders, words = {
        "twice": lambda: ([run, run], "given twice"),
        "detour": lambda: ([run, run / ".." / run.name], "given twice"),
        "nothing": lambda: ([tmp_path / "nothing"], "holds no finished audit"),
        "finished": lambda: (
            [write_run(tmp_path / "finished", FINDINGS, TWINS, design="finished")],
            "of a finished detector",
        ),
        "thresholds": lambda: (
            [run, write_run(tmp_path / "two", FINDINGS, TWINS, limit=0.1)],
            "different thresholds",
        ),
        "incomplete": lambda: ([run], r"no complete run .*results\.csv"),
    }[change]()
    if change == "incomplete":
        (run / "results.csv").unlink()
    with pytest.raises(InputError, match=words) as caught:
        compare(folders)
    assert len(str(caught.value).splitlines()) == 1


def test_the_json_is_plain_and_the_table_has_a_number_a_row(run):
    found = compare([run])
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["schema"] == 2
    table = found.table().set_index(["explainer", "metric"])
    assert table.loc[("lrp", "exposes_twins"), ["value", "n"]].tolist() == [0.8, 5]
    assert table.loc[("lrp", "randomised_rank_correlation_11"), "value"] == pytest.approx(0)
    assert table.loc[("lrp", "stride"), "value"] == 4
    assert table.index.is_unique


def test_the_json_has_none_where_no_number_is_known(run):
    content = compare([run]).as_json()
    row = next(row for row in content["explainers"] if row["explainer"] == "ig")
    assert row["exposes"] == {"hits": 0, "trials": 0, "share": {"value": None, "low": None, "high": None}}
    assert row["agreement"]["value"] is row["seconds"] is row["overlap"]["planted"] is None
    assert content["runs"][0]["prevalence"] == [0.2, 0.5, 1.0]


def test_the_table_is_tidy(run):
    table = compare([run]).table()
    assert list(table) == ["detector", "explainer", "rank", "metric", "value", "low", "high", "n"]
    assert all(dtype.kind in "fi" for dtype in table[["rank", "value", "low", "high", "n"]].dtypes)
    assert not table.duplicated(["detector", "explainer", "metric"]).any()
    own = table[table["explainer"] == "lrp"].set_index("metric")
    assert (own["rank"] == 1).all()
    counts = ["exposes", "hides", "exposes_twins", "false_alarms", "alarms_on_controls"]
    assert own[own["n"].notna()].index.tolist() == counts
    assert own.loc["alarms_on_controls", "value"] == pytest.approx(1 / 3)
    assert own.loc["separation", "low"] < own.loc["separation", "value"] < own.loc["separation", "high"]
    assert own.loc["overlap_control", "value"] == pytest.approx(2.66 / 5)
    assert [f"single_structural_similarity_{layer}" in own.index for layer in (0, 1, 11, 12)] == [
        False,
        True,
        True,
        False,
    ]
    assert own.loc["seconds", "value"] == pytest.approx(0.2)


@pytest.mark.parametrize("checked", [True, False])
def test_the_page_escapes_what_comes_from_outside_and_loads_nothing(checked, run, tmp_path):
    if not checked:
        (run / "costs.csv").unlink()
    page = write_comparison(compare([run]), tmp_path / "out")
    text = page.read_text()
    assert "<script>alert" not in text
    assert "because &lt;b&gt;so&lt;/b&gt;" in text
    assert "lrp" in text
    assert 'src="http' not in text
    assert {file.name for file in page.parent.iterdir()} == {
        "comparison.html",
        "comparison.csv",
        "comparison.json",
    }
    begin = text.index(">", text.index('id="comparison"')) + 1
    embedded = json.loads(text[begin : text.index("</script>", begin)])
    assert embedded == json.loads((page.parent / "comparison.json").read_text())


def rewritten(run, name, change):
    """A file of a run after `change`."""
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))
    return run


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("findings.json", lambda found: found["findings"].clear()),
        ("findings.json", lambda found: found["findings"][0].pop("control_auroc")),
        ("config.json", lambda config: config["config"]["design"]["thresholds"].pop("reveal")),
        ("config.json", lambda config: config["explainers"][0].pop("stride")),
    ],
)
def test_a_run_that_lacks_something_is_refused_in_one_line(name, change, run):
    with pytest.raises(InputError) as caught:
        compare([rewritten(run, name, change)])
    assert len(str(caught.value).splitlines()) == 1


def test_the_same_explainer_with_other_options_is_another(run, tmp_path):
    other = write_run(tmp_path / "other", FINDINGS, TWINS)
    rewritten(other, "config.json", lambda c: c["config"].update(options={"lrp": {"epsilon": 1}}))
    with pytest.raises(InputError, match="different options"):
        compare([run, other])


def test_runs_may_have_different_explainers(run, tmp_path):
    others = {"edges": ([0.5] * 3, [0.0] * 3)}
    more = write_run(tmp_path / "more", FINDINGS, TWINS, others=others)
    found = compare([run, more])
    assert {row.explainer for row in found.rows} == {"lrp", "random", "ig", "edges"}


def test_controls_of_a_detector_that_doesnt_work_are_no_pairs(tmp_path):
    broken = [{**one, "control_auroc": 0.4} for one in FINDINGS]
    assert row_of(compare([write_run(tmp_path / "run", broken, TWINS)]), "lrp").alarms_on_controls.trials == 0


def test_untrained_is_of_the_network_of_any_seed(run):
    table = pd.read_csv(run / "results.csv", keep_default_na=False)
    own = (table["split"] == "untrained-nominal") & (table["explainer"] == "lrp")
    table.loc[own, "value"] = table.loc[own, "seed"] / 10
    table = table[~own | (table["seed"] == 2)]  # while other seeds rely too
    table.to_csv(run / "results.csv", index=False)
    assert row_of(compare([run]), "lrp").overlap["untrained"] == pytest.approx(0.2)


def counts(exposed, alarms):
    """Of 20 relying twins, and of 20 controls."""
    return {
        key: Count.of([True] * hits + [False] * (20 - hits), 0.95)
        for key, hits in (("exposes_twins", exposed), ("alarms_on_controls", alarms))
    }


def ranked_row(name, exposed, alarms, planted=0.8, rank=1, **changes):
    row = Compared(**dict.fromkeys(Compared.__dataclass_fields__))
    about = {"detector": "fcdd", "explainer": name, "overlap": {"planted": planted}, "rank": rank}
    return replace(row, **{**about, **counts(exposed, alarms), **changes})


def tiers(*rows):
    return {row.explainer: row.tier for row in tiered(list(rows), 0.5)}


def test_explainers_whose_intervals_overlap_the_bests_share_its_tier():
    rows = [ranked_row("best", 20, 0), ranked_row("near", 18, 1, rank=2), ranked_row("far", 8, 4, rank=3)]
    assert tiers(*rows, ranked_row("last", 0, 18, rank=4)) == {"best": 1, "near": 1, "far": 2, "last": 3}


def test_only_explanations_above_chance_have_a_tier():
    rows = [
        ranked_row("below", 20, 0, planted=0.5),
        ranked_row("unknown", 0, 0, planted=float("nan"), rank=2),
    ]
    rows += [ranked_row("reference", 20, 0, rank=0), ranked_row("worse", 2, 10, rank=3)]
    assert tiers(*rows) == {"below": 0, "unknown": 0, "reference": 0, "worse": 1}


def test_tiers_are_by_detector():
    assert tiers(ranked_row("a", 20, 0), ranked_row("b", 0, 18, detector="hsc")) == {"a": 1, "b": 1}


def test_the_gain_has_an_interval_of_both_shares():
    found = gain(ranked_row("one", 20, 0))
    # Exact limits of 20 of 20 and of 0 of 20: .025 ** (1 / 20), and the same from above.
    distance = 1 - 0.025 ** (1 / 20)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(1 - distance * 2**0.5)
    unknown = gain(ranked_row("one", 20, 0, alarms_on_controls=Count.of([], 0.95)))
    assert unknown.low == pytest.approx(1 - distance)
