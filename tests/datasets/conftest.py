"""Shared by the tests of data sets."""

import pytest

from fcdd_audit.images import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Decoded images go to a folder of the test's own unless it names one."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(cache, "default_cache", lambda: folder)
