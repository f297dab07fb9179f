"""The Delta tables: made once, opened by name."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from streaming.contracts.settings import Settings
from streaming.spark import schemas

PARTITION = "event_date"

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


def frame_of(
    spark: SparkSession, rows: Sequence[Mapping[str, Any]], schema: T.StructType
) -> DataFrame:
    """Return a few rows as a frame; times must have a zone.

    `createDataFrame` would start a Python worker for each of its partitions.
    """
    text = json.dumps(list(rows), default=datetime.isoformat)
    array = F.from_json(F.lit(text), T.ArrayType(schema), {"mode": "FAILFAST"})
    return spark.range(1, numPartitions=1).select(F.inline(array))


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
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(
        spark._jsparkSession, settings.table(name)
    )
    none = jvm.scala.Option.empty()
    return int(log.update(False, none, none).version())
