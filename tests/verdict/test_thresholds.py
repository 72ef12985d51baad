import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from fcdd_audit import Thresholds
from fcdd_audit.verdict.thresholds import Thresholds as Own


def test_thresholds_need_neither_torch_nor_numpy():
    code = "import sys, fcdd_audit.verdict.thresholds; print({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_thresholds_are_public_and_fixed():
    assert Thresholds is Own
    with pytest.raises(FrozenInstanceError):
        Thresholds().shift = 0.1


def test_each_is_explained():
    assert all(f"    {name}: " in Thresholds.__doc__ for name in Thresholds.__dataclass_fields__)


@pytest.mark.parametrize(("confidence", "tail"), [(0.95, 0.025), (0.9, 0.05)])
def test_half_of_the_error_is_on_each_side(confidence, tail):
    assert Thresholds(confidence=confidence).tail == pytest.approx(tail)


def test_no_harm_is_not_harm():
    assert Thresholds().alarms < Thresholds().no_alarms
