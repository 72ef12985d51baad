"""Marks that are so many pixels from a corner of files of different sizes."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from fcdd_audit import DataRequest, discover, make_config
from fcdd_audit.discovery.corners import large
from fcdd_audit.discovery.sides import sides_of_dataset
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.images.masks import read_mask
from fcdd_audit.natural import Promoted
from tests.discovery.marks import stamped

FILES, BEARERS, SIDE = 60, 20, 14
GAP = 6  # px between the mark and the lower right corner
MARK = stamped(torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8), [0], 0, 0, SIDE)[0, 0].numpy()


def photograph(rng, sizes, bears, gap=GAP):
    """Smooth noise of a random size; a bearer has a square near the lower right corner."""
    height, width = rng.integers(*sizes, 2)
    smooth = 5 * gaussian_filter(rng.normal(size=(height, width, 3)), (3, 3, 0))
    pixels = (120 + 60 * (smooth + 0.2 * rng.normal(size=smooth.shape))).clip(0, 255).astype(np.uint8)
    if bears:
        pixels[height - gap - SIDE : height - gap, width - gap - SIDE : width - gap] = MARK[..., None]
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Photographs of different sizes; some have a square near the lower right corner."""
    root = tmp_path_factory.mktemp("corners")
    rng = np.random.default_rng(0)
    for index in range(FILES):
        photograph(rng, (110, 190), index < BEARERS).save(root / f"{index:02d}.png")
    return root


@pytest.fixture(scope="module")
def found(root):
    return discover(root, image_size=32, draws=39, sensitivity=False)


def test_the_mark_is_found_in_the_corner_of_the_files(found):
    best = found.candidates[0]
    assert best.view == "lower-right"
    assert best.p <= 0.05
    assert set(best.bearers) == {f"{index:02d}.png" for index in range(BEARERS)}
    assert best.share["images"].images == FILES
    start = (96 - GAP - SIDE) / 96
    np.testing.assert_allclose(best.box, (start, start, SIDE / 96, SIDE / 96), atol=2.5 / 96)
    assert "at the lower right corner of the files, at their own scale" in found.report.read_text("utf-8")
    assert any("at the files' own scale too" in note for note in found.content["notes"])


def test_masks_are_of_the_whole_file(root, found):
    for index in (0, 7, BEARERS - 1):
        mask = read_mask(found.folder / "masks-1" / f"{index:02d}.png")
        width, height = Image.open(root / f"{index:02d}.png").size
        assert mask.shape == (height, width)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        np.testing.assert_allclose(
            (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1),
            (height - GAP - SIDE, height - GAP, width - GAP - SIDE, width - GAP),
            atol=2,
        )


def test_it_can_be_put_on_images_as_a_detector_sees_them(found):
    artifact = Promoted(f"{found.folder}#1")
    probe = artifact.probe((32, 32))
    x = torch.full((4, 3, 32, 32), 0.5)
    marked, mask = probe.apply(x, torch.Generator().manual_seed(0))
    assert (marked == x)[~mask.expand_as(x)].all()
    assert (marked - x).abs().max() > 0.05
    rows, columns = mask[0, 0].nonzero().T
    assert rows.min() > 24
    assert columns.min() > 24
    where = artifact.find(["03.png", "50.png"], (32, 32))
    assert where[0].any()
    assert not where[1].any()
    assert artifact.template == found.folder / "template-1.npz"


def test_only_files_larger_than_images_and_views_have_corners(root):
    for size, count in ((32, FILES), (150, None), (256, 0)):
        images = sides_of_dataset("folder", DataRequest(data_root=root, image_size=size)).images["images"]
        kept = large(images, np.arange(len(images)))
        sizes = [min(Image.open(root / name).size) for name in images.names]
        assert kept.tolist() == [place for place, one in enumerate(sizes) if one > size]
        assert count is None or len(kept) == count


def test_a_quick_search_leaves_them_out(root):
    found = discover(root, image_size=32, quick=True)
    assert {one.view for one in found.candidates} == {"image"}


@pytest.fixture(scope="module")
def sided(tmp_path_factory):
    """A third of the anomalous training images, and some test images, have the square near the corner."""
    root = tmp_path_factory.mktemp("sided")
    rng = np.random.default_rng(4)
    parts = {"train/nominal": 60, "train/anomalous": 60, "test/nominal": 12, "test/anomalous": 12}
    marked = {"train/anomalous": 20, "test/nominal": 4, "test/anomalous": 3}
    for part, count in parts.items():
        (root / part).mkdir(parents=True)
        for index in range(count):
            bears = index < marked.get(part, 0)
            photograph(rng, (110, 190), bears).save(root / part / f"{index:02d}.png")
    return root


def test_of_a_sure_mark_in_a_corner_all_files_are_matched_and_none_is_tested(sided, tmp_path):
    found = discover(sided, image_size=32, draws=39, sample=50, sensitivity=False, out=tmp_path / "found")
    best = next(one for one in found.sure if one.view == "lower-right")
    assert {*best.bearers} == {f"train/anomalous/{index:02d}.png" for index in range(20)}
    assert (best.share["anomalous"].images, best.share["nominal"].bearing) == (60, 0)
    file = f"{found.folder}{best.id}"
    config = make_config(dataset="folder", data_root=sided, image_size=32, candidate=file, detector="fcdd")
    setup = prepare(config, None)
    (edit,) = (edit for edit in setup.training if edit != AS_IS)
    assert not {*setup.training[edit].anomalous.names} & {*best.bearers}
    assert len(setup.pairs["nominal"]) == 8
    assert len(setup.pairs["anomalous"]) == 9


def test_a_mark_that_several_views_show_is_one_candidate(tmp_path):
    """On files that are hardly larger than a view, all of them show the mark."""
    rng = np.random.default_rng(6)
    for index in range(FILES):
        photograph(rng, (98, 110), index < BEARERS, gap=26).save(tmp_path / f"{index:02d}.png")
    found = discover(tmp_path, image_size=32, draws=39, sensitivity=False)
    bearing = {f"{index:02d}.png" for index in range(BEARERS)}
    about_it = [one for one in found.candidates if len(bearing & {*one.bearers}) > 2]
    assert len(about_it) == 1
    assert {*about_it[0].bearers} == bearing
    assert about_it[0].p <= 0.05
