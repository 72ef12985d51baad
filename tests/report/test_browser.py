"""The report in a real browser."""

import json

import pytest


@pytest.fixture
def opened(browser, default_run):
    browser.set_window_size(1280, 900)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    for log in ("browser", "performance"):
        browser.get_log(log)  # what the browser's own start page did
    browser.get(default_run.report.resolve().as_uri())
    return browser


def test_no_console_message_and_no_request_but_the_file_itself(opened):
    assert opened.get_log("browser") == []
    sent = [
        message["params"]["request"]["url"]
        for entry in opened.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    # On a slow machine the browser's own start page may still be at it: chrome.
    assert {url.split(":")[0] for url in sent} <= {"file", "data", "chrome"}
    assert sum(url.startswith("file:") for url in sent) >= 1
    assert {url for url in sent if url.startswith("file:")} == {opened.current_url}


def test_every_image_and_figure_is_painted(opened):
    images = opened.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth])"
    )
    assert len(images) == 4 + 4 * (2 + 3 * 2)
    assert all(complete and natural > 0 and shown > 0 for complete, natural, shown in images)
    figures = opened.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().height)"
    )
    visible = [height for height in figures if height > 0]  # the others are folded, or for phones
    assert len(visible) == 6
    assert min(visible) > 60


def test_the_page_does_not_scroll_sideways_at_400_px_and_the_verdict_is_readable(opened):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    width = opened.execute_script("return document.documentElement.scrollWidth")
    assert width <= 400
    box = opened.execute_script(
        "const b = document.querySelector('.verdict .headline').getBoundingClientRect();"
        "return [b.left, b.right]"
    )
    assert 0 <= box[0] < box[1] <= 400


def test_the_keyboard_reaches_everything(opened):
    from selenium.webdriver import ActionChains, Keys

    def press(key: str) -> None:
        ActionChains(opened).send_keys(key).perform()

    def focused(script: str) -> object:
        return opened.execute_script(f"return document.activeElement.{script}")

    press(Keys.TAB)
    assert focused("className") == "skip"
    press(Keys.ENTER)
    assert opened.current_url.endswith("#verdict")
    opened.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    seen = set()
    for _ in range(800):
        press(Keys.TAB)
        if focused("className") == "skip":
            break  # once around
        seen.add((focused("tagName"), focused("getAttribute('aria-label')")))
        if focused("tagName") == "SUMMARY":
            before = focused("parentElement.open")
            press(Keys.ENTER)
            assert focused("parentElement.open") != before
            press(Keys.ENTER)
    labels = {label for _, label in seen if label}
    regions = opened.execute_script(
        "return [...document.querySelectorAll('.scroll')].map(e => e.getAttribute('aria-label'))"
    )
    assert set(regions) <= labels


@pytest.fixture(params=["twins", "finished"])
def page(request):
    """A report with strips of pictures."""
    if request.param == "twins":
        return request.getfixturevalue("default_run").report
    return request.getfixturevalue("vulnerable") / "report.html"


def enlarge(browser):
    """Opens the second strip of pictures. Returns the strip, its button, the dialog and its slider."""
    strip = browser.find_elements("css selector", ".strip")[1]
    button = strip.find_element("css selector", "button.enlarge")
    browser.execute_script("arguments[0].focus()", button)
    press(browser, "ENTER")
    dialog = browser.find_element("css selector", "dialog[open]")
    return strip, button, dialog, dialog.find_element("css selector", "input")


def pictures_in(element):
    return {one.get_attribute("src") for one in element.find_elements("css selector", "img")}


def press(browser, key):
    from selenium.webdriver import ActionChains, Keys

    ActionChains(browser).send_keys(getattr(Keys, key)).perform()


def test_each_strip_of_pictures_can_be_enlarged(show, page):
    browser = show(page)
    strips = browser.find_elements("css selector", ".strip")
    buttons = [strip.find_elements("css selector", "button") for strip in strips]
    assert len(strips) >= 4
    assert [[one.accessible_name for one in own] for own in buttons] == [
        [f"Enlarge: {strip.get_attribute('aria-label')}"] for strip in strips
    ]


