"""Access lines → one row per 10-second window and server: all that the detector looks at.

Every column is an exact function of the set of lines, whatever their order, so that a profile made
by the stream equals the profile made from history. Nested lists are cut to the entries that matter
most, with ties broken by name, so that a row stays small under any number of clients and URLs.
"""

from typing import Final

import polars as pl

from streaming.contracts import frames
from streaming.windows.clients import (
    clients_of,
    shared_paths,
    with_404s,
    with_kinds_of_path,
    with_load,
)
from streaming.windows.grouping import FLEET, WINDOW, largest, profile_key, shared_windows, with_key
from streaming.windows.histogram import counts_of
from streaming.windows.requests import SUMS, Requests, fleet_of, requests_of

MAX_ROUTES: Final = 200
"""Most routes of a profile."""


def traffic_profiles(access_logs: pl.DataFrame, *, fleet: bool = True) -> pl.DataFrame:
    """Aggregate lines into `frames.TRAFFIC_PROFILES`, in ascending order of time and server.

    Needs the columns `projections.PROFILED`. `latency_us` and `latency_counts` are null without
    a timed request, `shared_paths` without a missing path that an ordinary client asked for.
    With `fleet` there is one more row per window for all servers together, named `names.FLEET`.
    """
    return profiles_of(requests_of(access_logs), fleet=fleet)


def profiles_of(requests: Requests, *, fleet: bool = True) -> pl.DataFrame:
    """Aggregate requests as `traffic_profiles` does lines."""
    if not fleet:
        return _profiles(requests.rows, requests.latencies)
    shared = shared_windows(requests.rows)
    together = fleet_of(requests, shared)
    profiles = _profiles(
        pl.concat([requests.rows, together.rows]),
        pl.concat([requests.latencies, together.latencies]),
    )
    # A fleet of one server is like that server.
    alone = profiles.join(shared, on="window_start", how="anti").with_columns(FLEET)
    return pl.concat([profiles, alone]).sort(WINDOW)


def _profiles(rows: pl.DataFrame, latencies: pl.DataFrame) -> pl.DataFrame:
    profile = profile_key(rows["server_address"])
    rows = with_key(with_key(rows.with_columns(profile), "client"), "route")
    # A client's rows side by side are grouped and joined twice as fast.
    rows = with_kinds_of_path(rows).sort("client_key")
    clients = clients_of(rows)
    routes = rows.group_by("route_key").agg(
        pl.first(*WINDOW, "profile_key", "route"), pl.sum(*SUMS)
    )
    totals = (
        routes.group_by("profile_key").agg(pl.first(*WINDOW), pl.sum(*SUMS)).sort("profile_key")
    )
    counts = clients.group_by("profile_key").agg(
        pl.len().alias("clients"), pl.sum("load", "missing_paths")
    )
    order = ("status_5xx", "requests", "route")
    routes = routes.with_columns(_latency_us())
    lists = {
        "top_clients": with_load(clients, rows),
        "clients_with_404s": with_404s(clients),
        "shared_paths": shared_paths(clients),
        "routes": largest(routes, "profile_key", order, MAX_ROUTES, ("route", *SUMS)),
    }
    histograms = counts_of(latencies.with_columns(profile), totals["profile_key"])
    profiles = totals.with_columns(
        _latency_us(),
        pl.col("window_start").dt.date().alias("event_date"),
        pl.when(pl.col("timed") > 0).then(histograms).alias("latency_counts"),
    ).join(counts, on="profile_key", maintain_order="left")
    for name, entries in lists.items():
        column = entries.rename({"entries": name})
        profiles = profiles.join(column, on="profile_key", how="left", maintain_order="left")
    nobody = pl.lit([], profiles.schema["clients_with_404s"])
    return profiles.with_columns(pl.col("clients_with_404s").fill_null(nobody)).select(
        pl.col(name).cast(kind) for name, kind in frames.TRAFFIC_PROFILES.items()
    )


def _latency_us() -> pl.Expr:
    return pl.when(pl.col("timed") > 0).then("latency_us").alias("latency_us")
