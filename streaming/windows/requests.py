"""Access lines → requests that add up: what profiles are made of, in parts of any size.

Parts of one set of lines may be counted in any order and in several processes; `merged` of them is
the same as all lines counted at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streaming.windows.grouping import FLEET, WINDOW, window_start
from streaming.windows.histogram import bucket

MAX_PATH: Final = 256
"""Characters of a path."""

STATUSES: Final = tuple(f"status_{n}xx" for n in range(1, 6))
SUMS: Final = ("requests", "bytes", "latency_us", "timed", *STATUSES)
"""Columns that a profile and its routes sum."""

_REQUEST: Final = (*WINDOW, "client", "path", "route")
_LATENCY: Final = (*WINDOW, "bucket")

_MISSING: Final = (400, 403, 404, 405, 410, 444)


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests by client and path, and the histogram of their times.

    `rows`: window_start, server_address, client, path, route | `SUMS`; `missing`, responses that
    say that there is no such thing; `found`, responses 200 to 399; `referred`, of these the ones
    that a page may have asked for. `latencies`: window_start, server_address, bucket | requests.
    """

    rows: pl.DataFrame
    latencies: pl.DataFrame


def requests_of(access_logs: pl.DataFrame) -> Requests:
    """Count lines with the columns `projections.PROFILED`."""
    lines = _lines(access_logs)
    rows = lines.group_by(_REQUEST).agg(
        pl.len().alias("requests"),
        pl.sum("bytes"),
        # A sum of doubles depends on its order; of microseconds it does not.
        (pl.col("latency") * 1e6)
        .round(mode="half_away_from_zero")
        .cast(pl.Int64)
        .sum()
        .alias("latency_us"),
        pl.col("latency").count().alias("timed"),
        *((pl.col("class") == n).sum().alias(name) for n, name in enumerate(STATUSES, 1)),
        pl.sum("missing"),
        pl.sum("found"),
        (pl.col("found") & pl.col("referred")).sum().alias("referred"),
    )
    timed = lines.filter(pl.col("latency").is_not_null())
    latencies = timed.group_by(*WINDOW, bucket("latency")).agg(pl.len().alias("requests"))
    return Requests(rows, latencies)


def merged(parts: Sequence[Requests]) -> Requests:
    """Add up at least one part."""
    return Requests(
        _merged([part.rows for part in parts], _REQUEST),
        _merged([part.latencies for part in parts], _LATENCY),
    )


def fleet_of(requests: Requests, windows: pl.DataFrame) -> Requests:
    """Return the requests of some windows to all servers together, as server `names.FLEET`."""
    rows, latencies = (
        frame.join(windows, on="window_start", how="semi").with_columns(FLEET)
        for frame in (requests.rows, requests.latencies)
    )
    return Requests(_added(rows, _REQUEST), _added(latencies, _LATENCY))


def _merged(parts: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    rows = pl.concat(parts)
    windows = pl.concat([part["window_start"].unique() for part in parts])
    # Most windows of a long log lie in one part, where they are added up already.
    several = pl.col("window_start").is_in(windows.filter(windows.is_duplicated()).implode())
    return pl.concat([rows.filter(~several), _added(rows.filter(several), keys)])


def _added(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    return rows.group_by(keys).agg(pl.exclude(keys).sum())


def _lines(access_logs: pl.DataFrame) -> pl.DataFrame:
    status = pl.col("http_response_status_code")
    return access_logs.select(
        window_start("event_time"),
        "server_address",
        pl.col("client_address").alias("client"),
        pl.col("url_path").str.head(MAX_PATH).fill_null("").alias("path"),
        pl.col("http_route").fill_null("").alias("route"),
        (status // 100).alias("class"),
        status.is_in(_MISSING).alias("missing"),
        status.is_between(200, 399).alias("found"),
        # The common format has neither; every part of a page would count as load.
        (
            pl.col("http_request_referrer").is_not_null() | pl.col("user_agent_original").is_null()
        ).alias("referred"),
        pl.col("http_response_body_size").fill_null(0).alias("bytes"),
        pl.col("http_server_request_duration").alias("latency"),
    )
