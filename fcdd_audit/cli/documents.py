"""What is generated from the code: JSON schemas, and the table of settings.

python -m fcdd_audit.cli.documents FOLDER writes them all, as they are in docs/.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fcdd_audit.config.kinds import adapter
from fcdd_audit.config.parts import PARTS, PRESETS
from fcdd_audit.config.settings import RECIPE, Setting, settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "over",
    "maximum": "at most",
    "exclusiveMaximum": "under",
}
TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
}
FINDINGS_TABLES = (
    *("Finding", "Effect", "ExplainerFinding", "Overlap"),
    *("RemedyFinding", "Change", "OtherCue", "Mending", "Interval"),
)
OBJECTS = {"type": "array", "items": {"type": "object"}}
LISTS = {"string": "names", "number": "numbers"}
INTRODUCTION = """# Settings

What an audit is can be set in four places, everywhere under the same names:

- flags;
- variables: `FCDD_AUDIT_` and the name in capitals;
- a TOML file, named by `--config`;
- Python: `make_config(name=value)`.

Later ones win: defaults < preset < file < variables < flags.
As text, lists have commas, and true or false may be yes or no, 1 or 0.

An option of a detector, probe, explainer or remedy is set by `--set NAME.OPTION=VALUE`.
In a file it stands in the table `[options.NAME]`.
A recipe's settings may also stand in the table `[recipe]`.
For editors and validators there are [JSON schemas](schemas/).

This page is made from the code: `python -m fcdd_audit.cli.documents docs`."""

FINDINGS_INTRODUCTION = """# findings.json

