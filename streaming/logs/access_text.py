"""Text lines in `combined` and `common`, with or without a leading virtual host, to columns."""

from functools import cache
from typing import Final

import polars as pl

# Not \d and \s, which match beyond ASCII here.
_STATUS_AND_SIZE: Final = r" ([0-9]{3}) ([0-9]+|-)(?:[ \t\r\n\v\f]|$)"
_TAIL: Final = f"^{_STATUS_AND_SIZE}"
_END_OF_REQUEST: Final = f'"{_STATUS_AND_SIZE}'
_ADDRESS: Final = r"^(?:[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|unix:)$"
_TIME_LENGTH: Final = 26
_BETWEEN_QUOTES: Final = ["head", "request", "tail", "http_referer", "blank", "http_user_agent"]


def text_fields(texts: pl.Series) -> pl.DataFrame:
    r"""Return the columns that such a line has, named by the keys of `contracts.access_line`.

    `texts` are lines, or null. The columns are time_local, remote_addr, http_host, request,
    status, body_bytes_sent, http_referer, http_user_agent, and `is_read`: false for a line of
    another format, null for null.

    nginx writes a quote inside a field as `\x22`, Apache as `\"`, which becomes the former.
    A raw one, which only `escape=none` lets through, must not hide the request: the first
    `" 200 5` ends it then, and referrer and agent are null.
    """
    lines = texts.alias("text").to_frame()
    parts = lines.with_columns(*_at_quotes()).unnest("parts").with_columns(*_tail())
    if not parts.select(pl.col("is_raw").any()).item():
        return parts.select(*_fields())
    raw = parts.with_columns(*_at_first_quote()).with_columns(*_raw())
    return raw.select(*_fields())


@cache
def _at_quotes() -> tuple[pl.Expr, ...]:
    escaped = pl.col("text").str.replace_all("\\\\", r"\x5C", literal=True)
    escaped = escaped.str.replace_all('\\"', r"\x22", literal=True)
    parts = escaped.str.split_exact('"', len(_BETWEEN_QUOTES) - 1)
    return (parts.struct.rename_fields(_BETWEEN_QUOTES).alias("parts"),)


@cache
def _tail() -> tuple[pl.Expr, ...]:
    tail = pl.col("tail").str
    is_raw = pl.col("text").is_not_null() & ~tail.contains(_TAIL).fill_null(False)
    return tail.extract_groups(_TAIL).alias("tail"), is_raw.alias("is_raw")


@cache
def _at_first_quote() -> tuple[pl.Expr, ...]:
    return (pl.when("is_raw").then(pl.col("text")).str.splitn('"', 2).alias("raw"),)


@cache
def _raw() -> tuple[pl.Expr, ...]:
    is_raw, raw = pl.col("is_raw"), pl.col("raw").struct
    rest = raw.field("field_1")
    end = rest.str.find(_END_OF_REQUEST)
    head = pl.when(end.is_not_null()).then(raw.field("field_0"))
    request = pl.when(end.is_not_null()).then(rest).cast(pl.Binary).bin.head(end).cast(pl.String)
    parts = {"head": head, "request": request, "tail": rest.str.extract_groups(_END_OF_REQUEST)}
    return (
        *(
            pl.when(is_raw).then(part).otherwise(pl.col(name)).alias(name)
            for name, part in parts.items()
        ),
        *(
            pl.when(~is_raw).then(pl.col(name)).alias(name)
            for name in ("http_referer", "http_user_agent")
        ),
    )


@cache
def _fields() -> tuple[pl.Expr, ...]:
    head, tail = pl.col("head"), pl.col("tail").struct
    status, size = tail.field("1"), tail.field("2")
    words = head.str.split_exact(" ", 2).struct
    first, second = words.field("field_0"), words.field("field_1")
    # nginx writes `-` second, so an address there means that a virtual host leads the line;
    # nothing in a user name, which may hold spaces, can shift these.
    is_led = second.str.contains(_ADDRESS)
    # A user name before the time may hold brackets.
    time = pl.when(head.str.contains("[", literal=True)).then(head).str.split("[").list.last()
    return (
        time.str.head(_TIME_LENGTH).alias("time_local"),
        pl.when(is_led).then(second).otherwise(first).alias("remote_addr"),
        pl.when(is_led).then(first).alias("http_host"),
        pl.col("request"),
        status.cast(pl.Int64).alias("status"),
        size.cast(pl.Int64, strict=False).alias("body_bytes_sent"),
        pl.col("http_referer"),
        pl.col("http_user_agent"),
        pl.when(pl.col("text").is_not_null()).then(status.is_not_null()).alias("is_read"),
    )
