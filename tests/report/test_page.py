import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from fcdd_audit import InputError, render_report
from fcdd_audit.report.page import number, span, template_folder


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
def source(textures_run):
    return textures_run.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_sections_come_in_the_order_of_a_report(page):
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert sections == ["verdict", "controls", "evidence", "pictures", "scores", "method", "provenance"]


def test_the_verdict_and_its_interval_are_in_words(page, textures_run):
    (finding,) = textures_run.as_json()["findings"]
    words = " ".join(page.text.split())
    assert "fcdd relies on the watermark." in words
    assert f"Reliance {span(finding['reliance'])}" in words
    assert "Clever Hans, exposed" in words


def test_nothing_points_outside_the_file(page, source):
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            target = attrs.get(name)
            assert target is None or target.startswith(("data:", "#")), (tag, name, target)
    assert "@import" not in source
    assert not re.search(r"url\((?!#)", source)


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
    assert len(images) == 4 * (2 + 2 * 4)  # 4 examples: clean, stamped, 4 explainers x 2 twins
    assert all(attrs.get("alt") for attrs in images)
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == sum(tag == "caption" for tag, _ in page.tags) > 0


def test_the_embedded_json_is_findings_json(source, textures_run):
    embedded = re.search(r'<script type="application/json" id="findings">(.*?)</script>', source, re.DOTALL)
    assert json.loads(embedded.group(1)) == textures_run.as_json()


def test_rendering_again_gives_the_same_file(textures_run, source):
    assert render_report(textures_run.folder) == textures_run.report
    assert textures_run.report.read_text(encoding="utf-8") == source


def test_names_from_outside_are_escaped(textures_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(textures_run.folder, copy)
    evil = "</script><script>alert(1)</script><b>"
    for name in ("config.json", "findings.json"):
        text = (copy / name).read_text().replace('"grass"', json.dumps(evil))
        (copy / name).write_text(text)
    arrays = dict(np.load(copy / "examples.npz"))
    arrays["name"] = np.array([evil] * len(arrays["name"]))
    np.savez(copy / "examples.npz", **arrays)
    text = render_report(copy).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert Page(text).text.count(evil) >= 5


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no finished audit"):
        render_report(tmp_path)


def test_numbers_are_set_like_numbers():
    assert number(-0.034) == "\N{MINUS SIGN}0.03"
    assert number(-0.001) == "0.00"
    assert number(None) == number(float("nan")) == "–"
    assert span({"value": 0.5, "low": None, "high": None}) == "0.50"
    assert span({"value": 0.5, "low": -0.25, "high": 1.0}) == "0.50 (\N{MINUS SIGN}0.25 to 1.00)"


def test_the_templates_are_found():
    assert (template_folder() / "report.css").is_file()
