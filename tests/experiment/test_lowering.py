"""What explainers say lowered the score, on images with and without the artifact."""

import pandas as pd
import pytest
import torch

from fcdd_audit.experiment.explaining import Explained, in_turn
from fcdd_audit.experiment.kept import table_file
from fcdd_audit.experiment.lowering import COLUMNS, FIRST, SECOND, lowering_rows
from fcdd_audit.explainers import make_explainer
from fcdd_audit.images.pairs import Pairs

CPU = torch.device("cpu")
SIDE = 8


class Dark:
    """The brighter the upper left, the lower the score."""

    def score(self, x):
        return -x[..., : SIDE // 2, : SIDE // 2].sum(dim=(1, 2, 3))


def part(count=20):
    """Marked images have a bright square at one of two places in turn; clean ones are black, but for the
    third, which is bright all over."""
    masks = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
    masks[::2, :, : SIDE // 2, : SIDE // 2] = True
    masks[1::2, :, SIDE // 2 :, SIDE // 2 :] = True
    marked = masks.to(torch.uint8) * 255
    clean = torch.zeros_like(marked)
    clean[2] = 255
    names = tuple(map(str, range(count)))
    pairs = Pairs("anomalous", names, {"clean": clean, "marked": marked}, masks)
    return Explained("anomalous", pairs, "marked", in_turn(masks, count))


def rows(name, first=0, last=32, options=None, of=None):
    return lowering_rows(Dark(), name, make_explainer(name, options or {}), of or part(), CPU, first, last)


def test_chance_is_of_clean_images_with_the_mask_of_the_one_before():
    found = rows("input-x-gradient").set_index("place")
    assert list(rows("input-x-gradient")) == list(COLUMNS)
    assert set(found["opinion"]) == {FIRST}
    assert found["lowering_pixel_auroc"].isna().all(), "stands with the explainer's own rows"
    order = part().order.tolist()
    assert found.index.tolist() == order
    turn = order.index(2)
    before = order[turn - 1 - 16 * (turn == 16)]
    # The bright image lowers in the upper left: all of an even image's mask, nothing of an odd one's.
    assert found.loc[2, "lowering_chance"] == (1 if before % 2 == 0 else pytest.approx(1 / 3))
    others = found.drop(index=2)["lowering_chance"]
    assert (others == 0.5).all(), "what is black lowers nothing"


def test_a_second_opinion_has_maps_of_marked_images_too():
    found = rows("occlusion", options={"occlusion": {"window": 0.5}})
    assert found["opinion"].unique().tolist() == [FIRST, SECOND]
    second = found[found["opinion"] == SECOND].set_index("place")["lowering_pixel_auroc"]
    assert (second[second.index % 2 == 0] > 0.5).all(), "the bright square lowers the score, and is emptied"
    assert not second.isna().any()


@pytest.mark.parametrize("name", ["integrated-gradients", "occlusion"])
def test_rows_made_at_once_or_later_are_the_same_to_the_last_byte(name):
    by = ["opinion", "turn"]
    together = pd.concat([rows(name, 0, 16), rows(name, 16, 32)]).sort_values(by)
    assert table_file(together) == table_file(rows(name).sort_values(by))
    assert rows(name, 32, 48).empty
