"""The Delta tables: made once, opened by name."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts.settings import Settings
from streaming.spark import schemas

log = logging.getLogger(__name__)

PARTITION = "event_date"

RETRIES: Final = 5
"""Attempts at a commit that another writer of the table gets ahead of."""

KEEP_HOURS = 168
"""How long a version that was replaced can still be read: a reader, or a verdict of last week."""

PROPERTIES = {
    "delta.deletedFileRetentionDuration": f"interval {KEEP_HOURS} hours",
    # A checkpoint every 100 commits: the streams commit some 20 times a minute.
    "delta.checkpointInterval": "100",
    "delta.logRetentionDuration": "interval 7 days",
}

PRUNED_BY = (
    "event_time",
    "server_address",
    "log_file",
    "byte_offset",
    "kafka_partition",
    "kafka_offset",
    "ingested_at",
)
"""The columns of lines by which queries leave files out. Statistics of the first 32, Delta's
default, make an append of `access_logs` a third slower, and no query looks for a client or a path
by range."""


def ensure_table(spark: SparkSession, settings: Settings, name: str) -> None:
    """Create the table `name` unless it is there; two applications may do so at once."""
    schema = schemas.TABLES[name]
    properties = dict(PROPERTIES)
    if "log_file" in schema.names:
        columns = ",".join(name for name in PRUNED_BY if name in schema.names)
        properties["delta.dataSkippingStatsColumns"] = columns
    partitions = [PARTITION] if PARTITION in schema.names else []
    builder = DeltaTable.createIfNotExists(spark).location(settings.table(name))
    builder = builder.addColumns(schema).partitionedBy(*partitions)
    for key, value in properties.items():
        builder = builder.property(key, value)
    try:
        builder.execute()
    except PySparkException:
        if DeltaTable.isDeltaTable(spark, settings.table(name)):
            # Another application was first.
            return
        # One was killed between the folder of the log and its first commit: Delta would neither
        # find nor create the table ever again, but it writes to it.
        empty = spark.createDataFrame([], schema).write.format("delta").mode("append")
        try:
            empty.options(**properties).partitionBy(*partitions).save(settings.table(name))
        except PySparkException:
            if not DeltaTable.isDeltaTable(spark, settings.table(name)):
                raise


def read_table(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    """Return the table's rows as they stand.

    Raises `FileNotFoundError` when the table was never made.
    """
    try:
        return spark.read.format("delta").load(settings.table(name))
    except AnalysisException as error:
        if DeltaTable.isDeltaTable(spark, settings.table(name)):
            raise
        raise FileNotFoundError(
            f"no table {name} at {settings.table(name)}; start the streams with `loglake up`"
        ) from error


def since(rows: DataFrame, start: datetime, time: str = "window_start") -> DataFrame:
    """Return the rows of a table of days whose `time` is `start`, which has a zone, or later.

    The day comes first, so that Delta leaves whole folders out.
    """
    return rows.where((F.col(PARTITION) >= start.date()) & (F.col(time) >= start))


def replace_windows(
    settings: Settings, table: str, profiles: DataFrame, starts: Sequence[int]
) -> None:
    """Put `profiles` in the place of whatever the table holds of the windows `starts`."""
    days = sorted({utc_date(start).isoformat() for start in starts})
    windows = ", ".join(f"timestamp_seconds({start})" for start in starts)
    dates = ", ".join(f"DATE'{day}'" for day in days)
    replace_where(
        settings, table, profiles, f"event_date IN ({dates}) AND window_start IN ({windows})"
    )


def replace_where(settings: Settings, table: str, profiles: DataFrame, condition: str) -> None:
    """Put `profiles` in the place of the rows of a table that meet a SQL condition."""
    writer = (
        profiles.coalesce(1)
        .write.format("delta")
        .mode("overwrite")
        .option("replaceWhere", condition)
    )
    _persistently(lambda: writer.save(settings.table(table)), table)


def utc_date(second: int) -> date:
    """Return the UTC date of an epoch second."""
    return datetime.fromtimestamp(second, UTC).date()


def stream_appends(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    """Stream the rows appended to a table; rewrites by maintenance are not new rows."""
    return (
        spark.readStream.format("delta")
        .option("skipChangeCommits", "true")
        .option("maxBytesPerTrigger", "256m")
        .load(settings.table(name))
    )


def latest_version(spark: SparkSession, settings: Settings, name: str) -> int:
    """Number of the table's newest commit, -1 when it was never made, without a Spark job."""
    jvm: Any = spark._jvm
    delta_log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(
        spark._jsparkSession, settings.table(name)
    )
    none = jvm.scala.Option.empty()
    return int(delta_log.update(False, none, none).version())


def _persistently(write: Callable[[], Any], table: str) -> None:
    """Repeat a commit that another writer of the same table got ahead of."""
    for attempt in range(RETRIES):
        try:
            write()
            return
        except PySparkException as error:
            if "CONCURRENT" not in str(error).upper() or attempt == RETRIES - 1:
                raise
            log.info("%s: another writer was first; trying again", table)
            time.sleep(0.2 * 2**attempt)