The verdicts, with intervals.
Schema {schema}: keys are stable, and new ones may be added.
The file holds `schema`, `run` (the run's name), `findings` (of [Finding](#finding)), `means` and `origin`.
[files.md](files.md) explains the last two.
A number that isn't there is null.
A JSON schema for validators stands in [schemas/findings.json](schemas/findings.json).

This page is made from the code: `python -m fcdd_audit.cli.documents docs`."""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schemas by file name: of the configuration, and of what is written: findings, both kinds of
    comparison, candidates."""
    return {
        "audit.toml.json": config_schema(),
        "findings.json": findings_schema(),
        "comparison.json": comparison_schema(),
        "change.json": change_schema(),
        "candidates.json": candidates_schema(),
    }


def config_schema() -> dict[str, Any]:
    """Of a configuration file."""
    known = settings().values()
    recipe = {setting.name: _schema_of(setting) for setting in known if setting.part == RECIPE}
    properties = {name: _schema_of(one) for one in known for name in dict.fromkeys((one.called, one.name))}
    properties[RECIPE] = {"type": "object", "properties": recipe, "additionalProperties": False}
    properties["options"] = {
        "type": "object",
        "description": "By the name of a detector, probe, explainer or remedy.",
        "additionalProperties": {"type": "object"},
    }
    return _document("Configuration of an audit", properties, required=False)


def findings_schema() -> dict[str, Any]:
    """Of findings.json."""
    from fcdd_audit.experiment.folder import SCHEMA
    from fcdd_audit.verdict.findings import Finding

    properties = {
        "schema": {"const": SCHEMA},
        "run": {"type": "string"},
        "findings": Finding,
        "means": OBJECTS,
        "origin": OBJECTS,
    }
    return _document("Findings of an audit", properties)


def comparison_schema() -> dict[str, Any]:
    """Of comparison.json, where explainers are compared."""
    from fcdd_audit.studies.compare import SCHEMA, Compared

    properties = {
        "schema": {"const": SCHEMA},
        "kind": {"const": "explainers"},
        "runs": OBJECTS,
        "thresholds": {"type": "object", "additionalProperties": {"type": "number"}},
        "measures": {"type": "object", "additionalProperties": {"type": "object"}},
        "explainers": Compared,
    }
    return _document("Explanations compared", properties)


def change_schema() -> dict[str, Any]:
    """Of comparison.json, where two audits of one question are compared."""
    from fcdd_audit.studies.compare import SCHEMA, Changed

    properties = {
        "schema": {"const": SCHEMA},
        "kind": {"const": "change"},
        "runs": OBJECTS,
        "confidence": {"type": "number"},
        "differs": OBJECTS,
        "questions": Changed,
    }
    return _document("Two audits compared, before and after a change", properties)


def candidates_schema() -> dict[str, Any]:
    """Of candidates.json."""
    from fcdd_audit.discovery.candidates import SCHEMA
    from fcdd_audit.discovery.sensitivity import Spiked
    from fcdd_audit.discovery.written import Entry

    counts = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
    properties = {
        "schema": {"const": SCHEMA},
        "dataset": {"type": "string"},
        "images": counts,
        "searched": counts,
        "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
        "draws": {"type": "integer", "minimum": 1},
        "sensitivity": Spiked,
        "notes": {"type": "array", "items": {"type": "string"}},
        "candidates": Entry,
    }
    return _document("Candidates of a discovery", properties)


def _document(title: str, properties: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """A schema of an object; a class among its properties stands for a list of its instances."""
    definitions: dict[str, Any] = {}
    for name, one in properties.items():
        if isinstance(one, type):
            rows = TypeAdapter(list[one]).json_schema(mode="serialization")  # type: ignore[valid-type]
            definitions |= rows.pop("$defs", {})
            properties[name] = _nullable(rows)
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        **({"required": list(properties)} if required else {}),
        "additionalProperties": False,
        **({"$defs": _nullable(definitions)} if definitions else {}),
    }


def _nullable(schema: Any) -> Any:
    """The same, with null wherever a number may be: JSON has no NaN."""
    if isinstance(schema, dict):
        changed = {key: _nullable(value) for key, value in schema.items()}
        return {**changed, "type": ["number", "null"]} if schema.get("type") == "number" else changed
    return [_nullable(one) for one in schema] if isinstance(schema, list) else schema


def _schema_of(setting: Setting) -> dict[str, Any]:
    """Of a setting, without the null that means not given."""
    schema = adapter(setting.kind).json_schema()
    kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    found = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if setting.default is not None and setting.shown != PRESETS.default:
        found = {**found, "default": json.loads(adapter(setting.kind).dump_json(setting.default))}
    if setting.range is not None:
        keys = {word: key for key, word in BOUNDS.items()}
        found = {**found, **{keys[word]: end for word, end in setting.range.ends().items()}}
    return {**found, "description": setting.meaning}


def settings_page() -> str:
    """docs/settings.md."""
    lines = [INTRODUCTION]
    for part in (*PARTS, RECIPE):
        about = PARTS[part].__doc__ if part in PARTS else "How detectors are trained."
        lines += [f"\n## {part.capitalize()}\n", f"{about}\n"]
        lines += ["| name | flag | default | values | meaning |", "|---|---|---|---|---|"]
        for one in settings().values():
            if one.part == part:
                cells = (f"`{one.called}`", f"`{one.flag}`", _default(one), _values(one), one.meaning)
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _default(setting: Setting) -> str:
    return setting.shown or ("false" if setting.default is False else "none")


def _values(setting: Setting) -> str:
    """What it may be, in words."""
    schema = _schema_of(setting)
    kinds = schema.get("anyOf", [schema])
    for one in kinds:
        if one.get("type") == "array":
            return LISTS[one["items"]["type"]] + _limits(one["items"])
    return " or ".join(_values_of(one) for one in kinds)


def _values_of(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("format") == "path":
        return "a path"
    return TYPES[schema["type"]] + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    return "".join(f", {words} {_number(schema[key])}" for key, words in BOUNDS.items() if key in schema)


def _number(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def findings_page() -> str:
    """docs/findings.md: the keys of findings.json, from its schema."""
    schema = findings_schema()
    lines = [FINDINGS_INTRODUCTION.format(schema=schema["properties"]["schema"]["const"])]
    for name in FINDINGS_TABLES:
        about = schema["$defs"][name]
        lines += [
            f"\n## {name}\n",
            f"{about['description']}\n",
            "| key | values | meaning |",
            "|---|---|---|",
        ]
        for key, one in about["properties"].items():
            lines.append(f"| `{key}` | {_values_in(one)} | {one.get('description', '')} |")
    return "\n".join(lines) + "\n"


def _values_in(schema: dict[str, Any]) -> str:
    """What stands under a key of a JSON file, in words."""
    if "anyOf" in schema:
        found = " or ".join(_values_in(one) for one in schema["anyOf"])
        return " or ".join(dict.fromkeys(found.split(" or ")))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_values_in(schema['items'])}"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join({**TYPES, "object": "a table", "null": "null"}[kind] for kind in kinds)


def documents() -> dict[str, str]:
    """The content of all generated files, by their path under docs/."""
    return {
        "settings.md": settings_page(),
        "findings.md": findings_page(),
        **{f"schemas/{name}": json.dumps(schema, indent=1) + "\n" for name, schema in schemas().items()},
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
