"""The gate of a pipeline, as a pipeline uses it."""

import json
import shlex
import subprocess
import sys

import pytest
from defusedxml import ElementTree
from typer.testing import CliRunner

from fcdd_audit.cli.app import app
from fcdd_audit.experiment.folder import SCHEMA

IMPORTED = """
import sys
from fcdd_audit.cli.app import main
sys.argv[0] = "fcdd-audit"
try:
    main()
finally:
    print([name for name in ("torch", "captum") if name in sys.modules])
"""


@pytest.fixture
def run_of(tmp_path):
    """Writes the folder of a run that has these findings."""

    def write(*findings, name="run"):
        folder = tmp_path / name
        folder.mkdir()
        content = {"schema": SCHEMA, "run": name, "findings": findings, "means": [], "origin": []}
        config = {"schema": SCHEMA, "run": name, "finished": "2026-01-02 00:00:30 UTC", "seconds": 74.1}
        (folder / "findings.json").write_text(json.dumps(content))
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


@pytest.fixture
def relying(a_finding):
    return a_finding(verdict="relies", harm="alarms", alarms={"value": 0.9, "low": 0.8, "high": 1.0})


@pytest.fixture
def unclear(a_finding):
    return a_finding(detector="hsc", verdict="inconclusive", missing="pairs", reason="the twins differ")


def invoke(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def assert_refused(result, *expected):
    """One line on stderr, nothing on stdout, exit code 2."""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for text in expected:
        assert text in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# What is printed


def test_a_line_for_each_outcome_and_the_result(run_of, relying, unclear):
    result = invoke(run_of(relying, unclear))
    assert (result.exit_code, result.stderr) == (1, "")
    where = "watermark planted on 100 % of the anomalous training images"
    assert result.stdout.splitlines() == [
        f"failed        fcdd: relies on {where}: relies and raises alarms",
        f"inconclusive  hsc: relies on {where}: can't tell: more pairs of twins are needed; the twins differ",
        "failed",
    ]


def test_classes_are_named_where_there_are_several(run_of, a_finding):
    result = invoke(run_of(a_finding(), a_finding(nominal_class="a\nb")), "--min-auroc", 0.9)
    assert [line.partition(", ")[0] for line in result.stdout.splitlines()] == [
        "passed        healthy",
        "passed        a b",
        "passed",
    ]


def test_outcomes_can_be_read_by_a_machine(run_of, relying):
    result = invoke(run_of(relying), "--json", "--max-new-alarms", 0.5, "--min-auroc", 0.5)
    printed = json.loads(result.stdout)
    assert (printed["schema"], printed["run"], printed["result"]) == (1, "run", "failed")
    assert [(one["criterion"], one["limit"], one["result"]) for one in printed["outcomes"]] == [
        ("max-new-alarms", 0.5, "failed"),
        ("min-auroc", 0.5, "passed"),
    ]


def test_a_quiet_check_has_its_exit_code_only(run_of, relying):
    result = invoke(run_of(relying), "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "")


def test_without_a_criterion_verdicts_are_the_criterion(run_of, a_finding):
    vulnerable = a_finding(design="finished", prevalence=None, verdict="vulnerable", seeds=0)
    assert invoke(run_of(vulnerable)).exit_code == 1
    assert invoke(run_of(vulnerable, name="other"), "--min-auroc", 0.9).exit_code == 0


# What is written


def test_both_files_are_written(run_of, relying, tmp_path):
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    folder = run_of(relying)
    before = names_in(folder)
    result = invoke(folder, "--junit", junit, "--summary", summary)
    assert (result.exit_code, result.stderr) == (1, "")
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("name"), suite.get("failures")) == ("fcdd-audit run", "1")
    assert summary.read_text(encoding="utf-8").startswith("## fcdd-audit: run fails\n")
    assert names_in(folder) == before
    assert names_in(tmp_path) == ["junit.xml", "run", "summary.md"]


def test_a_summary_is_added_and_junit_is_replaced(run_of, relying, tmp_path):
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    junit.write_text("old")
    summary.write_text("# Job")
    folder = run_of(relying)
    for _ in range(2):
        invoke(folder, "--junit", junit, "--summary", summary)
    assert ElementTree.parse(junit).getroot().get("tests") == "1"
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# Job\n## fcdd-audit: run fails\n")
    assert text.count("\n## fcdd-audit") == 2


# Bad input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--fail-on", "relise"], ["--fail-on", "did you mean 'relies'?"]),
        (["--fail-on", ""], ["--fail-on names no verdict"]),
        (["--max-new-alarms", "1.5"], ["--max-new-alarms is 1.5", "0 to 1"]),
        (["--max-new-alarms", "nan"], ["--max-new-alarms is nan"]),
        (["--min-auroc", "-1"], ["--min-auroc is -1"]),
        (["--min-auroc", "high"], ["--min-auroc", "number"]),
        (["--junit", "absent/junit.xml"], ["'absent/junit.xml'", "'absent' is no folder", "--junit"]),
        (["--summary", "taken"], ["'taken'", "it is no file", "--summary"]),
        (["--junit", "new.xml", "--summary", "absent/s.md"], ["--summary"]),
        (["--junit", "new.xml", "--summary", "run/../new.xml"], ["give two files"]),
    ],
)
def test_bad_input_gets_one_line_and_nothing_is_written(
    run_of, relying, tmp_path, monkeypatch, arguments, expected
):
    folder = run_of(relying)
    (tmp_path / "taken").mkdir()
    monkeypatch.chdir(tmp_path)
    assert_refused(invoke(folder, *arguments), *expected)
    assert names_in(tmp_path) == ["run", "taken"]


