"""`python -m streaming.live.stream_errors`: Kafka `web-errors` → lake, metrics, incidents."""

from functools import partial

from pyspark.sql import DataFrame, SparkSession

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live import detection_query
from streaming.live.application import QuerySpec
from streaming.live.influx_sink import InfluxSink
from streaming.live.lake_query import lake_query
from streaming.live.runner import main
from streaming.spark import delta_tables, live_metrics, window_filters
from streaming.spark.parsing import error_rows


def build(spark: SparkSession, settings: Settings) -> list[QuerySpec]:
    """The queries of the application: the topic into the lake, the lake into the others."""
    for table in (names.ERROR_LOGS, names.REJECTED_LINES):
        delta_tables.ensure_table(spark, settings, table)
    detection = detection_query.build_errors(spark, settings)
    return [lake(spark, settings), metrics_query(spark, settings), detection]


def lake(spark: SparkSession, settings: Settings) -> QuerySpec:
    """Every line, once, into the lake; lines that continue a record are joined to it first."""
    parse = partial(error_rows, settings=settings)
    return lake_query(spark, settings, names.TOPIC_ERRORS, names.ERROR_LOGS, parse, by_batch=True)


def metrics_query(spark: SparkSession, settings: Settings) -> QuerySpec:
    """Windows recomputed from the lake as lines arrive in it.

    Not straight from Kafka: only the lake query sees a record's neighbours, and without them a
    line that a client forged with a newline in its URL would count as a message of nginx.
    """
    sink = InfluxSink(settings)

    def write(batch: DataFrame, _batch_id: int) -> None:
        logs = delta_tables.read_table(spark, settings, names.ERROR_LOGS)
        touched = window_filters.recent_windows(batch)
        windows = live_metrics.error_events(window_filters.in_windows(logs, touched))
        rows = live_metrics.points_of(windows)
        sink.write(names.ERROR_EVENTS, rows, time_column="window_start")

    appended = delta_tables.stream_appends(spark, settings, names.ERROR_LOGS)
    return QuerySpec(
        "metrics", appended.writeStream.foreachBatch(write), settings.lake_trigger_seconds
    )


if __name__ == "__main__":
    main(names.STREAM_ERRORS, build)
