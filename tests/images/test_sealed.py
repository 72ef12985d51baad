import hashlib

import pytest

from fcdd_audit.images.sealed import digest_of, put, sealed, unsealed


def test_what_is_sealed_comes_back():
    content = {"a": [1, "ä", None], "b": 0.5}
    assert unsealed(sealed(content)) == content
    assert sealed(content).count("\n") == 1


@pytest.mark.parametrize(
    "damage",
    [lambda t: "", lambda t: t[:-1], lambda t: t.replace("1", "2"), lambda t: t[1:], lambda t: t + "\n"],
)
def test_what_is_damaged_is_noticed(damage):
    with pytest.raises(ValueError, match="a checksum is wrong"):
        unsealed(damage(sealed({"a": 1})))


def test_a_files_digest_is_that_of_all_its_bytes(tmp_path):
    for content in (b"", b"x" * ((1 << 22) + 3)):
        (tmp_path / "a").write_bytes(content)
        assert digest_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("there", ["nothing", "a file", "a folder", "a link"])
def test_a_file_is_put_in_the_place_of_whatever_is_there(tmp_path, there):
    source, target, other = (tmp_path / name for name in ("source", "target", "other"))
    source.write_text("new")
    other.mkdir()
    (other / "kept").touch()
    if there == "a file":
        target.write_text("old")
    elif there == "a folder":
        (target / "inside").mkdir(parents=True)
    elif there == "a link":
        target.symlink_to(other, target_is_directory=True)
    put(source, target)
    assert target.read_text() == "new"
    assert not source.exists()
    assert (other / "kept").exists()
