"""What is kept of a text that a client sent."""

from typing import Final

import polars as pl

_INVISIBLE: Final = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
"""C0, C1, line separators and bidirectional controls: what can forge a terminal or a page."""

_PLAIN: Final = r"^(?:[ -,.-~]|-[ -~])[ -~]*$"
"""Printable ASCII but a dash alone: nothing to remove, nothing to leave out."""

_FILLED: Final = r"(?s)^([^-]|..+)$"


def clean(text: pl.Expr, length: int) -> pl.Expr:
    """Return a text without invisible characters, at most `length` long; null for '' and '-'."""
    start = text.str.head(length)
    is_plain = start.str.contains(_PLAIN)
    # Null where the text is plain, which is nearly everywhere: a null costs nothing.
    other = pl.when(~is_plain).then(text)
    visible = other.str.replace_all(_INVISIBLE, "").str.head(length)
    return pl.when(is_plain).then(start).otherwise(visible.str.extract(_FILLED))
