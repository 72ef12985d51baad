import pytest
import torch

from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.datasets import SOURCES, DataRequest
from fcdd_audit.datasets.confetti import confetti
from fcdd_audit.datasets.outliers import BUILT_IN, PHOTO_CROPS, kept_apart, named_gallery, outliers
from fcdd_audit.images.sets import ImageSet


def nominal(count=6, channels=3, size=16):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)
    return ImageSet(images, tuple(f"n{i}" for i in range(count)))


def load(default="none", nominal=nominal(), avoid=(), **request):  # noqa: B008
    return outliers(DataRequest(**request), default, nominal, avoid)


def tiny_imagenet(root, paint, ids, count=3):
    for wnid in ids:
        for i in range(count):
            paint(root / "tiny-imagenet" / wnid / f"{i}.png")
    return root


@pytest.mark.parametrize("request_", [{}, {"oe": "none"}])
def test_none_is_nothing(request_):
    found, notes = load(**request_)
    assert found.images.shape == (0, 3, 16, 16)
    assert found.names == ()
    assert notes == ["No outlier exposure."]


@pytest.mark.parametrize("channels", [1, 3])
def test_photos_have_the_nominal_form(channels):
    found, (note,) = load(nominal=nominal(channels=channels), oe="photos", oe_limit=20)
    assert found.images.shape == (20, channels, 16, 16)
    assert found.images.dtype == torch.uint8
    assert len(set(found.names)) == 20
    assert found.origins is None, "crops have no files of their own"
    assert "photos" in note
    assert len(load(oe="photos")[0]) == PHOTO_CROPS


def test_what_is_asked_for_wins_over_the_default():
    assert len(load("photos")[0]) == PHOTO_CROPS
    assert len(load("photos", oe="none")[0]) == 0


# Confetti


def test_confetti_uses_each_nominal_image_equally_often():
    images = nominal(6)
    found, (note,) = load(nominal=images, oe="confetti", oe_limit=15)
    assert found.images.shape == (15, 3, 16, 16)
    assert found.origins is None
    assert "15 nominal training images with confetti" in note
    order = torch.randperm(6, generator=torch_generator(0, "confetti images")).repeat(3)[:15]
    expected, masks = confetti(images.images[order], torch_generator(0, "confetti"))
    assert torch.equal(found.images, expected)
    assert found.masks is None, "without a mask all of it counts, as in the paper"
    blobs, _ = load(nominal=images, oe="confetti", oe_limit=15, confetti_mask="blob")
    assert torch.equal(blobs.images, expected)
    assert torch.equal(blobs.masks, masks)
    assert masks.flatten(1).any(dim=1).all()
    assert torch.equal((blobs.images != images.images[order]).any(1, keepdim=True), blobs.masks)


def test_confetti_needs_16_px(refused):
    with refused("confetti", "at least 16 px, not 15", "--image-size", "--oe"):
        load(nominal=nominal(size=15), oe="confetti")


@pytest.mark.parametrize("oe", ["confetti", "photos"])
def test_without_nominal_images_there_is_nothing_to_expose(oe):
    assert len(load(nominal=nominal(0), oe=oe)[0]) == 0


# Sources and folders


def test_a_source(tmp_path, paint):
    tiny_imagenet(tmp_path, paint, ("n01440764", "n02123045"))
    found, notes = load("tiny-imagenet", data_root=tmp_path)
    assert found.images.shape == (6, 3, 16, 16)
    assert notes == ["Outlier exposure: 6 images of Tiny ImageNet."]


def test_a_folder_takes_the_nominal_form(tmp_path, paint):
    for i in range(3):
        paint(tmp_path / "mine" / f"{i}.png", value=50 + i, size=(40, 9))
    found, notes = load(nominal=nominal(channels=1), oe=str(tmp_path / "mine"))
    assert found.images.shape == (3, 1, 16, 16)
    assert found.images[:, 0, 8, 8].tolist() == [50, 51, 52]
    assert [(origin.width, origin.height) for origin in found.origins] == [(40, 9)] * 3
    assert notes == ["Outlier exposure: 3 images of folder 'mine'."]


def test_hidden_files_of_a_folder_are_said(tmp_path, paint):
    for name in ("0.png", "._0.png"):
        paint(tmp_path / "mine" / name)
    _, notes = load(oe=str(tmp_path / "mine"))
    assert notes == ["Outlier exposure: 1 images of folder 'mine'.", "1 hidden file was left out."]


