"""TrafficProfile rows of Spark → profiles in memory, and incidents → rows."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.detection.incidents import Incident, Session
from streaming.detection.model import (
    ClientWith404s,
    Evaluation,
    Route,
    Shared,
    TopClient,
    TrafficProfile,
)
from streaming.detection.rules.clients import MIN_LOAD
from streaming.detection.rules.errors import ErrorProfile, Pattern


def compact(profiles: DataFrame, *more: Column) -> DataFrame:
    """Cut `schemas.TRAFFIC_PROFILES` to the fields of `TrafficProfile`, in order.

    Other columns wanted come last.
    """
    heavy = F.filter("top_clients", lambda c: c["load"] >= MIN_LOAD)
    return profiles.select(
        F.unix_seconds("window_start").alias("second"),
        "server_address",
        "requests",
        "status_5xx",
        "clients",
        "load",
        "latency_counts",
        F.transform(
            heavy,
            lambda c: F.struct(
                c["client"],
                c["load"],
                c["requests"],
                F.transform(
                    c["top_paths"],
                    lambda p: F.concat(p["requests"].cast("string"), F.lit(" × "), p["path"]),
                ),
            ),
        ).alias("heavy"),
        F.transform(
            "clients_with_404s",
            lambda c: F.struct(
                c["client"],
                c["missed"],
                c["requests"],
                c["missing"],
                c["missing_paths"] - F.size(c["missing"]),
            ),
        ).alias("clients_with_404s"),
        "shared_paths",
        F.transform(
            "routes",
            lambda r: F.struct(
                r["route"],
                r["requests"],
                r["status_5xx"],
                F.coalesce(r["latency_us"], F.lit(0)),
                r["timed"],
            ),
        ).alias("routes"),
        *more,
    )


def profiles_of(profiles: DataFrame) -> Iterator[TrafficProfile]:
    """Fetch `schemas.TRAFFIC_PROFILES` row by row, in ascending order of time and server."""
    rows = compact(profiles).orderBy("second", "server_address").toLocalIterator()
    return map(profile_of, rows)


def profile_of(row: Row) -> TrafficProfile:
    """Return a row of `compact` as a profile."""
    second, server, requests, errors, clients, load, latencies, *lists = row[:11]
    heavy, clients_with_404s, shared, routes = lists
    return TrafficProfile(
        second,
        server,
        requests,
        errors,
        clients,
        load,
        tuple(latencies or ()),
        tuple(TopClient(client, n, total, tuple(paths)) for client, n, total, paths in heavy or ()),
        tuple(
            ClientWith404s(c, n, total, tuple(p), rest)
            for c, n, total, p, rest in clients_with_404s or ()
        ),
        tuple(Shared(path, n, tuple(voters)) for path, n, voters in shared or ()),
        tuple(Route(*route) for route in routes or ()),
    )


def error_profiles_of(profiles: DataFrame) -> Iterator[ErrorProfile]:
    """Fetch `schemas.ERROR_PROFILES` row by row, in ascending order of time and server."""
    columns = (F.unix_seconds("window_start").alias("second"), "server_address")
    rows = profiles.select(*columns, "categories", "patterns").orderBy("second", "server_address")
    return map(error_profile_of, rows.toLocalIterator())


def error_profile_of(row: Row) -> ErrorProfile:
    """Return a row of second, server, categories and patterns as an error profile."""
    second, server, categories, patterns = row
    return ErrorProfile(
        second,
        server,
        tuple((category, events) for category, events in categories),
        tuple(Pattern(*pattern) for pattern in patterns),
    )


def incident_row(incident: Incident) -> dict[str, Any]:
    """Return an incident in the columns of `schemas.INCIDENTS`."""
    peak = incident.peak
    return {
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "server_address": incident.server,
        "entity": incident.entity,
        "opened_at": utc(incident.opened_at),
        "closed_at": None if incident.closed_at is None else utc(incident.closed_at),
        "last_seen_at": utc(incident.seen_until),
        "peak_at": utc(peak.second),
        "peak_score": peak.score,
        "observed": peak.observed,
        "expected": peak.expected,
        "threshold": peak.threshold,
        "baseline_version": peak.version,
        "basis": peak.basis,
        "evidence": list(incident.evidence),
    }


def session_of(row: Mapping[str, Any]) -> Session:
    """Return a row of `schemas.INCIDENTS`, its times as epoch seconds, as a session to go on."""
    peak = Evaluation(
        row["kind"],
        row["server_address"],
        row["entity"],
        row["peak_at"],
        0,
        row["observed"],
        row["expected"],
        row["threshold"],
        row["peak_score"],
        row["basis"],
        row["baseline_version"],
        tuple(row["evidence"]),
    )
    last = row["last_seen_at"] - names.WINDOW_SECONDS
    # Confirmed once is confirmed for good.
    return Session(peak, last, row["opened_at"], alarms=2)


def utc(second: int) -> datetime:
    """Return an epoch second as a time in UTC."""
    return datetime.fromtimestamp(second, UTC)
