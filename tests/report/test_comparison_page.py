import csv
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from fcdd_audit import InputError
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.measures.table import described_measures
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.report.explainers import shade
from fcdd_audit.studies.compare import Compared, Comparison, Count

NAN = float("nan")
EVIL = "</script><script>alert(1)</script><b>"
UNKNOWN = Interval(NAN, NAN, NAN)
NOTHING = Count.of([], 0.95)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts, styles and figures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style", "svg"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style", "svg"):
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.text += data

    @property
    def words(self):
        return " ".join(self.text.split())


def compared(explainer="lrp", **changes):
    """An explainer on fcdd of which everything is known."""
    alike = {"rank_correlation": 0.31, "structural_similarity": 0.42}
    row = Compared(
        detector="fcdd",
        explainer=explainer,
        reference=False,
        unavailable=None,
        rank=1,
        exposes=Count.of([True, False], 0.95),
        hides=Count.of([False, False], 0.95),
        exposes_twins=Count.of([True, True, True, False], 0.95),
        false_alarms=Count.of([False], 0.95),
        alarms_on_controls=Count.of([True, False, False, False, False], 0.95),
        separation=Interval(0.75, 0.5, 1.0),
        agreement=Interval(-0.25, -0.5, 0.125),
        overlap={"planted": 0.81, "control": 0.52, "untrained": 0.47},
        randomised={"rank_correlation": [0.91, 0.13], "structural_similarity": [0.92, 0.14]},
        single={"rank_correlation": [0.91, 0.63], "structural_similarity": [0.92, 0.64]},
        twins=alike,
        noise=alike,
        deletion=1.23,
        insertion=-4.56,
        seconds=0.0125,
        megabytes=7.89,
        passes=3.21,
        field=9,
        stride=4,
        tier=1,
    )
    return replace(row, **changes)


UNCHECKED = {
    "overlap": {"planted": NAN, "control": NAN, "untrained": NAN},
    "randomised": {},
    "single": {},
    "twins": {"rank_correlation": NAN, "structural_similarity": NAN},
    "noise": {"rank_correlation": NAN, "structural_similarity": NAN},
    **dict.fromkeys(("deletion", "insertion", "seconds", "megabytes", "passes"), NAN),
}
UNCONFIRMED = {
    **dict.fromkeys(("exposes", "hides", "exposes_twins", "false_alarms", "alarms_on_controls"), NOTHING),
    **dict.fromkeys(("separation", "agreement"), UNKNOWN),
}
NOT_KNOWN = {"rank": 0, "tier": 0, **UNCHECKED, **UNCONFIRMED}


def made_up(*rows, **about):
    run = {
        "id": "0",
        "run": "textures-bars",
        "dataset": "textures",
        "probe": "bars",
        "prevalence": [0.5, 1.0],
        "seeds": 5,
        "detectors": ["fcdd"],
        "classes": ["grass"],
        "images": 40,
        "explained": 0,
        "device": "a processor",
        "network": "small",
        "image_size": 64,
        **about,
    }
    thresholds = {"shift": 0.5, "reveal": 0.0625, "confidence": 0.95, "usable_auroc": 0.6}
    return Comparison([run], thresholds, list(rows), described_measures())


USUAL = (
    compared(),
    compared("random", reference=True, rank=0, tier=0),
    compared("grad-cam", unavailable="it has no layer to look at", **NOT_KNOWN),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_comparison(made_up(*USUAL), tmp_path_factory.mktemp("pages") / "below/comparison")


@pytest.fixture(scope="module")
def source(written):
    return written.read_text(encoding="utf-8")


def cells(source, caption):
    """Text of the cells of the table whose caption has these words."""
    table = next(t for t in re.findall(r"<table.*?</table>", source, re.DOTALL) if caption in t)
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in found]


def test_page_table_and_json_are_written_and_nothing_else(written):
    names = ["comparison.csv", "comparison.html", "comparison.json"]
    assert sorted(path.name for path in written.parent.iterdir()) == names
    assert written.name == "comparison.html"


def test_the_json_is_that_of_the_comparison_and_in_the_page(written, source):
    content = json.loads((written.parent / "comparison.json").read_text())
    assert content == made_up(*USUAL).as_json()
    embedded = re.search(r'<script type="application/json" id="comparison">(.*?)</script>', source, re.DOTALL)
    assert json.loads(embedded.group(1)) == content


