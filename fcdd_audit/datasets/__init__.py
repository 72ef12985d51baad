"""Data sets: where images come from."""

from fcdd_audit.datasets import folder, handed, mvtec, one_vs_rest, retina, textures, voc  # noqa: F401  (registers them)
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.images.sets import ImageSet

__all__ = ["DATASETS", "SOURCES", "AuditData", "DataRequest", "DataSet", "ImageSet"]
