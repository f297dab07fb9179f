"""Error-log messages → one row per 10-second window and server.

As with `streaming.windows.requests`, messages may be counted in parts, in any order and in several
processes; `merged` of the parts is the same as all messages counted at once.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from streaming.contracts import frames, names
from streaming.windows.grouping import FLEET, WINDOW, window_start

MAX_PATTERNS: Final = 100
"""Most patterns of a category."""

MAX_TEXT: Final = 500
"""Characters of a pattern and of its sample."""

EVALUATED: Final = names.SEVERITIES[names.SEVERITIES.index("warn") :]
"""Notices and below tell of the life of nginx, not of trouble."""

_CATEGORY: Final = (*WINDOW, "category")
_MESSAGE: Final = (*_CATEGORY, "pattern_id")
_ADDED: Final = (pl.sum("events"), pl.max("severity"), pl.min("pattern", "sample"))


def error_profiles(error_logs: pl.DataFrame, *, fleet: bool = True) -> pl.DataFrame:
    """Aggregate messages into `frames.ERROR_PROFILES`, in ascending order of time and server.

    Needs the columns `projections.PROFILED_ERRORS`. `categories` are in the order of their names,
    `patterns` in that of their categories, and of each the severest and most frequent come first.
    With `fleet` there is one more row per window for all servers together, named `names.FLEET`.
    """
    return profiles_of(messages_of(error_logs), fleet=fleet)


def messages_of(error_logs: pl.DataFrame) -> pl.DataFrame:
    """Count messages by pattern.

    Columns: window_start, server_address, category, pattern_id | events, the highest severity, the
    first of the patterns and of the messages.
    """
    messages = error_logs.filter(pl.col("severity").is_in(EVALUATED)).select(
        window_start("event_time"),
        "server_address",
        pl.col("category").fill_null("other"),
        pl.col("pattern_id").fill_null(""),
        pl.lit(1, pl.UInt32).alias("events"),
        pl.col("severity").cast(pl.Enum(names.SEVERITIES)),
        pl.col("pattern").str.head(MAX_TEXT),
        pl.col("message").str.head(MAX_TEXT).alias("sample"),
    )
    return messages.group_by(_MESSAGE).agg(_ADDED)


def merged(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up at least one part."""
    return pl.concat(parts).group_by(_MESSAGE).agg(_ADDED)


def profiles_of(messages: pl.DataFrame, *, fleet: bool = True) -> pl.DataFrame:
    """Aggregate counted messages as `error_profiles` does messages."""
    if fleet:
        messages = pl.concat([messages, merged([messages.with_columns(FLEET)])])
    severest = ("severity", "events", "pattern_id")
    entry = pl.struct("pattern_id", "severity", "category", "events", "pattern", "sample")
    patterns = (
        messages.sort(*_CATEGORY, *severest, descending=[False] * 3 + [True] * 3)
        .group_by(_CATEGORY, maintain_order=True)
        .head(MAX_PATTERNS)
        .group_by(WINDOW)
        .agg(entry.alias("patterns"))
    )
    return (
        messages.group_by(_CATEGORY)
        .agg(pl.sum("events"))
        .sort(_CATEGORY)
        .group_by(WINDOW, maintain_order=True)
        .agg(pl.sum("events"), pl.struct("category", "events").alias("categories"))
        .join(patterns, on=WINDOW, maintain_order="left")
        .with_columns(pl.col("window_start").dt.date().alias("event_date"))
        .select(pl.col(name).cast(kind) for name, kind in frames.ERROR_PROFILES.items())
    )
