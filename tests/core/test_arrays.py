import io

import numpy as np

from fcdd_audit.core.arrays import npz_file


def test_arrays_come_back_and_equal_ones_give_equal_bytes():
    arrays = {"numbers": np.arange(6).reshape(2, 3), "names": np.array(["a", "b"])}
    content = npz_file(arrays)
    assert content == npz_file({name: one.copy() for name, one in arrays.items()})
    with np.load(io.BytesIO(content)) as stored:
        assert {*stored.files} == {*arrays}
        for name, one in arrays.items():
            assert np.array_equal(stored[name], one)
