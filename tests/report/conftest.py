"""Shared by the tests of pages: a browser, what looks at pages in it, and audits of finished detectors."""

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcdd_audit import make_config, run_audit

MODELS = Path(__file__).parents[1] / "designs" / "finished" / "own_models.py"
COUNTS = {"test/nominal": 20, "test/anomalous": 20, "validation/nominal": 20}
PATCH = {"probe": "patch", "options": {"patch": {"size": 0.25, "margin": 0.0, "jitter": 0.0}}}
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium and chromedriver: the report isn't tested in a browser")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def axe():
    pytest.importorskip(
        "axe_core_python", reason="axe-core-python isn't installed: no check of accessibility"
    )
    return (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def show(browser):
    """Opens a page in a window of that width; scripts and the media as asked."""

    def opened(page, width=1300, *, scheme="light", media="", scripts=True):
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        browser.get("about:blank")
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(page.resolve().as_uri())
        return browser

    yield opened
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.fixture(scope="session")
def noise_folder(tmp_path_factory):
    """Noise of 32 px, whose anomalies are brighter."""
    root, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for part, count in COUNTS.items():
        (root / part).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(60, 196, (32, 32)) + 40 * (part == "test/anomalous")
            Image.fromarray(pixels.astype(np.uint8)).save(root / part / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def finished_run(noise_folder, tmp_path_factory):
    def make(name, **settings):
        config = make_config(
            dataset="folder",
            data_root=noise_folder,
            image_size=32,
            model=f"{MODELS}:{name}",
            explained=6,
            out=tmp_path_factory.mktemp("reports"),
            **settings,
        )
        return run_audit(config).folder

    return make


@pytest.fixture(scope="session")
def vulnerable(finished_run):
    return finished_run("Vulnerable", explainers=("native", "gradient", "edges"), **PATCH)
