"""Profiles → one row per server and minute: what the baselines are fitted on.

Frames hold whole hours; what several of them come to is put together at the end, so that a history
of any length is never in memory at once.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import polars as pl

from streaming.detection.rules.latency import QUANTILE, UPPER_EDGES
from streaming.detection.rules.scans import SLOW
from streaming.windows.histogram import LATENCY_BUCKETS

MIN_TIMED: Final = 30
"""A minute with fewer timed requests has no 95th percentile to speak of."""

NEWEST: Final = 50
"""Minutes of a pattern that are remembered: it is known if one of them is in no incident."""

HOUR: Final = 3600


class Minute(NamedTuple):
    """One server's minute; `minute` is its epoch second over 60.

    `loads` and `misses` are the largest load and the most missing paths of one client in each of
    its profiles, `load` sums over `clients`, which counts a client once per profile.
    """

    server: str
    minute: int
    requests: int
    errors: int
    profiles: int
    clients: int
    load: int
    missing: int
    p95: float | None
    loads: tuple[int, ...]
    misses: tuple[int, ...]


def minutes(profiles: pl.DataFrame) -> Iterator[Minute]:
    """Merge `frames.TRAFFIC_PROFILES` into minutes, in the order of server and time."""
    keys = ["server_address", "minute"]
    numbered = profiles.with_columns(_number(60).alias("minute"))
    merged = (
        numbered.group_by(keys)
        .agg(
            pl.sum("requests", "status_5xx"),
            pl.len().cast(pl.Int64).alias("profiles"),
            pl.sum("clients", "load", "missing_paths"),
            _first("top_clients", "load").alias("loads"),
            _first("clients_with_404s", "missing_paths").alias("misses"),
        )
        .join(_p95(numbered), on=keys, how="left")
        .sort(keys)
    )
    for *values, loads, misses, p95 in merged.iter_rows():
        yield Minute._make((*values, p95, tuple(loads), tuple(misses)))


def _number(seconds: int) -> pl.Expr:
    """The number of the span of so many seconds since the epoch that a window is in."""
    return pl.col("window_start").dt.epoch("s") // seconds


def _first(lists: str, field: str) -> pl.Expr:
    return pl.col(lists).list.first().struct.field(field).fill_null(0)


def _p95(numbered: pl.DataFrame) -> pl.DataFrame:
    """The 95th percentile of the request times of the minutes that have enough of them."""
    keys = ["server_address", "minute"]
    timed = numbered.filter(pl.col("latency_counts").list.len() > 0).select(*keys, "latency_counts")
    flat = timed["latency_counts"].explode()
    # Most buckets are empty; a minute's key beside each of them would be most of the work.
    some = (flat > 0).arg_true()
    counts = (
        timed.select(keys)[some // LATENCY_BUCKETS]
        .with_columns(bucket=some % LATENCY_BUCKETS, requests=flat[some])
        .group_by(*keys, "bucket")
        .agg(pl.sum("requests"))
        .sort(*keys, "bucket")
        .with_columns(
            seen=pl.col("requests").cum_sum().over(keys),
            total=pl.col("requests").sum().over(keys),
        )
    )
    high = pl.col("seen") >= QUANTILE * pl.col("total")
    edges = pl.lit(pl.Series(UPPER_EDGES))
    return (
        counts.filter((pl.col("total") >= MIN_TIMED) & high)
        .group_by(keys)
        .agg(edges.gather(pl.col("bucket").min()).first().alias("p95"))
    )


def slow_misses(profiles: pl.DataFrame) -> Iterator[tuple[str, int, int]]:
    """Yield (server, half hour, most distinct missing paths of a client that mostly misses)."""
    keys = ["server_address", "half_hour"]
    clients = (
        profiles.select("server_address", _number(SLOW).alias("half_hour"), "clients_with_404s")
        .filter(pl.col("clients_with_404s").list.len() > 0)
        .explode("clients_with_404s")
        .unnest("clients_with_404s")
        .group_by(*keys, "client")
        .agg(
            pl.col("missing").explode().drop_nulls().n_unique().alias("paths"),
            (pl.sum("missed") / pl.sum("requests")).alias("share"),
        )
    )
    most = pl.when(pl.col("share") >= 0.5).then("paths").max().fill_null(0)
    yield from clients.group_by(keys).agg(most.cast(pl.Int64)).sort(keys).iter_rows()


def route_hours(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return server, route, hour, requests and 5xx of `frames.TRAFFIC_PROFILES`."""
    return (
        profiles.select("server_address", _number(HOUR).alias("hour"), "routes")
        .filter(pl.col("routes").list.len() > 0)
        .explode("routes")
        .unnest("routes")
        .group_by("server_address", "route", "hour")
        .agg(pl.sum("requests"), pl.sum("status_5xx").alias("errors"))
    )


def routes(
    hours: Iterable[pl.DataFrame], most: int
) -> Iterator[tuple[str, str, list[tuple[int, int, int]]]]:
    """Yield (server, route, [(hour, requests, 5xx)]) of the `most` busiest routes of a server."""
    parts = list(hours)
    if not parts:
        return
    entry = pl.struct("hour", "requests", "errors").alias("hours")
    sums = (
        pl.concat(parts)
        .group_by("server_address", "route")
        .agg(pl.sum("requests"), entry)
        .sort("server_address", "requests", "route", descending=[False, True, True])
        .group_by("server_address", maintain_order=True)
        .head(most)
    )
    for server, route, of_hours in sums.select("server_address", "route", "hours").iter_rows():
        yield server, route, [(h["hour"], h["requests"], h["errors"]) for h in of_hours]


def error_minutes(profiles: pl.DataFrame) -> Iterator[tuple[str, int, str, int]]:
    """Yield (server, minute, category, events) of `frames.ERROR_PROFILES`."""
    yield from (
        profiles.select("server_address", _number(60).alias("minute"), "categories")
        .filter(pl.col("categories").list.len() > 0)
        .explode("categories")
        .unnest("categories")
        .group_by("server_address", "minute", "category")
        .agg(pl.sum("events"))
        .sort("server_address", "minute", "category")
        .iter_rows()
    )


def pattern_minutes(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return server, pattern_id, events and the newest minutes of `frames.ERROR_PROFILES`."""
    return (
        profiles.select("server_address", _number(60).alias("minute"), "patterns")
        .filter(pl.col("patterns").list.len() > 0)
        .explode("patterns")
        .unnest("patterns")
        .group_by("server_address", "pattern_id")
        .agg(pl.sum("events"), pl.col("minute").top_k(NEWEST).alias("minutes"))
    )


def patterns(parts: Iterable[pl.DataFrame], most: int) -> Iterator[tuple[str, str, list[int]]]:
    """Yield (server, pattern_id, newest minutes it was logged in), the `most` frequent each."""
    found = list(parts)
    if not found:
        return
    yield from (
        pl.concat(found)
        .group_by("server_address", "pattern_id")
        .agg(pl.sum("events"), pl.col("minutes").explode().top_k(NEWEST))
        .sort("server_address", "events", "pattern_id", descending=[False, True, True])
        .group_by("server_address", maintain_order=True)
        .head(most)
        .select("server_address", "pattern_id", "minutes")
        .iter_rows()
    )
