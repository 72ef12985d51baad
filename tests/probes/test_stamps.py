import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes import stamps
from fcdd_audit.probes.placing import CORNERS
from fcdd_audit.probes.stamps import Date, Logo, Patch, Watermark


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def box(mask):
    """Top, bottom, left and right of one (H, W) mask that is a full box; the ends are exclusive."""
    rows, columns = mask.any(dim=1).nonzero().flatten(), mask.any(dim=0).nonzero().flatten()
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    assert mask[top:bottom, left:right].all(), "the mask is a full box"
    return top, bottom, left, right


def marked_box(height, width, seed=0, **options):
    _, mask = Watermark(**options).apply(torch.zeros(1, 1, height, width), generator(seed))
    return box(mask[0, 0])


@settings(max_examples=60, deadline=None)
@given(
    corner=st.sampled_from(CORNERS),
    side=st.integers(48, 320),
    size=st.floats(0.5, 0.9),
    margin=st.floats(0, 0.1),
    jitter=st.floats(0, 0.2),
    seed=st.integers(0, 1000),
)
def test_the_mask_is_one_box_of_the_asked_size_near_its_corner(corner, side, size, margin, jitter, seed):
    top, bottom, left, right = marked_box(
        side, side, seed, corner=corner, size=size, margin=margin, jitter=jitter
    )
    assert right - left == round(size * side)
    from_edge = {"upper": top, "lower": side - bottom, "left": left, "right": side - right}
    for edge in corner.split("-"):
        assert 0 <= from_edge[edge] <= (margin + jitter) * side + 1, edge  # both are rounded
        assert from_edge[edge] >= (margin - jitter) * side - 1, edge


@pytest.mark.parametrize("corner", CORNERS)
def test_without_jitter_the_box_is_a_margin_away_from_its_corner(corner):
    top, bottom, left, right = marked_box(100, 100, corner=corner, margin=0.1, jitter=0)
    from_edge = {"upper": top, "lower": 100 - bottom, "left": left, "right": 100 - right}
    assert [from_edge[edge] for edge in corner.split("-")] == [10, 10]


def test_jitter_moves_the_box_as_far_as_asked_and_no_further():
    x = torch.zeros(400, 1, 100, 100)
    _, mask = Watermark(corner="upper-left", size=0.5, margin=0.2, jitter=0.05).apply(x, generator())
    places = torch.tensor([box(m[0]) for m in mask])
    assert sorted(places[:, 0].unique().tolist()) == list(range(15, 26))
    assert sorted(places[:, 2].unique().tolist()) == list(range(15, 26))


@pytest.mark.parametrize(("height", "width"), [(64, 256), (256, 64), (97, 131)])
@pytest.mark.parametrize("corner", CORNERS)
def test_images_need_not_be_square(height, width, corner):
    x = torch.full((3, 3, height, width), 0.5)
    marked, mask = Watermark(corner=corner).apply(x, generator())
    assert marked.shape == x.shape
    for m in mask:
        top, bottom, left, right = box(m[0])
        assert right - left == round(0.7 * width)
        assert ((top + bottom) / 2 < height / 2) == corner.startswith("upper")
        assert ((left + right) / 2 < width / 2) == corner.endswith("left")
    assert not ((marked != x) & ~mask).any()


def test_all_lengths_are_shares_of_the_width():
    box = marked_box(300, 100, size=0.95, margin=0.04, jitter=0, corner="upper-left")
    assert (box[0], box[2], box[3]) == (4, 4, 99)


def test_the_box_keeps_the_proportions_of_the_text():
    top, bottom, left, right = marked_box(400, 400, size=0.8)
    wide = (right - left) / (bottom - top)
    top, bottom, left, right = marked_box(400, 400, size=0.8, text="© PHOTO © PHOTO")
    assert 1.7 < ((right - left) / (bottom - top)) / wide < 2.5


# Compositing


@pytest.fixture
def hand_made_glyphs(monkeypatch):
    """10 x 5 px: a letter in columns 2 and 3, outlined in 1 and 4; a fifth of an outline, of a letter."""
    outlined, text = np.zeros((5, 10), np.uint8), np.zeros((5, 10), np.uint8)
    outlined[:, 1:5], outlined[:, 5:7] = 255, 51
    text[:, 2:4], text[:, 6] = 255, 51
    glyphs = Image.fromarray(outlined), Image.fromarray(text)
    monkeypatch.setattr(stamps, "glyphs", lambda text: glyphs)


