import errno
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fcdd_audit.core.mapped import file_of
from fcdd_audit.images.cache import LEFT_OVER, default_cache
from fcdd_audit.images.decode import Decoded, Origin
from fcdd_audit.images.depth import Depth, Peak
from fcdd_audit.images.gallery import Gallery, of_files
from fcdd_audit.images.listing import NAMED
from fcdd_audit.images.parts import decoded
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet


class Counted:
    """A gallery of pictures that counts how often one is read. A picture that is text is damaged."""

    def __init__(self, pictures, delays=None, origins=None):
        self.pictures, self.reads, self.delays = pictures, 0, delays or {}
        self.origins = origins or [None] * len(pictures)
        self.identities = [str(i) for i in range(len(pictures))]
        names = tuple(f"{i}.png" for i in range(len(pictures)))
        self.gallery = Gallery("counted", names, ("",) * len(names), self.read, self.identities.__getitem__)

    def read(self, index, depth):
        self.depth = depth
        self.reads += 1
        time.sleep(self.delays.get(index, 0))
        if isinstance(self.pictures[index], str):
            raise OSError(self.pictures[index])
        return Decoded(self.pictures[index], self.origins[index])


def flat(*values, size=(8, 8), mode="L"):
    return [Image.new(mode, size, value) for value in values]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files(cache):
    return sorted(path.name for path in cache.iterdir())


def load(gallery, cache, size=4, notes=None, request=None, **options):
    reading = Reading(cache=cache, **(request or {}))
    return decoded(gallery, size, reading, [] if notes is None else notes, **options)


def test_a_picture_is_decoded_once(cache, caplog):
    source = Counted(flat(3, 1, 2))
    first = load(source.gallery, cache)
    again = load(source.gallery, cache)
    assert source.reads == 3
    assert first.images[:, 0, 0, 0].tolist() == again.images[:, 0, 0, 0].tolist() == [3, 1, 2]
    assert first.names == again.names == ("0.png", "1.png", "2.png")
    assert not caplog.records
    assert [name.rsplit(".")[-1] for name in files(cache)] == ["json", "u8"]


def test_the_images_are_mapped_and_know_their_digest(cache):
    found = load(Counted(flat(3, 1)).gallery, cache)
    assert file_of(found.images) == str(next(cache.glob("*.u8")))
    assert found.images.dtype == torch.uint8
    copy = ImageSet(found.images.clone(), found.names)
    assert found.digest is not None
    assert found.content() == copy.content(), "whether the digest is known or computed"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5},
        {"fit": "centre"},
        {"channels": 3},
        {"request": {"skip_corrupt": True}},
    ],
)
def test_another_wish_is_another_cache(cache, change):
    source = Counted(flat(3, 1, size=(9, 6)))
    load(source.gallery, cache)
    load(source.gallery, cache, **change)
    assert source.reads == 4
    load(source.gallery, cache)
    assert source.reads == 4, "and the first one is still there"


def test_another_depth_is_another_cache(cache):
    source = Counted(flat(3, 1))
    deep = replace(source.gallery, peak=lambda _: Peak(1000, False))
    for asked, bits, reads in ((None, 10, 2), (12, 12, 4)):
        load(deep, cache, request={"bit_depth": asked})
        assert source.depth == Depth(bits)
        assert source.reads == reads
    load(deep, cache)
    assert source.reads == 4, "and the first one is still there"


def test_a_changed_picture_is_decoded_again(cache):
    source = Counted(flat(3, 1))
    load(source.gallery, cache)
    source.pictures[0], source.identities[0] = flat(7)[0], "changed"
    assert load(source.gallery, cache).images[:, 0, 0, 0].tolist() == [7, 1]


def test_a_changed_file_is_decoded_again(tmp_path, cache, paint):
    path = paint(tmp_path / "a.bmp", 5)
    gallery = of_files([path], tmp_path, "files")
    assert load(gallery, cache).images.unique().tolist() == [5]
    before = path.stat()
    paint(path, 6)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert load(gallery, cache).images.unique().tolist() == [6]


def test_the_same_files_at_another_time_and_place_are_not_decoded_again(tmp_path, cache, paint, monkeypatch):
    for name in ("one", "two"):
        path = paint(tmp_path / name / "a.png", 5)
        os.utime(path, (len(name), 1))
        load(of_files([path], path.parent, "files"), cache)
        monkeypatch.setattr("fcdd_audit.images.gallery.decode", lambda *_: pytest.fail("decoded again"))


