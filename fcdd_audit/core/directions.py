"""Where an artifact is in training, and the test sets that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from fcdd_audit.core.registry import Registry
from fcdd_audit.core.sides import SIDES, Side

AUTO = "auto"  # the side that each detector learns a cue from
Variants = tuple[str, str]  # of the nominal and of the anomalous images
CLEAN: Variants = ("clean", "clean")
MARKED: Variants = ("marked", "marked")
ON_NOMINAL: Variants = ("marked", "clean")
ON_ANOMALOUS: Variants = ("clean", "marked")


@dataclass(frozen=True)
class Direction:
    """One way in which an artifact can lie in the training images.

    trained: says where it is there, with `{share}` in place of the share of images. tested: says what the
    conflict set does with it. label: what tells it from others in a word or two.
    side: the training images that bear it, hence what it stands for: a cue on the `anomalous` side raises the
    score, one on the `nominal` side lowers it.
    usual, conflict: which images a test set takes. usual: those that the detector meets in use. conflict:
    those with the artifact on the other side, or taken off.
    found: whether the training images came with it. by_source: whether it tells outlier exposure from all
    others.
    """

    trained: str
    tested: str
    label: str
    side: Side
    usual: Variants
    conflict: Variants
    found: bool = False
    by_source: bool = False

    @property
    def summary(self) -> str:
        """One line for lists."""
        return f"{self.trained.format(share='a share')}; for the test {self.tested}."

    @property
    def aligned(self) -> Variants:
        """The artifact on the side where training had it."""
        return ON_NOMINAL if self.side == "nominal" else ON_ANOMALOUS

    @property
    def removed(self) -> bool:
        """Whether it is removed from test images, which came with it too."""
        return self.found and self.usual == MARKED

    @property
    def changed(self) -> Side:
        """The side whose test images differ between the usual and the conflict set."""
        return SIDES[0] if self.usual[0] != self.conflict[0] else SIDES[1]


DIRECTIONS: Registry[Direction] = Registry("direction")

DIRECTIONS.register("anomalous")(
    Direction(
        trained="planted on {share} of the anomalous training images",
        tested="put on the nominal test images",
        label="on the anomalous side",
        side="anomalous",
        usual=CLEAN,
        conflict=ON_NOMINAL,
    )
)
DIRECTIONS.register("nominal")(
    Direction(
        trained="planted on {share} of the nominal training images",
        tested="put on the anomalous test images",
        label="on the nominal side",
        side="nominal",
        usual=CLEAN,
        conflict=ON_ANOMALOUS,
    )
)
DIRECTIONS.register("oe")(
    Direction(
        trained="planted on {share} of the outlier exposure and nowhere else",
        tested="put on the nominal test images",
        label="on the outlier exposure",
        side="anomalous",
        usual=CLEAN,
        conflict=ON_NOMINAL,
        by_source=True,
    )
)
DIRECTIONS.register("all-but-oe")(
    Direction(
        trained="planted on {share} of all training images but the outlier exposure",
        tested="taken off the nominal test images",
        label="on all but the outlier exposure",
        side="nominal",
        usual=MARKED,
        conflict=ON_ANOMALOUS,
        by_source=True,
    )
)
# An artifact that is found is on some images from the start: what can be tested is taking it off. Their clean
# images are those with the artifact removed.
DIRECTIONS.register("found-on-anomalous")(
    Direction(
        trained="found on {share} of the anomalous training images",
        tested="removed from the anomalous test images that bear it",
        label="removed from anomalous images",
        side="anomalous",
        usual=MARKED,
        conflict=ON_NOMINAL,
        found=True,
    )
)
DIRECTIONS.register("found-on-nominal")(
    Direction(
        trained="found on {share} of the nominal training images",
        tested="removed from the nominal test images that bear it",
        label="removed from nominal images",
        side="nominal",
        usual=MARKED,
        conflict=ON_ANOMALOUS,
        found=True,
    )
)
# A candidate of a discovery is found on training images, and put on test images that don't bear it.
DIRECTIONS.register("transplanted-from-anomalous")(
    Direction(
        trained="found on {share} of the anomalous training images",
        tested="put on the nominal test images that aren't known to bear it",
        label="put on nominal images",
        side="anomalous",
        usual=CLEAN,
        conflict=ON_NOMINAL,
        found=True,
    )
)
DIRECTIONS.register("transplanted-from-nominal")(
    Direction(
        trained="found on {share} of the nominal training images",
        tested="put on the anomalous test images that aren't known to bear it",
        label="put on anomalous images",
        side="nominal",
        usual=CLEAN,
        conflict=ON_ANOMALOUS,
        found=True,
    )
)


def plantable() -> tuple[str, ...]:
    """The directions in which an artifact can be planted."""
    return tuple(name for name, direction in DIRECTIONS.items() if not direction.found)
