"""Twins: each planted detector beside its control, which differs in nothing but the artifact."""
