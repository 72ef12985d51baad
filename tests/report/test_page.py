import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from fcdd_audit import InputError, render_report
from fcdd_audit.core.text import number, share, span
from fcdd_audit.designs.twins.drawn import DRAWN
from fcdd_audit.report.naming import detector_name
from fcdd_audit.report.page import template_folder
from fcdd_audit.verdict.words import alarms_of


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.text += data


@pytest.fixture(scope="module")
def source(default_run):
    return default_run.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_sections_come_in_the_order_of_a_report(page):
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    before = ["verdict", "follow", "scores", "explanations", "pictures", "other-shortcuts", "trust"]
    assert sections == [*before, "method", "measures", "limits", "provenance"]


def test_the_verdict_and_its_interval_are_in_words(page, default_run):
    (finding,) = default_run.as_json()["findings"]
    words = " ".join(page.text.split())
    assert "relies FCDD: relies and raises alarms." in words
    planted, control = (share(value) for value in alarms_of(finding))
    assert (
        "With the artifact put on the nominal test images, an alarm comes for "
        f"{planted} of these images because of it; with the control twin, {control}." in words
    )
    for name, key in (("new alarms", "alarms"), ("score shift", "dependence"), ("AUROC drop", "reliance")):
        assert f"{name} {span(finding[key])}" in words
    assert "3 pairs of twins (one look at 3 pairs)" in words
    assert "the shift is above 0.5 in 3 of 3, new alarms are above 5 % in 3." in words
    assert "Clever Hans, exposed" in words


def test_a_measures_name_leads_to_its_definition(page, source, default_run):
    measures = json.loads((default_run.folder / "config.json").read_text())["measures"]
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a" and "#measure-" in attrs["href"]}
    assert links >= {f"#measure-{effect.measure}" for effect in default_run.findings[0].effects}
    assert links >= {
        "#measure-reliance",
        "#measure-excess_pixel_auroc",
        "#measure-pixel_auroc",
        "#measure-auroc",
    }
    heading, *found = rows(source, "What the numbers of this page")
    assert heading[:3] == ["measure", "what it is", "unit"]
    assert len(found) >= len(links)
    (drop,) = [row for row in found if row[0].endswith(" drop") or row[0] == "AUROC dropdrop"]
    assert drop[1] == measures["drop"]["definition"] + "fcdd_audit/measures/effects.py:auroc_drop"
    assert drop[2:] == ["–", "\N{MINUS SIGN}1 to 1", "–", "–"]
    assert not any("rank_correlation" in row[0] for row in found), "explanations weren't checked here"


def test_nothing_points_outside_the_file(page, source):
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            target = attrs.get(name)
            assert target is None or target.startswith(("data:", "#")), (tag, name, target)
    assert "@import" not in source
    assert not re.search(r"url\((?!#)", source)


def test_only_the_pages_own_script_may_run(page, source):
    """Known by its hash; what is of another type is data."""
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attrs["content"] for tag, attrs in page.tags if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_ids_are_unique_and_references_lead_somewhere(page, source):
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    wanted = {
        value[1:]
        for _, attrs in page.tags
        for name, value in attrs.items()
        if name in ("href", "xlink:href") and value and value.startswith("#")
    }
    wanted |= set(re.findall(r"url\(#([^)]+)\)", source))
    assert wanted <= set(ids)


def test_every_picture_has_words_and_every_table_a_caption(page):
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 4 + 4 * (
        2 + 3 * 2
    )  # the first screen; 4 examples: clean, marked, 3 explainers x 2 twins
    assert all(attrs.get("alt") for attrs in images)
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == sum(tag == "caption" for tag, _ in page.tags) > 0


def test_no_picture_is_there_twice_and_the_scale_says_its_quantile(page):
    pictures = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == len(set(pictures))
    words = " ".join(page.text.split())
    assert "in its own unit: from the least to the 97 % quantile of the heat" in words
    scales = sum(attrs.get("class") == "scale" for _, attrs in page.tags)
    assert scales == 2 * 4 * 3, "the scale, and planted over control"


def test_what_is_the_same_for_both_twins_and_minor_measures_are_left_to_the_table(page, default_table):
    words = " ".join(page.text.split())
    assert "random (reference)" not in words
    assert "random" in set(default_table["explainer"])
    cells = rows_of_measures(page)
    assert cells == {"pixel_auroc", "relevance_mass"}
    assert {"pointing_game", "aupro"} <= set(default_table["metric"])


def rows_of_measures(page):
    """The measures of overlap that links in tables lead to."""
    links = {attrs["href"].removeprefix("#measure-") for tag, attrs in page.tags if tag == "a"}
    overlaps = {"pixel_auroc", "pixel_ap", "relevance_mass", "relevance_rank", "top_k_intersection"}
    return links & (overlaps | {"pointing_game", "iou_at_mask_area", "aupro"})


