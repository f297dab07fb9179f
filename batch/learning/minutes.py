"""Profiles → one row per server and minute: what the baselines are fitted on."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from streaming.detection.model import LATENCY_BUCKETS
from streaming.detection.rules.clients import SLOW
from streaming.detection.rules.servers import quantile

MIN_TIMED = 30
"""A minute with fewer timed requests has no 95th percentile to speak of."""


@dataclass(frozen=True, slots=True)
class Minute:
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


def minutes(profiles: DataFrame) -> Iterator[Minute]:
    """Merge `schemas.TRAFFIC_PROFILES` into minutes, in the order of server and time."""
    zeros = F.array_repeat(F.lit(0).cast("bigint"), LATENCY_BUCKETS)
    histograms = F.collect_list("latency_counts")
    rows = (
        profiles.withColumn("minute", F.floor(F.unix_seconds("window_start") / 60))
        .groupBy("server_address", "minute")
        .agg(
            F.sum("requests"),
            F.sum("status_5xx"),
            F.count(F.lit(1)),
            F.sum("clients"),
            F.sum("load"),
            F.sum("missing_paths"),
            F.aggregate(
                histograms, zeros, lambda sums, one: F.zip_with(sums, one, lambda a, b: a + b)
            ),
            F.collect_list(F.coalesce(F.get("top_clients", F.lit(0))["load"], F.lit(0))),
            F.collect_list(
                F.coalesce(F.get("clients_with_404s", F.lit(0))["missing_paths"], F.lit(0))
            ),
        )
        .orderBy("server_address", "minute")
    )
    for (
        server,
        minute,
        requests,
        errors,
        n,
        clients,
        load,
        missing,
        times,
        loads,
        misses,
    ) in rows.toLocalIterator():
        p95 = quantile(times, 0.95) if sum(times) >= MIN_TIMED else None
        yield Minute(
            server,
            minute,
            requests,
            errors,
            n,
            clients,
            load,
            missing,
            p95,
            tuple(loads),
            tuple(misses),
        )


def slow_misses(profiles: DataFrame) -> Iterator[tuple[str, int, int]]:
    """Yield (server, half hour, most distinct missing paths of a client that mostly misses)."""
    half_hour = F.floor(F.unix_seconds("window_start") / SLOW).alias("half_hour")
    clients_with_404s = profiles.select(
        "server_address", half_hour, F.explode("clients_with_404s").alias("c")
    )
    clients = clients_with_404s.groupBy("server_address", "half_hour", "c.client").agg(
        F.size(F.array_distinct(F.flatten(F.collect_list("c.missing")))).alias("paths"),
        (F.sum("c.missed") / F.sum("c.requests")).alias("share"),
    )
    rows = (
        clients.groupBy("server_address", "half_hour")
        .agg(F.coalesce(F.max(F.when(F.col("share") >= 0.5, F.col("paths"))), F.lit(0)))
        .collect()
    )
    yield from (tuple(row) for row in rows)


def routes(profiles: DataFrame, most: int) -> list[tuple[str, str, list[tuple[int, int, int]]]]:
    """Return (server, route, [(hour, requests, 5xx)]) of the `most` busiest routes of a server."""
    hour = F.floor(F.unix_seconds("window_start") / 3600).alias("hour")
    hourly = (
        profiles.select("server_address", hour, F.explode("routes").alias("r"))
        .groupBy("server_address", "r.route", "hour")
        .agg(F.sum("r.requests").alias("requests"), F.sum("r.status_5xx").alias("errors"))
    )
    hours = F.collect_list(F.struct("hour", "requests", "errors"))
    sums = hourly.groupBy("server_address", "route").agg(
        F.sum("requests").alias("requests"), hours.alias("hours")
    )
    entry = F.struct("route", "hours")
    busiest = F.max_by(entry, F.struct("requests", "route"), most)
    top = sums.groupBy("server_address").agg(busiest.alias("top")).collect()
    return [(r["server_address"], e["route"], e["hours"]) for r in top for e in r["top"]]


def error_minutes(profiles: DataFrame) -> list[tuple[str, int, str, int]]:
    """Return (server, minute, category, events) of `schemas.ERROR_PROFILES`."""
    minute = F.floor(F.unix_seconds("window_start") / 60).alias("minute")
    rows = (
        profiles.select("server_address", minute, F.explode("categories").alias("c"))
        .groupBy("server_address", "minute", "c.category")
        .agg(F.sum("c.events"))
        .collect()
    )
    return [tuple(row) for row in rows]


def patterns(profiles: DataFrame, most: int) -> list[tuple[str, str, list[int]]]:
    """Return (server, pattern_id, up to 50 minutes it was logged in), the `most` frequent each."""
    minute = F.floor(F.unix_seconds("window_start") / 60).alias("minute")
    seen = (
        profiles.select("server_address", minute, F.explode("patterns").alias("p"))
        .groupBy("server_address", "p.pattern_id")
        .agg(F.sum("p.events").alias("events"), F.max_by("minute", "minute", 50).alias("minutes"))
    )
    entry = F.struct("events", "pattern_id", "minutes")
    top = seen.groupBy("server_address").agg(F.max_by(entry, entry, most).alias("top")).collect()
    return [(r["server_address"], e["pattern_id"], e["minutes"]) for r in top for e in r["top"]]
