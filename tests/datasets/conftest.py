"""Shared by the tests of data sets."""

import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from fcdd_audit.datasets import cache
from fcdd_audit.errors import InputError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Decoded images go to a folder of the test's own unless it names one."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(cache, "default_cache", lambda: folder)


@pytest.fixture(scope="session")
def paint():
    """Makes a picture file: noise that depends on its last folders and name, or one value everywhere."""

    def make(path, value=None, size=(16, 16), mode="RGB"):
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
        rng = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode()))
        pixels = rng.integers(0, 256, shape, np.uint8) if value is None else np.full(shape, value, np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture(scope="session")
def refused():
    """Checks that what it is around ends with an InputError of one line that has these parts."""

    @contextmanager
    def check(*parts):
        with pytest.raises(InputError) as error:
            yield
        message = str(error.value)
        assert "\n" not in message
        for part in parts:
            assert part in message, message

    return check
