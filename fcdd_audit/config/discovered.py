"""What of an audit's settings a discovery takes: where images come from, and where its folder is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fcdd_audit.config.layers import Layer, merge
from fcdd_audit.config.parts import DataSettings
from fcdd_audit.config.settings import settings
from fcdd_audit.core.errors import InputError

DATASET = "folder"  # by default
SCORING = {"model", "mean", "std", "trust_model", "device"}  # of a detector whose scores are searched
USED = {*DataSettings.model_fields, *SCORING, "out", "name"} - {"strict"}
HIDDEN = frozenset(settings()) - USED


def discovered(flags: Mapping[str, Any], *below: Layer) -> list[Layer | Mapping[str, Any]]:
    """Layers for `make_config`: a discovery's own default, what files and variables say of images, and
    flags.

    Files and variables may describe a whole audit. InputError for a flag that a discovery makes no use of,
    and for what is no setting.
    """
    for name, one in settings().items():
        if name in HIDDEN and flags.get(one.called) is not None:
            raise InputError(
                f"{one.flag}: a discovery trains nothing, and makes no use of '{one.called}'; leave it out"
            )
    merge(*below)  # refuses what is no setting at all
    kept = [
        Layer({key: value for key, value in layer.values.items() if key in USED}, layer.where)
        for layer in below
    ]
    return [{"dataset": DATASET}, *kept, Layer(flags, lambda key: f"--{key.replace('_', '-')}")]
