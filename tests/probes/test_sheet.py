import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import PROBES
from fcdd_audit.probes.sheet import GAP, LABEL, OUTLINE, TILE, write_sheet

DOCS = Path(__file__).parents[2] / "docs"
documented = pytest.mark.skipif(not DOCS.is_dir(), reason="the sdist has no documents")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "probes.png"
    write_sheet(path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def tiles(sheet, index):
    """The clean and the marked picture of the probe with that index, three probes a row."""
    top = GAP + index // 3 * (LABEL + TILE + GAP) + LABEL
    left = GAP + index % 3 * (2 * TILE + GAP // 2 + GAP)
    lefts = (left, left + TILE + GAP // 2)
    return [sheet[top : top + TILE, start : start + TILE] for start in lefts]


@pytest.mark.parametrize("name", list(PROBES))
def test_every_probe_is_shown_beside_the_clean_photo_with_its_mask(sheet, name):
    clean, marked = tiles(sheet, list(PROBES).index(name))
    outlined = (clean == OUTLINE).all(axis=-1)
    assert outlined.any() == PROBES[name]().placed
    assert (marked != clean)[~outlined].any()
    assert clean.std() > 20, "a photo"


def test_every_row_is_filled_from_the_left(sheet):
    rows = -(-len(PROBES) // 3)
    assert sheet.shape == (GAP + rows * (LABEL + TILE + GAP), GAP + 3 * (2 * TILE + GAP // 2 + GAP), 3)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".PNG"])
def test_the_suffix_says_the_format(tmp_path, suffix):
    write_sheet(tmp_path / f"probes{suffix}")
    with Image.open(tmp_path / f"probes{suffix}") as picture:
        assert picture.format == {".jpg": "JPEG", ".webp": "WEBP", ".PNG": "PNG"}[suffix]


@pytest.mark.parametrize("name", ["probes.txt", "probes", "probes.svg"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"suffix isn't known; use one of .png, .jpg, .jpeg, .webp"):
        write_sheet(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path):
    with pytest.raises(
        InputError, match=r"missing/probes.png' \(No such file or directory\); choose another"
    ):
        write_sheet(tmp_path / "missing" / "probes.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"folder.png' \(Is a directory\)"):
        write_sheet(tmp_path / "folder.png")


@documented
def test_the_document_names_every_probe_with_its_options_and_defaults():
    """In the table's cells: `name`, what it does, `option` = `default` and so on."""
    text = (DOCS / "probes.md").read_text().split("## Directions")[0]
    rows = re.findall(r"^\| `([a-z]+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    kinds = {**dict(PROBES.items()), **dict(NATURAL.items())}
    assert {row[0] for row in rows} == set(kinds)
    assert [row[0] for row in rows][: len(PROBES)] == list(PROBES)
    for name, _, cell in rows:
        written = dict(re.findall(r"`(\w+)=([^`]*)`", cell))
        fields = dataclasses.fields(kinds[name])
        assert written == {field.name: str(field.default) for field in fields}


@documented
def test_the_picture_in_the_document_is_of_this_size(sheet):
    with Image.open(DOCS / "probes.png") as picture:
        assert picture.size == (sheet.shape[1], sheet.shape[0]), (
            "fcdd-audit list probes --preview docs/probes.png"
        )
