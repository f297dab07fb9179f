"""`python -m streaming.stream_errors`: Kafka `web-errors` → the lake, live metrics, verdicts."""

from functools import partial

from pyspark.sql import DataFrame, SparkSession

from streaming import detection_query, metrics, names, tables
from streaming.application import QuerySpec
from streaming.error_lines import parse_errors, stitch
from streaming.influx_sink import InfluxSink
from streaming.lake import lake_query
from streaming.runner import main
from streaming.settings import Settings


def build(spark: SparkSession, settings: Settings) -> list[QuerySpec]:
    """The queries of the application: the topic into the lake, the lake into the others."""
    for table in (names.ERROR_LOGS, names.REJECTED_LINES):
        tables.ensure_table(spark, settings, table)
    detection = detection_query.build_errors(spark, settings)
    return [lake(spark, settings), live_metrics(spark, settings), detection]


def lake(spark: SparkSession, settings: Settings) -> QuerySpec:
    """Every line, once, into the lake; lines that continue a record are joined to it first."""
    parse = partial(
        parse_errors,
        time_zones=settings.error_log_time_zones,
        history_days=settings.history_days,
    )
    return lake_query(
        spark,
        settings,
        names.TOPIC_ERRORS,
        names.ERROR_LOGS,
        lambda batch: parse(stitch(batch)),
        by_batch=True,
    )


def live_metrics(spark: SparkSession, settings: Settings) -> QuerySpec:
    """Windows recomputed from the lake as lines arrive in it.

    Not straight from Kafka: only the lake query sees a record's neighbours, and without them a
    line that a client forged with a newline in its URL would count as a message of nginx.
    """
    sink = InfluxSink(settings)

    def write(batch: DataFrame, _batch_id: int) -> None:
        logs = tables.read_table(spark, settings, names.ERROR_LOGS)
        touched = metrics.recent_windows(batch)
        sink.write_frame(
            names.ERROR_EVENTS,
            metrics.error_events(metrics.in_windows(logs, touched)),
            "window_start",
        )

    appended = tables.stream_appends(spark, settings, names.ERROR_LOGS)
    return QuerySpec(
        "metrics", appended.writeStream.foreachBatch(write), settings.lake_trigger_seconds
    )


if __name__ == "__main__":
    main(names.STREAM_ERRORS, build)