@pytest.mark.parametrize(
    ("opacity", "level", "expected"),
    [
        # the image, outline, letter, letter, outline, a fifth of an outline, of a letter, the image
        (1.0, 0.5, [0.5, 0.0, 1.0, 1.0, 0.0, 0.4, 0.6, 0.5]),
        (0.5, 0.5, [0.5, 0.25, 0.75, 0.75, 0.25, 0.45, 0.55, 0.5]),
        (0.5, 0.2, [0.2, 0.1, 0.6, 0.6, 0.1, 0.18, 0.28, 0.2]),
        (0.1, 1.0, [1.0, 0.9, 1.0, 1.0, 0.9, 0.98, 1.0, 1.0]),
    ],
)
def test_letters_are_laid_white_in_a_black_outline(hand_made_glyphs, opacity, level, expected):
    probe = Watermark(size=0.5, corner="upper-left", margin=0.1, jitter=0, opacity=opacity)
    marked, mask = probe.apply(torch.full((1, 3, 20, 20), level), generator())
    assert box(mask[0, 0]) == (2, 7, 2, 12)
    for row in marked[0, :, 2:7, 2:10].reshape(-1, 8):
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_the_watermark_has_white_and_black_pixels_and_shows_both_on_any_image():
    for level in (0.0, 0.5, 1.0):
        marked, mask = Watermark(opacity=1).apply(torch.full((1, 1, 128, 128), level), generator())
        inside = marked[mask]
        assert inside.max() > 0.99
        assert inside.min() < 0.01
        if level == 0.5:
            assert ((inside > 0.99).float().mean() > 0.05) & ((inside < 0.01).float().mean() > 0.05)


@settings(max_examples=25, deadline=None)
@given(opacities=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), seed=st.integers(0, 99))
def test_more_opacity_changes_every_pixel_more(opacities, seed):
    x = torch.rand(1, 3, 64, 64, generator=generator(seed))
    less, more = (
        (Watermark(opacity=opacity).apply(x, generator(seed))[0] - x).abs() for opacity in sorted(opacities)
    )
    assert (more >= less - 1e-6).all()
    if max(opacities) > 1.05 * min(opacities):
        assert more.sum() > less.sum()


def test_another_text_looks_different():
    x = torch.full((1, 1, 128, 128), 0.5)
    marked = [Watermark(text=text, jitter=0).apply(x, generator())[0] for text in ("© PHOTO", "© FOTO!")]
    assert not torch.equal(*marked)


# Options of the watermark


def test_an_unknown_corner_gets_the_nearest_and_all_known_ones():
    with pytest.raises(InputError) as error:
        Watermark(corner="lower-lft")
    assert str(error.value) == (
        "unknown watermark corner 'lower-lft'; did you mean 'lower-left'? "
        "(known: upper-left, upper-right, lower-left, lower-right)"
    )


@pytest.mark.parametrize(
    ("option", "value", "domain"),
    [
        *[("size", value, "(0, 1]") for value in (0, -0.1, 1.01, float("nan"))],
        *[("opacity", value, "(0, 1]") for value in (0, -0.1, 1.01, float("nan"))],
        *[("margin", value, "[0, 0.5)") for value in (-0.01, 0.5, float("nan"))],
        *[("jitter", value, "[0, 0.5)") for value in (-0.01, 0.5, float("nan"))],
    ],
)
def test_a_number_outside_its_domain_is_told_the_domain(option, value, domain):
    with pytest.raises(InputError) as error:
        Watermark(**{option: value})
    assert str(error.value) == f"watermark {option} is {value}; it must be in {domain}"


@pytest.mark.parametrize("options", [{"size": 1, "margin": 0}, {"opacity": 1}, {"margin": 0, "jitter": 0}])
def test_the_ends_of_the_domains_work(options):
    assert Watermark(**options).apply(torch.zeros(1, 1, 64, 64), generator())[1].any()


@pytest.mark.parametrize("text", ["", "  ", "two\nlines"])
def test_text_must_be_one_visible_line(text):
    with pytest.raises(InputError, match="one line with at least one visible character"):
        Watermark(text=text)


@pytest.mark.parametrize("text", ["\u200b", "© José", "東京"], ids=["invisible", "accent", "kanji"])
def test_text_that_the_font_has_no_letters_for_is_refused(text):
    with pytest.raises(InputError, match=r"glyph|font|letter"):
        Watermark(text=text).apply(torch.zeros(1, 1, 64, 64), generator())


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (16, 16, {}),  # letters of 2 rows
        (20, 20, {}),  # of 3
        (64, 64, {"text": "a very long text that nobody could read"}),
        (64, 64, {"size": 1}),  # a margin beside it doesn't fit
        (32, 256, {}),  # higher than the image
        (64, 64, {"size": 0.9, "margin": 0.2}),
    ],
)
def test_a_watermark_that_does_not_fit_is_refused_with_its_size(height, width, options):
    with pytest.raises(InputError, match=rf"would be \d+x\d+ px.* on images of {width}x{height} px") as error:
        Watermark(**options).apply(torch.zeros(1, 1, height, width), generator())
    assert "--image-size" in str(error.value)


