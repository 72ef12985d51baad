import numpy as np
import pytest

from fcdd_audit.images.ahead import in_order
from fcdd_audit.images.gallery import of_arrays


@pytest.mark.parametrize("ahead", [1, 2, 5, 99])
def test_all_indices_come_in_order_and_few_ahead(ahead):
    gallery = of_arrays(np.zeros((5, 2, 2), np.uint8), ["a"] * 5, "arrays", "digest")
    begun = []

    def square(index):
        begun.append(index)
        return index**2

    found = in_order(gallery, square, "square", ahead, progress=False)
    assert next(found) == (0, 0)
    assert len(begun) <= ahead
    assert list(found) == [(1, 1), (2, 4), (3, 9), (4, 16)]
