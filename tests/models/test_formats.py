"""What every registered format must keep to."""

from pathlib import Path

import pytest

from fcdd_audit.models import FORMATS
from fcdd_audit.models.base import Format, Place

each_format = pytest.mark.parametrize("name", list(FORMATS))
DOCUMENT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


@each_format
def test_it_opens_files_or_adapts_objects(name):
    kind = FORMATS[name]
    assert issubclass(kind, Format)
    assert kind.load is not Format.load or kind.adapt is not Format.adapt
    assert (kind.recognises is Format.recognises) == (kind.adapt is Format.adapt)
    assert kind().recognises(object()) is False


@each_format
def test_it_opens_its_suffixes_whether_the_file_is_there_or_not(name):
    for suffix in FORMATS[name].suffixes:
        assert FORMATS[name]().opens(Place(f"m{suffix}", Path(f"m{suffix}"), None))


@each_format
def test_it_has_a_summary_and_a_row_in_the_document(name):
    assert FORMATS.summary(name).endswith(".")
    assert f"| `{name}` |" in DOCUMENT


def test_no_suffix_is_of_two_formats():
    suffixes = [suffix for _, kind in FORMATS.items() for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
