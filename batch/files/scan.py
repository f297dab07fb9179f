"""A chunk of a log file → the requests or the error messages in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from batch.files.log_files import Chunk
from streaming.contracts import frames, names, projections
from streaming.logs.access import parse_access
from streaming.logs.error import parse_errors, stitch
from streaming.logs.records import accepted
from streaming.windows.error_profile import messages_of
from streaming.windows.requests import Requests, requests_of

_READ_AT: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Lines of files have no age: their times are not checked."""


_CALENDAR: Final = (_READ_AT, datetime(9999, 1, 1, tzinfo=UTC))
"""Local times and the ends of incidents near others have no date in Python."""


@dataclass(frozen=True)
class Scanned:
    """What a chunk held: lines, rejected ones, and what profiles are made of.

    `spans` has the first and last epoch second of each server's access lines, `messages` the
    frame of `messages_of`.
    """

    lines: int
    rejected: int
    spans: Mapping[str, tuple[int, int]]
    requests: Requests | None = None
    messages: pl.DataFrame | None = None


def scan(chunk: Chunk, time_zones: Mapping[str, str]) -> Scanned:
    """Parse a chunk and reduce it; `time_zones` are those of error logs by server."""
    records = records_of(chunk)
    if chunk.file.errors:
        return _errors(records, time_zones)
    columns = (*projections.PROFILED, "reason")
    server = chunk.file.server
    rows = parse_access(records, history_days=None, columns=columns, server=server)
    kept = _in_calendar(accepted(rows, projections.PROFILED))
    if kept.is_empty():
        return Scanned(len(rows), len(rows), {})
    second = pl.col("event_time").dt.epoch("s")
    edges = kept.group_by("server_address").agg(second.min().alias("a"), second.max().alias("b"))
    spans = {server: (first, last) for server, first, last in edges.iter_rows()}
    return Scanned(len(rows), len(rows) - len(kept), spans, requests=requests_of(kept))


def records_of(chunk: Chunk) -> pl.DataFrame:
    """Return the lines of a chunk as `frames.RECORD`, each at its byte offset.

    Access lines get no server: one that is named in the line goes before that of the file.
    """
    values = pl.Series("value", chunk.lines.split(b"\n"), pl.Binary)
    sizes = values.bin.size().cast(pl.Int64) + 1
    offsets = chunk.offset + sizes.cum_sum() - sizes
    errors = chunk.file.errors
    return pl.select(
        value=values,
        topic=pl.lit(names.TOPIC_ERRORS if errors else names.TOPIC_ACCESS),
        kafka_partition=pl.lit(0),
        kafka_offset=offsets,
        ingested_at=pl.lit(_READ_AT),
        server_address=pl.lit(chunk.file.server if errors else None),
        log_file=pl.lit(os.fsencode(chunk.file.path).decode(errors="replace")),
        byte_offset=offsets,
    ).cast(dict(frames.RECORD))  # type: ignore[arg-type]


def _errors(records: pl.DataFrame, time_zones: Mapping[str, str]) -> Scanned:
    rows = parse_errors(stitch(records), time_zones=time_zones, history_days=None)
    kept = _in_calendar(accepted(rows, projections.PROFILED_ERRORS))
    return Scanned(len(rows), len(rows) - len(kept), {}, messages=messages_of(kept))


def _in_calendar(rows: pl.DataFrame) -> pl.DataFrame:
    first, last = _CALENDAR
    times = rows["event_time"]
    if times.is_between(first, last).all():
        return rows
    return rows.filter(times.is_between(first, last))
