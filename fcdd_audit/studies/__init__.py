"""Studies of the audit itself: calibration, error rates, comparison of explanations."""
