from pathlib import Path

import numpy as np
import pytest

from fcdd_audit.images.depth import Largest, Peak, Peaks
from fcdd_audit.images.gallery import Gallery, of_arrays
from fcdd_audit.images.scan import find_peaks


class Looked:
    """A gallery whose pictures have these peaks, which counts how often one is looked at."""

    def __init__(self, *peaks, what="files"):
        self.peaks, self.looks = peaks, 0
        names = tuple(f"{what}/{i}.png" for i in range(len(peaks)))
        self.gallery = Gallery(what, names, ("",) * len(names), None, str, self.look)

    def look(self, index):
        self.looks += 1
        return self.peaks[index]


def find(folder, *galleries):
    identities = [[gallery.identity(i) for i in range(len(gallery))] for gallery in galleries]
    return find_peaks(galleries, identities, folder, progress=False)


def whole(value):
    return Peak(value, False)


def test_the_largest_values_of_all_galleries_and_whose_they_are(tmp_path):
    one = Looked(whole(9), None, whole(300), Peak(0.5, True))
    two = Looked(whole(300), whole(7), Peak(1.5, True), what="more")
    assert find(tmp_path, one.gallery, two.gallery) == Peaks(
        Largest(300, "files/2.png"), Largest(1.5, "more/2.png")
    )


@pytest.mark.parametrize("peaks", [(whole(9), None), (None, None)])
def test_files_are_looked_at_once(tmp_path, peaks):
    looked = Looked(*peaks)
    first = find(tmp_path, looked.gallery)
    assert find(tmp_path, looked.gallery) == first
    assert looked.looks == 2
    find(tmp_path, looked.gallery.take([0]))
    assert looked.looks == 3, "other files"


def test_a_damaged_file_of_what_was_found_is_said_and_made_again(tmp_path, caplog):
    looked = Looked(whole(9))
    first = find(tmp_path, looked.gallery)
    (kept,) = tmp_path.iterdir()
    for content in (b"", b"\xff", kept.read_bytes().replace(b"9", b"8")):
        kept.write_bytes(content)
        assert find(tmp_path, looked.gallery) == first
    kept.unlink()
    kept.mkdir()
    assert find(tmp_path, looked.gallery) == first
    assert [record.message for record in caplog.records] == [
        f"what is kept of the files' depth is damaged and is made again: {kept}"
    ] * 4
    assert find(tmp_path, looked.gallery) == first
    assert looked.looks == 5


def test_arrays_have_8_bits_and_nothing_is_kept(tmp_path):
    arrays = of_arrays(np.zeros((2, 3, 3), np.uint8), ["a", "a"], "arrays", "digest")
    assert find(tmp_path, arrays) == find(tmp_path) == Peaks()
    assert list(Path(tmp_path).iterdir()) == []
