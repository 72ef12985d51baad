from pathlib import PurePosixPath

from fcdd_audit.images.paths import safe_paths


def test_paths_never_leave_their_folder():
    names = [
        *("train/a.jpg", "train/A.png", "train/a.png/b.png", "../up.png", "/etc/passwd", "c:\\x.png"),
        *("x/../y", "", "..", "a\nb.png", "con|.png", ".hidden.png"),
        *("a" * 300 + ".png", "cat/00012", "image-3.png"),
    ]
    paths = safe_paths(names)
    assert len({path.lower() for path in paths}) == len(names)
    for path in paths:
        parts = PurePosixPath(path).parts
        assert not PurePosixPath(path).is_absolute()
        assert ".." not in parts
        assert path.endswith(".png")
        assert "\\" not in path
    assert paths[0] == "train/a.png"
    assert paths[1] == "image-1.png"
    assert paths[3] == "image-3.png"
    assert paths[-2] == "cat/00012.png"
    assert paths[-1] == "image-14.png"
