"""Text from outside in lines and Markdown."""

from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.text import one_line
from fcdd_audit.gate.outside import LONGEST, MARKUP, markdown


def test_what_breaks_lines_or_can_not_be_shown_is_gone():
    assert one_line(" a\nb\r\n\tc\x00\x1b[31m\x85d\u2028e\ud800\uffff ") == "a b c[31m d e"
    assert one_line("a \x00 b\x00") == "a b"
    assert one_line("日本 é 🙂 – ") == "日本 é 🙂 –"


def test_a_sign_of_markdown_is_text():
    assert markdown("a|b") == "a&#124;b"
    assert markdown("<img> `x` *y*") == "&#60;img&#62; &#96;x&#96; &#42;y&#42;"
    assert markdown("plain-name.png (1)") == "plain-name.png (1)"


def test_long_text_is_cut():
    assert markdown("x" * LONGEST) == "x" * LONGEST
    assert markdown("x" * (LONGEST + 1)) == "x" * LONGEST + "…"


@given(st.text(st.characters(), max_size=LONGEST))
def test_any_text_is_one_line_and_reads_as_it_was(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
    line.encode()
    shown = markdown(text)
    assert not MARKUP.search(shown.replace("&#", ""))
    assert unescape(shown) == line
