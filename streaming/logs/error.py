"""Error-log lines of nginx to rows.

What a client can put into a line never decides what the line says about another client: of several
tails the one that nginx itself wrote is taken, and quoted text sets neither category nor pattern.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from streaming.contracts import frames, names, projections
from streaming.logs.cleaning import clean
from streaming.logs.error_context import split_context
from streaming.logs.error_patterns import classified
from streaming.logs.error_stitching import CONNECTION, HEAD, NGX_MAX_ERROR_STR, stitch
from streaming.logs.records import line_id, raw_of, time_reason, with_text

__all__ = ["parse_errors", "stitch"]

MAX_MESSAGE: Final = 4096
MAX_FIELD: Final = 2048
MAX_HOST: Final = 255
"""Characters that are kept of a message, of request, upstream and referrer, of a host name."""

_HEAD: Final = rf"(?P<head>{HEAD}(?:{CONNECTION})?)"
_LOOKS_DATED: Final = r"^[0-9]{4}/[0-9]{2}/[0-9]{2} "
_CLIENT: Final = r"^(?:[0-9A-Fa-f.:%]{2,64}|unix:)$"


def parse_errors(
    records: pl.DataFrame, *, time_zones: Mapping[str, str], history_days: int | None
) -> pl.DataFrame:
    """Parse records (`frames.RECORD`) into `frames.ERROR_LOGS` and `projections.VERDICT`.

    `reason` is null for a record that is accepted, else one of `names.REJECT_REASONS`. The times
    of a server are in the zone `time_zones[server]`, else `time_zones["*"]`, else UTC, and must
    lie in [ingested_at − `history_days`, ingested_at + 60 s]; None leaves them unchecked.
    `event_id` is that of a record's first line, however many others `stitch` joined to it.

    Raises `zoneinfo.ZoneInfoNotFoundError` for a zone that does not exist.
    """
    lines = _cut(records)
    timed = lines.with_columns(
        _event_times(lines["written"], lines["server_address"], time_zones).alias("event_time")
    )
    checked = timed.with_columns(_reason(history_days).alias("reason"))
    return _detailed(checked).select(*frames.ERROR_LOGS, *projections.VERDICT)


def _cut(records: pl.DataFrame) -> pl.DataFrame:
    """Add the parts of the head of each record and `body`, the text after it; null if no record."""
    whole = with_text(records).with_columns(pl.col("text").str.replace_all(r"[\n\r\t]", " "))
    parts = whole.with_columns(pl.col("text").str.extract_groups(_HEAD).alias("parts"))
    number = pl.col("process_pid", "thread_id", "connection_id").cast(pl.Int64)
    # The head is ASCII: it has as many characters as bytes.
    body = pl.col("text").str.slice(pl.col("head").str.len_bytes())
    level = pl.col("level")
    return parts.unnest("parts").with_columns(
        number,
        pl.when(level.is_in(names.SEVERITIES)).then(level).alias("severity"),
        pl.when(pl.col("head").is_not_null()).then(body).alias("body"),
    )


def _event_times(
    written: pl.Series, servers: pl.Series, time_zones: Mapping[str, str]
) -> pl.Series:
    """Return local times as UTC; null for one that is none.

    Of a local time that occurs twice, when clocks go back, the first is meant. One that never
    occurs, when they go forward, is read by the offset before. So do Java and PEP 495 (fold=0).
    """
    default = time_zones.get("*", "UTC")

    @cache
    def micros(time: str | None, server: str | None) -> int | None:
        if time is None:
            return None
        zone = ZoneInfo(default if server is None else time_zones.get(server, default))
        try:
            local = datetime.fromisoformat(time.replace("/", "-")).replace(tzinfo=zone)
            return int(local.astimezone(UTC).timestamp()) * 1_000_000
        except (ValueError, OverflowError):
            return None

    times = [micros(*one) for one in zip(written.to_list(), servers.to_list(), strict=True)]
    return pl.Series(times, dtype=pl.Int64).cast(frames.ERROR_LOGS["event_time"])


def _reason(history_days: int | None) -> pl.Expr:
    text, size = pl.col("text"), pl.col("value").bin.size()
    unread = (
        pl.when(~pl.col("is_utf8"))
        .then(pl.lit("invalid_utf8"))
        .when(text.str.contains(_LOOKS_DATED))
        .then(pl.lit("unknown_format"))
        .otherwise(pl.lit("continuation"))
    )
    return (
        pl.when((size.fill_null(0) == 0) | (text == ""))
        .then(pl.lit("empty"))
        .when(text.is_null())
        .then(pl.lit("oversized"))
        .when(pl.col("head").is_null())
        .then(unread)
        .when(pl.col("severity").is_null())
        .then(pl.lit("unknown_format"))
        .when(pl.col("server_address").is_null())
        .then(pl.lit("missing_field"))
        .otherwise(time_reason(pl.col("event_time"), history_days))
    )


def _detailed(checked: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that say what a record is about."""
    tailed = pl.concat([checked, split_context(checked["body"])], how="horizontal")
    size = pl.col("value").bin.size()
    # nginx cuts a record at its limit, in the middle of an address if need be.
    is_cut = (size == NGX_MAX_ERROR_STR - 1) & ~pl.col("tail").str.contains(",", literal=True)
    client = pl.col("client")
    detailed = tailed.with_columns(
        clean(pl.col("said"), MAX_MESSAGE).alias("message"),
        pl.col("event_time").dt.date().alias("event_date"),
        pl.when(client.str.contains(_CLIENT) & ~is_cut).then(client).alias("client_address"),
        clean(pl.col("server"), MAX_HOST).alias("server_name"),
        clean(pl.col("request"), MAX_FIELD),
        clean(pl.col("upstream"), MAX_FIELD),
        clean(pl.col("host"), MAX_HOST),
        clean(pl.col("referrer"), MAX_FIELD),
        raw_of().alias("raw"),
        size.cast(pl.Int64).alias("line_bytes"),
        _first_lines(checked["value"]),
    )
    of_pattern = classified(detailed["message"])
    whole = pl.concat([detailed, of_pattern], how="horizontal")
    return whole.with_columns(line_id().alias("event_id"))


def _first_lines(values: pl.Series) -> pl.Series:
    r"""Return the part of each value before its first `\n`: a replay may be cut elsewhere."""
    if not values.bin.contains(b"\n").any():
        return values
    firsts = [value and value.partition(b"\n")[0] for value in values.to_list()]
    return pl.Series(values.name, firsts, dtype=pl.Binary)
