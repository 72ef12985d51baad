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
