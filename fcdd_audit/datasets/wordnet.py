"""Class names of different data sets for the same things, so that outlier exposure can be kept apart."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

# ImageNet-1k's classes that show what a class of CIFAR-10 or VOC shows; "a-b" is a range of WordNet ids.
SHOWN = {
    "airplane": "n02690373 n04552348",
    "automobile": "n02701002 n02814533 n02930766 n03100240 n03594945 n03670208 n03770679 n03777568 n03977966 "
    "n04037443 n04285008",
    "bird": "n01514668-n01622779 n01795545-n01860187 n02002556-n02058221",
    "cat": "n02123045-n02124075",
    "dog": "n02085620-n02113978",
    "frog": "n01641577-n01644900",
    "deer": "n02422106-n02423022",  # antelopes: no true deer is among the 1,000 classes
    "horse": "n02389026 n03538406",
    "ship": "n02687172 n02981792 n03095699 n03344393 n03662601 n03673027 n03947888 n04147183 n04273569 "
    "n04347754 n04483307 n04606251 n04612504",
    "truck": "n03345487 n03417042 n03796401 n03930630 n03977966 n04461696 n04467665",
}


@cache
def imagenet_names() -> dict[str, str]:
    """WordNet ids of ImageNet-1k (ILSVRC 2012) and their names, in order."""
    lines = Path(__file__).with_name("imagenet1k.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def plain(name: str) -> str:
    """A class name without case, spaces and hyphens: how names are compared."""
    return re.sub(r"[\s_\-']+", "_", name.strip().lower())


@cache
def _ids_by_name() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for wordnet_id, name in imagenet_names().items():
        found[plain(name)] = (*found.get(plain(name), ()), wordnet_id)
    return found


def ids_named(name: str) -> tuple[str, ...]:
    """ImageNet-1k's WordNet ids whose class has this name: one, or two for `crane` and `maillot`."""
    return _ids_by_name().get(plain(name), ())


@cache
def wordnet_ids(name: str) -> frozenset[str]:
    """ImageNet-1k's WordNet ids that show class `name` (a name or an id), as far as they are known here."""
    names = imagenet_names()
    found = {name} if name in names else {*ids_named(name)}
    for part in SHOWN.get(plain(name), "").split():
        first, _, last = part.partition("-")
        found |= {i for i in names if first <= i <= (last or first)}
    return frozenset(found)


def same_thing(one: str, other: str) -> bool:
    """Whether two class names, or WordNet ids, stand for the same thing or one for a kind of the other."""
    return plain(one) == plain(other) or not wordnet_ids(one).isdisjoint(wordnet_ids(other))
