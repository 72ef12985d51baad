"""What measures are called on a page, and the glossary that their names lead to; from config.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from fcdd_audit.experiment.folder import RunFolder

DILATED = "_dilated"  # ends the name of an overlap with the grown mask


@dataclass(frozen=True)
class Glossary:
    """entries: by name, what the table of measures says of those that the run has numbers of."""

    entries: dict[str, dict[str, Any]]

    def label(self, name: str) -> str:
        """A measure's name for people."""
        base = name.removesuffix(DILATED)
        return self.entries[base]["label"] + (", mask grown by half a stride" if base != name else "")

    def link(self, name: str, text: str | None = None) -> Markup:
        """Its label, or another text, that leads to its row of the glossary."""
        target = escape(name.removesuffix(DILATED))
        return Markup('<a href="#measure-{}">{}</a>').format(target, text or self.label(name))


def read_results(run: RunFolder) -> pd.DataFrame:
    """results.csv. Of a found artifact there is no prevalence, which is NaN; other empty text stays text."""
    return pd.read_csv(
        run.path / "results.csv", keep_default_na=False, na_values={"value": [""], "prevalence": [""]}
    )


def glossary(
    measures: dict[str, dict[str, Any]], findings: list[dict[str, Any]], results: pd.DataFrame
) -> Glossary:
    """Of the measures in config.json, those that stand in findings.json or results.csv."""
    metrics = set(results["metric"].str.removesuffix(DILATED))
    rows = set(zip(results["split"], results["metric"], strict=True))
    named = {name for finding in findings for name in finding}
    named |= {effect["measure"] for finding in findings for effect in finding["effects"]}
    named |= {name for finding in findings for explainer in finding["explainers"] for name in explainer}
    return Glossary(
        {
            name: entry
            for name, entry in measures.items()
            if name in named | metrics or tuple(entry["row"] or ()) in rows
        }
    )
