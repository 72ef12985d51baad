"""What is generated from the code is committed as it is generated, and says what is true."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

from fcdd_audit.cli.documents import documents, schemas
from fcdd_audit.config.settings import settings
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.findings import Effect, ExplainerFinding, Finding

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).parents[2] / "docs"
UNKNOWN = Interval(0.5, float("nan"), float("nan"))


@pytest.mark.parametrize("name", documents())
def test_the_committed_file_is_the_generated_one(name):
    assert (DOCS / name).read_text(encoding="utf-8") == documents()[name], (
        "run: python -m fcdd_audit.cli.documents docs"
    )


def test_there_is_no_other_schema():
    assert sorted(path.name for path in (DOCS / "schemas").iterdir()) == sorted(schemas())


@pytest.mark.parametrize("schema", schemas().values(), ids=schemas())
def test_a_schema_is_one(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


def valid(name, value):
    return jsonschema.Draft202012Validator(schemas()[name]).is_valid(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seeds = 5\ndetector = 'fcdd,ae'\nprevalence = [0.2, 1]\nskip_corrupt = true",
        "detectors = ['fcdd']\nprevalence = 1.0\nlr = 1e-2\nmilestones = 'none'",
        "seeds = 'auto'\nmax_seeds = 8\nbudget = '3m'",
        "budget = 90",
        "[recipe]\nepochs = 3\nmilestones = [0.5]\n[options.watermark]\nsize = 0.5",
    ],
)
def test_a_configuration_file_fits_its_schema(text):
    assert valid("audit.toml.json", tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "seed = 5",
        "seeds = 0",
        "seeds = 2.5",
        "seeds = 'many'",
        "max_seeds = 0",
        "budget = 0",
        "prevalence = [[1]]",
        "quantile = 0",
        "confetti_mask = 'half'",
        "[recipe]\nepoch = 1",
        "[options]\nwatermark = 5",
        "[thresholds]\ndraws = 5",
    ],
)
def test_another_file_does_not(text):
    assert not valid("audit.toml.json", tomllib.loads(text))


def test_findings_fit_their_schema():
    explainer = ExplainerFinding("native", False, "yes", UNKNOWN, "exposed", float("nan"), ())
    effect = Effect("drop", UNKNOWN, UNKNOWN, UNKNOWN)
    finding = Finding(
        *("textures", "grass", "fcdd", "watermark", "anomalous", 1.0, "relies", None, UNKNOWN),
        *(0.9, None, 5, 40, (explainer,), (effect,)),
    )
    schema = schemas()["findings.json"]["properties"]["schema"]["const"]
    content = {"schema": schema, "run": "x", "findings": [finding.as_json()], "means": [], "origin": []}
    assert valid("findings.json", json.loads(json.dumps(content)))
    wrong = {**finding.as_json(), "verdict": "maybe"}
    assert not valid("findings.json", {**content, "findings": [wrong]})


def test_every_setting_is_in_the_table():
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for setting in settings().values():
        assert f"| `{setting.called}` | `{setting.flag}` |" in page
        assert setting.meaning