# Date


def test_a_date_is_orange_in_a_black_outline_and_bright_on_grey_images():
    for channels, expected in (
        (3, [1.0, 168 / 255, 60 / 255]),
        (1, [0.299 + 0.587 * 168 / 255 + 0.114 * 60 / 255]),
    ):
        x = torch.full((1, channels, 200, 200), 0.5)
        marked, mask = Date().apply(x, generator())
        top, bottom, left, right = box(mask[0, 0])
        inside = marked[0, :, top:bottom, left:right].flatten(1)
        brightest = inside[:, inside.sum(dim=0).argmax()]
        torch.testing.assert_close(brightest, torch.tensor(expected))
        assert inside.min() == 0
    assert expected[0] > 0.7, "bright"


def test_a_date_stands_in_the_lower_right_in_one_place():
    _, mask = Date().apply(torch.zeros(8, 1, 100, 100), generator())
    assert len(mask.flatten(1).unique(dim=0)) == 1
    top, bottom, left, right = box(mask[0, 0])
    assert (bottom, right, right - left) == (95, 95, 60)
    assert top > 75


def test_a_date_is_any_text_in_any_colour():
    x = torch.full((1, 3, 96, 96), 0.5)
    shown = [
        Date(**options).apply(x, generator())[0]
        for options in ({}, {"text": "25.11.2026"}, {"colour": "lime"})
    ]
    assert not torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])
    with pytest.raises(InputError, match="date text must be one line with at least one visible character"):
        Date(text=" ")


# Logo


@pytest.fixture
def picture(tmp_path):
    """2 x 2 px within a transparent border: red, half-transparent green; blue, nothing."""
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[1, 1], pixels[1, 2], pixels[2, 1] = (255, 0, 0, 255), (0, 255, 0, 51), (0, 0, 255, 255)
    Image.fromarray(pixels).save(tmp_path / "logo.png")
    return str(tmp_path / "logo.png")


def test_a_logo_is_laid_over_the_image_by_its_own_opacity(picture):
    probe = Logo(file=picture, size=0.2, corner="upper-left", margin=0.1, jitter=0)
    marked, mask = probe.apply(torch.full((2, 3, 10, 10), 0.5), generator())
    assert mask[0, 0].nonzero().tolist() == [[1, 1], [1, 2], [2, 1]], "exactly what isn't transparent"
    assert marked[0, :, 1, 1].tolist() == [1, 0, 0]
    np.testing.assert_allclose(marked[0, :, 1, 2], [0.4, 0.6, 0.4], atol=1e-6)
    assert marked[0, :, 2, 1].tolist() == [0, 0, 1]
    grey, _ = probe.apply(torch.full((1, 1, 10, 10), 0.5), generator())
    np.testing.assert_allclose(
        grey[0, 0, [1, 1, 2], [1, 2, 1]], [0.299, 0.5 * 0.8 + 0.587 * 0.2, 0.114], atol=1e-6
    )


def test_opacity_multiplies_that_of_the_logo(picture):
    probe = Logo(file=picture, size=0.2, opacity=0.5, corner="upper-left", margin=0, jitter=0)
    marked, _ = probe.apply(torch.zeros(1, 3, 10, 10), generator())
    np.testing.assert_allclose(marked[0, :, 0, :2], [[0.5, 0], [0, 0.1], [0, 0]], atol=1e-6)


def test_a_logo_keeps_its_proportions(tmp_path):
    Image.new("RGBA", (60, 20), "red").save(tmp_path / "wide.png")
    _, mask = Logo(file=str(tmp_path / "wide.png"), size=0.3).apply(torch.zeros(1, 3, 100, 100), generator())
    top, bottom, left, right = box(mask[0, 0])
    assert (bottom - top, right - left) == (10, 30)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "CMYK", "1"])
def test_a_logo_may_be_of_any_mode_and_format(tmp_path, mode):
    picture = Image.new("RGBA", (8, 8), "white").convert(mode)
    path = tmp_path / ("logo.tif" if mode == "CMYK" else "logo.png")
    picture.save(path)
    marked, mask = Logo(file=str(path), jitter=0).apply(torch.zeros(1, 3, 32, 32), generator())
    assert mask.sum() == 64
    assert (marked[mask.expand_as(marked)] == 1).all()


