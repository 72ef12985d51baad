"""`fcdd-audit discover` from a folder of images to its page and files."""

import json
import re

import jsonschema
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from fcdd_audit import InputError, render_report
from fcdd_audit.auditing import explain_run, remedy_run
from fcdd_audit.cli.app import app
from fcdd_audit.cli.documents import schemas

QUICK = ("--image-size", "32", "--draws", "49", "--no-sensitivity")
PLANTED = 14
COUNTS = {"train/nominal": 36, "train/anomalous": 36}


def painted(rng):
    """Smooth colours with some noise, uint8 (32, 32, 3)."""
    smooth = 4 * gaussian_filter(rng.normal(size=(32, 32, 3)), (2, 2, 0))
    return (110 + 40 * (smooth + 0.3 * rng.normal(size=(32, 32, 3)))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Images of both sides in the tool's layout without test/; a patch in a corner of some anomalous ones."""
    root, rng = tmp_path_factory.mktemp("marked"), np.random.default_rng(0)
    patch = np.random.default_rng(5).integers(0, 256, (8, 8, 3))
    for part, count in COUNTS.items():
        (root / part).mkdir(parents=True)
        for index in range(count):
            pixels = painted(rng)
            if part == "train/anomalous" and index < PLANTED:
                pixels[22:30, 2:10] = patch
            Image.fromarray(pixels).save(root / part / f"{index:02}.png")
    return root


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def discovered(marked, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    result = invoke("discover", "--data-root", marked, "--out", out, *QUICK)
    assert (result.exit_code, result.stderr) == (0, "")
    return out / "discover-folder", result


@pytest.fixture(scope="module")
def content(discovered):
    return json.loads((discovered[0] / "candidates.json").read_text(encoding="utf-8"))


def test_the_table_says_what_was_found_and_where_the_page_is(discovered):
    head, first, *_, said, page = discovered[1].stdout.splitlines()
    assert re.split("  +", head) == ["id", "kind", "where", "on nominal", "on anomalous", "p", "null"]
    assert first.startswith("#1  repeated mark  the lower left")
    assert "repeats in these images" in said or "repeat in these images" in said
    assert page == str(discovered[0] / "report.html")


def test_the_planted_patch_is_the_first_candidate(content):
    best = content["candidates"][0]
    planted = {f"train/anomalous/{index:02}.png" for index in range(PLANTED)}
    assert len(planted & set(best["bearers"])) >= PLANTED - 2
    assert len(set(best["bearers"]) - planted) <= 4
    assert best["p"] <= 0.05
    assert best["difference"] < 0.01
    left, top, width, height = best["box"]
    assert left <= 0.1
    assert 0.5 <= top <= 0.75
    assert width <= 0.5
    assert height <= 0.5
    assert (content["draws"], content["sensitivity"], content["dataset"]) == (49, [], "folder")
    assert content["images"] == {"nominal": 36, "anomalous": 36}


def test_the_json_fits_its_schema(content):
    jsonschema.Draft202012Validator(schemas()["candidates.json"]).validate(content)


def test_a_mark_and_masks_lie_beside_it(discovered, content):
    folder, best = discovered[0], content["candidates"][0]
    if best["mark"] is None:
        pytest.skip("no mark was extracted of so few images")
    mark = Image.open(folder / best["mark"])
    assert (best["mark"], mark.mode) == ("mark-1.png", "RGBA")
    assert mark.size == tuple(round(32 * side) for side in best["box"][2:])
    own = folder / "masks-1"
    masks = sorted(path.relative_to(own).as_posix() for path in own.rglob("*.png"))
    assert masks == sorted(best["bearers"])
    mask = Image.open(own / masks[0])
    assert (mask.size, mask.mode) == ((32, 32), "L")


def test_the_page_is_rendered_again_from_the_folder(discovered):
    page = discovered[0] / "report.html"
    before = page.read_text(encoding="utf-8")
    page.unlink()
    result = invoke("report", discovered[0])
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{page}\n", "")
    assert page.read_text(encoding="utf-8") == before
    assert len(before) < 1_500_000


def test_the_same_again_and_older_files_go(marked, discovered, content):
    folder = discovered[0]
    for stale in ("mark-99.png", "pictures-99.npz"):
        (folder / stale).write_bytes(b"old")
    (folder / "masks-99").mkdir()
    (folder / "masks-99" / "old.png").write_bytes(b"old")
    marks = {path.name: path.read_bytes() for path in folder.glob("mark-?.png")}
    result = invoke("discover", "--data-root", marked, "--out", folder.parent, *QUICK, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == content
    assert {path.name: path.read_bytes() for path in folder.glob("mark-*.png")} == marks
    assert not [*folder.glob("*-99*"), *folder.glob("store"), *folder.glob(".tmp-*")]


def test_a_discovery_is_no_audit(discovered):
    for command in ("check", "compare"):
        result = invoke(command, discovered[0])
        assert (result.exit_code, result.stdout) == (2, "")
        assert "holds no finished audit" in result.stderr
    for use, what in ((explain_run, "occlusion"), (remedy_run, "drop")):
        with pytest.raises(InputError, match="holds a discovery, which has no detectors; give an audit"):
            use(discovered[0], [what])


def test_a_folder_without_sides_is_one_side_and_names_are_paths(tmp_path):
    rng = np.random.default_rng(1)
    for index in range(24):
        path = tmp_path / "plain" / f"day {index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(painted(rng)).save(path)
    arguments = ("--data-root", tmp_path / "plain", "--out", tmp_path, "--name", "mine", "--quiet")
    result = invoke("discover", *arguments, *QUICK)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    content = json.loads((tmp_path / "mine" / "candidates.json").read_text())
    assert content["images"] == {"images": 24}
    assert all(one["difference"] is None for one in content["candidates"])
    assert all(name.startswith("day ") for one in content["candidates"] for name in one["bearers"])


# What is refused: one line, exit code 2, nothing written


def assert_refused(result, *expected):
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("fcdd-audit: error: ")
    for text in expected:
        assert text in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


def few(tmp_path, count, part="few"):
    rng = np.random.default_rng(2)
    (tmp_path / part).mkdir(parents=True)
    for index in range(count):
        Image.fromarray(painted(rng)).save(tmp_path / part / f"{index}.png")
    return tmp_path / part


def test_bad_input_is_refused_in_a_line(tmp_path):
    out = ("--out", tmp_path / "out", *QUICK)
    missing = tmp_path / "missing"
    assert_refused(invoke("discover", *out), "--data-root", "nothing to search")
    assert_refused(invoke("discover", "--data-root", missing, *out), f"data root '{missing}' is no folder")
    assert_refused(invoke("discover", "--data-root", few(tmp_path, 23), *out), "23 images", "24")
    (tmp_path / "empty").mkdir()
    assert_refused(invoke("discover", "--data-root", tmp_path / "empty", *out), "no images in")
    assert_refused(invoke("discover", "--dataset", "retnia", *out), "did you mean 'retina'?")
    assert not (tmp_path / "out").exists()


def test_corrupt_images_are_named_and_can_be_left_out(tmp_path):
    root = few(tmp_path, 23)
    (root / "corrupt.png").write_bytes(b"no picture")
    arguments = ("discover", "--data-root", root, "--out", tmp_path / "out", *QUICK)
    assert_refused(invoke(*arguments), "corrupt.png", "--skip-corrupt")
    assert_refused(invoke(*arguments, "--skip-corrupt"), "23 images")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--draws", "0"), "--draws"),
        (("--sample", "23"), "--sample"),
        (("--detector", "fcdd"), "makes no use of 'detector'"),
        (("--seeds", "3"), "makes no use of 'seeds'"),
        (("--oe", "photos"), "no outlier exposure"),
        (("--image-size", "8"), "8 px"),
        (("--name", "../up"), "name"),
    ],
)
def test_flags_that_can_not_be_are_refused(flags, said, tmp_path):
    root = few(tmp_path, 24)
    assert_refused(invoke("discover", "--data-root", root, "--out", tmp_path / "out", *flags), said)
    assert not (tmp_path / "out").exists()


def test_a_file_of_an_audit_says_where_the_images_are(tmp_path):
    file = tmp_path / "audit.toml"
    file.write_text(f'detector = "fcdd"\nseeds = 3\ndata_root = "{few(tmp_path, 5).as_posix()}"\n')
    assert_refused(invoke("discover", "--config", file, "--out", tmp_path / "out"), "5 images")
    file.write_text("seed_s = 3")
    assert_refused(invoke("discover", "--config", file), "seed_s")


def test_an_audit_is_not_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"schema": 7, "design": "twins"}')
    arguments = ("--data-root", few(tmp_path, 24), "--out", tmp_path, "--name", "mine")
    assert_refused(invoke("discover", *arguments, *QUICK), "holds an audit")


def test_a_folder_that_is_not_whole_has_no_page(tmp_path):
    (tmp_path / "config.json").write_text('{"schema": 7, "design": "discovery", "run": "x"}')
    with pytest.raises(InputError, match=r"candidates\.json"):
        render_report(tmp_path)


def test_help_shows_what_it_takes_and_nothing_of_training():
    text = invoke("discover", "--help").stdout
    for flag in ("--data-root", "--draws", "--no-sensitivity", "--sample", "--seed", "--nominal-class"):
        assert flag in text
    for flag in ("--detector", "--probe", "--epochs", "--strict", "--store"):
        assert flag not in text
