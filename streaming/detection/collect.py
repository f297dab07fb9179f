"""Pane rows of Spark → panes in memory, and incidents → rows."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from streaming import names
from streaming.detection.clients import MIN_LOAD
from streaming.detection.errors import ErrorPane, Pattern
from streaming.detection.pane import Heavy, Judgement, Misser, Pane, Route, Shared
from streaming.incidents import Incident, Session


def compact(panes: DataFrame, *more: Column) -> DataFrame:
    """Cut `schemas.TRAFFIC_PANES` to what the detector looks at, in the order of `Pane`.

    Other columns wanted come last.
    """
    heavy = F.filter("top_clients", lambda c: c["load"] >= MIN_LOAD)
    return panes.select(
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
            "missers",
            lambda c: F.struct(
                c["client"],
                c["missed"],
                c["requests"],
                c["missing"],
                c["missing_paths"] - F.size(c["missing"]),
            ),
        ).alias("missers"),
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


def panes_of(panes: DataFrame) -> Iterator[Pane]:
    """Fetch `schemas.TRAFFIC_PANES` row by row, in ascending order of time and server."""
    rows = compact(panes).orderBy("second", "server_address").toLocalIterator()
    return map(pane_of, rows)


def pane_of(row: Row) -> Pane:
    """Return a row of `compact` as a pane."""
    second, server, requests, errors, clients, load, latencies, *lists = row[:11]
    heavy, missers, shared, routes = lists
    return Pane(
        second,
        server,
        requests,
        errors,
        clients,
        load,
        tuple(latencies or ()),
        tuple(Heavy(client, n, total, tuple(paths)) for client, n, total, paths in heavy or ()),
        tuple(Misser(c, n, total, tuple(p), rest) for c, n, total, p, rest in missers or ()),
        tuple(Shared(path, n, tuple(voters)) for path, n, voters in shared or ()),
        tuple(Route(*route) for route in routes or ()),
    )


def error_panes_of(panes: DataFrame) -> Iterator[ErrorPane]:
    """Fetch `schemas.ERROR_PANES` row by row, in ascending order of time and server."""
    columns = (F.unix_seconds("window_start").alias("second"), "server_address")
    rows = panes.select(*columns, "categories", "patterns").orderBy("second", "server_address")
    return map(error_pane_of, rows.toLocalIterator())


def error_pane_of(row: Row) -> ErrorPane:
    """Return a row of second, server, categories and patterns as an error pane."""
    second, server, categories, patterns = row
    return ErrorPane(
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
    peak = Judgement(
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
