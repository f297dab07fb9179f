"""Access-log lines of nginx to rows: JSON, `combined` and `common`.

No byte that a client controls decides whether his request is counted: what he can forge is
cleaned, cut and kept. Only what nginx itself writes (time, status, address) can reject a line.
"""

from collections.abc import Collection
from functools import cache
from typing import Final

import polars as pl

from streaming.contracts import frames, names, projections
from streaming.contracts.access_line import AccessLine, MeasuredLine
from streaming.logs.access_json import NUMBERS, json_fields
from streaming.logs.access_text import text_fields
from streaming.logs.cleaning import clean
from streaming.logs.records import line_id, raw_of, time_reason, with_text
from streaming.logs.routes import http_route

ALL: Final = (*frames.ACCESS_LOGS, *projections.VERDICT)
NARROW: Final = (*projections.NARROW, "reason")

MAX_PATH: Final = 2048
MAX_AGENT: Final = 1024
MAX_HOST: Final = 255
"""Characters that are kept of path, query and referrer, of a user agent, of a host name."""

_MAX_REQUEST_ID: Final = 64

_CLIENT: Final = r"^[0-9A-Za-z.:_%-]{1,64}$"
_REQUEST_ID: Final = r"^[0-9A-Fa-f-]{16,64}$"
_METHOD: Final = r"^[A-Z][A-Z_-]{0,31}$"
_PROTOCOL: Final = r"(?:^| )(HTTP/[^ ]*)$"
_ORIGIN_OF_URL: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*"
_MAX_SECONDS: Final = 1e9
_MAX_STATUS: Final = 999
_MAX_EPOCH_SECONDS: Final = 253_402_300_799
_UTC: Final = pl.Datetime("us", "UTC")


def parse_access(
    records: pl.DataFrame,
    *,
    history_days: int | None,
    columns: Collection[str] = ALL,
    server: str | None = None,
) -> pl.DataFrame:
    """Parse records (`frames.RECORD`) into some columns of `ALL`, in that order.

    One row per record, in their order. `reason` is null for a line that is accepted, else one of
    `names.REJECT_REASONS`. Times must lie in [ingested_at − `history_days`, ingested_at + 60 s];
    None leaves them unchecked. `server` is that of a line where neither its record nor the line
    names one. With no more than the columns `NARROW` a line costs a third.
    """
    narrow = set(columns) <= set(NARROW)
    fields = _with_fields(with_text(records), MeasuredLine if narrow else AccessLine)
    common = _common(fields, history_days, server)
    # Lazily, so that what no column needs is not worked out.
    return (common if narrow else _detailed(common.lazy()).collect()).select(*columns)


def _with_fields(lines: pl.DataFrame, shape: type[MeasuredLine]) -> pl.DataFrame:
    """Add a column per key of `shape`, from either format, `is_json` and `is_read`."""
    is_json = lines["text"].str.starts_with("{").fill_null(False).alias("is_json")
    if is_json.all():
        fields = json_fields(lines["value"], shape)
    elif not is_json.any():
        fields = text_fields(lines["text"])
    else:
        apart = lines.select(pl.when(is_json).then("value"), pl.when(~is_json).then("text"))
        of_json, of_text = json_fields(apart["value"], shape), text_fields(apart["text"])
        both = set(of_json.columns) & set(of_text.columns)
        fields = of_json.with_columns(pl.coalesce(key, of_text[key]) for key in both)
    absent = {
        key: pl.lit(None, NUMBERS.get(key, pl.String()))
        for key in shape.__struct_fields__
        if key not in fields.columns
    }
    return lines.hstack(fields.with_columns(is_json, **absent))


def _common(fields: pl.DataFrame, history_days: int | None, server: str | None) -> pl.DataFrame:
    """Add the narrow columns and the verdict."""
    known = fields.with_columns(*_narrow())
    if server is not None:
        known = known.with_columns(pl.col("server_address").fill_null(server))
    return known.with_columns(_reason(history_days).alias("reason"))


