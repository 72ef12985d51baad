"""Hand-drawn: W is white, B black, a dot the image itself."""

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes.overlays import Bars, Frame, Grid, Line, Ruler

GREY = 0.25


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(probe, height, width=None, seed=0):
    """The first image as text, after a check that the mask is what isn't the image."""
    x = torch.full((1, 1, height, width or height), GREY)
    marked, mask = probe.apply(x, generator(seed))
    assert torch.equal(mask, marked != GREY)
    signs = {0.0: "B", GREY: ".", 1.0: "W"}
    return ["".join(signs[value] for value in row) for row in marked[0, 0].tolist()]


# Frame


def test_a_frame_is_white_outside_and_black_inside():
    assert drawn(Frame(width=0.25), 8) == [
        "WWWWWWWW",
        "WBBBBBBW",
        "WB....BW",
        "WB....BW",
        "WB....BW",
        "WB....BW",
        "WBBBBBBW",
        "WWWWWWWW",
    ]


def test_two_thirds_of_a_frame_are_its_colour_and_one_is_its_shade():
    assert drawn(Frame(width=0.3, colour="black", shade="white"), 10)[5] == "BBW....WBB"
    assert drawn(Frame(width=0.1), 10)[5] == "WB......BW", "never thinner than 2 px"


def test_a_frame_is_as_thick_on_all_sides_of_any_image():
    assert drawn(Frame(width=0.4), 5, 8) == ["WWWWWWWW", "WBBBBBBW", "WB....BW", "WBBBBBBW", "WWWWWWWW"]


def test_jitter_moves_a_frame_inwards():
    x = torch.full((50, 1, 20, 20), GREY)
    _, mask = Frame(width=0.1, jitter=0.1).apply(x, generator())
    widths = mask[:, 0, 10].long().argmax(dim=1)
    assert sorted(widths.unique().tolist()) == [0, 1, 2]
    assert (mask.sum(dim=(1, 2, 3)) == (20 - 2 * widths) ** 2 - (16 - 2 * widths) ** 2).all(), "whole frames"


def test_a_frame_that_has_no_room_to_move_stays_whole():
    _, mask = Frame(width=0.4, jitter=0.49).apply(torch.full((20, 1, 10, 10), GREY), generator())
    assert mask.flatten(1).any(dim=1).all()
    assert not mask[:, :, 4:6, 4:6].any()


# Bars


def test_letterbox_bars_lie_above_and_below_with_their_shade_inside():
    bars = ["BBBBBB", "WWWWWW", "......", "......", "......", "......", "WWWWWW", "BBBBBB"]
    assert drawn(Bars(width=0.34), 8, 6) == bars


def test_upright_bars_are_spread_from_edge_to_edge():
    row = drawn(Bars(orientation="vertical", count=3, width=0.25), 8)
    assert row == ["BW.BW.WB"] * 8


def test_a_single_bar_lies_in_the_middle():
    assert drawn(Bars(orientation="vertical", count=1, width=0.3, colour="white", shade="black"), 9)[0] == (
        "...WWB..."
    )


def test_each_bar_moves_for_itself_and_stays_inside():
    x = torch.full((200, 1, 20, 20), GREY)
    _, mask = Bars(orientation="vertical", width=0.1, jitter=0.1).apply(x, generator())
    columns = mask[:, 0, 0]
    assert (columns.sum(dim=1) == 4).all()
    first = columns.long().argmax(dim=1)
    last = 19 - columns.flip(1).long().argmax(dim=1)
    assert sorted(first.unique().tolist()) == [0, 1, 2]
    assert sorted(last.unique().tolist()) == [17, 18, 19]
    assert len(torch.stack([first, 19 - last], dim=1).unique(dim=0)) == 9, "independent of each other"


def test_bars_that_leave_nothing_are_refused():
    with pytest.raises(InputError) as error:
        Bars(count=4, width=0.25).apply(torch.zeros(1, 1, 28, 30), generator())
    assert str(error.value) == (
        "4 bars of 7 px leave nothing of images of 30x28 px; use fewer or thinner ones"
    )
    with pytest.raises(InputError, match="bars count is 0; it must be in"):
        Bars(count=0)


# Grid


def test_a_grid_is_of_wires_in_one_plane():
    assert drawn(Grid(period=0.5, width=0.25, colour="white"), 8) == [
        "WWWWWWWW",
        "WBBBWBBB",
        "WB..WB..",
        "WB..WB..",
        "WWWWWWWW",
        "WBBBWBBB",
        "WB..WB..",
        "WB..WB..",
    ]


def test_jitter_shifts_a_grid_in_both_directions():
    x = torch.full((300, 1, 12, 12), GREY)
    _, mask = Grid(period=0.5, width=0.2, jitter=0.1).apply(x, generator())
    open_rows = ~mask[:, 0].all(dim=2)
    open_columns = ~mask[:, 0].all(dim=1)
    patterns = torch.cat([open_rows, open_columns], dim=1).unique(dim=0)
    assert len(patterns) == 9, "up to one pixel up and down, left and right"


