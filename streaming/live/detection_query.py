"""The queries that tell the detectors which windows got lines."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live.application import QuerySpec
from streaming.live.detector import Detector, ErrorDetector, TrafficDetector
from streaming.live.lake_query import is_behind
from streaming.spark import delta_tables


def build(spark: SparkSession, settings: Settings) -> QuerySpec:
    """The query over `access_logs`."""
    for table in (names.TRAFFIC_PROFILES, names.BASELINES, names.INCIDENTS):
        delta_tables.ensure_table(spark, settings, table)
    return _over(spark, settings, names.ACCESS_LOGS, TrafficDetector(spark, settings))


def build_errors(spark: SparkSession, settings: Settings) -> QuerySpec:
    """The query over `error_logs`."""
    for table in (names.ERROR_PROFILES, names.BASELINES, names.INCIDENTS):
        delta_tables.ensure_table(spark, settings, table)
    return _over(spark, settings, names.ERROR_LOGS, ErrorDetector(spark, settings))


def _over(spark: SparkSession, settings: Settings, table: str, detection: Detector) -> QuerySpec:
    """Stream a table's event times, and a clock, so that silence is a batch too."""
    appended = delta_tables.stream_appends(spark, settings, table).select(
        "event_time", "ingested_at"
    )
    none = F.lit(None).cast("timestamp")
    ticks = spark.readStream.format("rate").option("rowsPerSecond", 1).load()
    clock = ticks.select(none.alias("event_time"), none.alias("ingested_at"))
    return QuerySpec(
        "detection",
        appended.unionByName(clock).writeStream.foreachBatch(detection),
        settings.detection_trigger_seconds,
        ready_when=lambda others: not is_behind(settings, others),
    )
