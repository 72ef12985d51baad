"""Records, the files in them, and the identities that they are known by. Needs no torch."""

import errno
import hashlib
import json
import os
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.experiment import kept, records
from fcdd_audit.experiment.records import DamagedError, differences, key_of, plain
from fcdd_audit.measures.reliance import Scores

AWKWARD = ["NA", "nan", "a,b", 'say "x"', "ü\n", "007"]  # file names are data
PARTS = [("nominal", "clean"), ("nominal", "marked"), ("anomalous", "clean"), ("anomalous", "marked")]
IDENTITY = {"stage": 1, "edit": {"edit": "plant", "prevalence": 0.1}, "images": ["ü"]}
FILES = {"training.json": b'{"a": 1}\n', "detector.safetensors": bytes(range(256)), "empty": b""}


@pytest.fixture
def record(tmp_path):
    records.write(tmp_path / "record", IDENTITY, FILES)
    return tmp_path / "record"


# Records

contents = st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=8), st.binary(), max_size=3)


@given(contents)
def test_a_record_comes_back_byte_for_byte(files):
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "record"
        records.write(folder, IDENTITY, files)
        found = records.read(folder)
        assert found.identity == IDENTITY
        assert dict(found.files) == files
        assert {path.name for path in folder.iterdir()} == {"identity.json", "SHA256SUMS", *files}


def test_json_of_a_record_is_read_from_it(record):
    assert records.read(record).json("training.json") == {"a": 1}


def test_checksums_are_as_sha256sum_takes_them(record):
    lines = [line.split("  ") for line in (record / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} == {"identity.json", *FILES}
    assert all(hashlib.sha256((record / name).read_bytes()).hexdigest() == digest for digest, name in lines)
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum here")
    command = [program, "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=record, capture_output=True).returncode == 0
    (record / "training.json").write_bytes(b'{"a": 2}\n')
    assert subprocess.run(command, cwd=record, capture_output=True).returncode == 1


NAMES = ["identity.json", *FILES]


@pytest.mark.parametrize("name", [*NAMES, "SHA256SUMS"])
def test_a_missing_file_is_noticed_and_named(record, name):
    (record / name).unlink()
    with pytest.raises(DamagedError, match=f"^{name}: No such file or directory$"):
        records.read(record)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "empty"])
def test_a_changed_file_is_noticed_and_named(record, name, damage):
    content = (record / name).read_bytes() or b"\n"
    middle = len(content) // 2
    changed = {
        "cut": content[:-1] if len(content) > 1 else b"}",
        "longer": content + b"\0",
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "empty": b"" if name != "empty" else b"\n",
    }[damage]
    (record / name).write_bytes(changed)
    with pytest.raises(DamagedError, match=f"^{name}: its checksum is wrong$"):
        records.read(record)


def test_checksums_that_are_cut_anywhere_are_noticed(record):
    content = (record / "SHA256SUMS").read_bytes()
    for length in range(len(content) - 1):  # without the last line break nothing is lost
        (record / "SHA256SUMS").write_bytes(content[:length])
        with pytest.raises(DamagedError):
            records.read(record)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"one word\n", b"0  identity.json", b"\n", b"a  ../record\n"]
)
def test_checksums_that_are_none_are_noticed(record, content):
    (record / "SHA256SUMS").write_bytes(content)
    with pytest.raises(DamagedError):
        records.read(record)


@pytest.mark.parametrize("there", ["a file", "an empty folder", "a folder in a file's place"])
def test_something_else_in_its_place_is_noticed(record, there):
    if there == "a folder in a file's place":
        (record / "training.json").unlink()
        (record / "training.json").mkdir()
    else:
        shutil.rmtree(record)
        record.touch() if there == "a file" else record.mkdir()
    with pytest.raises(DamagedError):
        records.read(record)


def test_a_folder_of_which_only_some_files_were_copied_is_noticed(record, tmp_path):
    names = sorted(path.name for path in record.iterdir())
    for count in range(len(names)):
        half = tmp_path / f"half-{count}"
        half.mkdir()
        for name in names[:count]:
            shutil.copy(record / name, half)
        with pytest.raises(DamagedError):
            records.read(half)


def test_a_folder_that_is_there_is_not_written_into(record):
    before = {path.name: path.read_bytes() for path in record.iterdir()}
    with pytest.raises(FileExistsError):
        records.write(record, IDENTITY, {"other": b""})
    assert {path.name: path.read_bytes() for path in record.iterdir()} == before


