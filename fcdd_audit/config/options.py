"""Options of detectors, probes, natural artifacts, explainers and remedies, read by their declared type."""

from __future__ import annotations

from typing import Any

from fcdd_audit.config.kinds import Number, read
from fcdd_audit.config.layers import Given
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import check_options, options_of
from fcdd_audit.core.registry import suggest
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import PROBES
from fcdd_audit.remedies import REMEDIES


def option_kinds(entry: Any) -> dict[str, Any]:
    """The options of a registry's entry and the kinds of their values."""
    kinds = {
        name: Number if option.kind is float else option.kind for name, option in options_of(entry).items()
    }
    return {name: kind | None if options_of(entry)[name].optional else kind for name, kind in kinds.items()}


def read_options(given: Given) -> dict[str, dict[str, Any]]:
    """All options, by whose they are, whether these are asked for or not: a file may be shared.

    InputError for an unknown target or option, or a value of another type. Whether a value is in its range is
    for the entry itself to say.
    """
    entries: dict[str, Any] = {
        name: entry
        for registry in (DETECTORS, PROBES, NATURAL, EXPLAINERS, REMEDIES)
        for name, entry in registry.items()
    }
    options: dict[str, dict[str, Any]] = {}
    for key, value in given.plain().items():
        target, dot, option = key.partition(".")
        if not dot:
            continue
        with given.blamed(key):
            if target not in entries:
                raise InputError(
                    f"options for unknown detector, probe, explainer or remedy '{target}'"
                    f"{suggest(target, list(entries))}"
                )
            kinds = option_kinds(entries[target])
            if option in kinds:
                value = read(f"{target} {option}", kinds[option], value)
            check_options(target, entries[target], {option: value})
            options.setdefault(target, {})[option] = value
    return options
