"""`python -m streaming.live.stream_access`: Kafka `web-logs` → the lake, live metrics, verdicts."""

import time
from dataclasses import replace
from functools import partial
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live import detection_query
from streaming.live.application import QuerySpec
from streaming.live.influx_sink import InfluxSink
from streaming.live.lake_query import lake_query
from streaming.live.runner import main
from streaming.spark import delta_tables, live_metrics
from streaming.spark.kafka_source import live, read_topic, records
from streaming.spark.parsing import access_rows, metric_rows

FORGET_SECONDS: Final = 600
"""After so long a pause live metrics begin with what is live, and do not read what waited: it
would add to none of the windows that they remember, and `reconcile` makes its points from the
lake within as long."""


def build(spark: SparkSession, settings: Settings) -> list[QuerySpec]:
    """The queries of the application: two read the topic, the detector reads the lake."""
    for table in (names.ACCESS_LOGS, names.REJECTED_LINES):
        delta_tables.ensure_table(spark, settings, table)
    # In the first minutes everything compiles at once: what is watched goes first.
    lines = replace(lake(spark, settings), ready_when=lambda others: "metrics" in others)
    detection = detection_query.build(spark, settings)
    return [metrics_query(spark, settings), lines, detection]


def lake(spark: SparkSession, settings: Settings) -> QuerySpec:
    """Every line, once, into the lake."""
    parse = partial(access_rows, settings=settings)
    return lake_query(spark, settings, names.TOPIC_ACCESS, names.ACCESS_LOGS, parse)


def metrics_query(spark: SparkSession, settings: Settings) -> QuerySpec:
    """Windows as they fill, straight from Kafka: the lake would cost seconds."""
    sink = InfluxSink(settings)

    def write(batch: DataFrame, _batch_id: int) -> None:
        rows = live_metrics.points_of(still_kept(batch))
        sink.write(names.HTTP_TRAFFIC, rows, time_column="window_start")

    since = time.time() - names.WATERMARK_SECONDS
    stream = live(read_topic(spark, settings, names.TOPIC_ACCESS, headers=False, since=since))
    # Rejected lines are left out before the watermark: one line dated 2099 would move it past
    # every genuine one.
    accepted = metric_rows(records(stream), settings)
    traffic = live_metrics.http_traffic(
        accepted.withWatermark("event_time", f"{names.WATERMARK_SECONDS} seconds")
    )
    return QuerySpec(
        "metrics",
        traffic.writeStream.outputMode("update").foreachBatch(write),
        settings.metrics_trigger_seconds,
        forget_seconds=FORGET_SECONDS,
    )


def still_kept(windows: DataFrame) -> DataFrame:
    """The windows that InfluxDB still takes.

    Before the first live line no watermark leaves old lines out, and a
    replay of a log of three weeks ago ended this query again and again.
    """
    oldest = F.current_timestamp() - F.make_dt_interval(secs=F.lit(names.WRITABLE_SECONDS))
    return windows.where(F.col("window_start") >= oldest)


if __name__ == "__main__":
    main(names.STREAM_ACCESS, build)
