"""Profiles of old, late and imported lines, which the live detector leaves out."""

import logging
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, window_filters
from streaming.spark.arrow_bridge import collect_frame
from streaming.spark.profile_store import ERRORS, TRAFFIC, ProfileStore, Source, profiles_of_logs

log = logging.getLogger(__name__)

QUERY: Final = "profiles"
WHOLE_DAY: Final = 500
"""From this many windows of a day on, the day is made anew as a whole."""

UNSETTLED: Final = timedelta(minutes=2)
"""The newest stored profiles may lack lines that the streams have not saved yet."""

SOURCES: Final = (TRAFFIC, ERRORS)


def refresh(spark: SparkSession, settings: Settings, *, full: bool = False) -> int:
    """Recompute the profiles of windows that got lines too late for the live queries.

    With `full`, those of every window. Returns how many windows were recomputed.
    """
    done = 0
    for source in SOURCES:
        delta_tables.ensure_table(spark, settings, source.logs)
        delta_tables.ensure_table(spark, settings, source.profiles)
        if full:
            logs = delta_tables.read_table(spark, settings, source.logs)
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
        starts = _windows(batch.where(delay > window_filters.RECENT_SECONDS))
        _recompute(spark, settings, source, starts)
        touched.update(starts)

    appended = delta_tables.stream_appends(spark, settings, source.logs)
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
    starts = logs.select(window_filters.window_second("event_time").alias("start")).distinct()
    return sorted(row["start"] for row in starts.collect())


def _recompute(spark: SparkSession, settings: Settings, source: Source, starts: list[int]) -> None:
    for day, group in groupby(starts, key=lambda s: delta_tables.utc_date(s)):
        windows = list(group)
        if len(windows) < WHOLE_DAY:
            ProfileStore(spark, settings, source).remake(windows)
        else:
            _recompute_day(spark, settings, source, day)
        log.info("%s: %d windows of %s", source.profiles, len(windows), day)


def _recompute_day(spark: SparkSession, settings: Settings, source: Source, day: date) -> None:
    logs = delta_tables.read_table(spark, settings, source.logs)
    profiles = profiles_of_logs(source, logs.where(F.col("event_date") == F.lit(day)))
    delta_tables.replace_where(
        settings, source.profiles, profiles, f"event_date = DATE'{day.isoformat()}'"
    )


def current(
    spark: SparkSession,
    settings: Settings,
    table: str,
    server: str,
    start: datetime,
    end: datetime,
) -> pl.DataFrame:
    """Return a server's profiles from `start` to `end`, with those not saved yet.

    The last stored windows, `UNSETTLED`, and whatever comes later are made of the log.
    """
    (source,) = (source for source in SOURCES if source.profiles == table)
    stored = delta_tables.since(delta_tables.read_table(spark, settings, table), start)
    stored = stored.where((F.col("window_start") <= end) & (F.col("server_address") == server))
    saved = collect_frame(stored)
    newest = saved["window_start"].max()
    edge = max(start, newest - UNSETTLED) if isinstance(newest, datetime) else start
    window = timedelta(seconds=names.WINDOW_SECONDS)
    logs = delta_tables.read_table(spark, settings, source.logs)
    logs = delta_tables.since(logs, edge - window, "event_time")
    lines = collect_frame(logs.where(F.col("event_time") <= end + window).select(*source.columns))
    fresh = source.aggregate(lines).filter(
        pl.col("window_start").is_between(edge, end), pl.col("server_address") == server
    )
    return pl.concat([saved.filter(pl.col("window_start") < edge), fresh])