def test_the_built_in_logo_is_red_white_and_black():
    marked, mask = Logo(size=0.5).apply(torch.full((1, 3, 128, 128), 0.5), generator())
    seen = (marked[0][:, mask[0, 0]] * 255).round().T.unique(dim=0).tolist()
    for colour in ([220, 20, 60], [255, 255, 255], [0, 0, 0]):
        assert colour in seen
    assert 0.7 < mask.sum() / 64**2 < 0.85, "a disc"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"no picture", "UnidentifiedImageError"),
        (b"", "UnidentifiedImageError"),
        ("folder", "Is a directory"),
        ("truncated", "OSError"),
    ],
)
def test_a_logo_that_cannot_be_read_is_named_with_the_reason(tmp_path, picture, content, reason):
    path = tmp_path / "mine.png"
    if content == "folder":
        path.mkdir()
    elif content == "truncated":
        with open(picture, "rb") as file:
            path.write_bytes(file.read()[:50])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        Logo(file=str(path))
    message = str(error.value)
    assert message.startswith(f"can't read logo file '{path}' (")
    assert message.endswith("); give a picture, best a PNG with transparency")
    assert content == "truncated" or reason in message
    assert "\n" not in message


def test_a_logo_that_shows_nothing_is_refused(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    with pytest.raises(InputError, match=r"clear.png' is fully transparent, so that nothing would show"):
        Logo(file=str(tmp_path / "clear.png"))
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[0, 0] = pixels[-1, -1] = 1
    Image.fromarray(pixels).save(tmp_path / "faint.png")
    with pytest.raises(InputError, match="the logo shows nothing at 8x8 px"):
        Logo(file=str(tmp_path / "faint.png")).apply(torch.zeros(1, 3, 32, 32), generator())


def test_a_logo_that_does_not_fit_is_refused_with_its_size(tmp_path):
    Image.new("RGB", (10, 100)).save(tmp_path / "high.png")
    with pytest.raises(InputError, match=r"the logo would be 8x80 px, 1 px from the edge, .* 32x32 px"):
        Logo(file=str(tmp_path / "high.png")).apply(torch.zeros(1, 3, 32, 32), generator())


# Patch


def patch(height=10, width=10, **options):
    """One image of 0.25 with a patch, and its mask, both (H, W)."""
    x = torch.full((1, 1, height, width), 0.25)
    marked, mask = Patch(**{"jitter": 0, **options}).apply(x, generator())
    assert (marked[~mask] == 0.25).all()
    return marked[0, 0], mask[0, 0]


def test_a_checkerboard_has_4_by_4_squares():
    marked, mask = patch(size=0.8, margin=0.1)
    assert box(mask) == (1, 9, 1, 9)
    squares = torch.tensor([[0.0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    expected = squares.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    assert torch.equal(marked[1:9, 1:9], expected)


def test_a_plain_patch_is_a_rectangle_of_one_colour():
    marked, mask = patch(pattern="plain", colour="black", size=0.2, aspect=3, corner="lower-right", margin=0)
    assert box(mask) == (4, 10, 8, 10)
    assert (marked[mask] == 0).all()
    x = torch.full((1, 3, 10, 10), 0.5)
    red, mask = Patch(pattern="plain", colour="red", jitter=0).apply(x, generator())
    assert red[0][:, mask[0, 0]].T.unique(dim=0).tolist() == [[1, 0, 0]]


def test_noise_is_grey_and_new_for_every_image():
    x = torch.zeros(3, 3, 40, 40)
    marked, mask = Patch(pattern="noise", size=0.5, jitter=0).apply(x, generator())
    inside = marked[:, :, 2:22, 2:22]
    assert mask[:, :, 2:22, 2:22].all()
    assert torch.equal(inside[:, 0], inside[:, 1])
    assert not torch.equal(inside[0], inside[1])
    assert 0.45 < inside.mean() < 0.55
    assert torch.equal(marked, Patch(pattern="noise", size=0.5, jitter=0).apply(x, generator())[0])


def test_a_patch_has_at_least_one_pixel_and_must_fit():
    assert patch(size=0.01, aspect=0.01)[1].sum() == 1
    assert patch(size=1, margin=0)[1].all()
    with pytest.raises(InputError, match=r"the patch would be 2x20 px, 0 px from the edge"):
        patch(size=0.2, aspect=10)