@cache
def _narrow() -> tuple[pl.Expr, ...]:
    server, client = pl.col("server_address"), pl.col("remote_addr")
    status, size = pl.col("status"), pl.col("body_bytes_sent")
    named = pl.when(server.is_null()).then(pl.coalesce(_filled("hostname"), "server"))
    return (
        _event_time().alias("event_time"),
        pl.coalesce(server, clean(named, MAX_HOST)).alias("server_address"),
        pl.when(client.str.contains(_CLIENT)).then(client).alias("client_address"),
        pl.when(_is_status(status)).then(status).cast(pl.Int32).alias("http_response_status_code"),
        pl.when(size >= 0).then(size).alias("http_response_body_size"),
        _seconds(pl.col("request_time")).alias("http_server_request_duration"),
    )


def _event_time() -> pl.Expr:
    """Return the time from whichever key tells it; one without a zone is UTC."""
    epoch = pl.col("msec")
    micros = pl.when(epoch.is_between(0, _MAX_EPOCH_SECONDS)).then(epoch * 1_000_000 + 0.5)
    iso = pl.col("time_iso8601").str.replace(" ", "T", literal=True)
    return pl.coalesce(
        micros.floor().cast(pl.Int64).cast(_UTC),
        _parsed(iso, "%Y-%m-%dT%H:%M:%S%.f%#z"),
        _parsed(iso, "%Y-%m-%dT%H:%M:%S%.f").cast(_UTC),
        _parsed(pl.col("time_local"), "%d/%b/%Y:%H:%M:%S %z"),
    )


def _parsed(text: pl.Expr, format_: str) -> pl.Expr:
    return text.str.to_datetime(format_, time_unit="us", strict=False)


@cache
def _reason(history_days: int | None) -> pl.Expr:
    """Return why a line is rejected: the first reason whose condition holds."""
    text, is_unread = pl.col("text"), ~pl.col("is_read")
    absent = {key: pl.col(key).is_null() for key in MeasuredLine.__struct_fields__}
    no_time = absent["msec"] & absent["time_iso8601"] & absent["time_local"]
    no_server = pl.col("server_address").is_null()
    of_line = [
        ("oversized", pl.col("value").bin.size() > names.MAX_LINE_BYTES),
        ("empty", text.is_null() | (text == "")),
        ("invalid_utf8", is_unread & ~pl.col("is_utf8")),
        ("invalid_json", is_unread & pl.col("is_json")),
        ("unknown_format", is_unread),
        ("missing_field", no_time | absent["status"] | absent["remote_addr"] | no_server),
    ]
    of_values = [
        ("invalid_status", ~_is_status(pl.col("status"))),
        ("invalid_client", pl.col("client_address").is_null()),
    ]
    return pl.coalesce(
        *(pl.when(condition).then(pl.lit(reason)) for reason, condition in of_line),
        time_reason(pl.col("event_time"), history_days),
        *(pl.when(condition).then(pl.lit(reason)) for reason, condition in of_values),
    )


def _detailed(common: pl.LazyFrame) -> pl.LazyFrame:
    """Add the columns that only the lake keeps."""
    asked = common.with_columns(*_request_line()).with_columns(*_asked())
    return asked.with_columns(*_request()).with_columns(*_detail()).with_columns(*_route())


@cache
def _request_line() -> tuple[pl.Expr, ...]:
    """Cut the request line: `line_protocol`, and what precedes it as `line_words`."""
    line = pl.col("request")
    protocol = line.str.extract(_PROTOCOL)
    ending = pl.concat_str(pl.lit(" "), protocol).fill_null("")
    words = line.str.strip_suffix(ending).str.splitn(" ", 2)
    return protocol.alias("line_protocol"), words.alias("line_words")


