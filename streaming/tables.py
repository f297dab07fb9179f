"""The Delta tables: made once, opened by name."""

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from streaming import schemas
from streaming.settings import Settings

PARTITION = "event_date"

PROPERTIES = {
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
    builder = DeltaTable.createIfNotExists(spark).location(settings.table(name)).addColumns(schema)
    if PARTITION in schema.names:
        builder = builder.partitionedBy(PARTITION)
    for key, value in PROPERTIES.items():
        builder = builder.property(key, value)
    if "log_file" in schema.names:
        columns = ",".join(name for name in PRUNED_BY if name in schema.names)
        builder = builder.property("delta.dataSkippingStatsColumns", columns)
    try:
        builder.execute()
    except PySparkException:
        # Another application was first; the second time sees its table, or fails for good.
        builder.execute()


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


def stream_appends(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    """Stream the rows appended to a table; rewrites by maintenance are not new rows."""
    return (
        spark.readStream.format("delta")
        .option("skipChangeCommits", "true")
        .option("maxBytesPerTrigger", "256m")
        .load(settings.table(name))
    )


def latest_version(spark: SparkSession, settings: Settings, name: str) -> int:
    """Number of the table's newest commit."""
    return int(DeltaTable.forPath(spark, settings.table(name)).history(1).collect()[0]["version"])
