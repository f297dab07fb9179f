"""Keeps the panes equal to the lake where the live queries do not: old, late and imported lines."""

import logging
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming import metrics, names, tables
from streaming.detection import store
from streaming.detection.lake_panes import ERRORS, TRAFFIC, LakePanes, Source
from streaming.settings import Settings

log = logging.getLogger(__name__)

QUERY: Final = "panes"
WHOLE_DAY: Final = 500
"""From this many windows of a day on, the day is made anew as a whole."""

UNSETTLED: Final = timedelta(minutes=2)
"""The newest stored panes may lack lines that the streams have not saved yet."""

SOURCES: Final = (TRAFFIC, ERRORS)


def refresh(spark: SparkSession, settings: Settings, *, full: bool = False) -> int:
    """Recompute the panes of windows that got lines too late for the live queries.

    With `full`, those of every window. Returns how many windows were recomputed.
    """
    done = 0
    for source in SOURCES:
        tables.ensure_table(spark, settings, source.logs)
        tables.ensure_table(spark, settings, source.panes)
        if full:
            logs = tables.read_table(spark, settings, source.logs)
            starts = _windows(logs)
            _recompute(spark, settings, source, starts)
            done += len(starts)
        else:
            done += _late(spark, settings, source)
    return done


def _late(spark: SparkSession, settings: Settings, source: Source) -> int:
    """Follow the log table with a checkpoint of its own."""
    touched: set[int] = set()
    delay = F.unix_seconds("ingested_at") - F.unix_seconds("event_time")

    def collect(batch: DataFrame, _batch_id: int) -> None:
        starts = _windows(batch.where(delay > metrics.RECENT_SECONDS))
        _recompute(spark, settings, source, starts)
        touched.update(starts)

    appended = tables.stream_appends(spark, settings, source.logs)
    query = (
        appended.writeStream.queryName(f"{QUERY}-{source.logs}")
        .option("checkpointLocation", settings.checkpoint(QUERY, source.logs))
        .trigger(availableNow=True)
        .foreachBatch(collect)
        .start()
    )
    query.awaitTermination()
    return len(touched)


def _windows(logs: DataFrame) -> list[int]:
    starts = logs.select(metrics.window_second("event_time").alias("start")).distinct()
    return sorted(row["start"] for row in starts.collect())


def _recompute(spark: SparkSession, settings: Settings, source: Source, starts: list[int]) -> None:
    for day, group in groupby(starts, key=lambda s: store.utc_date(s)):
        windows = list(group)
        if len(windows) < WHOLE_DAY:
            LakePanes(spark, settings, source).remake(windows)
        else:
            _recompute_day(spark, settings, source, day)
        log.info("%s: %d windows of %s", source.panes, len(windows), day)


def _recompute_day(spark: SparkSession, settings: Settings, source: Source, day: date) -> None:
    logs = tables.read_table(spark, settings, source.logs)
    panes = source.aggregate(logs.where(F.col("event_date") == F.lit(day)))
    store.replace_where(settings, source.panes, panes, f"event_date = DATE'{day.isoformat()}'")


def current(
    spark: SparkSession, settings: Settings, table: str, start: datetime, end: datetime
) -> DataFrame:
    """Return a table's panes from `start` to `end`, with those that the streams did not save yet.

    The last stored windows, `UNSETTLED`, and whatever comes later are made of the log.
    """
    (source,) = (source for source in SOURCES if source.panes == table)
    stored = tables.since(tables.read_table(spark, settings, table), start)
    stored = stored.where(F.col("window_start") <= end)
    newest = stored.agg(F.unix_seconds(F.max("window_start"))).collect()[0][0]
    edge = start
    if newest is not None:
        edge = max(start, datetime.fromtimestamp(newest, UTC) - UNSETTLED)
    window = timedelta(seconds=names.WINDOW_SECONDS)
    logs = tables.read_table(spark, settings, source.logs)
    logs = tables.since(logs, edge - window, "event_time")
    fresh = source.aggregate(logs.where(F.col("event_time") <= end + window))
    saved = stored.where(F.col("window_start") < edge)
    return saved.unionByName(fresh.where(F.col("window_start").between(edge, end)))