def test_a_folder_below_home(tmp_path, paint, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    paint(tmp_path / "mine/0.png")
    assert len(named_gallery("~/mine", DataRequest())[0]) == 1


def test_a_limit_draws_the_same_ones_each_time(tmp_path, paint):
    for i in range(30):
        paint(tmp_path / "mine" / f"{i:02d}.png")
    one, two = (load(oe=str(tmp_path / "mine"), oe_limit=7, cache=tmp_path / c)[0] for c in ("a", "b"))
    assert len(one) == 7
    assert one.content() == two.content()
    assert one.names != tuple(f"{i:02d}.png" for i in range(7)), "not just the first"
    assert len(load(oe=str(tmp_path / "mine"), oe_limit=99)[0]) == 30


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cifar-100", "did you mean 'cifar100'?"),
        ("imagnet", "did you mean 'imagenet'?"),
        ("imagenet22k", "did you mean 'imagenet'?"),
        ("Confeti", "did you mean 'confetti'?"),
        ("", ""),
        (" ", ""),
        ("~nobody-at-all/x", ""),
        ("some/where", ""),
    ],
)
def test_what_is_neither_a_source_nor_a_folder_is_refused(tmp_path, monkeypatch, paint, refused, name, hint):
    paint(tmp_path / "0.png")
    monkeypatch.chdir(tmp_path)  # an empty name isn't the current folder
    with refused(f"'{name}' is neither a source of images nor a folder", hint, *SOURCES, *BUILT_IN, "--oe"):
        load(oe=name)


def test_an_empty_folder_or_source_is_refused(tmp_path, refused):
    (tmp_path / "tiny-imagenet").mkdir()
    with refused("folder 'tiny-imagenet' has no images", "--oe"):
        load(oe=str(tmp_path / "tiny-imagenet"))
    with refused("Tiny ImageNet has no images", "--oe"):
        load(oe="tiny-imagenet", data_root=tmp_path)


def test_a_missing_source_says_how_to_get_it(tmp_path, refused):
    with refused("CIFAR-100", str(tmp_path), "--download"):
        load("cifar100", data_root=tmp_path)


# Overlap


def test_what_the_data_set_has_is_left_out_and_said(tmp_path, paint):
    tiny_imagenet(tmp_path, paint, ("n01440764", "n02123045", "n02085620"))
    found, notes = load("tiny-imagenet", avoid=("cat", "dog"), data_root=tmp_path)
    assert {name.split("/")[0] for name in found.names} == {"n01440764"}
    assert notes == [
        "Outlier exposure: 3 images of Tiny ImageNet.",
        "Left out of it, because the data set has them: Chihuahua, tabby.",
    ]


def test_folders_are_compared_by_name(tmp_path, paint):
    for name in ("Cats", "cat", "CAR"):
        paint(tmp_path / "mine" / name / "0.png")
    paint(tmp_path / "mine/loose.png")
    gallery, (note,) = kept_apart(named_gallery(str(tmp_path / "mine"), DataRequest())[0], ("cat", "horse"))
    assert set(gallery.classes) == {"Cats", "CAR", ""}
    assert "cat." in note


def test_the_limit_counts_what_is_left(tmp_path, paint):
    tiny_imagenet(tmp_path, paint, ("n01440764", "n02123045"), count=10)
    found, _ = load("tiny-imagenet", avoid=("cat",), data_root=tmp_path, oe_limit=8)
    assert len(found) == 8


def test_if_nothing_is_left_it_ends(tmp_path, paint, refused):
    tiny_imagenet(tmp_path, paint, ("n02123045",))
    with refused("all outlier exposure of Tiny ImageNet", "tabby", "--oe"):
        load("tiny-imagenet", avoid=("cat",), data_root=tmp_path)


def test_what_cannot_be_read_is_refused_or_said_even_if_it_would_not_be_drawn(tmp_path, paint, refused):
    mine = tmp_path / "mine"
    for i in range(30):
        paint(mine / f"{i:02d}.png")
    before = load(oe=str(mine), oe_limit=3)[0]
    for name in ("lost.png", "folder"):
        (mine / name).symlink_to("gone")
    gone = "a link whose target isn't there"
    line = f"2 files or folders of folder 'mine' can't be read: folder: {gone}; lost.png: {gone}"
    with refused(line):
        load(oe=str(mine), oe_limit=3)
    found, notes = load(oe=str(mine), oe_limit=3, skip_corrupt=True)
    assert f"Left out: {line}." in notes
    assert found.content() == before.content()


def test_a_folder_of_which_nothing_was_pulled_is_not_called_empty(tmp_path, refused):
    (tmp_path / "0.png").symlink_to("gone")
    with refused("can't be read: 0.png"):
        load(oe=str(tmp_path))
    with refused("has no images"):
        load(oe=str(tmp_path), skip_corrupt=True)