def test_the_table_has_the_numbers(written):
    with (written.parent / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["explainer"], row["metric"]): row for row in csv.DictReader(file)}
    assert rows["lrp", "exposes_twins"]["value"] == "0.75"
    assert rows["lrp", "exposes_twins"]["n"] == "4.0"
    assert rows["lrp", "randomised_rank_correlation_2"]["value"] == "0.13"
    assert rows["grad-cam", "exposes"]["value"] == ""


def test_explainers_are_named_with_their_numbers(source):
    heading, lrp, random = cells(source, "FCDD: 2 confirmed findings, 1 cleared")
    assert lrp[:3] == ["1", "lrp", "3 of 4 (0.19 to 0.99)"]
    assert lrp[3:7] == [
        "1 of 5 (0.01 to 0.72)",
        "1 of 2 (0.01 to 0.99)",
        "0 of 2 (0.00 to 0.84)",
        "0 of 1 (0.00 to 0.97)",
    ]
    assert lrp[7:] == ["0.75 (0.50 to 1.00)", "−0.25 (−0.50 to 0.12)", "0.81", "0.52", "0.47"]
    assert random[:2] == ["–", "random (reference)"]
    assert len(heading) == len(lrp) == len(random)


def test_sanity_is_of_all_layers_then_of_the_last_and_the_first(source):
    _, lrp, _ = cells(source, "similarity of maps")
    assert lrp[:6] == ["lrp", "0.13 (0.14)", "0.91 (0.92)", "0.63 (0.64)", "0.31 (0.42)", "0.31 (0.42)"]
    assert lrp[6:] == ["1.23", "−4.56"]


def test_costs_are_in_milliseconds(source):
    _, lrp, _ = cells(source, "a heatmap, medians over twins (a processor)")
    assert lrp == ["lrp", "12.5", "3.2", "7.9", "4", "9"]


def test_what_cant_work_is_named_with_its_reason_and_has_no_row(source):
    assert "grad-cam: it has no layer to look at." in Page(source).words
    assert all(row[1] != "grad-cam" for row in cells(source, "confirmed findings"))


def test_thresholds_are_those_of_the_runs(source):
    words = Page(source).words
    assert "lies above 0.0625" in words
    assert "dependence is above 0.5" in words
    assert "clean AUROC of 0.6 or more" in words


def test_nothing_points_outside_the_file(source):
    for tag, attrs in Page(source).tags:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            target = attrs.get(name)
            assert target is None or target.startswith(("data:", "#")), (tag, name, target)
    assert "@import" not in source
    assert not re.search(r"url\((?!#)", source)


def test_ids_are_unique_and_references_lead_somewhere(tmp_path):
    rows = (
        *USUAL,
        compared(detector="hsc"),
        compared("random", detector="hsc", reference=True, rank=0, tier=0),
    )
    page = Page(write_comparison(made_up(*rows), tmp_path).read_text(encoding="utf-8"))
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"][1:] for tag, attrs in page.tags if tag == "a"]
    assert targets
    assert set(targets) <= set(ids)
    assert sum(tag == "svg" for tag, _ in page.tags) == 4  # scatter and cascade of two detectors


def test_names_from_outside_are_escaped(tmp_path):
    rows = (compared(EVIL), compared("ig", unavailable=EVIL, **NOT_KNOWN))
    about = {"run": EVIL, "dataset": EVIL, "probe": EVIL, "classes": [EVIL], "device": EVIL}
    text = write_comparison(made_up(*rows, **about), tmp_path).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert Page(text).text.count(EVIL) == 1 + 3 + 1 + 4 + 1  # headline, tables, reason, run, device
    embedded = re.search(r'<script type="application/json" id="comparison">(.*?)</script>', text, re.DOTALL)
    assert json.loads(embedded.group(1))["runs"][0]["probe"] == EVIL


def test_without_any_confirmed_finding_there_is_nothing_to_expose(tmp_path):
    rows = (compared(**UNCONFIRMED), compared("random", reference=True, rank=0, tier=0, **UNCONFIRMED))
    text = write_comparison(made_up(*rows), tmp_path).read_text(encoding="utf-8")
    assert "No twin of FCDD relies on the artifact" in Page(text).words
    _, lrp, _ = cells(text, "FCDD: 0 confirmed findings, 0 cleared")
    assert lrp[2:9] == ["–"] * 7


