import json
from itertools import product

import pandas as pd
import pytest

from fcdd_audit import InputError
from fcdd_audit.comparison import compare
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.results import COLUMNS, COSTS

CONTROL = [0.50, 0.58, 0.50]  # pixel AUROC of the controls of seeds 0 to 2
THRESHOLDS = {"reliance": 0.05, "reveal": 0.05, "confidence": 0.95, "usable_auroc": 0.6}


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def finding(prevalence, verdict, excess, judged=True, control_auroc=0.9):
    explainers = [
        {
            "explainer": name,
            "reference": name == "random",
            "judged": judged,
            "excess_pixel_auroc": excess if name == "lrp" else interval(0, 0, 0),
        }
        for name in ("lrp", "random")
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


def write_run(folder, findings, twins, null="twins", limit=0.05):
    """twins: by prevalence, reliance and excess of each seed."""
    folder.mkdir(parents=True)
    rows = []

    def add(twin, prevalence, seed, explainer, split, metric, value, nominal_class="grass"):
        row = ("made-up", nominal_class, "fcdd", "bars", "anomalous", prevalence, twin, seed)
        rows.append((*row, explainer, split, metric, value))

    for (seed, overlap), name in product(enumerate(CONTROL), ("lrp", "random")):
        add("control", 0.0, seed, name, "stamped", "pixel_auroc", overlap if name == "lrp" else 0.5)
        add("control", 0.0, seed, name, "stamped", "pixel_auroc", 0.99, nominal_class="mean")
        add("control", 0.0, seed, name, "untrained", "pixel_auroc", 0.4)
        for depth in range(1, 12):
            for metric in ("rank_correlation", "structural_similarity"):
                add("control", 0.0, seed, name, f"cascade-{depth}", metric, 1 - depth / 11)
                add("control", 0.0, seed, name, f"layer-{depth}", metric, depth / 11)
    for prevalence, pairs in twins.items():
        for (seed, (reliance, excess)), name in product(enumerate(pairs), ("lrp", "random")):
            own = excess if name == "lrp" else 0.0
            add("planted", prevalence, seed, name, "stamped", "pixel_auroc", CONTROL[seed] + own)
            add("planted-control", prevalence, seed, name, "stamped", "excess_pixel_auroc", own)
            if name == "lrp":
                add("planted-control", prevalence, seed, "", "conflict", "reliance", reliance)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "results.csv", index=False)
    costs = [("fcdd", "control", 0.0, seed, "lrp", 0.1 * (seed + 1), 3.0, 0.05) for seed in range(3)]
    pd.DataFrame(costs, columns=COSTS).to_csv(folder / "costs.csv", index=False)
    explainers = [
        {"detector": "fcdd", "explainer": name, "reference": name == "random", **rest}
        for name, rest in (
            ("random", {"unavailable": None, "field": 1, "stride": 1}),
            ("lrp", {"unavailable": None, "field": 9, "stride": 4}),
            ("ig", {"unavailable": "because <b>so</b>", "field": None, "stride": None}),
        )
    ]
    settings = {"dataset": "made-up", "probe": "bars", "prevalence": list(twins), "seeds": 3}
    config = {
        "schema": 3,
        "null": null,
        "config": {
            **settings,
            "detectors": ["fcdd"],
            "explained": 4,
            "thresholds": {**THRESHOLDS, "reliance": limit},
        },
        "data": [{"nominal_class": "grass"}],
        "device": {"name": "<script>alert(1)</script>"},
        "explainers": explainers,
    }
    (folder / "config.json").write_text(json.dumps(config))
    found = {"schema": 3, "run": folder.name, "findings": findings}
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


def test_neighbouring_controls_that_differ_are_false_alarms(run):
    # 0.50 - 0.58 and 0.50 - 0.50 aren't over 0.05; 0.58 - 0.50 is.
    assert counted(row_of(compare([run]), "lrp").alarms_on_controls) == (1, 3)


def test_separation_is_the_share_of_pairs_in_which_the_relying_twin_has_more(run):
    # 0.62, 0.56, 0.80, 0.88, 0.80 against 0.50, 0.58, 0.50: all but 0.56 against 0.58.
    assert row_of(compare([run]), "lrp").separation.value == pytest.approx(14 / 15)


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


def test_costs_are_medians(run):
    row = row_of(compare([run]), "lrp")
    assert (row.seconds, row.megabytes, row.passes) == pytest.approx((0.2, 3.0, 4.0))


def test_explanations_come_first_then_references_then_what_cant_work(run):
    rows = compare([run]).rows
    assert [(row.explainer, row.rank) for row in rows] == [("lrp", 1), ("random", 0), ("ig", 0)]
    assert rows[-1].unavailable == "because <b>so</b>"


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


@pytest.mark.parametrize("change", ["twice", "nothing", "finished", "thresholds", "incomplete"])
def test_what_cant_be_compared_is_said_in_one_line(change, run, tmp_path):
    folders = {
        "twice": lambda: [run, run],
        "nothing": lambda: [tmp_path / "nothing"],
        "finished": lambda: [write_run(tmp_path / "finished", FINDINGS, TWINS, null="placebos")],
        "thresholds": lambda: [run, write_run(tmp_path / "two", FINDINGS, TWINS, limit=0.1)],
        "incomplete": lambda: [run],
    }[change]()
    if change == "incomplete":
        (run / "results.csv").unlink()
    with pytest.raises(InputError) as caught:
        compare(folders)
    assert len(str(caught.value).splitlines()) == 1


def test_the_json_is_plain_and_the_table_has_a_number_a_row(run):
    found = compare([run])
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["schema"] == 1
    table = found.table().set_index(["explainer", "metric"])
    assert table.loc[("lrp", "exposes_twins"), ["value", "n"]].tolist() == [0.8, 5]
    assert table.loc[("lrp", "randomised_rank_correlation_11"), "value"] == pytest.approx(0)
    assert table.loc[("lrp", "stride"), "value"] == 4
    assert table.index.is_unique


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
