"""What the live metrics leave out: windows that InfluxDB does not keep, records of a backlog."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.live.stream_access import still_kept
from streaming.spark.kafka_source import live


def test_windows_that_influxdb_no_longer_keeps_are_left_out(spark: SparkSession) -> None:
    days = F.make_dt_interval(days=F.col("id").cast("int"))
    windows = spark.range(30).select("id", (F.current_timestamp() - days).alias("window_start"))
    kept = still_kept(windows.where("id != 6")).collect()
    assert sorted(row["id"] for row in kept) == [0, 1, 2, 3, 4, 5]


def test_records_that_waited_in_kafka_for_minutes_are_left_to_reconcile(
    spark: SparkSession,
) -> None:
    seconds = F.make_dt_interval(secs=F.col("id").cast("decimal(18,6)"))
    arrived = (F.current_timestamp() - seconds).alias("timestamp")
    messages = spark.range(0, 180, 30).select("id", F.lit(0).alias("partition"), arrived)
    assert sorted(row["id"] for row in live(messages).collect()) == [0, 30, 60, 90, 120]
