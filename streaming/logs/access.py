"""Access-log lines of nginx to rows: JSON, `combined` and `common`.

No byte that a client controls decides whether his request is counted: what he can forge is
cleaned, cut and kept. Only what nginx itself writes (time, status, address) can reject a line.
"""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from streaming.logs.access_text import client_and_host, quoted_parts, time_local
from streaming.logs.records import (
    VERDICT,
    clean,
    epoch_time,
    line_id,
    raw_of,
    time_reason,
    unchecked_text_of,
)
from streaming.logs.routes import http_route
from streaming.spark import schemas

NARROW: Final = (
    "event_time",
    "server_address",
    "client_address",
    "http_response_status_code",
    "http_response_body_size",
    "http_server_request_duration",
)
"""The columns that live metrics need, in the order of `schemas.ACCESS_LOGS`."""

_NARROW_KEYS: Final = (
    "msec",
    "time_iso8601",
    "time_local",
    "hostname",
    "server",
    "remote_addr",
    "status",
    "body_bytes_sent",
    "request_time",
)
_DETAIL_KEYS: Final = (
    "request_id",
    "request_method",
    "request_uri",
    "server_protocol",
    "request",
    "upstream_response_time",
    "http_referer",
    "http_user_agent",
    "http_host",
    "scheme",
    "request_length",
)
_JSON_OPTIONS: Final = {
    # nginx writes a missing status as 000 or 009, and a client can bring that about.
    "allowNumericLeadingZeros": "true",
    # Without escape=json a quote in a user agent is \x22, which is no JSON escape.
    "allowBackslashEscapingAnyCharacter": "true",
    "allowUnquotedControlChars": "true",
}
# \z, since $ also lets a line feed pass at the end.
_CLIENT: Final = r"^[0-9A-Za-z.:_%-]{1,64}\z"
_REQUEST_ID: Final = r"^[0-9A-Fa-f-]{16,64}\z"
_METHOD: Final = r"^[A-Z][A-Z_-]{0,31}\z"
_ORIGIN_OF_URL: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*"
_MAX_SECONDS: Final = 1e9

MAX_PATH: Final = 2048
MAX_AGENT: Final = 1024
MAX_HOST: Final = 255
"""Characters that are kept of path, query and referrer, of a user agent, of a host name."""


def parse_access(records: DataFrame, *, history_days: int | None, detail: bool = True) -> DataFrame:
    """Parse records (`schemas.RECORD`) into `schemas.ACCESS_LOGS` and `lines.VERDICT`.

    `reason` is null for a line that is accepted, else one of `names.REJECT_REASONS`. Times must
    lie in [ingested_at − `history_days`, ingested_at + 60 s]; None leaves them unchecked.
    Without `detail` there are only the `NARROW` columns, and reason, at a fifth less.
    """
    keys = _NARROW_KEYS + (_DETAIL_KEYS if detail else ())
    fields = _fields(records, keys)
    common = _common(fields, history_days)
    if not detail:
        return common.select(*NARROW, "reason")
    return _detailed(common).select(*schemas.ACCESS_LOGS.names, *VERDICT)


