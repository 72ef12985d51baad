import pytest
from PIL import Image

from fcdd_audit.datasets import DATASETS, DataRequest

VOC = DATASETS["voc-horse"]()


@pytest.fixture
def root(tmp_path, paint):
    """VOC photos by class, and ImageNet's validation part."""
    for name, count in (("horse", 8), ("cat", 6), ("person", 4)):
        for i in range(count):
            paint(tmp_path / "voc" / name / f"{i:02d}.png", size=(40, 20))
    for part, count in (("train", 1), ("val", 12)):
        for wnid in ("n01440764", "n02389026"):
            for i in range(count):
                paint(tmp_path / "imagenet" / part / wnid / f"{i:02d}.png", size=(30, 30))
    return tmp_path


def load(root, **request):
    return VOC.load(DataRequest(**{"data_root": root, "image_size": 16, **request}))


def test_the_roles_are_swapped(root):
    data = load(root)
    assert (data.name, data.nominal_class) == ("voc-horse", "no horse")
    assert not data.outlier_exposure, "its training anomalies are the class itself"
    assert {part: len(images) for part, images in data.parts().items()} == {
        "train_nominal": 11,
        "train_anomalous": 4,
        "validation": 1,
        "test_nominal": 5,
        "test_anomalous": 4,
    }
    for part in ("train_anomalous", "test_anomalous"):
        assert all(name.startswith("horse/") for name in data.parts()[part].names)
    assert {name.split("/")[0] for name in data.test_nominal.names} == {"cat", "person"}
    assert not set(data.train_anomalous.names) & set(data.test_anomalous.names)
    nominal = {*data.train_nominal.names, *data.validation.names}
    assert nominal == {f"val/n01440764/{i:02d}.png" for i in range(12)}, "validation part, no sorrel"
    assert "Nominal side in training: 12 photos of ImageNet-1k val" in data.notes[0]
    assert any("sorrel" in note for note in data.notes)


def test_pictures_are_squeezed_so_that_no_corner_is_lost(tmp_path, root, paint):
    for path in (root / "voc/horse").iterdir():
        picture = Image.new("RGB", (64, 32))
        picture.paste((255, 255, 255), (0, 24, 16, 32))
        picture.save(path)
    data = load(root)
    assert data.shape == (3, 16, 16)
    corner = data.test_anomalous.images[:, :, 13:, :3]
    assert (corner > 200).all()
    assert data.test_anomalous.images[:, :, :8].max() == 0


def test_the_default_size_is_224_px(root):
    assert load(root, image_size=None).shape == (3, 224, 224)


def test_a_folder_can_be_the_nominal_side(root, tmp_path, paint):
    for i in range(20):
        paint(tmp_path / "mine" / ("horse" if i < 5 else "street") / f"{i:02d}.png")
    data = load(root, oe=str(tmp_path / "mine"), oe_limit=11)
    assert len(data.train_nominal) + len(data.validation) == 11
    assert {name.split("/")[0] for name in data.train_nominal.names} == {"street"}
    assert any("folder 'mine'" in note for note in data.notes)


@pytest.mark.parametrize("oe", ["none", "photos", "confetti"])
def test_what_is_no_nominal_side_is_refused(root, oe, refused):
    with refused("voc-horse", f"'{oe}'", "nominal side", "--oe"):
        load(root, oe=oe)


def test_hidden_files_of_both_sides_are_counted(root, tmp_path, paint):
    for i in range(20):
        paint(tmp_path / "mine" / f"{i:02d}.png")
    before = load(root, oe=str(tmp_path / "mine"))
    hidden = [
        paint(root / "voc/horse/.ipynb_checkpoints/0-checkpoint.png"),
        paint(root / "voc/.trash/0.png"),
        paint(tmp_path / "mine/._0.png"),
    ]
    try:
        data = load(root, oe=str(tmp_path / "mine"))
    finally:
        for path in hidden:
            path.unlink()
    assert data.fingerprint() == before.fingerprint()
    assert [note for note in data.notes if "hidden" in note] == [
        "2 hidden files were left out.",
        "1 hidden file was left out.",
    ]


def test_an_empty_name_is_not_the_default(root, refused):
    with refused("'' is neither a source of images nor a folder"):
        load(root, oe="")


def test_too_few_nominal_photos(root, refused):
    with refused("train nominal; an audit needs at least 8"):
        load(root, oe_limit=8)


def test_what_is_missing_is_said(tmp_path, root, refused):
    with refused("Pascal VOC", "--data-root"):
        load(None)
    with refused("Pascal VOC", "gone", "VOCdevkit", "--download"):
        load(root / "gone")
    assert VOC.missing(root) is None
    assert VOC.missing(None) == "give --data-root DIR"
    only = tmp_path / "only"
    only.mkdir()
    (only / "voc").symlink_to(root / "voc", target_is_directory=True)
    assert VOC.missing(only).startswith("without --oe: ImageNet-1k isn't under")
    with refused("ImageNet-1k", "image-net.org"):
        load(only)
    assert VOC.classes(root) == ()


def test_what_cannot_be_read_on_either_side_is_refused_or_said(root, tmp_path, paint, refused):
    for i in range(20):
        paint(tmp_path / "mine" / f"{i:02d}.png")
    gone = "a link whose target isn't there"
    lines = []
    for what, base, name in (
        ("Pascal VOC", root / "voc", "horse/lost.png"),
        ("folder 'mine'", tmp_path / "mine", "lost.png"),
    ):
        (base / name).symlink_to("gone")
        lines.append(f"1 file or folder of {what} can't be read: {name}: {gone}")
        with refused(lines[0]):
            load(root, oe=str(tmp_path / "mine"))
    data = load(root, oe=str(tmp_path / "mine"), skip_corrupt=True)
    assert [note for note in data.notes if "read" in note] == [f"Left out: {line}." for line in lines]
