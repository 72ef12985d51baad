"""The training of detectors."""
