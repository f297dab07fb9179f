"""Error-log lines of nginx to rows.

What a client can put into a line never decides what the line says about another client: of several
tails the one that nginx itself wrote is taken, and quoted text sets neither category nor pattern.
"""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.logs.error_context import split_tail
from streaming.logs.error_patterns import error_category, error_pattern, pattern_id
from streaming.logs.error_stitching import HEAD, NGX_MAX_ERROR_STR, stitch
from streaming.logs.records import VERDICT, clean, line_id, raw_of, text_of, time_reason
from streaming.spark import schemas

__all__ = ["parse_errors", "stitch"]

MAX_MESSAGE: Final = 4096
MAX_FIELD: Final = 2048
MAX_HOST: Final = 255
"""Characters that are kept of a message, of request, upstream and referrer, of a host name."""

_LOOKS_DATED: Final = r"^\d{4}/\d\d/\d\d "
_CLIENT: Final = r"^(?:[0-9A-Fa-f.:%]{2,64}|unix:)\z"


def parse_errors(
    records: DataFrame, *, time_zones: dict[str, str], history_days: int | None
) -> DataFrame:
    """Parse records (`schemas.RECORD`) into `schemas.ERROR_LOGS` and `lines.VERDICT`.

    `reason` is null for a record that is accepted, else one of `names.REJECT_REASONS`. The times
    of a server are in the zone `time_zones[server]`, else `time_zones["*"]`, and must lie in
    [ingested_at − `history_days`, ingested_at + 60 s]; None leaves them unchecked. `event_id` is
    that of a record's first line, however many others `stitch` joined to it.
    """
    timed = _timed(_cut(records), time_zones).withColumn("reason", _reason(history_days))
    return _detailed(timed).select(*schemas.ERROR_LOGS.names, *VERDICT)


def _cut(records: DataFrame) -> DataFrame:
    """Add the words that start each record and the text after them."""
    head = F.split("text", " ", 5)
    text = F.translate(text_of(F.col("value")), "\n\r\t", "   ")
    lines = records.withColumn("text", text).withColumn("is_record", F.col("text").rlike(HEAD))
    words = lines.withColumn("words", F.when(F.col("is_record"), head))
    rest, connection = F.get("words", F.lit(4)), F.substring_index("rest", " ", 1)
    return words.withColumn("rest", rest).withColumn(
        "connection_id",
        F.when(F.col("rest").rlike(r"^\*\d+ "), F.substring(connection, 2, 20).try_cast("bigint")),
    )


def _timed(lines: DataFrame, time_zones: dict[str, str]) -> DataFrame:
    date, clock, level, process = (F.get("words", F.lit(place)) for place in range(4))
    written = F.try_to_timestamp(F.concat_ws(" ", date, clock), F.lit("yyyy/MM/dd HH:mm:ss"))
    severity = F.translate(level, "[]", "")
    return lines.withColumns(
        {
            "event_time": F.to_utc_timestamp(
                F.when(F.col("is_record"), written), _zone(time_zones)
            ),
            "severity": F.when(severity.isin(*names.SEVERITIES), severity),
            "process_pid": F.substring_index(process, "#", 1).try_cast("bigint"),
            "thread_id": F.rtrim(F.substring_index(process, "#", -1), F.lit(":")).try_cast(
                "bigint"
            ),
        }
    )


def _zone(time_zones: dict[str, str]) -> Column:
    zone = F.lit(time_zones.get("*", "UTC"))
    for server, name in time_zones.items():
        zone = F.when(F.col("server_address") == server, name).otherwise(zone)
    return zone


def _reason(history_days: int | None) -> Column:
    text, value = F.col("text"), F.col("value")
    unread = F.when(text.rlike(_LOOKS_DATED), "unknown_format").otherwise("continuation")
    return (
        F.when(F.coalesce(F.octet_length(value), F.lit(0)) == 0, "empty")
        .when(text.isNull(), "oversized")
        .when(text == "", "empty")
        .when(
            ~F.col("is_record"),
            F.when(F.is_valid_utf8(value.cast("string")), unread).otherwise("invalid_utf8"),
        )
        .when(F.col("severity").isNull(), "unknown_format")
        .when(F.col("server_address").isNull(), "missing_field")
        .otherwise(time_reason(F.col("event_time"), history_days))
    )


def _detailed(timed: DataFrame) -> DataFrame:
    """Add what only an accepted record has."""
    prefix = F.when(
        F.col("connection_id").isNotNull(), F.length(F.substring_index("rest", " ", 1)) + 2
    )
    body = F.col("rest").substr(F.coalesce(prefix, F.lit(1)), F.lit(1 << 20))
    tailed = split_tail(timed.withColumn("body", body))
    # nginx cuts a record at its limit, in the middle of an address if need be.
    full = F.octet_length("value") == NGX_MAX_ERROR_STR - 1
    cut = full & ~F.col("tail").contains(",")
    return (
        tailed.withColumns(
            {
                "message": clean(F.col("said"), MAX_MESSAGE),
                "event_date": F.to_date("event_time"),
                "client_address": F.when(F.col("client").rlike(_CLIENT) & ~cut, F.col("client")),
                "server_name": clean(F.col("server"), MAX_HOST),
                "request": clean(F.col("request"), MAX_FIELD),
                "upstream": clean(F.col("upstream"), MAX_FIELD),
                "host": clean(F.col("host"), MAX_HOST),
                "referrer": clean(F.col("referrer"), MAX_FIELD),
                "raw": raw_of(F.col("value")),
                "line_bytes": F.octet_length("value"),
            }
        )
        .withColumns(
            {
                "pattern": error_pattern(F.col("message")),
                "category": error_category(F.col("message")),
                # The identity of the first line: a replay may be cut elsewhere.
                "value": F.substring_index(F.col("value").cast("string"), "\n", 1).cast("binary"),
            }
        )
        .withColumns({"pattern_id": pattern_id(F.col("pattern")), "event_id": line_id()})
    )