def test_a_file_that_is_gone_is_named(tmp_path, cache, paint, refused):
    path = paint(tmp_path / "a.png")
    gallery = of_files([path], tmp_path, "files")
    load(gallery, cache)
    path.unlink()
    with refused("1 file or folder of files can't be read: a.png: No such file", "--skip-corrupt"):
        load(gallery, cache)


def make_folder(path):
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a bit of the pixels": ("u8", flip_byte),
    "half of the pixels": ("u8", lambda p: p.write_bytes(p.read_bytes()[:20])),
    "more pixels": ("u8", lambda p: p.write_bytes(p.read_bytes() + b"x")),
    "no pixels": ("u8", lambda p: p.write_bytes(b"")),
    "a bit of the header": ("json", flip_byte),
    "half of the header": ("json", lambda p: p.write_bytes(p.read_bytes()[:70])),
    "an empty header": ("json", lambda p: p.write_bytes(b"")),
    "a header of bytes": ("json", lambda p: p.write_bytes(b"\xff\xfe\x00")),
    "a cut header": ("json", lambda p: p.write_bytes(p.read_bytes()[:-1])),
    "a header in a folder's place": ("json", make_folder),
    "pixels in a folder's place": ("u8", make_folder),
    "another header": ("json", lambda p: p.write_text(json.dumps({"shape": [1]}))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_said_and_built_again(cache, caplog, damage):
    source = Counted(flat(3, 1))
    content = load(source.gallery, cache).content()
    suffix, spoil = DAMAGES[damage]
    spoil(next(cache.glob(f"*.{suffix}")))
    with caplog.at_level(logging.WARNING, "fcdd_audit"):
        assert load(source.gallery, cache).content() == content
    assert source.reads == 4
    (record,) = caplog.records
    assert "image cache of counted is damaged" in record.message
    assert "built again" in record.message
    load(source.gallery, cache)
    assert source.reads == 4, "it is whole again"


@pytest.mark.parametrize("suffix", ["u8", "json"])
def test_half_a_cache_is_said_and_built_again(cache, caplog, suffix):
    source = Counted(flat(3, 1))
    load(source.gallery, cache)
    gone = next(cache.glob(f"*.{suffix}"))
    gone.unlink()
    assert load(source.gallery, cache).images[:, 0, 0, 0].tolist() == [3, 1]
    assert source.reads == 4
    (record,) = caplog.records
    assert f"is damaged ({gone.name}: No such file or directory) and is built again" in record.message


# Where pictures come from

JPEG, PNG = Origin("JPEG", 8, 8, "L", 90), Origin("PNG", 16, 9, "I;16")


def test_origins_are_kept_and_come_back(cache):
    source = Counted([*flat(3, 1), "bad", *flat(2)], origins=[JPEG, PNG, JPEG, JPEG])
    for _ in range(2):
        found = load(source.gallery, cache, request={"skip_corrupt": True})
        assert found.names == ("0.png", "1.png", "3.png")
        assert found.origins == (JPEG, PNG, JPEG)
        assert found.origins[0] is found.origins[2], "alike, so kept once"
    assert source.reads == 4


def test_images_of_which_one_has_no_file_have_no_origins(cache):
    for origins in ([None, None], [JPEG, None]):
        assert load(Counted(flat(3, 1), origins=origins).gallery, cache / str(origins)).origins is None


def test_origins_change_no_content(cache):
    with_origins, without = (
        load(Counted(flat(3, 1), origins=origins).gallery, cache / str(len(origins)))
        for origins in ([JPEG, PNG], [])
    )
    assert with_origins.origins is not None
    assert with_origins.content() == without.content()


# Damaged pictures


def test_damaged_pictures_end_it_and_are_named_in_one_line(cache, refused):
    source = Counted([*flat(3), *["bad\nheader"] * (NAMED + 2)])
    with refused(
        f"{NAMED + 2} of {NAMED + 3} counted images", "1.png: bad header;", " and 2 more", "--skip-corrupt"
    ):
        load(source.gallery, cache)
    assert files(cache) == [], "nothing half done stays"


def test_damaged_pictures_are_skipped_on_request_and_noted_each_time(cache):
    source = Counted([*flat(3), "bad header", *flat(7)])
    for _ in range(2):
        notes = []
        found = load(source.gallery, cache, notes=notes, request={"skip_corrupt": True})
        assert found.names == ("0.png", "2.png")
        assert found.images[:, 0, 0, 0].tolist() == [3, 7]
        assert notes == ["1 corrupt counted image skipped: 1.png: bad header"]
    assert source.reads == 3


def test_a_file_that_is_no_picture_is_called_so(tmp_path, cache, refused):
    (tmp_path / "a.png").write_bytes(b"text")
    with refused("1 of 1 files images can't be decoded: a.png: no picture - repair"):
        load(of_files([tmp_path / "a.png"], tmp_path, "files"), cache)


def test_if_all_are_skipped_nothing_is_left(cache):
    source = Counted(["bad", "bad"])
    found = load(source.gallery, cache, request={"skip_corrupt": True}, channels=3)
    assert found.images.shape == (0, 3, 4, 4)
    assert load(source.gallery, cache, request={"skip_corrupt": True}, channels=3).images.shape == (
        0,
        3,
        4,
        4,
    )


# Where it can't be written


def test_a_cache_that_cannot_be_written_is_named(tmp_path, refused):
    (tmp_path / "file").touch()
    with refused("can't write the image cache", str(tmp_path / "file"), "--cache"):
        load(Counted(flat(1)).gallery, tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(cache, refused):
    cache.mkdir(mode=0o500)
    with refused("can't write the image cache", "Permission denied", "--cache"):
        load(Counted(flat(1)).gallery, cache)


PLACES = {
    "in the pixels": "fcdd_audit.images.cache._rows",
    "in the header": "fcdd_audit.images.cache.sealed",
    "in the end": "fcdd_audit.images.cache.put",
    "with the depth": "fcdd_audit.images.scan.sealed",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_fills_up_is_said_in_one_line_and_leaves_no_half_file(cache, refused, monkeypatch, place):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = Counted(flat(3, 1))
    gallery = replace(source.gallery, peak=lambda _: None)
    with monkeypatch.context() as patched:
        patched.setattr(PLACES[place], fail)
        with refused(f"can't write the image cache '{cache}': No space left on device; name another"):
            load(gallery, cache)
    assert [name for name in files(cache) if not name.endswith(".depth")] == []
    assert load(gallery, cache).images[:, 0, 0, 0].tolist() == [3, 1]


def test_a_file_that_grows_too_large_is_said_and_does_not_stay(cache, refused):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    source = Counted(flat(3, 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with refused(f"can't write the image cache '{cache}': File too large"):
            load(source.gallery, cache, size=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(cache) == []


# Whose home it is in

WITHOUT_HOME = """
import sys
from pathlib import Path
from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import DATASETS, DataRequest

root, cache = map(Path, sys.argv[1:])
try:
    DATASETS["folder"]().load(DataRequest(data_root=root))
except InputError as error:
    print(error)
print(len(DATASETS["folder"]().load(DataRequest(data_root=root, cache=cache)).train_anomalous))
print(len(DATASETS["textures"]().load(DataRequest()).train_nominal))
"""


def test_without_a_home_folder_only_the_cache_needs_another(tmp_path, paint):
    for part, count in (("train/nominal", 10), ("test/nominal", 2), ("test/anomalous", 2)):
        for i in range(count):
            paint(tmp_path / "data" / part / f"{i}.png")
    home = tmp_path / "file"
    home.touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME, tmp_path / "data", tmp_path / "cache"],
        env={**environment, "HOME": str(home / "x"), "USERPROFILE": str(home / "x")},
        capture_output=True,
        text=True,
        check=True,
    )
    error, outliers, textures = done.stdout.splitlines()
    assert error.startswith(f"can't write the image cache '{home / 'x'}")
    assert error.endswith("; name another folder with --cache")
    assert (int(outliers), int(textures)) == (512, 512)


def test_a_user_without_a_home_is_asked_for_a_folder(refused, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("could not determine the home directory")

    for found in (fail, lambda *_, **__: Path("~/.cache/fcdd-audit")):  # newer and older platformdirs
        monkeypatch.setattr("fcdd_audit.images.cache.user_cache_path", found)
        with refused("there is no home folder", "--cache"):
            default_cache()


def test_a_cache_that_cannot_be_mapped_is_named(cache, refused, monkeypatch):
    def fail(path, shape):
        raise RuntimeError(f"unable to open file <{path}>\nin read-write mode")

    monkeypatch.setattr("fcdd_audit.images.cache.mapped", fail)
    with refused("can't map the image cache", "in read-write mode", "--cache"):
        load(Counted(flat(1)).gallery, cache)


def test_what_killed_processes_left_behind_is_cleared_away_in_the_end(cache):
    old, new = cache / ".tmp-old", cache / ".tmp-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "pixels").touch()
    (cache / ".tmp-file").touch()
    past = time.time() - LEFT_OVER - 60
    for path in (old, cache / ".tmp-file"):
        os.utime(path, (past, past))
    load(Counted(flat(1)).gallery, cache)
    assert [name for name in files(cache) if name.startswith(".")] == [".tmp-new"]


# Pixels


def test_without_a_colour_pixel_the_images_are_grey(cache):
    grey = [*flat(3, 1), *flat((9, 9, 9), mode="RGB")]
    found = load(Counted(grey).gallery, cache)
    assert found.images.shape == (3, 1, 4, 4)
    assert found.images[:, 0, 0, 0].tolist() == [3, 1, 9]
    one_pixel = Image.new("RGB", (4, 4), (9, 9, 9))
    one_pixel.putpixel((1, 2), (9, 9, 10))
    found = load(Counted([*grey, one_pixel]).gallery, cache / "colour")
    assert found.images.shape == (4, 3, 4, 4)
    assert found.images[1].unique().tolist() == [1]
    assert found.images[3, :, 2, 1].tolist() == [9, 9, 10]


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_or_colour_can_be_asked_for(cache, channels):
    pictures = [*flat((255, 0, 0), mode="RGB"), *flat(9)]
    found = load(Counted(pictures).gallery, cache, channels=channels)
    expected = [[76], [9]] if channels == 1 else [[255, 0, 0], [9, 9, 9]]  # 0.299 * 255
    assert found.images[:, :, 0, 0].tolist() == expected


def test_squash_takes_the_whole_picture_and_smooths(cache):
    picture = Image.fromarray(np.array([[0, 0, 100, 100, 200, 200, 240, 240]] * 2, np.uint8))
    (image,) = load(Counted([picture]).gallery, cache, size=2).images
    # A triangle, 4 columns to each side, around column 2: weights 5 7 7 5 3 1 of 28; around 6: mirrored.
    left = (7 * 100 + 5 * 100 + 3 * 200 + 1 * 200) / 28
    right = (1 * 100 + 3 * 100 + 5 * 200 + 7 * 200 + 7 * 240 + 5 * 240) / 28
    assert image[0].tolist() == [[round(left), round(right)]] * 2


def test_centre_takes_224_of_256_pixels_of_the_short_side(cache):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (256, 300), np.uint8)
    (image,) = load(Counted([Image.fromarray(pixels)]).gallery, cache, size=224, fit="centre").images
    assert np.array_equal(image[0].numpy(), pixels[16:240, 38:262])


def test_centre_in_small(cache):
    # 8 x 16 pixels: the square has a side of 7, from row 0.5 and from column 4.5: 1 and 14 on a doubled grid.
    columns = np.repeat(np.arange(16, dtype=np.uint8)[None] * 10, 8, axis=0)
    (image,) = load(Counted([Image.fromarray(columns)]).gallery, cache, size=7, fit="centre").images
    # Half-way between neighbours: the centre of target column i is at source position 4.5 + i + 0.5.
    assert image[0, 3].tolist() == [45, 55, 65, 75, 85, 95, 105]


def test_a_very_long_picture_is_no_trouble(cache):
    (image,) = load(Counted(flat(9, size=(1, 60_000))).gallery, cache, size=224, fit="centre").images
    assert image.unique().tolist() == [9]


# Speed


def test_the_order_is_the_gallerys_however_long_a_picture_takes(cache):
    source = Counted(flat(*range(6)), delays={0: 0.1, 2: 0.05})
    assert load(source.gallery, cache).images[:, 0, 0, 0].tolist() == list(range(6))


def test_pictures_are_decoded_in_parallel(cache):
    count = 6
    source = Counted(flat(*range(count)), delays=dict.fromkeys(range(count), 0.1))
    start = time.perf_counter()
    load(source.gallery, cache)
    assert time.perf_counter() - start < count * 0.1 * 0.8


@pytest.mark.parametrize(("progress", "terminal"), [(True, True), (True, False), (False, True)])
def test_there_is_a_bar_on_a_terminal_on_request(cache, capsys, monkeypatch, progress, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    load(Counted(flat(*range(6))).gallery, cache, request={"progress": progress})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("decode counted" in captured.err) == (progress and terminal)


def _build(folder, cache, queue):
    gallery = of_files(sorted(folder.glob("*.png")), folder, "files")
    queue.put(load(gallery, cache).content())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_may_build_it_at_once(tmp_path, cache, paint):
    for i in range(40):
        paint(tmp_path / "files" / f"{i}.png", size=(60, 60))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_build, args=(tmp_path / "files", cache, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    contents = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(contents) == 1
    assert len(files(cache)) == 3
