"""Which 10-second windows are final, and what the lake says of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.progress import read_progress
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, live_metrics, window_filters

CHUNK_SECONDS: Final = 4 * 3600
"""So much time is compared at once: what is collected stays small however long the period.

By the hour a day of hardly a line took a minute and a half: each chunk plans four queries.
"""
LOOK_SECONDS: Final = 15
"""An idle query reports every 10 seconds that it found nothing."""
FRESH_SECONDS: Final = 60
"""A stream that spoke so recently runs."""


@dataclass(frozen=True)
class Target:
    """A measurement and the table and function that it comes from."""

    measurement: str
    table: str
    stream: str
    aggregate: Callable[[DataFrame], DataFrame]


TARGETS: Final = (
    Target(names.HTTP_TRAFFIC, names.ACCESS_LOGS, names.STREAM_ACCESS, live_metrics.http_traffic),
    Target(names.ERROR_EVENTS, names.ERROR_LOGS, names.STREAM_ERRORS, live_metrics.error_events),
)


def aligned(seconds: float) -> int:
    """Start of the window that holds a time, in epoch seconds."""
    return int(seconds // names.WINDOW_SECONDS) * names.WINDOW_SECONDS


def oldest(now: datetime) -> int:
    """Start of the oldest window that InfluxDB still takes."""
    return aligned(now.timestamp() - names.WRITABLE_SECONDS) + names.WINDOW_SECONDS


def settled_until(settings: Settings, stream: str, now: datetime) -> int | None:
    """Start of the first window that may still change by lines that arrive in time.

    None while the stream has a backlog, or may have one before its first batch: the lake lacks
    lines that the live metrics may have.
    """
    progress = read_progress(settings, stream)
    asked = now.timestamp()
    if progress:
        lake = progress.queries.get("lake")
        if (lake is None or lake.lag_rows) and progress.age_s(now) < FRESH_SECONDS:
            return None
        # A stopped stream has read nothing since; a running one looked within its last batches.
        asked = min(asked, progress.heartbeat_at.timestamp() - LOOK_SECONDS)
    return aligned(asked - names.WATERMARK_SECONDS)


def reconciled_until(spark: SparkSession, settings: Settings, target: Target) -> int | None:
    """Start of the first window that reconcile has not looked at yet, None before its first run."""
    state = delta_tables.read_table(spark, settings, names.RECONCILIATIONS)
    newest = state.where(F.col("measurement") == target.measurement).agg(
        F.unix_seconds(F.max("settled_until")).alias("until")
    )
    until: int | None = newest.collect()[0]["until"]
    return until


def chunks(starts: Iterable[int]) -> Iterator[list[int]]:
    """Group sorted window starts by `CHUNK_SECONDS`."""
    for _, group in groupby(starts, key=lambda start: start // CHUNK_SECONDS):
        yield list(group)


def between(start: int, stop: int) -> list[int]:
    """Starts of all windows of `[start, stop)`."""
    return list(range(aligned(start), stop, names.WINDOW_SECONDS))


def rows(
    spark: SparkSession, settings: Settings, target: Target, starts: list[int]
) -> list[dict[str, Any]]:
    """Rows of the measurement for these windows by the lake; window_start in epoch ms."""
    logs = window_filters.in_windows(delta_tables.read_table(spark, settings, target.table), starts)
    return live_metrics.points_of(target.aggregate(logs))


def first_start(spark: SparkSession, settings: Settings, table: str, since: int) -> int | None:
    """Start of the table's earliest window at or after `since`, None if it has none."""
    logs = delta_tables.read_table(spark, settings, table)
    later = delta_tables.since(logs, datetime.fromtimestamp(since, UTC), "event_time")
    earliest = later.agg(F.unix_seconds(F.min("event_time")).alias("first")).collect()[0]["first"]
    return None if earliest is None else aligned(earliest)


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)
