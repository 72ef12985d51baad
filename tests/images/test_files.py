import numpy as np
import pytest
from PIL import Image

from fcdd_audit.images.files import NOTHING, find_files, hidden_note, subfolders

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