def test_a_slider_shows_a_share_of_the_image_with_the_artifact_over_the_one_without(show, page):
    browser = show(page)
    strip, _, dialog, slider = enlarge(browser)
    name = strip.get_attribute("aria-label")
    assert (dialog.aria_role, dialog.accessible_name) == ("dialog", f"Enlarged: {name}")
    small, large = (
        [one.get_attribute("src") for one in parent.find_elements("css selector", kind + " img")][:2]
        for parent, kind in ((strip, ".pair"), (dialog, ".wipe"))
    )
    assert small == large
    assert small[0] != small[1]
    assert pictures_in(strip) == pictures_in(dialog), "heatmaps are there too"
    assert [one.text for one in dialog.find_elements("css selector", "button")] == ["Close"]
    under, over = dialog.find_elements("css selector", ".wipe img")
    assert under.rect == over.rect
    assert over.size["width"] > strip.find_element("css selector", ".pair img").size["width"]
    browser.execute_script("arguments[0].focus()", slider)
    seen = [over.value_of_css_property("clip-path")]
    for key in ("HOME", "ARROW_RIGHT", "END"):
        press(browser, key)
        seen.append(over.value_of_css_property("clip-path"))
    assert seen == [
        "inset(0px 50% 0px 0px)",
        "inset(0px 100% 0px 0px)",
        "inset(0px 99% 0px 0px)",
        "inset(0px 0% 0px 0px)",
    ]
    assert under.value_of_css_property("clip-path") == "none"
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("way", ["ESCAPE", "ENTER", "click"])
def test_the_enlarged_pictures_close_and_the_focus_returns(show, page, way):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = show(page)
    _, button, dialog, _ = enlarge(browser)
    close = dialog.find_element("css selector", "button.close")
    assert browser.switch_to.active_element == close
    if way == "click":
        close.click()
    else:
        press(browser, way)
    WebDriverWait(browser, 10).until(lambda driver: not driver.find_elements("css selector", "dialog"))
    assert browser.switch_to.active_element == button
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_enlarged_pictures_keep_nobody_out(show, page, axe, scheme):
    browser = show(page, scheme=scheme)
    enlarge(browser)
    browser.execute_script(axe)
    found, checked = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document).then(r => done([r.violations.map(v => [v.id, v.nodes[0].html.slice(0, 200)]),"
        " r.passes.flatMap(p => p.nodes.map(n => n.html)).filter(h => h.startsWith('<dialog')).length]))"
    )
    assert found == []
    assert checked


def test_without_scripts_pictures_have_no_button(show, page):
    browser = show(page, scripts=False)
    root = browser.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    strips, buttons = (
        browser.execute_cdp_cmd("DOM.querySelectorAll", {"nodeId": root, "selector": selector})["nodeIds"]
        for selector in (".strip:has(.pair)", "button, dialog")
    )
    assert strips
    assert buttons == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_figures_have_contrast_in_both_schemes(opened, scheme):
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    colours = opened.execute_script(
        """
        const style = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
        const paper = style('body', 'backgroundColor'), panel = style('.verdict', 'backgroundColor');
        return [[style('body', 'color'), paper], [style('caption', 'color'), paper],
                [style('.badge', 'color'), panel], [style('.number', 'color'), panel],
                [style('nav a', 'color'), paper], [style('.tile span', 'color'), paper],
                [style('button', 'color'), style('button', 'backgroundColor')],
                [style('figure svg', 'color'), paper]];
        """
    )
    for ink, paper in colours:
        assert contrast(ink, paper) >= 4.5, (ink, paper)
    dark_page = luminance(colours[0][1]) < 0.2
    assert dark_page == (scheme == "dark")


def luminance(colour: str) -> float:
    """Relative luminance of an rgb() colour, WCAG 2."""
    channels = [int(value) / 255 for value in colour[4:-1].split(",")]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