def test_a_folder_that_holds_no_run_is_refused(run_of, relying, tmp_path):
    files = ["--junit", tmp_path / "junit.xml", "--summary", tmp_path / "summary.md"]
    assert_refused(invoke(tmp_path / "absent", *files), "'fcdd-audit run'")
    folder = run_of(relying)
    (folder / "config.json").unlink()
    assert_refused(invoke(folder, *files), "config.json")
    (folder / "findings.json").write_text('{"schema": 1}')
    assert_refused(invoke(folder, *files), f"schema 1, not {SCHEMA}")
    assert names_in(tmp_path) == ["run"]


# In a pipeline


def test_a_script_tells_five_endings_apart(run_of, a_finding, relying, unclear, tmp_path):
    damaged = a_finding()
    del damaged["verdict"]
    for name, findings in {
        "good": [a_finding()],
        "bad": [unclear, relying],
        "open": [a_finding(), unclear],
        "damaged": [damaged],
    }.items():
        run_of(*findings, name=name)
    check = f"{shlex.quote(sys.executable)} -m fcdd_audit check"
    script = f"""
    for run in good bad absent open damaged; do
        code=0
        {check} $run --quiet --junit $run.xml --summary $run.md || code=$?
        echo $run $code
    done
    code=0
    {check} good > /dev/full || code=$?
    echo unwritten $code
    """
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        *("good 0", "bad 1", "absent 2", "open 3", "damaged 2", "unwritten 4")
    ]
    absent, damaged, unwritten = done.stderr.splitlines()
    assert absent.startswith("fcdd-audit: error: 'absent' holds no finished audit")
    assert damaged.startswith("fcdd-audit: error: the files of 'damaged' aren't whole (KeyError: 'verdict')")
    assert unwritten.startswith("fcdd-audit: error: can't write to stdout")
    assert sorted(path.name for path in tmp_path.glob("*.*")) == [
        *("bad.md", "bad.xml", "good.md", "good.xml", "open.md", "open.xml")
    ]


def test_neither_torch_nor_captum_is_imported(run_of, relying, tmp_path):
    arguments = ["check", run_of(relying), "--junit", tmp_path / "j.xml", "--summary", tmp_path / "s.md"]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-2:] == ["failed", "[]"]