def _fields(records: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """Add one text column per key from either format, `is_json` and `text`.

    Spark does not compile `from_json` with what is around it. Both formats end in one struct there,
    and what follows has one place to read from. With a choice for each key it was a method of 13 kB
    that the JVM's first compiler refuses: it was interpreted for the first 100,000 lines.
    """
    text, is_json = F.col("text"), F.col("is_json")
    schema = T.StructType([T.StructField(key, T.StringType()) for key in keys])
    of_text = _of_text()
    nothing = F.lit(None).cast("string")
    line = F.when(is_json, F.from_json(text, schema, _JSON_OPTIONS)).otherwise(
        F.struct(*(of_text.get(key, nothing).alias(key) for key in keys))
    )
    lines = records.withColumn("text", F.trim(unchecked_text_of(F.col("value"))))
    return (
        lines.withColumn("is_json", text.startswith("{"))
        .withColumn("parts", F.when(~is_json, quoted_parts(F.make_valid_utf8(text))))
        .withColumn("line", line)
        .withColumns({key: F.col(f"line.{key}") for key in keys})
    )


def _of_text() -> dict[str, Column]:
    """Return the values of a `combined` or `common` line, whose `parts` lie between its quotes."""
    head, tail = F.get("parts", F.lit(0)), F.split(F.get("parts", F.lit(2)), " ")
    client, host = client_and_host(head)
    return {
        "time_local": time_local(head),
        "remote_addr": client,
        "status": F.get(tail, F.lit(1)),
        "body_bytes_sent": F.get(tail, F.lit(2)),
        "request": F.get("parts", F.lit(1)),
        "http_referer": F.get("parts", F.lit(3)),
        "http_user_agent": F.get("parts", F.lit(5)),
        "http_host": host,
    }


def _common(fields: DataFrame, history_days: int | None) -> DataFrame:
    """Add the narrow columns and the verdict."""
    logged = F.coalesce(
        epoch_time(F.col("msec")),
        F.when(F.length("time_iso8601") >= 19, F.col("time_iso8601").try_cast("timestamp")),
        F.try_to_timestamp("time_local", F.lit("dd/MMM/yyyy:HH:mm:ss Z")),
    )
    size = F.col("body_bytes_sent").try_cast("bigint")
    named = fields.withColumn("hostname", F.coalesce(_filled("hostname"), "server"))
    timed = named.withColumns(
        {
            "event_time": logged,
            "server_address": F.coalesce("server_address", clean(F.col("hostname"), MAX_HOST)),
            "client_address": F.when(F.col("remote_addr").rlike(_CLIENT), F.col("remote_addr")),
            "http_response_status_code": F.col("status").try_cast("int"),
            "http_response_body_size": F.when(size >= 0, size),
            "http_server_request_duration": _seconds(F.col("request_time")),
        }
    )
    return timed.withColumn("reason", _reason(history_days))


def _reason(history_days: int | None) -> Column:
    text, is_json, status = F.col("text"), F.col("is_json"), F.col("http_response_status_code")
    keys = ("msec", "time_iso8601", "time_local", "status", "remote_addr")
    unread = F.coalesce(*keys).isNull() & F.get_json_object(text, "$").isNull()
    broken = F.when(is_json, unread).otherwise(F.coalesce("status", F.lit("")) == "")
    kind = F.when(is_json, "invalid_json").otherwise("unknown_format")
    timeless = F.coalesce("msec", "time_iso8601", "time_local").isNull()
    missing = timeless | F.col("status").isNull() | F.col("remote_addr").isNull()
    return (
        F.when(F.coalesce(F.octet_length("value"), F.lit(0)) == 0, "empty")
        .when(text.isNull(), "oversized")
        .when(text == "", "empty")
        .when(
            broken,
            F.when(F.is_valid_utf8(F.col("value").cast("string")), kind).otherwise("invalid_utf8"),
        )
        .when(missing | F.col("server_address").isNull(), "missing_field")
        .otherwise(
            F.coalesce(
                time_reason(F.col("event_time"), history_days),
                F.when(~F.coalesce(status.between(0, 999), F.lit(False)), "invalid_status"),
                F.when(F.col("client_address").isNull(), "invalid_client"),
            )
        )
    )


def _detailed(common: DataFrame) -> DataFrame:
    """Add the columns that only the lake keeps."""
    verb, target, protocol = _request_line()
    # The three say it of nearly every line without a pattern, which takes half a microsecond.
    method = F.col("verb").isin("GET", "POST", "HEAD") | F.col("verb").rlike(_METHOD)
    well_formed = method & (F.col("protocol").isNotNull() | F.col("target").startswith("/"))
    path = F.when(F.col("well_formed"), F.substring_index("target", "?", 1))
    requested = (
        common.withColumns({"verb": verb, "target": target, "protocol": protocol})
        .withColumn("well_formed", well_formed)
        .withColumns({"path": path.otherwise(F.col("request")), "query": _query()})
    )
    return requested.withColumns(
        {
            "identified": F.coalesce(F.col("request_id").rlike(_REQUEST_ID), F.lit(False)),
            "http_request_method": F.when(F.col("well_formed"), F.col("verb")),
            "url_path": clean(F.col("path"), MAX_PATH),
            "url_query": clean(F.col("query"), MAX_PATH),
        }
    ).withColumns(
        {
            "event_id": F.when(F.col("identified"), F.col("request_id")).otherwise(line_id()),
            "event_date": F.to_date("event_time"),
            "url_scheme": F.when(F.col("scheme").isin("http", "https"), F.col("scheme")),
            "http_request_host": clean(F.col("http_host"), MAX_HOST),
            "http_route": http_route(F.col("url_path")),
            "network_protocol_version": _protocol_version(F.col("protocol")),
            "http_request_size": F.col("request_length").try_cast("bigint"),
            "upstream_response_duration": _upstream_seconds(F.col("upstream_response_time")),
            "http_request_referrer": clean(F.col("http_referer"), MAX_PATH),
            "user_agent_original": clean(F.col("http_user_agent"), MAX_AGENT),
            "request_id": F.when(F.col("identified"), F.col("request_id")).otherwise(
                clean(F.col("request_id"), 64)
            ),
            "raw": raw_of(F.col("value")),
            "line_bytes": F.octet_length("value"),
        }
    )


def _request_line() -> tuple[Column, Column, Column]:
    """Return method, target and protocol, from their own keys or from the request line."""
    request = F.col("request")
    last = F.substring_index(request, " ", -1)
    of_line = F.when(last.startswith("HTTP/"), last)
    protocol = F.coalesce(_filled("server_protocol"), of_line)
    verb = F.substring_index(request, " ", 1)
    ending = F.coalesce(F.length(of_line) + 1, F.lit(0))
    start = F.length(verb) + 2
    middle = request.substr(start, F.length(request) - start + 1 - ending)
    asked = F.coalesce(_filled("request_uri"), middle)
    target = F.when(asked.startswith("/"), asked).otherwise(
        F.regexp_replace(asked, _ORIGIN_OF_URL, "")
    )
    return F.coalesce(_filled("request_method"), verb), target, protocol


def _filled(key: str) -> Column:
    return F.when(~F.col(key).isin("", "-"), F.col(key))


def _query() -> Column:
    target = F.col("target")
    at = F.instr(target, "?")
    return F.when(F.col("well_formed") & (at > 0), target.substr(at + 1, F.lit(MAX_PATH * 2)))


def _protocol_version(protocol: Column) -> Column:
    """Return `1.1`, `2` or `3`, as OpenTelemetry writes them."""
    version = F.regexp_extract(protocol, r"^HTTP/(\d(?:\.[1-9])?)", 1)
    # As for methods: nearly every line says 1.1.
    return F.when(protocol == "HTTP/1.1", "1.1").otherwise(F.nullif(version, F.lit("")))


def _seconds(text: Column) -> Column:
    """Return a finite, non-negative number of seconds, or null."""
    seconds = text.try_cast("double")
    return F.when(seconds.between(0, _MAX_SECONDS), seconds)


def _upstream_seconds(text: Column) -> Column:
    """Return the time spent on all upstreams: `0.1, 0.2` is a retry and both were waited for."""
    tries = F.split(text, "[,:]")
    total = F.aggregate(
        tries, F.lit(0.0), lambda sum_, one: sum_ + F.coalesce(_seconds(one), F.lit(0.0))
    )
    return F.when(text.contains(",") | text.contains(":"), total).otherwise(_seconds(text))
