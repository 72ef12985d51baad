"""Data sets: where images come from."""

from fcdd_audit.datasets import folder, textures  # noqa: F401  (registers them)
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, ImageSet

__all__ = ["DATASETS", "AuditData", "DataRequest", "ImageSet"]
