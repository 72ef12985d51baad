"""What a finished run was asked, from its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fcdd_audit.config.audit import AuditConfig, make_config
from fcdd_audit.config.parts import PARTS
from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.transplanted import REMOVED
from fcdd_audit.natural import NATURAL
from fcdd_audit.verdict.thresholds import Thresholds


def stored_config(content: Mapping[str, Any]) -> AuditConfig:
    """The audit of which config.json says this. InputError if it can't be read back."""
    try:
        parts = content["config"]
        values = {name: value for part in PARTS for name, value in parts[part].items()}
        if "halves" not in values and values.get("probe") in NATURAL and not values.get("candidate"):
            values["halves"] = (REMOVED,)  # the run was before found artifacts were put on others
        values["thresholds"] = Thresholds(**values["thresholds"])
        return make_config({**values, "options": parts["options"]})
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the run's config.json isn't whole ({type(error).__name__}: {error}); run the audit again"
        ) from error