@cache
def _asked() -> tuple[pl.Expr, ...]:
    """Return method, protocol and target, from their own keys or from the request line."""
    words = pl.col("line_words").struct
    target = pl.coalesce(_filled("request_uri"), words.field("field_1"))
    absolute = pl.when(~target.str.starts_with("/")).then(target)
    target = pl.coalesce(absolute.str.replace(_ORIGIN_OF_URL, ""), target)
    return (
        pl.coalesce(_filled("request_method"), words.field("field_0")).alias("method"),
        pl.coalesce(_filled("server_protocol"), "line_protocol").alias("protocol"),
        target.str.splitn("?", 2).alias("target"),
    )


@cache
def _request() -> tuple[pl.Expr, ...]:
    """Return method, path and query; the path of what is no request is the whole line."""
    method, target = pl.col("method"), pl.col("target").struct
    path, query = target.field("field_0"), target.field("field_1")
    is_request = method.str.contains(_METHOD) & (
        pl.col("protocol").is_not_null() | path.str.starts_with("/")
    )
    return (
        pl.when(is_request).then(method).alias("http_request_method"),
        pl.when(is_request).then(path).otherwise(pl.col("request")).alias("path"),
        pl.when(is_request).then(query).alias("query"),
        pl.col("request_id").str.contains(_REQUEST_ID).fill_null(False).alias("is_id"),
    )


@cache
def _detail() -> tuple[pl.Expr, ...]:
    is_id, scheme = pl.col("is_id"), pl.col("scheme")
    nginx_id = pl.when(is_id).then(pl.col("request_id"))
    other_id = pl.when(~is_id).then(pl.col("request_id"))
    return (
        pl.coalesce(nginx_id, line_id(needed=~is_id)).alias("event_id"),
        pl.col("event_time").dt.date().alias("event_date"),
        pl.when(scheme.is_in(["http", "https"])).then(scheme).alias("url_scheme"),
        clean(pl.col("http_host"), MAX_HOST).alias("http_request_host"),
        clean(pl.col("path"), MAX_PATH).alias("url_path"),
        clean(pl.col("query"), MAX_PATH).alias("url_query"),
        _protocol_version(pl.col("protocol")).alias("network_protocol_version"),
        pl.col("request_length").alias("http_request_size"),
        _upstream_seconds(pl.col("upstream_response_time")).alias("upstream_response_duration"),
        clean(pl.col("http_referer"), MAX_PATH).alias("http_request_referrer"),
        clean(pl.col("http_user_agent"), MAX_AGENT).alias("user_agent_original"),
        pl.coalesce(nginx_id, clean(other_id, _MAX_REQUEST_ID)).alias("request_id"),
        raw_of().alias("raw"),
        pl.col("value").bin.size().cast(pl.Int64).alias("line_bytes"),
    )


@cache
def _route() -> tuple[pl.Expr, ...]:
    return (http_route(pl.col("url_path")).alias("http_route"),)


def _is_status(status: pl.Expr) -> pl.Expr:
    return status.is_between(0, _MAX_STATUS)


def _filled(key: str) -> pl.Expr:
    return pl.when(~pl.col(key).is_in(["", "-"])).then(pl.col(key))


def _protocol_version(protocol: pl.Expr) -> pl.Expr:
    """Return `1.1`, `2` or `3`, as OpenTelemetry writes them."""
    return protocol.str.extract(r"^HTTP/([0-9](?:\.[1-9])?)")


def _seconds(seconds: pl.Expr) -> pl.Expr:
    """Return a finite, non-negative number of seconds, or null."""
    return pl.when(seconds.is_between(0, _MAX_SECONDS)).then(seconds)


def _upstream_seconds(text: pl.Expr) -> pl.Expr:
    """Return the time spent on all upstreams: `0.1, 0.2` is a retry and both were waited for."""
    several = pl.when(text.str.contains("[,:]")).then(text).str.replace_all(":", ",", literal=True)
    one = _seconds(pl.element().str.strip_chars().cast(pl.Float64, strict=False))
    return pl.coalesce(
        several.str.split(",").list.eval(one).list.sum(),
        _seconds(text.str.strip_chars().cast(pl.Float64, strict=False)),
    )
