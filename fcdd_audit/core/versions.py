"""Versions of all that numbers depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

from fcdd_audit._version import __version__

PACKAGES = ("torch", "torchvision", "captum", "numpy", "scikit-image", "scikit-learn", "pandas")


def versions() -> dict[str, str]:
    """Of this tool, Python, and what numbers depend on."""
    return {
        "fcdd-audit": __version__,
        "python": platform.python_version(),
        **_installed(),
    }


@cache
def _installed() -> dict[str, str]:
    """Read once: every record says them."""
    return {package: version(package) for package in PACKAGES}
