"""What differs between the settings of two audits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NO_MATTER = ("run.", "data.cache", "data.download")  # where files are, and what does the work
RENAMED = {"artifact.probe": "artifact.probes"}  # of older runs
LISTS = ("artifact.probes", "artifact.plant_on")  # older runs have one value
LACKED = ("artifact.together", False)  # older runs don't say it
ALONGSIDE = ("probe", "detector", "own_code", "trained_on", "device", "versions")  # in config.json


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`setting`, by its dotted name, with its value `before` and `after`, of two config.json; None where one
    of them has no such setting."""
    first, second = (dict(_said(config)) for config in (before, after))
    return [
        {"setting": name, "before": first.get(name), "after": second.get(name)}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def _said(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in _flat(config["config"], ""):
        name = RENAMED.get(name, name)
        if not name.startswith(NO_MATTER) and (name, value) != LACKED:
            yield name, [value] if name in LISTS and isinstance(value, str) else value
    for data in config["data"]:
        yield f"images.{data['nominal_class']}", data.get("fingerprint")
    for part in ALONGSIDE:
        # The settings have a part of the same name: what was resolved stands under another.
        yield from _flat({f"resolved.{part}": config.get(part)}, "")


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, one in value.items():
        if isinstance(one, dict):
            yield from _flat(one, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", one