def test_a_grid_without_holes_is_refused():
    with pytest.raises(InputError) as error:
        Grid(period=0.1).apply(torch.zeros(1, 1, 20, 20), generator())
    assert str(error.value) == (
        "grid lines of 2 px, one every 2 px, leave nothing between them on images of 20x20 px; "
        "use a longer period, thinner lines or larger images (--image-size)"
    )


# Ruler


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ("lower", [*[".........."] * 8, "BW........", "BW..BW..BW"]),
        ("upper", ["BW..BW..BW", "BW........", *[".........."] * 8]),
    ],
)
def test_a_ruler_begins_with_a_long_tick(side, expected):
    assert drawn(Ruler(side=side, period=0.4, length=0.1, width=0.2, jitter=0), 10) == expected


def test_a_ruler_may_stand():
    ruler = {"period": 0.4, "length": 0.1, "width": 0.2, "jitter": 0}
    assert drawn(Ruler(side="left", **ruler), 10) == [
        *["BB........", "WW........", "..........", ".........."],
        *["B.........", "W.........", "..........", ".........."],
        *["B.........", "W........."],
    ]
    assert drawn(Ruler(side="right", **ruler), 10)[0] == "........BB"


def test_every_fifth_tick_is_long():
    row = drawn(Ruler(side="upper", period=0.1, length=0.05, width=0.05, jitter=0), 40)
    assert row[1] == "BW.." * 10
    assert row[2] == row[3] == ("BW.." + "." * 16) * 2
    assert set(row[4]) == {"."}


def test_jitter_shifts_a_ruler_along_its_edge():
    x = torch.full((100, 1, 20, 20), GREY)
    _, mask = Ruler(period=0.5, width=0.1, jitter=0.1).apply(x, generator())
    # From the tick at 10, which moves up to 2 px both ways.
    starts = mask[:, 0, -1, 5:].long().argmax(dim=1) + 5
    assert sorted(starts.unique().tolist()) == [8, 9, 10, 11, 12]
    assert not mask[:, :, :-4].any(), "along the edge only"


def test_a_ruler_without_gaps_is_refused():
    with pytest.raises(InputError, match="ruler lines of 3 px, one every 3 px, leave nothing between them"):
        Ruler(period=0.1, width=0.1).apply(torch.zeros(1, 1, 30, 30), generator())


# Line


def test_a_level_line_is_white_with_black_rims():
    rows = drawn(Line(angle=0, width=1 / 3, jitter=0), 12)
    assert [row[0] for row in rows] == list("....BWWB....")
    assert all(len(set(row)) == 1 for row in rows)


def test_a_line_is_shaded_by_how_much_of_a_pixel_it_covers():
    x = torch.full((1, 1, 9, 9), GREY)
    marked, mask = Line(angle=0, width=1 / 3, jitter=0).apply(x, generator())  # 3 px: from 3 to 6
    rows = marked[0, 0, :, 0].tolist()
    # The middle row is white; a quarter of its neighbours is white core, the rest is black rim.
    assert rows == pytest.approx([GREY] * 3 + [0.25, 1, 0.25] + [GREY] * 3, abs=1e-6)
    assert mask[0, 0, :, 0].tolist() == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    ("angle", "crossed", "missed"),
    [
        (0, [(4, 0), (4, 8)], [(0, 4), (8, 4), (0, 0), (8, 8)]),
        (90, [(0, 4), (8, 4)], [(4, 0), (4, 8), (0, 0), (8, 8)]),
        (-90, [(0, 4), (8, 4)], [(4, 0), (4, 8), (0, 0), (8, 8)]),
        (45, [(8, 0), (4, 4), (0, 8)], [(0, 0), (8, 8), (0, 4)]),
        (-45, [(0, 0), (4, 4), (8, 8)], [(8, 0), (0, 8), (0, 4)]),
    ],
)
def test_positive_angles_rise_to_the_right(angle, crossed, missed):
    _, mask = Line(angle=angle, jitter=0).apply(torch.full((1, 1, 9, 9), GREY), generator())
    assert all(mask[0, 0, row, column] for row, column in crossed)
    assert not any(mask[0, 0, row, column] for row, column in missed)


def test_a_line_goes_from_edge_to_edge():
    for angle in range(-90, 91, 15):
        _, mask = Line(angle=angle, jitter=0).apply(torch.zeros(1, 1, 40, 40), generator())
        along = mask[0, 0].any(dim=0 if abs(angle) <= 45 else 1)
        assert along.all(), angle


def test_jitter_moves_a_line_across_itself():
    x = torch.full((200, 1, 41, 41), GREY)
    _, mask = Line(angle=0, width=0.1, jitter=0.1).apply(x, generator())
    rows = mask[:, 0, :, 0].double()
    middles = (rows * torch.arange(41)).sum(dim=1) / rows.sum(dim=1)
    assert 15.5 <= middles.min() < 16.5 < 23.5 < middles.max() <= 24.5  # 20 +- 4.1, and a pixel's half
