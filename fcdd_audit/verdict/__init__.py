"""From numbers to words."""
