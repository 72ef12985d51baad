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


KNOWN_DEFECTS = {
    "test_an_image_whose_own_name_ends_in_mask_keeps_its_mask": "the suffix _mask is always stripped",
    "test_masks_that_match_no_image_are_mentioned": "masks without an image are passed over in silence",
    "test_the_parts_of_mvtec_are_named_in_its_own_words": "the message uses this tool's folder names",
    "leaves_nothing_behind[--seeds three": "the option parser prints several lines",
    "leaves_nothing_behind[--epochs 1.5": "the option parser prints several lines",
    "leaves_nothing_behind[--detectr": "the option parser prints several lines",
    "leaves_nothing_behind[arguments41": "the option parser prints several lines",
    "test_a_bad_variable_is_named_as_it_was_given": "an error names the setting, not the variable",
    "test_a_report_needs_the_folder_of_a_run[content2]": "empty JSON files are taken for a run",
    "test_a_dry_run_says_that_the_output_folder_cannot_be_written": "a dry run does not try to write",
    "test_a_damaged_scan_gets_one_line_whatever_its_libraries_say": "libtiff prints lines of its own",
    "test_text_made_of_digits_is_text_where_text_is_needed": "digits need quotes within --set",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of defects that are known and not yet mended: they must fail, until they are mended."""
    for item in items:
        for name, reason in KNOWN_DEFECTS.items():
            if name in item.nodeid:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
