"""What the parsers of access and error lines share: text of a record, identity, verdicts."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import polars as pl

from streaming.contracts import frames, names

RAW_BYTES: Final = 8192
"""How much of a rejected line is kept."""

_ID_SEPARATOR: Final = "\x1f"


def with_text(records: pl.DataFrame) -> pl.DataFrame:
    """Add `text` and `is_utf8` to records (`frames.RECORD`).

    `text` is the value as valid UTF-8 without blanks around it, null when the value is null or
    longer than `names.MAX_LINE_BYTES`. Each invalid byte becomes U+FFFD, so that it hides nothing.
    `is_utf8` says whether there were none.
    """
    value = pl.col("value")
    sized = records.select(
        pl.when(value.bin.size() <= names.MAX_LINE_BYTES).then(value).alias("value")
    )
    text = decoded(sized["value"])
    return records.with_columns(
        text.str.strip_chars(" ").alias("text"),
        text.cast(pl.Binary).eq_missing(sized["value"]).alias("is_utf8"),
    )


def decoded(values: pl.Series) -> pl.Series:
    """Return bytes as valid UTF-8; each byte that is invalid becomes U+FFFD."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts = [None if v is None else v.decode("utf-8", "replace") for v in values.to_list()]
        return pl.Series(values.name, texts, dtype=pl.String)


def raw_of() -> pl.Expr:
    """Return the first `RAW_BYTES` of a `value` that has a `reason`, as valid UTF-8, or null."""
    start = pl.col("value").bin.slice(0, RAW_BYTES)
    refused = pl.when(pl.col("reason").is_not_null()).then(start)
    return refused.map_batches(decoded, return_dtype=pl.String, is_elementwise=True)


def line_id(*, needed: pl.Expr | None = None) -> pl.Expr:
    """Return the identity of a record: a hash of server, file, byte offset and `value`.

    Where there is no byte offset, the place in the topic stands in for it. Rows that are not
    `needed` get null. Reads `value`, `server_address`, `log_file`, `byte_offset`,
    `kafka_partition` and `kafka_offset`.
    """
    in_topic = pl.concat_str("kafka_partition", "kafka_offset", separator="/", ignore_nulls=True)
    place = pl.coalesce(pl.col("byte_offset").cast(pl.String), in_topic)
    origin = pl.concat_str(
        "server_address", "log_file", place, separator=_ID_SEPARATOR, ignore_nulls=True
    )
    wanted = origin if needed is None else pl.when(needed).then(origin)
    parts = pl.struct(wanted.alias("origin"), pl.col("value"))
    return parts.map_batches(_hashed, return_dtype=pl.String, is_elementwise=True)


def _hashed(parts: pl.Series) -> pl.Series:
    origin = parts.struct.field("origin")
    if origin.null_count() == len(origin):
        return pl.Series(dtype=pl.String).extend_constant(None, len(origin))
    separator, md5 = _ID_SEPARATOR.encode(), hashlib.md5
    hashes = [
        None
        if start is None
        else md5(
            start if value is None else start + separator + value, usedforsecurity=False
        ).hexdigest()
        for start, value in zip(
            origin.cast(pl.Binary).to_list(), parts.struct.field("value").to_list(), strict=True
        )
    ]
    return pl.Series(hashes, dtype=pl.String)


def time_reason(event_time: pl.Expr, history_days: int | None) -> pl.Expr:
    """Return why an event time is refused, or null.

    It must lie in [`ingested_at` − `history_days`, `ingested_at` + `names.FUTURE_SECONDS`].
    """
    invalid = pl.when(event_time.is_null()).then(pl.lit("invalid_time"))
    if history_days is None:
        return invalid
    ingested = pl.col("ingested_at")
    oldest = ingested - timedelta(days=history_days)
    youngest = ingested + timedelta(seconds=names.FUTURE_SECONDS)
    return invalid.when(~event_time.is_between(oldest, youngest)).then(pl.lit("time_out_of_range"))


def accepted(parsed: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Return the rows without a reason, in the columns of their table."""
    return parsed.filter(pl.col("reason").is_null()).select(*columns)


def rejected(parsed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a reason, in the columns of `frames.REJECTED_LINES`."""
    return parsed.filter(pl.col("reason").is_not_null()).select(*frames.REJECTED_LINES)
