"""Probes: artifacts with a known mask."""

from fcdd_audit.probes import stamps  # noqa: F401  (registers them)
from fcdd_audit.probes.base import PROBES, Probe
from fcdd_audit.probes.planting import plant, planted_count, stamp

__all__ = ["PROBES", "Probe", "plant", "planted_count", "stamp"]
