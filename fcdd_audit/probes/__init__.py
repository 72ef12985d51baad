"""Probes: artifacts, with a mask where they have a place."""

from fcdd_audit.probes import stamps, overlays, discs, tones  # noqa: F401, I001  (registers them, in this order)
from fcdd_audit.probes.base import PROBES, Probe
from fcdd_audit.probes.chain import Chain, make_probe, probe_names
from fcdd_audit.probes.marking import mark_all

__all__ = [
    "PROBES",
    "Chain",
    "Probe",
    "make_probe",
    "mark_all",
    "probe_names",
]
