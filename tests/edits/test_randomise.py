"""Both sides get marks like an artifact."""

import pytest
import torch

from fcdd_audit import InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.randomise import Randomise

EDGE = (..., slice(0, 5), slice(0, 5))


def changed_images(given, changed, side):
    return (changed.of(side).images != given.of(side).images).flatten(1).any(dim=1)


@pytest.mark.parametrize(("bearers", "counts"), [([0, 1], (2, 2)), (range(8), (4, 3))])
def test_both_sides_get_marks_at_the_rate_of_the_artifact_and_at_most_on_half(training, bearers, counts):
    given = training(nominal=bearers)
    changed = Randomise().apply(given, {}, 0)
    for side, count in zip(SIDES, counts, strict=True):
        differs = (changed.of(side).images != given.of(side).images).any(dim=1, keepdim=True)
        assert int(changed_images(given, changed, side).sum()) == count
        inside = torch.zeros_like(differs)
        inside[EDGE] = True
        assert not (differs & ~inside).any(), "at its place"


def test_marks_differ_from_each_other(training):
    given = training(counts={"nominal": 40, "anomalous": 2}, nominal=range(20))
    changed = Randomise().apply(given, {}, 0)
    spots = changed.nominal.images[changed_images(given, changed, "nominal")][..., :3, :3]
    assert len(spots.flatten(1).unique(dim=0)) > len(spots) / 2


def test_without_a_bearer_there_is_no_kind(training):
    with pytest.raises(InputError, match="no training image bears the artifact"):
        Randomise().apply(training(), {}, 0)
