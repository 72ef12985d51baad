"""Finds artifacts that nobody named in a set of images: the story of a discovery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES
from fcdd_audit.core.threads import single
from fcdd_audit.discovery.apart import SEARCHED, UNSEARCHED, count_displaced, symmetric_candidates, without
from fcdd_audit.discovery.candidates import SURE, Candidate, Share, ranked
from fcdd_audit.discovery.copies import copies, summary
from fcdd_audit.discovery.corners import corners, large
from fcdd_audit.discovery.described import candidate_of
from fcdd_audit.discovery.origin import OriginCheck, check_origin
from fcdd_audit.discovery.pasted import Score
from fcdd_audit.discovery.pasting import count_scored, pasted_candidates
from fcdd_audit.discovery.repeated import Searched, count_families, families_of, joined, search
from fcdd_audit.discovery.repeats import COLOUR, fields_of, shapes_of
from fcdd_audit.discovery.sensitivity import OPACITIES, Spiked, spike
from fcdd_audit.discovery.views import CROP, LARGEST, image_view, reduced
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.sets import ImageSet

FEWEST = 24  # images of a side; of fewer nothing can be told from chance
DRAWS = 199  # null searches
SMALLEST = 16  # px a side
CROPS = "none: crops of few photographs repeat by nature"
SCORED = 2000  # images that are a step of the progress
SAMPLED = 256  # images of a side that are searched; all are matched with what was found


@dataclass(frozen=True)
class Search:
    """How it is searched.

    draws: null searches; the least p is 1 / (1 + draws). sample: images of a side that are compared with each
    other, at most; all are matched with what was found. sensitivity: whether marks are put on the images to
    see which are found. seed: of all that is drawn at random. largest: px, to which larger images are
    reduced. colour: whether colours are compared too, and not brightness alone. few_photographs: whether
    images are cut from few photographs: then near-copies are no candidate, and no null judges what repeats.
    corners: whether corners and edges of the files are searched too, where there are files larger
    than the images. symmetric: whether what is its own mirror image is searched too, on whole images; not in
    those cut from few photographs. InputError for a number that makes no search.
    """

    draws: int = DRAWS
    sample: int = SAMPLED
    sensitivity: bool = True
    seed: int = 0
    largest: int = LARGEST
    colour: bool = True
    few_photographs: bool = False
    corners: bool = True
    symmetric: bool = True

    def __post_init__(self) -> None:
        least = {"draws": 1, "sample": FEWEST, "largest": SMALLEST}
        for name, limit in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < limit:
                raise InputError(f"{name} is {value}; it must be a whole number, at least {limit}")

    @property
    def searches_symmetric(self) -> bool:
        """Whether what is its own mirror image is searched for."""
        return self.symmetric and not self.few_photographs


# Some seconds on two cores, for every audit.
QUICK = Search(sample=192, sensitivity=False, largest=48, colour=False, corners=False, symmetric=False)


@dataclass(frozen=True)
class Discovery:
    """What a discovery found.

    candidates: best first. searched: images of each side that were compared with each other; images: all of
    it. spiked: of marks that were put on these images, which were found; empty where it wasn't asked. origin:
    how the sides differ in what has no place; None with one side. notes: what must be known.
    """

    candidates: tuple[Candidate, ...]
    images: dict[str, int]
    searched: dict[str, int]
    draws: int
    spiked: tuple[Spiked, ...]
    origin: OriginCheck | None
    notes: tuple[str, ...]

    @property
    def sure(self) -> tuple[Candidate, ...]:
        """The candidates with a family-wise p of at most SURE."""
        return tuple(one for one in self.candidates if one.p is not None and one.p <= SURE)


def discover(
    sides: Mapping[str, ImageSet],
    asked: Search | None = None,
    *,
    galleries: Mapping[str, Gallery] | None = None,
    score: Score | None = None,
    device: torch.device | str = "cpu",
    advance: Callable[[int, int], None] = lambda _done, _of: None,
) -> Discovery:
    """Search the images of each side for what repeats, and compare how the sides were made.

    sides: by name, such as `nominal` and `anomalous`; square images of one shape. asked: how; None: as by
    default. galleries: the files of each side, whose corners and edges are searched at their own scale.
    score: of a detector, from images in [0, 1] on `device` to (n,): windows of one side are also pasted on
    the other's, to see what moves it. advance: is told how many steps of how many are done. The same seed
    gives the same result. InputError for too few images.
    """
    asked = asked or Search()
    draws, seed, sensitivity = asked.draws, asked.seed, asked.sensitivity
    if not sides:
        raise InputError("there are no images to search")
    for name, images in sides.items():
        if len(images) < FEWEST:
            raise InputError(
                f"{len(images)} {name} images are too few to tell a repeated mark from chance; at least "
                f"{FEWEST} are needed"
            )
    if score is not None and set(sides) != set(SIDES):
        raise InputError(
            f"windows are pasted from one side onto the other, and there is no other than "
            f"'{', '.join(sides)}'; give at least {FEWEST} images of both sides, or no model"
        )
    parts = [images.images for images in sides.values()]
    groups = copies(torch.cat(parts) if len(parts) > 1 else parts[0])
    searched = _searched(sides, groups, asked, galleries or {})
    total = count_families(searched) + (len(OPACITIES) * count_families(searched[:1]) if sensitivity else 0)
    whole = [one for one in searched if one.cut is None and asked.searches_symmetric]
    total += count_displaced(whole)
    pasted = count_scored(sides) if score is not None else 0
    total, done = total + -(-pasted // SCORED), 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        advance(done, total)

    families = families_of(searched, step)
    with single():
        found = search(families, draws, numpy_generator(seed, "coins of a discovery")) if families else ()
        candidates = [
            candidate_of(one, _other_sides(one.own, searched), torch_generator(seed, f"extraction {place}"))
            for place, one in enumerate(joined(found))
        ]
    unjudged = symmetric_candidates(whole, seed, step)
    candidates = without(candidates, unjudged)
    if score is not None:
        numbered = dict(
            zip(sides, np.split(groups, np.cumsum([len(one) for one in sides.values()])[:-1]), strict=True)
        )
        tally = _Tally(step)
        pasted_ones = pasted_candidates(sides, numbered, score, device, seed, tally)
        tally.end(pasted)
        # One budget of errors for both kinds.
        candidates = [replace(one, p=min(1.0, 2 * (one.p or 0))) for one in (*candidates, *pasted_ones)]
    if asked.few_photographs:
        candidates = [replace(one, p=None, null=CROPS) for one in candidates]
    level = SURE if score is None else SURE / 2
    spiked = spike(families, draws, seed, level, step) if sensitivity and families else ()
    both = set(sides) == set(SIDES)
    origin = check_origin(sides["nominal"], sides["anomalous"]) if both else None
    placeless = [] if origin is None else _placeless(origin, sides)
    near = [] if asked.few_photographs else _near_copies(groups, sides)
    return Discovery(
        ranked([*candidates, *unjudged, *placeless, *near]),
        {name: len(images) for name, images in sides.items()},
        {one.side: len(one.sampled) for one in searched if one.cut is None},
        draws,
        spiked,
        origin,
        tuple(_notes(sides, searched, near, score is not None, asked)),
    )


class _Tally:
    """Turns scored images into steps of SCORED."""

    def __init__(self, step: Callable[[int], None]) -> None:
        self.step, self.scored, self.told = step, 0, 0

    def __call__(self, images: int) -> None:
        self.scored += images
        self._tell(self.scored // SCORED)

    def end(self, planned: int) -> None:
        """All steps that were planned are done."""
        self._tell(-(-planned // SCORED))

    def _tell(self, steps: int) -> None:
        if steps > self.told:
            self.step(steps - self.told)
            self.told = steps


def _searched(
    sides: Mapping[str, ImageSet], groups: np.ndarray, asked: Search, galleries: Mapping[str, Gallery]
) -> list[Searched]:
    """Of each side one image of each group of near-copies, at most so many, drawn at random; sides with too
    few of them are left out. Larger images are reduced; corners and edges of large files are views of their
    own, of the same images."""
    found: list[Searched] = []
    start = 0
    for name, images in sides.items():
        own = groups[start : start + len(images)]
        start += len(images)
        _, firsts = np.unique(own, return_index=True)
        if len(firsts) < FEWEST:
            continue
        files = firsts[:0]
        if asked.corners and name in galleries and {*images.names} <= {*galleries[name].names}:
            files = large(images, np.sort(firsts))
        with_corners = len(files) >= FEWEST
        drawn = numpy_generator(asked.seed, f"{name} images of a discovery").permutation(
            files if with_corners else np.sort(firsts)
        )
        places = np.sort(drawn[: asked.sample])
        whole = reduced(images.images, asked.largest)
        few = image_view(whole[torch.from_numpy(places)])
        fields = tuple(one for one in fields_of(few.images) if asked.colour or one != COLOUR)
        every = tuple((field, shape) for field in fields for shape in shapes_of(few.images.shape[2]))
        found.append(Searched(name, few, whole, images.names, places, every))
        if with_corners:
            found += corners(name, images, places, galleries[name])
    return found


def _other_sides(own: Searched, searched: Sequence[Searched]) -> list[Searched]:
    return [one for one in searched if one.side != own.side and one.view.name == own.view.name]


def _placeless(origin: OriginCheck, sides: Mapping[str, ImageSet]) -> list[Candidate]:
    """A candidate where the sides can be told apart by how their images were made."""
    if origin.status not in ("warning", "note"):
        return []
    named = [contrast.words() for contrast in origin.contrasts[:3]]
    return [
        Candidate(
            "",
            "placeless",
            (),
            {},
            "image",
            None,
            None,
            "none: judged by the interval of the AUROC by which the sides are told apart",
            {
                "differs in": named,
                "groups": {str(group): auroc.value for group, auroc in origin.groups},
                "content-free": origin.status == "warning",
            },
        )
    ]


def _near_copies(groups: np.ndarray, sides: Mapping[str, ImageSet]) -> list[Candidate]:
    """A candidate where images are near-copies of each other."""
    copied = np.bincount(groups)[groups] > 1
    if not copied.any():
        return []
    names = [name for images in sides.values() for name in images.names]
    share, start = {}, 0
    side_of = np.repeat(list(sides), [len(images) for images in sides.values()])
    for name, images in sides.items():
        share[name] = Share(int(copied[start : start + len(images)].sum()), len(images))
        start += len(images)
    counted = summary(groups, side_of.tolist())
    return [
        Candidate(
            "",
            "near-copies",
            tuple(name for name, one in zip(names, copied.tolist(), strict=True) if one),
            share,
            "image",
            None,
            None,
            "none: near-copies are what they are",
            {"groups": counted.groups, "groups across sides": counted.between},
        )
    ]


def _notes(
    sides: Mapping[str, ImageSet],
    searched: Sequence[Searched],
    near: Sequence[Candidate],
    pasted: bool,
    asked: Search,
) -> list[str]:
    kinds = ", and over both kinds of search" if pasted else ""
    notes = [
        f"A p-value here is family-wise: over all sizes, places, fields and sides that were searched{kinds}.",
        "The null mirrors images. It can't judge marks that are symmetric or lie in the middle, such as "
        "frames, borders and vignettes, nor fewer than six bearers; and it takes light from one side, or "
        "scenes that all face one way, for a mark.",
        SEARCHED if asked.searches_symmetric else UNSEARCHED,
    ]
    if near:
        notes.append("Near-copies count as one image in the search.")
    left_out = [name for name in sides if name not in {one.side for one in searched}]
    if left_out:
        notes.append(
            f"Not searched for marks: {', '.join(left_out)} images, since under {FEWEST} are no near-copies."
        )
    if any(one.cut is not None for one in searched):
        notes.append(
            f"Corners and middles of the edges, {CROP} px each, were searched at the files' own scale too; "
            "of a mark that isn't sure, shares there are of the images that were compared."
        )
    if any(images.images.shape[2] > asked.largest for images in sides.values()):
        notes.append(f"Images were reduced to {asked.largest} px; marks of a few pixels may be lost.")
    if not asked.colour:
        notes.append("Brightness alone was compared; a mark that differs in colour only isn't found.")
    if asked.few_photographs:
        notes.append(
            "These images are cut from few photographs: what repeats, and near-copies, can be due to that."
        )
    return notes
