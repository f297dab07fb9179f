"""What the parsers of access and error lines share: framing, cleaning, identity, verdicts."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.spark import schemas

RAW_BYTES: Final = 8192
"""How much of a rejected line is kept."""

VERDICT: Final = ("reason", "raw", "topic", "line_bytes")
"""What both parsers add to the columns of their table: why a line is rejected, null for one that
is accepted, its start, where it came from, and its length without the line feed."""

_INVISIBLE: Final = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
"""C0, C1, line separators and bidirectional controls: what can forge a terminal or a page."""

_PLAIN: Final = r"^(?!-?$)[ -~]+\z"
"""A text that needs no cleaning; one range is ten times as fast to look for as the classes."""

_MAX_EPOCH_SECONDS: Final = 253_402_300_799


def text_of(value: Column) -> Column:
    """Return a record's bytes as valid UTF-8, trimmed; null when oversized.

    Each invalid byte becomes U+FFFD, so that it hides nothing.
    """
    return F.trim(F.make_valid_utf8(unchecked_text_of(value)))


def unchecked_text_of(value: Column) -> Column:
    """Return a record's bytes as text that may be invalid; null when oversized."""
    return F.when(F.octet_length(value) <= names.MAX_LINE_BYTES, value.cast("string"))


def raw_of(value: Column) -> Column:
    """Return the first `RAW_BYTES` of a record that has a reason, as valid UTF-8, or null."""
    start = F.make_valid_utf8(F.substring(value, 1, RAW_BYTES).cast("string"))
    return F.when(F.col("reason").isNotNull(), start)


def clean(column: Column, length: int) -> Column:
    """Return a text without invisible characters, at most `length` long; null for '' and '-'.

    Give it a bare column: an expression would be evaluated once for each of its uses in here.
    """
    visible = F.regexp_replace(column, _INVISIBLE, "")
    # All of at most one, since there is none of no match: nullif would repeat what it looks at.
    filled = F.regexp_extract_all(visible, F.lit(f"(?s)^(?!-?$).{{1,{length}}}"), F.lit(0))
    # Plain and short is nearly every text, and a substring would count its characters. One that is
    # plain and long is only cut: to look through it too, a line of 6 kB took a millisecond.
    cut = F.when(F.octet_length(column) <= length, column).otherwise(column.substr(1, length))
    return F.when(column.rlike(_PLAIN), cut).otherwise(F.get(filled, F.lit(0)))


def epoch_time(seconds: Column) -> Column:
    """Return the timestamp of epoch seconds written as text, to the microsecond, or null."""
    number = seconds.try_cast("double")
    # F.round would make a BigDecimal of each.
    micros = F.when(number.between(0, _MAX_EPOCH_SECONDS), F.floor(number * 1_000_000 + 0.5))
    return F.timestamp_micros(micros)


def line_id() -> Column:
    """Return the identity of a record: a hash of server, file, byte offset and line.

    Where there is no byte offset, the place in the topic stands in for it.
    """
    place = F.coalesce(
        F.col("byte_offset").cast("string"),
        F.concat_ws("/", F.col("kafka_partition"), F.col("kafka_offset")),
    )
    line = F.col("value").cast("string")
    return F.md5(F.concat_ws("\x1f", F.col("server_address"), F.col("log_file"), place, line))


def time_reason(event_time: Column, history_days: int | None) -> Column:
    """Return why an event time is refused, or null.

    It must lie in [ingested_at − `history_days`, ingested_at + `names.FUTURE_SECONDS`].
    """
    reason = F.when(event_time.isNull(), "invalid_time")
    if history_days is None:
        return reason
    oldest, youngest = history_days * 86_400_000_000, -names.FUTURE_SECONDS * 1_000_000
    in_range = delay_micros(event_time).between(youngest, oldest)
    return reason.when(~in_range, "time_out_of_range")


def delay_micros(event_time: Column) -> Column:
    """Return how long after its event time a line was ingested, in microseconds.

    A number, since to add an interval to a timestamp makes four objects of java.time.
    """
    return F.unix_micros("ingested_at") - F.unix_micros(event_time)


def accepted(parsed: DataFrame) -> DataFrame:
    """Return the rows without a reason, in the columns of their table."""
    table = schemas.ERROR_LOGS if "severity" in parsed.columns else schemas.ACCESS_LOGS
    return parsed.where(F.col("reason").isNull()).select(*table.names)


def rejected(parsed: DataFrame) -> DataFrame:
    """Return the rows with a reason, in the columns of `schemas.REJECTED_LINES`."""
    return parsed.where(F.col("reason").isNotNull()).select(*schemas.REJECTED_LINES.names)
