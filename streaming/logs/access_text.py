"""Text lines in `combined` and `common`, with or without a leading virtual host."""

from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

_TAIL: Final = r"^ \d{3} (?:\d+|-)(?:\s|$)"
_RAW_QUOTES: Final = r'(?s)^([^"]*)"(.*?)"( \d{3} (?:\d+|-)(?:\s.*)?)$'
_ADDRESS: Final = r"^(?:[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|unix:)$"


def quoted_parts(line: Column) -> Column:
    r"""Return a line cut at its quotes: head, request, status and size, referrer, ' ', agent.

    nginx writes a quote inside a field as `\x22`, Apache as `\"`, which becomes the former.
    A raw one, which only `escape=none` lets through, must not hide the request: the first
    `" 200 5` ends it then.
    """
    backslashes = F.replace(line, F.lit("\\\\"), F.lit(r"\x5C"))
    hidden = F.replace(backslashes, F.lit('\\"'), F.lit(r"\x22"))
    parts = F.split(F.when(line.contains("\\"), hidden).otherwise(line), '"')
    raw = F.array(*[F.regexp_extract(line, _RAW_QUOTES, group) for group in (1, 2, 3)])
    return F.when(F.get(parts, F.lit(2)).rlike(_TAIL), parts).otherwise(raw)


def client_and_host(head: Column) -> tuple[Column, Column]:
    """Return client address and virtual host from what precedes the request.

    nginx writes `-` second, so an address there means that a virtual host leads the line;
    nothing in a user name, which may hold spaces, can shift these.
    """
    words = F.split(head, " ", 3)
    first, second = F.get(words, F.lit(0)), F.get(words, F.lit(1))
    led = second.rlike(_ADDRESS)
    return F.when(led, second).otherwise(first), F.when(led, first)


def time_local(head: Column) -> Column:
    """Return the text of the last `[…]`: a user name before it may hold brackets."""
    return F.when(head.contains("["), F.substring(F.substring_index(head, "[", -1), 1, 26))
