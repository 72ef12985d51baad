"""Shared by all tests."""

import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from fcdd_audit import AuditConfig, AuditResult, run_audit

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def textures_config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """The default audit, of FCDD only."""
    return AuditConfig(
        detectors=("fcdd",),
        explainers=("native", "grad-cam", "gradient", "random"),
        out=tmp_path_factory.mktemp("reports"),
    )


@pytest.fixture(scope="session")
def textures_run(textures_config: AuditConfig) -> AuditResult:
    return run_audit(textures_config)


@pytest.fixture(scope="session")
def textures_table(textures_run: AuditResult) -> pd.DataFrame:
    return pd.read_csv(textures_run.folder / "results.csv", keep_default_na=False)


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Further real images, where they are; tests that need them are skipped elsewhere."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("FCDD_AUDIT_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no further real images: set FCDD_AUDIT_TEST_DATA to test on them")
    return folder


@pytest.fixture(scope="session")
def noise() -> torch.Tensor:
    """Random colour images, uint8 (12, 3, 16, 16)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=generator)