def test_an_error_of_the_system_is_passed_on(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        records.write(tmp_path / "record", IDENTITY, FILES)


# Identities


def test_an_identity_is_what_json_gives_back():
    made = plain({"a": (1, 2.5), "b": {3: (True, None)}})
    assert made == {"a": [1, 2.5], "b": {"3": [True, None]}}
    assert plain(made) == made == json.loads(json.dumps(made))


def test_a_key_is_the_beginning_of_the_digest_of_the_identity_in_any_order():
    text = '{\n "a": 1,\n "b": [\n  2\n ]\n}\n'
    assert key_of({"b": (2,), "a": 1}) == key_of({"a": 1, "b": [2]})
    assert key_of({"a": 1, "b": [2]}) == hashlib.sha256(text.encode()).hexdigest()[:16]
    keys = [key_of({"a": value}) for value in (1, 1.0, "1", True, None, [1], {"1": 1})]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ({"recipe": {"epochs": 6}}, {"recipe": {"epochs": 8}}, ["recipe.epochs 6, was 8"]),
        ({"edit": "plant"}, {"edit": "as-is"}, ["edit plant, was as-is"]),
        ({"a": 1}, {"b": None}, ["a 1, was nothing", "b nothing, was null"]),
        (
            {"images": {"validation": "0" * 64}},
            {"images": {"validation": "f" * 64}},
            ["images.validation changed"],
        ),
        ({"of": "0" * 16}, {"of": "f" * 16}, ["of changed"]),
        ({"of": "0" * 16}, {"of": "f" * 17}, [f"of {'0' * 16}, was {'f' * 17}"]),
        ({"of": "0" * 16}, {}, [f"of {'0' * 16}, was nothing"]),
        ({"sides": ["nominal"]}, {"sides": []}, ['sides ["nominal"], was []']),
        ({"a": {"b": 1}}, {"a": 1}, ['a {"b": 1}, was 1']),
        (IDENTITY, plain(IDENTITY), []),
    ],
)
def test_differences_are_said_in_words(wanted, found, said):
    assert list(differences(wanted, found)) == said


values = st.recursive(
    st.none() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)
identities = st.dictionaries(st.text("ab", max_size=2), values, max_size=3)


@given(identities, identities)
def test_there_are_differences_exactly_where_keys_differ(one, other):
    assert (not list(differences(one, other))) == (key_of(one) == key_of(other))
    assert not list(differences(one, plain(one)))


# What the files hold


def scores() -> Scores:
    rng = np.random.default_rng(0)
    return Scores(rng.random(6) / 3, {part: rng.random(6) / 3 for part in PARTS})


def test_scores_come_back_to_the_last_bit_in_their_order():
    written = scores()
    found = kept.read_scores(
        kept.scores_file(written, dict.fromkeys(("validation", "nominal", "anomalous"), tuple(AWKWARD)))
    )
    assert (found.validation == written.validation).all()
    assert list(found.of) == PARTS
    for part in PARTS:
        assert (found.of[part] == written.of[part]).all()


def test_the_scores_are_a_row_each_by_part_image_and_variant():
    written = scores()
    names = dict.fromkeys(("validation", "nominal", "anomalous"), tuple(AWKWARD))
    table = kept.read_frame(kept.scores_file(written, names))
    assert list(table) == ["part", "image", "variant", "score"]
    assert table["image"].tolist() == AWKWARD * 5
    assert list(table[["part", "variant"]].drop_duplicates().itertuples(index=False, name=None)) == [
        ("validation", "clean"),
        *PARTS,
    ]
    marked = table[(table["part"] == "anomalous") & (table["variant"] == "marked")]
    assert marked["score"].tolist() == written.of["anomalous", "marked"].tolist()


def test_a_table_comes_back_to_the_last_bit():
    table = pd.DataFrame({"part": "nominal", "mask": "exact", "image": AWKWARD, "area": 0.1}).assign(
        pixel_auroc=[1 / 3, np.nan, 0.1, 0.2, 5e-324, 1e-17]
    )
    pd.testing.assert_frame_equal(kept.read_frame(kept.table_file(table)), table, check_exact=True)
    checks = pd.DataFrame([("noise", "rank_correlation", 1 / 7)], columns=["split", "metric", "value"])
    pd.testing.assert_frame_equal(kept.read_frame(kept.table_file(checks)), checks, check_exact=True)


def test_tiny_heat_survives_half_precision_and_a_map_of_zeros_stays_zero():
    levels = np.array([0, 3e-9], np.float32)
    maps, found = kept.read_maps(kept.maps_file(np.full((2, 4, 4), 3e-9, np.float32), levels))
    np.testing.assert_array_equal(found, levels)
    np.testing.assert_allclose(maps, 3e-9, rtol=1e-3)
    maps, _ = kept.read_maps(kept.maps_file(np.zeros((2, 4, 4), np.float32), levels))
    assert maps.dtype == np.float32
    assert (maps == 0).all()


def test_maps_are_scaled_back():
    halves = np.array([[[0.0, 2.0], [4.0, 1.0]]], np.float32)
    assert kept.halved(halves)[0].tolist() == [[[0, 0.5], [1, 0.25]]]
    assert kept.read_maps(kept.maps_file(halves, np.zeros(2)))[0].tolist() == halves.tolist()


def test_the_same_maps_make_the_same_file():
    maps, levels = np.random.default_rng(0).random((2, 4, 4), np.float32), np.zeros(2, np.float32)
    assert kept.maps_file(maps, levels) == kept.maps_file(maps.copy(), levels)


def test_reading_needs_no_torch():
    code = "import sys; from fcdd_audit.experiment import kept, store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
