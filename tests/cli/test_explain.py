"""`fcdd-audit explain`: what it prints, and how it ends."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from fcdd_audit import RunError, run_audit
from fcdd_audit.cli.app import app


@pytest.fixture(scope="module")
def finished(patches_config, tmp_path_factory):
    """A run with one explainer; its page isn't made."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fcdd_audit.auditing.render_report", lambda folder: folder)
        return run_audit(patches_config.having(out=tmp_path_factory.mktemp("explained"))).folder


@pytest.fixture
def run(finished, tmp_path, without_page):
    return shutil.copytree(finished, tmp_path / finished.name)


def invoke(*arguments):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def files(folder):
    """With the records of the store, but without locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix
    }


def explainers(folder):
    return json.loads((folder / "config.json").read_text())["config"]["explanation"]["explainers"]


def test_it_prints_the_table_and_where_the_page_is(run):
    result = invoke(run, "--explainer", "grad-cam, edges")
    assert (result.exit_code, result.stderr) == (0, "")
    heading, finding, reason, page = result.stdout.splitlines()
    assert heading.split()[0] == "detector"
    assert finding.split()[0] == "fcdd"
    assert reason == "fcdd: 1 pair(s) give no interval; at least 3 are needed"
    assert page == str(run / "report.html")
    assert explainers(run) == ["native", "grad-cam", "edges"]


def test_as_json_it_prints_the_findings_and_nothing_else(run):
    result = invoke(run, "--explainer", "grad-cam", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json.loads((run / "findings.json").read_text())
    (finding,) = json.loads(result.stdout)["findings"]
    assert [one["explainer"] for one in finding["explainers"]] == ["native", "grad-cam"]


def test_in_quiet_it_prints_nothing(run):
    result = invoke(run, "--explained", 3, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert json.loads((run / "config.json").read_text())["config"]["explanation"]["explained"] == 3


def test_explanations_can_be_checked_afterwards(run):
    """And no more so, with 0."""
    assert invoke(run, "--sanity", 1, "--quiet").exit_code == 0
    assert (run / "comparison.html").is_file()
    assert invoke(run, "--sanity", 0, "--quiet").exit_code == 0
    assert not (run / "comparison.html").exists()


def test_the_page_is_opened_if_that_is_asked_for(run, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    assert invoke(run, "--explained", 2, "--open", "--quiet").exit_code == 0
    assert opened == [(run / "report.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--explainer", "gradcam"], ["unknown explainer 'gradcam'; did you mean 'grad-cam'"]),
        ([], ["nothing to add", "--explainer", "--explained"]),
        (["--explainer", " , "], ["nothing to add"]),
        (["--explained", "-1"], ["--explained"]),
        (["--sanity", "some"], ["--sanity"]),
        (["--seeds", "3"], ["No such option", "--seeds"]),
    ],
    ids=str,
)
def test_a_bad_request_gets_one_line_and_changes_nothing(run, arguments, said):
    before = files(run)
    result = invoke(run, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("fcdd-audit: error: ")
    for text in said:
        assert text in line
    assert files(run) == before


@pytest.mark.parametrize("where", ["nowhere", "empty", "file"])
def test_what_is_no_run_is_refused(tmp_path, where):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    result = invoke(tmp_path / where, "--explainer", "native")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert f"'{tmp_path / where}' holds no finished audit (config.json: " in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
    assert not list((tmp_path / "empty").iterdir())


def test_without_what_was_trained_it_says_what_to_do(run):
    shutil.rmtree(run / "store")
    before = files(run)
    result = invoke(run, "--explainer", "grad-cam")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert "2 of the run's detectors aren't in the store" in line
    assert "run the audit again with the same settings, and what you want of it" in line
    assert files(run) == before


def test_an_explainer_that_fails_ends_it_with_the_run_as_it_was(run, monkeypatch):
    before = files(run)

    def explain(*_):
        raise RunError("grad-cam gives heatmaps of FCDD that aren't finite")

    monkeypatch.setattr("fcdd_audit.experiment.work.explain", explain)
    result = invoke(run, "--explainer", "grad-cam")
    assert (result.exit_code, result.stdout) == (4, "")
    assert len(result.stderr.splitlines()) == 1
    assert "grad-cam gives heatmaps of FCDD that aren't finite" in result.stderr
    assert files(run) == before


def test_a_run_in_which_nothing_could_be_judged_is_still_none(patches_config, without_page, tmp_path):
    run = run_audit(patches_config.having(out=tmp_path, seeds=3, lr=1e30)).folder
    result = invoke(run, "--explainer", "grad-cam")
    assert result.exit_code == 4
    assert "nothing can be judged: the control twin of seed 0 has no numbers" in result.stderr
    assert explainers(run) == ["native", "grad-cam"], "what there is, is written"


def test_its_help_says_that_nothing_is_trained():
    result = invoke("--help")
    assert result.exit_code == 0
    for text in (
        "RUN",
        "--explainer",
        "--explained",
        "--sanity",
        "--json",
        "nothing is trained",
        "Example: ",
    ):
        assert text in result.stdout
    assert "--seeds" not in result.stdout


def test_another_engine_is_not_at_the_address_of_the_run_s(run):
    """The run's cluster isn't there any more."""
    pytest.importorskip("ray", reason="Ray isn't installed")
    content = json.loads((run / "config.json").read_text())
    content["config"]["run"] |= {"engine": "ray", "address": "127.0.0.1:1"}
    (run / "config.json").write_text(json.dumps(content))
    result = invoke(run, "--explainer", "grad-cam", "--quiet")
    assert result.exit_code == 2
    assert "no Ray cluster can be reached at '127.0.0.1:1'" in result.stderr
    assert invoke(run, "--explainer", "grad-cam", "--quiet", "--engine", "local").exit_code == 0
    assert explainers(run) == ["native", "grad-cam"]
    asked = json.loads((run / "config.json").read_text())["config"]["run"]
    assert (asked["engine"], asked["address"]) == ("local", None)