def test_a_detector_with_relying_twins_is_not_said_to_have_none(source):
    assert "No twin of FCDD relies" not in source


def test_without_checks_there_are_dashes_and_no_curve(tmp_path):
    text = write_comparison(made_up(compared(**UNCHECKED)), tmp_path).read_text(encoding="utf-8")
    assert cells(text, "similarity of maps")[1] == ["lrp", *["–"] * 3, *["– (–)"] * 2, *["–"] * 2]
    assert cells(text, "a heatmap, medians")[1] == ["lrp", "–", "–", "–", "4", "9"]
    assert 'id="cascade-fcdd' not in text
    assert "copies whose last layers are redrawn" not in text


def test_a_detector_on_which_nothing_works_still_has_its_reasons(tmp_path):
    text = write_comparison(made_up(USUAL[2]), tmp_path).read_text(encoding="utf-8")
    assert "it has no layer to look at" in text
    assert not re.search(r"<svg", text)


def test_an_unknown_similarity_is_a_dash(tmp_path):
    flat = {"rank_correlation": [NAN, NAN], "structural_similarity": [1.0, 1.0]}
    text = write_comparison(made_up(compared(randomised=flat, single=flat)), tmp_path).read_text()
    assert cells(text, "similarity of maps")[1][1:4] == ["– (1.00)"] * 3


def test_writing_again_gives_the_same_files(written, tmp_path):
    again = write_comparison(made_up(*USUAL), tmp_path)
    for path in written.parent.iterdir():
        assert (again.parent / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_folder_that_cant_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out") as caught:
        write_comparison(made_up(*USUAL), tmp_path / "file/below")
    assert len(str(caught.value).splitlines()) == 1


def headlines(text):
    return [unescape(re.sub("<.*?>", "", one)) for one in re.findall(r"<li><b>(.*?)</b></li>", text)]


def written_of(folder, *rows):
    return write_comparison(made_up(*rows), folder).read_text(encoding="utf-8")


def test_the_headline_names_the_best_tier(tmp_path, source):
    alarms = "with false alarms on 20 % of the controls."
    assert headlines(source) == [f"fcdd: lrp tells best: 75 % of relying twins exposed, {alarms}"]
    rows = [compared(), compared("ig", exposes_twins=Count.of([True], 0.95))]
    best = headlines(written_of(tmp_path / "tiers", *rows, compared("native", rank=3, tier=2)))
    assert best == [f"fcdd: lrp and ig tell best: 75 to 100 % of relying twins exposed, {alarms}"]
    alike = headlines(written_of(tmp_path / "alike", *rows))
    assert alike[0].startswith("fcdd: lrp and ig can't be told apart: 75 to 100 %")


def test_what_is_below_chance_is_listed_without_a_tier(tmp_path):
    rows = [compared(), compared("blind", rank=2, tier=0)]
    text = written_of(tmp_path, *rows)
    assert "Below chance on FCDD, and so without a tier: blind." in Page(text).words
    assert [row[:2] for row in cells(text, "FCDD: 2 confirmed")[1:]] == [["1", "lrp"], ["–", "blind"]]
    alone = headlines(written_of(tmp_path / "none", rows[1]))
    assert alone == ["fcdd: no explanation points to the artifact more than chance does."]


def test_without_relying_twins_the_headline_says_so(tmp_path):
    text = written_of(tmp_path, compared(**NOT_KNOWN))
    assert headlines(text) == ["fcdd: no twin relies on the artifact, so that there was nothing to expose."]
    assert 'id="scatter' not in text


@pytest.mark.parametrize(
    ("similarity", "right", "colour"),
    [(0.0, 0, "255 255 255"), (1.0, 0, "240 150 90"), (1.0, 1, "255 255 255"), (-0.5, 0, "248 202 172")],
)
def test_a_similarity_is_shaded_by_its_distance_from_what_is_right(similarity, right, colour):
    assert shade(similarity, right) == f' style="background: rgb({colour}); color: #1b1c1e"'


def test_an_unknown_similarity_has_no_shade():
    assert shade(None, 0) == ""
