"""Artifacts that images came with: annotations, removal."""

from fcdd_audit.natural.artifacts import NATURAL, NaturalArtifact, check_artifact, make_artifact
from fcdd_audit.natural.promoted import Promoted

__all__ = ["NATURAL", "NaturalArtifact", "Promoted", "check_artifact", "make_artifact"]
