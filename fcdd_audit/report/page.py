"""From the run folder to one HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import write_text
from fcdd_audit.core.text import between, number, plain, share, span
from fcdd_audit.designs import DESIGNS
from fcdd_audit.experiment.folder import DISCOVERY, RunFolder
from fcdd_audit.experiment.writer import move_complete
from fcdd_audit.report.discovery import discovery_context
from fcdd_audit.report.naming import detector_name, direction_name, map_name, unjudged
from fcdd_audit.report.wording import artifact_words, changes, kind_of_audit, telling_digits, tested, trained
from fcdd_audit.verdict.words import alarms_of, caught_words, taken, verdict_words

WORDS = {
    "relies": ("✖", "relies"),
    "does-not-rely": ("✔", "does not rely"),
    "vulnerable": ("✖", "vulnerable"),
    "robust": ("✔", "robust"),
    "inconclusive": ("?", "inconclusive"),
}


def template_folder() -> Path:
    """The templates: inside the package in a wheel, beside it in an editable install."""
    package = Path(__file__).parents[1]
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / "report.html.j2").is_file():
            return folder
    raise FileNotFoundError("the report templates are missing; install fcdd-audit again")


def render_report(path: Path) -> Path:
    """(Re)write `path`/report.html from the other files of the run folder; returns its path.

    The folder may also be a discovery's. InputError if it holds no finished audit or discovery.
    """
    move_complete(path)
    run = RunFolder(path)
    config = run.read_json("config.json")
    if config["design"] == DISCOVERY:
        with _complete(run, "discover"):
            context = discovery_context(run, config)
        page = fill_template("discovery.html.j2", more_css=_css_of_candidates(), **context)
        return write_text(path / "report.html", page)
    found = run.read_json("findings.json")
    design = DESIGNS[config["design"]]
    with _complete(run, "run"):
        context = design.context(run, config, found)
    if any(one["cards"] for one in context.get("searched", ())):
        context["more_css"] = _css_of_candidates()
    page = fill_template(
        design.template,
        config=config,
        found=found,
        words=WORDS,
        thresholds=config["config"]["design"]["thresholds"],
        quantile=config["config"]["explanation"]["quantile"],
        findings_json=script_json(without_overlaps(found)),
        **context,
    )
    return write_text(path / "report.html", page)


def _css_of_candidates() -> Markup:
    return Markup((template_folder() / "discovery.css").read_text(encoding="utf-8"))


@contextmanager
def _complete(run: RunFolder, command: str) -> Iterator[None]:
    """InputError inside for a folder that lacks what the command writes."""
    try:
        yield
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        missing = getattr(error, "filename", None) or error
        raise InputError(
            f"'{run.path}' is no complete run ({missing}); a report needs all files that 'fcdd-audit "
            f"{command}' wrote"
        ) from error


def without_overlaps(found: dict[str, Any]) -> dict[str, Any]:
    """What the page embeds of findings.json: all but the overlaps of every measure, which are most of it."""
    return {
        **found,
        "findings": [
            {**one, "explainers": [{**two, "overlaps": []} for two in one["explainers"]]}
            for one in found["findings"]
        ],
    }


def fill_template(name: str, **context: Any) -> str:
    """A page from a template of that name; what comes from outside is escaped."""
    environment = Environment(
        loader=FileSystemLoader(template_folder()),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": number,
        "percent": share,
        "said": verdict_words,
        "caught": caught_words,
        "direction": direction_name,
        "alarms": alarms_of,
        "looks": taken,
        "span": span,
        "between": between,
        "plain": plain,
        "kind": kind_of_audit,
        "trained": trained,
        "tested": tested,
        "changes": changes,
        "artifact": artifact_words,
        "digits": telling_digits,
        "called": detector_name,
        "map_name": map_name,
        "unjudged": unjudged,
    }
    base, first, script = (
        (template_folder() / file).read_text(encoding="utf-8")
        for file in ("report.css", "first.css", "page.js")
    )
    css = f"{base}\n{first}"
    return environment.get_template(name).render(
        css=Markup(css), script=Markup(script), policy=content_policy(script), **context
    )


def content_policy(script: str) -> Markup:
    """What a browser lets the page do: show what is in it, and run `script`, known by its hash."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Figures carry style attributes, which no hash can allow.
    return Markup(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def script_json(value: Any) -> Markup:
    """For a script element of type application/json."""
    # "<" never closes the script element early, whatever a file is called.
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
