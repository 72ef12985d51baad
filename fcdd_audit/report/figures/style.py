"""The house style of figures: settings, colours, and how one becomes inline SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from fcdd_audit.core.text import one_line

# Each colour has one meaning, and a contrast of at least 3:1 to the light and to the dark page.
INK = "#010203"  # stands for the page's text colour until the SVG is written
TWINS = {"planted": "#c2530a", "control": "#2a78b8"}
LIMIT = "#a8569b"
ANSWERS = {"relies": "#8a6d00", "does-not-rely": "#0f7f6b", "inconclusive": "#6f6f6f"}
SERIES = (
    "#757575",
    "#4f8a10",
    "#5b6fd0",
    "#8b6b2e",
    "#c0398a",
    "#00836f",
)  # of what has no colour of its own
ON_COLOUR = "#ffffff"  # text in bars of ANSWERS, at least 4.5:1

WIDE, NARROW = 7.2, 3.4  # inches
SIZE = 9  # of text, in points
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fcdd-audit",
    "font.family": "sans-serif",
    "font.size": SIZE,
    "text.color": INK,
    "text.parse_math": False,  # a name may have dollar signs
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.prop_cycle": cycler(color=SERIES),
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def own_settings() -> Iterator[None]:
    """Inside it figures follow Matplotlib's defaults and STYLE; then the user's settings are as before."""
    defaults = mpl.rcParamsDefault
    with mpl.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)  # of defaults that will go
            # The backend draws no SVG, and rc_context wouldn't set it back.
            mpl.rcParams.update({key: defaults[key] for key in defaults if key != "backend"})
        mpl.rcParams.update(STYLE)
        yield


def to_svg(figure: Figure, prefix: str, title: str, description: str) -> str:
    """An <svg> element with an accessible title and description, whose ink is `currentColor`.

    prefix: ids start with it; what can't stand in an id is written as its code.
    """
    prefix = re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", prefix)
    svg = _drawn(figure)
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=\bd=")[^"]+', lambda found: _shorter(found[0]), svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(xlink:href|href)="#', rf'\1="#{prefix}-', svg)
    svg = svg.replace("url(#", f"url(#{prefix}-")
    named = (
        f'role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
        f'<title id="{prefix}-title">{escape(one_line(title))}</title>'
        f'<desc id="{prefix}-desc">{escape(one_line(description))}</desc>'
    )
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        lambda found: f'<svg viewBox="{found[1]}" {named}',
        svg,
        count=1,
    )


def _drawn(figure: Figure) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The page's own fonts draw the text.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return buffer.getvalue()


def _shorter(path: str) -> str:
    """A path to a hundredth of a point; a line to the same point, which is a dot, in short."""
    return re.sub(r"M (\S+) (\S+)\s+L \1 \2(?!\S)\s*", r"M\1 \2h0", re.sub(r"(\.\d\d)\d+", r"\1", path))
