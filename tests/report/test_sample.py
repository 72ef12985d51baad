"""The committed sample report is made again from its folder, wherever torch and captum aren't."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "reports" / "retina-watermark"
WITHOUT = """
import sys
sys.modules["torch"] = sys.modules["captum"] = None
from fcdd_audit.cli.app import main
sys.argv[0] = "fcdd-audit"
main()
"""


@pytest.mark.skipif(not (SAMPLE / "results.csv").is_file(), reason="the sample report isn't here")
def test_the_sample_is_rendered_without_torch_and_captum(tmp_path):
    run = shutil.copytree(SAMPLE, tmp_path / "run", ignore=shutil.ignore_patterns("store", ".lock"))
    (run / "report.html").unlink()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "report", run], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    page = (run / "report.html").read_text(encoding="utf-8")
    committed = (SAMPLE / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == committed.count("<img") > 20
    assert page.count("<svg") == committed.count("<svg")


@pytest.mark.skipif(not (SAMPLE / "config.json").is_file(), reason="the sample report isn't here")
def test_the_sample_was_made_by_the_command_alone_and_names_no_place_of_a_machine():
    settings = json.loads((SAMPLE / "config.json").read_text(encoding="utf-8"))["config"]
    assert (settings["data"]["cache"], settings["run"]["out"]) == (None, "reports")
    assert settings["run"]["store"] is None
