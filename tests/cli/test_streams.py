"""Streams that are closed, unread, full or of an old encoding: `python -m fcdd_audit` in a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fcdd_audit.cli.streams import readable


@pytest.fixture
def command():
    """Runs a command. closed: what the shell closes first. stdout, stderr: where they go."""

    def run(*arguments, closed="", stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
        shell = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-m", "fcdd_audit"]
        return subprocess.run(
            [*shell, *map(str, arguments)],
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **environment},
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def unread():
    """The end to write to of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


BUFFERING = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


# Unread and full


@BUFFERING
def test_nothing_is_said_of_a_reader_that_had_enough(command, unread, unbuffered):
    for arguments in (["list", "measures"], ["--help"], ["--version"]):
        done = command(*arguments, stdout=unread, PYTHONUNBUFFERED=unbuffered)
        assert (done.stderr, done.returncode) == (b"", 0), arguments


@BUFFERING
def test_a_refusal_keeps_its_exit_code_if_nobody_reads_stderr(command, unread, unbuffered):
    done = command("list", "measurs", stderr=unread, PYTHONUNBUFFERED=unbuffered)
    assert (done.stdout, done.returncode) == (b"", 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@BUFFERING
def test_a_full_disk_behind_stdout_is_said_in_one_line(command, unbuffered):
    with Path("/dev/full").open("wb") as full:
        done = command("list", "measures", stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert done.stderr.startswith(b"fcdd-audit: error: can't write to stdout (No space left on device)")
    assert done.stderr.count(b"\n") == 1
    assert done.returncode == 4


# Closed


@pytest.mark.parametrize("closed", CLOSED)
def test_a_closed_stream_changes_no_exit_code(command, closed):
    listed = command("list", "measures", closed=closed)
    assert (listed.stderr, listed.returncode) == (b"", 0)
    assert bool(listed.stdout) == (" >&-" not in f" {closed}")
    refused = command("list", "measurs", closed=closed)
    assert (refused.stdout, refused.returncode) == (b"", 2)
    assert refused.stderr.count(b"\n") == (0 if "2>&-" in closed else 1)


# Encodings


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "−0.5 – 3 × 2 ± 1 “a…” → é日"),
        ("cp1252", "-0.5 – 3 × 2 ± 1 “a…” -> é\\u65e5"),
        ("latin-1", '-0.5 - 3 × 2 ± 1 "a..." -> é\\u65e5'),
        ("ascii", '-0.5 - 3 x 2 +- 1 "a..." -> \\xe9\\u65e5'),
    ],
)
def test_what_an_encoding_lacks_is_spelled_in_ascii(command, encoding, expected):
    """Through stderr, in a line that names what was asked."""
    asked = "−0.5 – 3 × 2 ± 1 “a…” → é日"
    done = command("list", asked, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert f"No such command '{expected}'" in done.stderr.decode(encoding)
    assert done.returncode == 2


def test_a_name_of_no_encoding_is_printed_as_escapes(command, tmp_path):
    name = os.fsdecode(b"\xff\xe9")
    for encoding in ("utf-8", "ascii"):
        done = command("list", name, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
        assert b"No such command '\\udcff\\udce9'" in done.stderr
        assert done.returncode == 2


def test_an_error_of_decoding_is_not_ours():
    error = UnicodeDecodeError("ascii", b"\xff", 0, 1, "no such byte")
    with pytest.raises(UnicodeDecodeError):
        readable(error)


# An audit in worker processes


@pytest.fixture
def audit(tiny, tmp_path):
    """The arguments of a gated audit that ends inconclusive, in a folder with signs in its name."""
    arguments = ["run", "--dataset", "folder", "--data-root", tiny, "--image-size", 32, "--oe", "none"]
    arguments += ["--detector", "ae", "--explainer", "native", "--seeds", 1, "--epochs", 1, "--workers", 2]
    return [*arguments, "--fail-on", "relies", "--out", tmp_path, "--name", "−1 – 日"]


def test_an_audit_ends_with_its_gates_code_whatever_its_streams_and_settings_are(
    audit, command, tmp_path, unread
):
    page = tmp_path / "−1 – 日/report.html"
    notebook = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": f"{os.devnull}/none",
    }
    silent = command(*audit, closed="<&- >&- 2>&-", **notebook)
    assert (silent.stdout, silent.stderr, silent.returncode) == (b"", b"", 3)
    written = page.read_bytes()
    assert "−".encode() in written
    page.unlink()
    ended = command(*audit, stdout=unread, PYTHONIOENCODING="ascii", PYTHONUNBUFFERED="1", **notebook)
    assert (ended.stderr, ended.returncode) == (b"", 3)
    assert page.is_file()

    read = command("report", page.parent, PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert read.stdout.decode("ascii") == f"{tmp_path}/-1 - \\u65e5/report.html\n"
    assert (read.stderr, read.returncode) == (b"", 0)
    found = command(*audit, "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    findings = (page.parent / "findings.json").read_text(encoding="utf-8")
    assert json.loads(found.stdout.decode("ascii")) == json.loads(findings)
