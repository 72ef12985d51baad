import os

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in list(os.environ):
        if name.startswith("FCDD_AUDIT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A grey folder data set of 32 px."""
    root = tmp_path_factory.mktemp("tiny")
    generator = np.random.default_rng(0)
    counts = {"train/nominal": 10, "train/anomalous": 3, "test/nominal": 3, "test/anomalous": 3}
    for part, count in counts.items():
        (root / part).mkdir(parents=True)
        for i in range(count):
            noise = generator.integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(noise).save(root / part / f"{i}.png")
    return root
