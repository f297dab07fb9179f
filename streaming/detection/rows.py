"""Frames of profiles → profiles in memory, and incidents → rows."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice, repeat
from typing import Any, Final, TypeVar

import polars as pl

from streaming.contracts import names
from streaming.detection.incidents import Incident, Session
from streaming.detection.model import (
    ClientWith404s,
    ErrorProfile,
    Evaluation,
    Pattern,
    Route,
    Shared,
    TopClient,
    TrafficProfile,
)
from streaming.detection.rules.spikes import MIN_LOAD
from streaming.windows.histogram import LATENCY_BUCKETS

SLICE_BYTES: Final = 8 << 20
"""Size of the rows that are decoded at once; their flat lists take some ten times as much."""

T = TypeVar("T")
N = TypeVar("N", bound=tuple[Any, ...])


def traffic_profiles_of(frame: pl.DataFrame) -> Iterator[TrafficProfile]:
    """Decode `frames.TRAFFIC_PROFILES`, in ascending order of time and server.

    Of the clients, those that count towards a spike.
    """
    for rows in _slices(frame):
        yield from _made(
            TrafficProfile,
            rows["window_start"].dt.epoch("s").to_list(),
            *_lists(rows, "server_address", "requests", "status_5xx", "clients", "load"),
            _latencies(rows["latency_counts"]),
            _top_clients(rows["top_clients"]),
            _clients_with_404s(rows["clients_with_404s"]),
            _shared(rows["shared_paths"]),
            _routes(rows["routes"]),
        )


def error_profiles_of(frame: pl.DataFrame) -> Iterator[ErrorProfile]:
    """Decode `frames.ERROR_PROFILES`, in ascending order of time and server."""
    for rows in _slices(frame):
        categories, patterns = _flat(rows["categories"]), _flat(rows["patterns"])
        yield from _made(
            ErrorProfile,
            rows["window_start"].dt.epoch("s").to_list(),
            *_lists(rows, "server_address"),
            _grouped(categories.select("category", "events").iter_rows(), rows["categories"]),
            _grouped(_made(Pattern, *_lists(patterns, *Pattern._fields)), rows["patterns"]),
        )


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    order = ["window_start", "server_address"]
    ordered = frame.select(order)
    if not ordered.equals(ordered.sort(order)):
        frame = frame.sort(order)
    size = max(1, int(frame.estimated_size()))
    return frame.iter_slices(max(1, SLICE_BYTES * len(frame) // size))


def _latencies(counts: pl.Series) -> Iterator[tuple[tuple[int, int], ...]]:
    flat = pl.DataFrame({"requests": _exploded(counts)}).with_columns(
        bucket=pl.int_range(pl.len()) % LATENCY_BUCKETS
    )
    some = flat.filter(pl.col("requests") > 0).select("bucket", "requests")
    sizes = counts.list.eval(pl.element() > 0).list.sum()
    return _tuples(some.iter_rows(), sizes.fill_null(0).to_list())


def _top_clients(lists: pl.Series) -> Iterator[tuple[TopClient, ...]]:
    heavy = lists.list.eval(pl.element().filter(pl.element().struct.field("load") >= MIN_LOAD))
    flat = _flat(heavy)
    paths = _flat(flat["top_paths"])
    texts = paths.select(pl.format("{} × {}", "requests", "path"))
    clients = _made(
        TopClient,
        *_lists(flat, "client", "load", "requests"),
        _grouped(texts.to_series().to_list(), flat["top_paths"]),
    )
    return _grouped(clients, heavy)


def _clients_with_404s(lists: pl.Series) -> Iterator[tuple[ClientWith404s, ...]]:
    flat = _flat(lists)
    missing = flat["missing"]
    clients = _made(
        ClientWith404s,
        *_lists(flat, "client", "missed", "requests"),
        _grouped(_exploded(missing).to_list(), missing),
        (flat["missing_paths"] - missing.list.len()).to_list(),
    )
    return _grouped(clients, lists)


def _shared(lists: pl.Series) -> Iterator[tuple[Shared, ...]]:
    flat = _flat(lists)
    voters = _grouped(_exploded(flat["voters"]).to_list(), flat["voters"])
    return _grouped(_made(Shared, *_lists(flat, "path", "clients"), voters), lists)


def _routes(lists: pl.Series) -> Iterator[tuple[Route, ...]]:
    flat = _flat(lists).with_columns(pl.col("latency_us").fill_null(0))
    columns = _lists(flat, "route", "requests", "status_5xx", "latency_us", "timed")
    return _grouped(_made(Route, *columns), lists)


def _exploded(lists: pl.Series) -> pl.Series:
    return lists.explode(empty_as_null=False, keep_nulls=False)


def _flat(lists: pl.Series) -> pl.DataFrame:
    """The structs of a column of lists, one row each."""
    return _exploded(lists).struct.unnest()


def _lists(frame: pl.DataFrame, *columns: str) -> list[list[Any]]:
    return [frame[column].to_list() for column in columns]


def _made(kind: type[N], *columns: Iterable[Any]) -> Iterator[N]:
    """Return named tuples of columns, as `_make` does, which takes twice as long."""
    return map(tuple.__new__, repeat(kind), zip(*columns, strict=True))


def _grouped(items: Iterable[T], lists: pl.Series) -> Iterator[tuple[T, ...]]:
    """Return the items of an exploded column by the lists that they were in."""
    return _tuples(items, lists.list.len().fill_null(0).to_list())


def _tuples(items: Iterable[T], sizes: Iterable[int]) -> Iterator[tuple[T, ...]]:
    rest = iter(items)
    return (tuple(islice(rest, size)) if size else () for size in sizes)


def incident_row(incident: Incident) -> dict[str, Any]:
    """Return an incident in the columns of `tables.INCIDENTS`."""
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
    """Return a row of `tables.INCIDENTS`, its times as epoch seconds, as a session to go on."""
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