def test_the_quantile_of_the_run_is_used(default_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(default_run.folder, copy)
    config = json.loads((copy / "config.json").read_text())
    pages = {}
    for quantile in (0.97, 0.5):
        config["config"]["explanation"]["quantile"] = quantile
        (copy / "config.json").write_text(json.dumps(config))
        pages[quantile] = render_report(copy).read_text(encoding="utf-8")
    assert "50 % quantile" in pages[0.5]
    heat = {
        quantile: re.findall(r'<img src="([^"]+)" alt="[^"]* map of', text)
        for quantile, text in pages.items()
    }
    assert sum(a != b for a, b in zip(heat[0.97], heat[0.5], strict=True)) > len(heat[0.5]) / 2 > 0


def test_the_embedded_json_is_findings_json_without_overlaps(source, default_run):
    embedded = re.search(r'<script type="application/json" id="findings">(.*?)</script>', source, re.DOTALL)
    expected = default_run.as_json()
    for finding in expected["findings"]:
        finding["explainers"] = [{**one, "overlaps": []} for one in finding["explainers"]]
    assert json.loads(embedded.group(1)) == json.loads(json.dumps(expected))


def test_rendering_again_gives_the_same_file(default_run, source):
    assert render_report(default_run.folder) == default_run.report
    assert default_run.report.read_text(encoding="utf-8") == source


def test_names_from_outside_are_escaped(default_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(default_run.folder, copy)
    evil = "</script><script>alert(1)</script><b>"
    for name in ("config.json", "findings.json"):
        text = (copy / name).read_text().replace('"retina"', json.dumps(evil))
        (copy / name).write_text(text)
    arrays = dict(np.load(copy / "examples-0.npz"))
    arrays["name"] = np.array([evil] * len(arrays["name"]))
    np.savez(copy / "examples-0.npz", **arrays)
    text = render_report(copy).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert Page(text).text.count(evil) >= 5


def rows(page_source, caption):
    """Text of the cells of the table with that caption."""
    table = next(t for t in re.findall(r"<table.*?</table>", page_source, re.DOTALL) if caption in t)
    found = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in cells]


def test_several_classes_are_named_and_their_means_are_in_a_table(classes_run):
    source = classes_run.report.read_text(encoding="utf-8")
    words = " ".join(Page(source).text.split())
    assert "nominal classes airplane, cat, one at a time." in words
    assert "FCDD on airplane: can't tell: the detector doesn't detect." in words
    assert "AE on cat: can't tell: more pairs of twins are needed." in words
    heading, *means = rows(source, "Means over the 2 nominal classes")
    assert heading[:7] == [
        *("detector", "planted on", "prevalence", "verdicts"),
        *("new alarms", "shift", "AUROC drop"),
    ]
    expected = classes_run.as_json()["means"]
    assert [row[:7] for row in means] == [
        [detector_name(m["detector"]), m["plant_on"], f"{m['prevalence']:g}", "2 inconclusive"]
        + [number(m[name]) for name in ("alarms", "dependence", "reliance")]
        for m in expected
    ]
    assert [row[7:] for row in means] == [
        [number(m["control_auroc"], 3), number(m["planted_auroc"], 3)] for m in expected
    ]
    heading, *cells = rows(source, "Detection, by twin and seed")
    assert heading[:2] == ["nominal class", "detector"]
    assert [row[0] for row in cells] == ["airplane"] * 6 + ["cat"] * 6, "no row of means among the cells"
    assert "airplane: Not among the test images" in words
    assert "nominal cat, 3 × 32 × 32" in words


def test_only_the_first_findings_have_pictures_and_plots(classes_run):
    source = classes_run.report.read_text(encoding="utf-8")
    page = Page(source)
    assert len(classes_run.findings) == 8 > DRAWN == 6
    figures = [attrs["aria-label"] for tag, attrs in page.tags if tag == "div" and "aria-label" in attrs]
    assert sum(one.startswith("ROC of") for one in figures) == DRAWN
    assert sum(one.startswith("Dose and response of") for one in figures) == 4
    assert [figures.count(one) for one in ("New alarms", "What explanations show", "Scores")] == [2, 2, 1]
    assert source.count("<p><b>FCDD on") + source.count("<p><b>AE on") == 4 * DRAWN, "four images of each"
    assert "Only the first 6 of 8 findings have pictures and plots here" in " ".join(page.text.split())
    assert source.count('<table class="evidence">') == DRAWN
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))


def test_one_class_is_not_spoken_of_as_one_of_many(source, page):
    words = " ".join(page.text.split())
    assert "nominal class retina." in words
    for text in ("FCDD on retina", "one at a time", "Means over", "Only the first", "nominal retina"):
        assert text not in words
    assert rows(source, "Detection, by twin and seed")[0][0] == "detector"


@pytest.mark.parametrize("name", ["scores.csv", "curves.csv", "results.csv", "examples-0.npz", "heat-0.npz"])
def test_a_folder_from_which_a_file_is_missing_is_refused(default_run, tmp_path, name):
    folder = tmp_path / "part"
    shutil.copytree(default_run.folder, folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"no complete run \(.*{name}\)"):
        render_report(folder)


WITHOUT_TORCH = """
import sys
from pathlib import Path
from fcdd_audit.report import render_report

render_report(Path(sys.argv[1]))
heavy = sorted({"torch", "torchvision", "captum"} & sys.modules.keys())
print(",".join(heavy), end="")
"""


def test_a_report_is_rendered_where_there_is_no_torch(default_run, source, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(default_run.folder, folder)
    (folder / "report.html").unlink()
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "is imported"
    assert (folder / "report.html").read_text(encoding="utf-8") == source


def test_a_report_needs_nothing_of_the_store(default_run, source, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(default_run.folder, folder, ignore=shutil.ignore_patterns("store", "report.html"))
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == []
    assert render_report(folder).read_text(encoding="utf-8") == source


def test_a_run_that_was_killed_as_it_wrote_its_files_is_whole_again(default_run, source, tmp_path):
    """All its files were complete, and some of them already in their places."""
    folder = tmp_path / "run"
    shutil.copytree(default_run.folder, folder, ignore=shutil.ignore_patterns("store"))
    (folder / ".complete").mkdir()
    for name in ("findings.json", "heat-0.npz"):
        (folder / name).rename(folder / ".complete" / name)
    (folder / "findings.json").write_text("{}")
    assert render_report(folder).read_text(encoding="utf-8") == source
    assert not (folder / ".complete").exists()
    assert json.loads((folder / "findings.json").read_text()) == default_run.as_json()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no finished audit"):
        render_report(tmp_path)


def test_the_templates_are_found():
    assert (template_folder() / "report.css").is_file()
