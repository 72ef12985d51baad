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
        Thresholds().reliance = 0.1
