"""What a pipeline makes of a run's findings: reads dictionaries, and imports neither torch nor captum."""
