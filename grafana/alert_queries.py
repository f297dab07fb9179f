"""Flux of the alert rules.

A query returns `_time`, a numeric `_value` and labels, nothing else: Grafana refuses a string
column that is not a label (grafana/grafana#64552).
"""

from typing import Final

from grafana import flux

INCIDENT: Final = ("kind", "server", "entity", "incident_id")
FEWEST_REQUESTS: Final = 30
"""Below this many requests a minute a share says nothing (netdata/netdata#1832)."""


def incident(value: str, *kinds: str) -> str:
    """The last window of each open incident; `value` is an expression on the row `r`."""
    where = [flux.any_of("kind", kinds)] if kinds else []
    return flux.pipe(
        *flux.read("anomalies", where=where),
        flux.FIELDS_AS_COLUMNS,
        flux.filtered('r.state == "open"'),
        flux.grouped(*INCIDENT),
        'sort(columns: ["_time"])',
        'last(column: "score")',
        f"map(fn: (r) => ({{r with _value: {value}}}))",
        flux.keep("_time", "_value", *INCIDENT),
    )


def per_server(value: str, *fields: str) -> str:
    """Combine the sums of `fields` over the last minute, of servers with enough requests."""
    return flux.pipe(
        *flux.read("http_traffic", "requests", *fields),
        "sum()",
        flux.grouped("server"),
        'pivot(rowKey: ["server"], columnKey: ["_field"], valueColumn: "_value")',
        flux.filtered(f"r.requests >= {FEWEST_REQUESTS}"),
        f"map(fn: (r) => ({{_time: v.timeRangeStop, server: r.server, _value: {value}}}))",
        flux.grouped("server"),
    )


def latency() -> str:
    """The p95 of each server over the last minute, windows weighted by their requests."""
    return flux.pipe(
        *flux.read("http_traffic", "requests", "latency_p95"),
        flux.FIELDS_AS_COLUMNS,
        flux.filtered("exists r.latency_p95"),
        flux.grouped("server"),
        "reduce(identity: {weight: 0.0, sum: 0.0}, fn: (r, accumulator) => ({"
        "weight: accumulator.weight + float(v: r.requests), "
        "sum: accumulator.sum + float(v: r.requests) * r.latency_p95}))",
        flux.filtered(f"r.weight >= {FEWEST_REQUESTS}.0"),
        "map(fn: (r) => ({_time: v.timeRangeStop, server: r.server, _value: r.sum / r.weight}))",
        flux.grouped("server"),
    )


def silence(measurement: str, name: str, label: str) -> str:
    """Seconds since the last point of each `label`."""
    return flux.pipe(
        *flux.read(measurement, name),
        flux.grouped(label),
        'last(column: "_time")',
        "map(fn: (r) => ({r with _value: "
        "float(v: int(v: v.timeRangeStop) - int(v: r._time)) / 1000000000.0}))",
        flux.keep("_time", "_value", label),
    )


def stream(name: str, step: str) -> str:
    """One number a query of a stream."""
    return flux.pipe(
        *flux.read("pipeline", name), step, flux.keep("_time", "_value", "stream", "query")
    )
