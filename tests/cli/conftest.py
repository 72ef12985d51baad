import os

import pytest


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in list(os.environ):
        if name.startswith("FCDD_AUDIT_"):
            monkeypatch.delenv(name)
