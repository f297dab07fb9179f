"""Events that are in a log table more than once although every writer tries to prevent it."""

import logging

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, window_filters

log = logging.getLogger(__name__)


def remove_duplicates(
    spark: SparkSession, settings: Settings, table: str, starts: list[int]
) -> int:
    """Leave each event of these windows once in `table`; return how many rows went.

    A repeated line has the same event time, so both copies are in one window. Only windows with
    copies are rewritten, and the copy with the lowest offset stays.
    """
    logs = window_filters.in_windows(delta_tables.read_table(spark, settings, table), starts)
    start = window_filters.window_second("event_time")
    repeated = (
        logs.groupBy("event_id", start.alias("start"))
        .agg((F.count("*") - 1).alias("copies"))
        .where("copies > 0")
        .groupBy("start")
        .agg(F.sum("copies").alias("copies"))
        .collect()
    )
    for row in repeated:
        _rewrite(spark, settings, table, row["start"])
        log.warning("%s: removed %d copies in window %d", table, row["copies"], row["start"])
    return sum(row["copies"] for row in repeated)


def _rewrite(spark: SparkSession, settings: Settings, table: str, start: int) -> None:
    window = (
        f"event_date = to_date(timestamp_seconds({start})) "
        f"AND event_time >= timestamp_seconds({start}) "
        f"AND event_time < timestamp_seconds({start + names.WINDOW_SECONDS})"
    )
    logs = delta_tables.read_table(spark, settings, table).where(window)
    order = F.struct("kafka_partition", "kafka_offset")
    kept = (
        logs.groupBy("event_id")
        .agg(F.min_by(F.struct("*"), order).alias("event"))
        .select("event.*")
        .select(*logs.columns)
    )
    kept.write.format("delta").mode("overwrite").option("replaceWhere", window).save(
        settings.table(table)
    )
