"""Artifacts that images came with: annotations, removal."""

from fcdd_audit.natural.artifacts import NATURAL, NaturalArtifact, check_artifact, make_artifact

__all__ = ["NATURAL", "NaturalArtifact", "check_artifact", "make_artifact"]
