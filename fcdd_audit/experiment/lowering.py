"""What an explainer says lowered the score, beside what it says of images without the artifact: measured only
where an artifact lowers the score, since it takes maps of more images."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from fcdd_audit.detectors import Scorer
from fcdd_audit.experiment.explaining import Explained, at_once, maps_of
from fcdd_audit.explainers import Explainer, second_opinion
from fcdd_audit.measures.lowering import LOWERING, LOWERING_CHANCE

FIRST, SECOND = "first", "second"  # the explainer itself, and its second opinion
COLUMNS = ("opinion", "turn", "place", "image", LOWERING.name, LOWERING_CHANCE.name)


def lowering_rows(
    detector: Scorer,
    name: str,
    explainer: Explainer,
    part: Explained,
    device: torch.device,
    first: int,
    last: int,
) -> pd.DataFrame:
    """From one turn to before another, rows of `COLUMNS`: one an image and opinion.

    The level of chance is that of the maps of clean images. Of the first opinion's marked images `explain`
    has the maps already, so that their `lowering_pixel_auroc` stands in its rows, and is NaN here.
    first, last: whole passes of `at_once`.
    """
    clean = part._replace(variant="clean")
    opinions = {FIRST: explainer, SECOND: second_opinion(explainer)}
    end = min(last, len(part.order))
    frames = [pd.DataFrame(columns=list(COLUMNS))]
    for turn in range(first, end, at_once(device)):
        stop = min(turn + at_once(device), end)
        places = part.order[turn:stop].tolist()
        for opinion, one in opinions.items():
            if one is None:
                continue

            def heat(of: Explained, one: Explainer = one, turn: int = turn, stop: int = stop) -> Tensor:
                return maps_of(detector, name, one, of, device, turn, stop)

            without = heat(clean)
            mask = part.masks(turn, stop).to(without.device)
            found = {LOWERING_CHANCE.name: LOWERING_CHANCE.function(without, mask).cpu().numpy()}
            if opinion == SECOND:
                found[LOWERING.name] = LOWERING.function(heat(part), mask).cpu().numpy()
            about = {
                "opinion": opinion,
                "turn": range(turn, stop),
                "place": places,
                "image": [part.pairs.names[place] for place in places],
            }
            frames.append(pd.DataFrame({**about, **found}).reindex(columns=list(COLUMNS)))
    return pd.concat(frames[1:] or frames, ignore_index=True)
