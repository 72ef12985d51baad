import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcdd_audit.images.files import (
    NOTHING,
    LeftOut,
    find_files,
    hidden_note,
    is_folder,
    subfolders,
    unread_notes,
)

GREY = np.array([[0, 40, 80], [120, 160, 255]], np.uint8)


def saved(folder, name, pixels):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_images_are_found_below_the_folder_by_suffix_in_path_order(tmp_path):
    for name in ("b/2.PNG", "b/1.jpeg", "a/x.tif", "z.webp", "notes.txt", "a/x.gif", "c.png/inside.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path).paths]
    assert found == ["a/x.tif", "b/1.jpeg", "b/2.PNG", "c.png/inside.bmp", "z.webp"]


def test_linked_folders_and_files_count_once(tmp_path):
    saved(tmp_path, "elsewhere.png", GREY)
    (tmp_path / "far").mkdir()
    saved(tmp_path / "far", "1.png", GREY)
    here = tmp_path / "here"
    here.mkdir()
    (here / "folder").symlink_to(tmp_path / "far", target_is_directory=True)
    (here / "loop").symlink_to(here, target_is_directory=True)
    (here / "file.png").symlink_to(tmp_path / "elsewhere.png")
    assert find_files(here) == ([here / "file.png", here / "folder/1.png"], NOTHING)
    (tmp_path / "linked").symlink_to(here, target_is_directory=True)
    assert find_files(tmp_path / "linked").paths[0] == tmp_path / "linked/file.png"
    assert find_files(tmp_path / "gone") == ([], NOTHING)


HIDDEN = ("._x.png", ".ipynb_checkpoints/x-checkpoint.png", "good/.cache/deeper/1.jpg", "good/.trash.TIF")


@pytest.fixture
def with_hidden(tmp_path):
    """A folder, hidden itself, with two images and four hidden ones."""
    base = tmp_path / ".data"
    for name in ("x.png", "good/1.png", *HIDDEN, ".DS_Store", "good/.notes.txt"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).touch()
    return base


def test_hidden_files_are_left_out_and_counted(with_hidden):
    found = find_files(with_hidden)
    assert found.paths == [with_hidden / "good/1.png", with_hidden / "x.png"] == find_files(with_hidden).paths
    assert found.left_out.hidden == {with_hidden / name for name in HIDDEN}
    assert find_files(with_hidden, (".txt",)).left_out.hidden == {with_hidden / "good/.notes.txt"}


def test_a_hidden_link_hides_nothing_that_is_shown(tmp_path):
    saved(tmp_path / "good", "1.png", GREY)
    (tmp_path / ".again").symlink_to(tmp_path / "good", target_is_directory=True)
    assert find_files(tmp_path).paths == [tmp_path / "good/1.png"]


def test_folders_without_hidden_ones(with_hidden):
    found = subfolders(with_hidden)
    assert found.paths == [with_hidden / "good"]
    assert found.left_out.hidden == {with_hidden / name for name in HIDDEN[:2]}, (
        "what is hidden in good is found there"
    )


def test_hidden_files_are_said():
    assert hidden_note([]) == []
    assert hidden_note(["a"]) == ["1 hidden file was left out."]
    assert hidden_note({"a", "b", "c"}) == ["3 hidden files were left out."]


# What can't be read

GONE = "a link whose target isn't there"
DENIED = "Permission denied"


def link(path, target="gone"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def test_links_without_a_target_are_named_where_they_may_be_images_or_folders(tmp_path):
    there = saved(tmp_path / "good", "1.png", GREY)
    annex = "../.git/annex/objects/Xq/SHA256E-s12--ab.png/SHA256E-s12--ab.png"
    link(tmp_path / "good/2.PNG", annex)
    link(tmp_path / "good/defects")
    link(tmp_path / "good/3.jpg", there / "below a file")
    link(tmp_path / "good/notes.txt")
    link(tmp_path / "good/.hidden.png")
    link(tmp_path / "lost+found")
    found = find_files(tmp_path)
    assert found.paths == [there]
    assert found.left_out.unread == {f"good/{name}: {GONE}" for name in ("2.PNG", "3.jpg", "defects")}
    assert find_files(tmp_path / "good").left_out.unread == {
        f"{name}: {GONE}" for name in ("2.PNG", "3.jpg", "defects")
    }
    assert find_files(tmp_path / "good", (".txt",), tmp_path).left_out.unread == {
        f"good/{name}: {GONE}" for name in ("notes.txt", "defects")
    }


def test_a_link_to_itself_is_named(tmp_path):
    link(tmp_path / "a.png", "a.png")
    link(tmp_path / "b", "b")
    assert len(find_files(tmp_path).left_out.unread) == 2
    assert len(subfolders(tmp_path).left_out.unread) == 1


def test_a_folder_that_is_a_link_without_a_target_or_no_folder_is_named(tmp_path):
    link(tmp_path / "masks")
    (tmp_path / "file").touch()
    assert find_files(tmp_path / "masks", base=tmp_path) == (
        [],
        LeftOut(unread=frozenset({f"masks: {GONE}"})),
    )
    assert find_files(tmp_path / "file", base=tmp_path).left_out.unread == {"file: Not a directory"}


def test_folders_that_are_links_without_a_target_are_named(tmp_path):
    saved(tmp_path / "test/good", "1.png", GREY)
    link(tmp_path / "test/hole")
    link(tmp_path / "test/notes.txt")
    link(tmp_path / "test/.old")
    found = subfolders(tmp_path / "test", tmp_path)
    assert found == ([tmp_path / "test/good"], LeftOut(unread=frozenset({f"test/hole: {GONE}"})))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert find_files(tmp_path).left_out.unread == {"a.png: no regular file"}


@pytest.fixture
def locked(tmp_path):
    """A folder of a file that may not be read, one that may, and two folders that may not be looked into."""
    for name in ("good/1.png", "good/2.png", "cut/1.png", "hole/1.png"):
        saved(tmp_path, name, GREY)
    modes = {"good/1.png": 0, "cut": 0, "hole": 0o444}
    for name, mode in modes.items():
        (tmp_path / name).chmod(mode)
    yield tmp_path
    for name in modes:
        (tmp_path / name).chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(locked):
    found = find_files(locked)
    assert found.paths == [locked / "good/2.png"]
    assert found.left_out.unread == {f"{name}: {DENIED}" for name in ("good/1.png", "cut", "hole/1.png")}
    assert subfolders(locked).left_out.unread == {f"{name}: {DENIED}" for name in ("cut", "hole")}


@pytest.fixture
def forbidden(monkeypatch):
    """Makes looking at some paths fail as it does without permission, also for root."""
    paths = set()

    def denied(path):
        if Path(os.fspath(path)) in paths:
            raise PermissionError(errno.EACCES, DENIED, os.fspath(path))

    scandir, access, look = os.scandir, os.access, Path.stat
    monkeypatch.setattr(os, "scandir", lambda path: denied(path) or scandir(path))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in paths and access(path, mode))
    monkeypatch.setattr(Path, "stat", lambda path, **how: denied(path) or look(path, **how))
    return paths.add


def test_what_may_not_be_looked_at_is_named(tmp_path, forbidden):
    for name in ("good/1.png", "good/2.png", "cut/1.png"):
        saved(tmp_path, name, GREY)
    forbidden(tmp_path / "cut")
    forbidden(tmp_path / "good/1.png")
    assert find_files(tmp_path) == (
        [tmp_path / "good/2.png"],
        LeftOut(unread=frozenset({f"cut: {DENIED}", f"good/1.png: {DENIED}"})),
    )
    assert find_files(tmp_path / "cut", base=tmp_path).left_out.unread == {f"cut: {DENIED}"}
    assert subfolders(tmp_path).left_out.unread == {f"cut: {DENIED}"}
    assert subfolders(tmp_path / "cut", tmp_path) == ([], LeftOut(unread=frozenset({f"cut: {DENIED}"})))


def test_a_folder_below_one_that_may_not_be_searched_is_refused(tmp_path, forbidden, refused):
    assert is_folder(tmp_path)
    assert not is_folder(tmp_path / "gone")
    forbidden(tmp_path / "cut")
    with refused(f"can't look at '{tmp_path / 'cut'}': {DENIED}; see to the permissions"):
        is_folder(tmp_path / "cut")


def test_what_cannot_be_read_is_refused_or_on_request_said_and_logged(refused, caplog):
    unread = [f"{i}.png: {GONE}" for i in range(7)]
    assert unread_notes("photos", [], skip_corrupt=False) == []
    with refused(
        f"7 files or folders of photos can't be read: 0.png: {GONE}; ",
        "and 2 more - get their data",
        "--skip",
    ):
        unread_notes("photos", unread, skip_corrupt=False)
    with refused(f"1 file or folder of photos can't be read: 0.png: {GONE} - "):
        LeftOut(unread=frozenset(unread[:1])).notes("photos", skip_corrupt=False)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "fcdd_audit"):
        (note,) = unread_notes("photos", unread, skip_corrupt=True)
    assert note.startswith("Left out: 7 files or folders of photos can't be read: 0.png")
    assert caplog.records[0].message in note.replace("Left out: ", "").rstrip(".") + " - left out"


def test_what_was_left_out_in_two_places_is_said_together():
    one = LeftOut(frozenset({Path(".a.png")}), frozenset({"b: gone"}))
    two = LeftOut(frozenset({Path(".a.png"), Path(".c.png")}), frozenset({"d: gone"}))
    assert (one | two).notes("photos", skip_corrupt=True) == [
        "2 hidden files were left out.",
        "Left out: 2 files or folders of photos can't be read: b: gone; d: gone.",
    ]
