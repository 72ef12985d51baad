"""The page of a finished detector: what it says, with and without placebos, dose and heatmaps."""

import json
import re
import shutil
from html import unescape

import pytest

from fcdd_audit import render_report
from fcdd_audit.core.text import plain, share

SECTIONS = (
    "verdict",
    "decisions",
    "specific",
    "dose",
    "explanations",
    "pictures",
    "method",
    "measures",
    "provenance",
)
PATCH = {"probe": "patch", "options": {"patch": {"size": 0.25, "margin": 0.0, "jitter": 0.0}}}
NO_PLACE = {"probe": "jpeg"}
REGION = {"probe": "region", "options": {"region": {"width": 0.125, "height": 0.125}}}
WHOLE = {"probe": "frame"}


@pytest.fixture(scope="module")
def no_placebos(finished_run):
    return finished_run("Robust", **NO_PLACE)


def source(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def words(folder):
    """What people read, on one line."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", source(folder), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", body)).split())


def findings_of(folder):
    return json.loads((folder / "findings.json").read_text())["findings"]


def check_page(folder, figures):
    """What every page has."""
    page = source(folder)
    for part in SECTIONS:
        assert f'<section id="{part}"' in page
        assert f'href="#{part}"' in page
    assert page.count("<svg ") == figures
    assert page.count("<caption>") == page.count("<table")
    assert page.count("<img ") == page.count('alt="')
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page, target
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert "None" not in words(folder)
    assert not re.search(r"\bnan\b", words(folder))


def test_what_was_found_is_said_in_words(vulnerable):
    nominal, anomalous = findings_of(vulnerable)
    # Placebos of both sides, doses and places of the vulnerable one, and two explanations.
    check_page(vulnerable, 2 + 2 + 2)
    text = words(vulnerable)
    alarms, numbers = nominal["alarms"], nominal["finished"]
    assert "Finished detector own_models.py:Vulnerable. Data set folder" in text
    assert f"at the threshold {plain(numbers['threshold'])}" in text
    assert "(the 95 % quantile of 20 held-out nominal images)" in text
    assert (
        f"{share(alarms['value'])} ({share(alarms['low'])} to {share(alarms['high'])}) of 20 normal" in text
    )
    assert "raise an alarm because of it" in text
    assert "It is this mark." in text
    assert "0 of 39 do as much or more" in text
    assert (
        "On 20 images: it is surely harmful from 100 % of its opacity and from 100 % of its size on." in text
    )
    assert "shows the artifact, more than placebos" in text
    assert "Why: 0 of 20 anomalous images hide with the artifact only" in text
    assert (
        f"about {anomalous['images_needed']} tested anomalous images would settle it with even odds" in text
    )
    assert "Not used: edges (a reference map knows nothing of it)" in text
    assert "factory own_models.py:Vulnerable" in text
    for kind in ("text", "flat", "permuted", "grating", "donor"):
        assert f'<th scope="row">{kind}</th>' in source(vulnerable)


def test_measures_that_are_named_are_explained(vulnerable):
    page = source(vulnerable)
    for measure in ("newly_wrong", "auroc", "beyond_placebos", "p", "p_holm", "as_strong", "pixel_auroc"):
        assert f'<tr id="measure-{measure}">' in page
    assert '<tr id="measure-reliance">' not in page, "which compares twins"


def test_pictures_show_each_variant_and_its_heat(vulnerable):
    """Three images of each side, three variants of each, and a map of every variant by two explainers."""
    first_screen = 2 + 2
    assert source(vulnerable).count("<img ") == first_screen + 6 * (3 + 2 * 3)


def test_without_placebos_the_rest_is_there(no_placebos):
    check_page(no_placebos, 0)
    text = words(no_placebos)
    assert "Whether it is this mark or any can't be asked: Jpeg has no mask" in text
    assert "There are no placebos: Jpeg has no mask" in text
    assert "Not asked: it follows a verdict of vulnerable, or --dose" in text
    assert "Not asked: Jpeg has no mask" in text
    assert "The outline is the mark's mask" not in text


def test_a_found_artifact_is_said_to_be_one(finished_run):
    folder = finished_run("Robust", explainers="gradient", **REGION)
    check_page(folder, 2 + 1)
    text = words(folder)
    assert "region, which the images came with" in text
    assert "the removal of as much at 39 other places" in text
    assert "Removing as much elsewhere does it to" not in text, "the artifact turns no decision wrong"
    assert "with as much removed elsewhere" in text
    assert "with the first placebo" not in text


def test_a_dose_without_places_says_why(finished_run):
    folder = finished_run("Robust", explainers="gradient", dose=True, **WHOLE)
    check_page(folder, 2 + 2 + 1)
    text = words(folder)
    assert "It can't be moved: the artifact reaches over the whole image." in text
    assert "too few to say from which share of its opacity on it is harmful" in text


def test_a_models_notes_are_on_the_page(finished_run):
    folder = finished_run("Clipped", explainers="gradient", threshold=0.5, **PATCH)
    check_page(folder, 2 + 1)
    stored = json.loads((folder / "config.json").read_text())
    assert len(stored["notes"]) >= 2
    for note in stored["notes"]:
        assert note in words(folder)
    assert "at the threshold 0.5 (as given)" in words(folder)


def test_what_detects_nothing_says_why_there_is_no_verdict(finished_run):
    text = words(finished_run("Reversed", explainers="gradient", **PATCH))
    assert "Why: nominal images score higher than anomalous ones" in text


def test_a_trusted_file_is_said_to_be_one(vulnerable, tmp_path):
    copy = shutil.copytree(vulnerable, tmp_path / "run")
    stored = json.loads((copy / "config.json").read_text())
    stored["config"]["detector"]["trust_model"] = True
    (copy / "config.json").write_text(json.dumps(stored))
    assert "loaded with --trust-model" not in words(vulnerable)
    render_report(copy)
    assert "loaded with --trust-model" in words(copy)
