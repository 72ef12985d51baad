"""From what was asked to finished cells and their tables."""
