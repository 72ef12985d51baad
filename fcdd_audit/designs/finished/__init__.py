"""A finished detector, which brings weights and can't be trained again: its null is placebos, not twins."""
