"""Artifacts that nobody named."""
