from pathlib import Path

from fcdd_audit.measures.docs import as_markdown
from fcdd_audit.measures.table import MEASURES, described_measures

PAGE = Path(__file__).parents[2] / "docs" / "measures.md"


def test_the_committed_page_is_the_one_that_is_made():
    assert PAGE.read_text(encoding="utf-8") == as_markdown(), (
        "python -m fcdd_audit.measures.docs > docs/measures.md"
    )


def test_every_measure_is_on_the_page_with_its_definition():
    described = described_measures()
    lines = as_markdown().splitlines()
    for name in MEASURES:
        start = lines.index(f"### `{name}`: {described[name]['label']}")
        end = next(i for i in range(start, len(lines)) if lines[i].startswith("Values: "))
        assert " ".join(lines[start + 2 : end]) == described[name]["definition"]
