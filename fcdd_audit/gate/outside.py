"""Text from outside, such as the names of folders and classes, made safe for a line, XML and Markdown."""

from __future__ import annotations

import re

from fcdd_audit.core.text import one_line

MARKUP = re.compile(r"[&<>|`*_~\[\]\\$]")
LONGEST = 300  # of one text in Markdown


def markdown(text: str) -> str:
    """The text as it is read, in a line or a table's cell of Markdown: no sign of it is markup."""
    line = one_line(text)
    if len(line) > LONGEST:
        line = f"{line[:LONGEST]}…"
    return MARKUP.sub(lambda sign: f"&#{ord(sign.group())};", line)
