"""Error-log messages → one row per 10-second window and server."""

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.spark import schemas
from streaming.windows.traffic_profile import window_start

MAX_PATTERNS: Final = 100
MAX_TEXT: Final = 500

EVALUATED: Final = names.SEVERITIES[names.SEVERITIES.index("warn") :]
"""Notices and below tell of the life of nginx, not of trouble."""


def error_profiles(error_logs: DataFrame, *, fleet: bool = True) -> DataFrame:
    """Aggregate `schemas.ERROR_LOGS` into `schemas.ERROR_PROFILES`.

    With `fleet` there is one more row per window for all servers together.
    """
    servers = F.array("server_address", F.lit(names.FLEET)) if fleet else F.array("server_address")
    keys = ["window_start", "server_address"]
    messages = error_logs.where(F.col("severity").isin(*EVALUATED)).select(
        window_start(F.col("event_time")).alias("window_start"),
        F.explode(servers).alias("server_address"),
        F.coalesce("category", F.lit("other")).alias("category"),
        F.coalesce("pattern_id", F.lit("")).alias("pattern_id"),
        F.substring("pattern", 1, MAX_TEXT).alias("pattern"),
        F.substring("message", 1, MAX_TEXT).alias("message"),
        F.array_position(F.lit(list(names.SEVERITIES)), F.col("severity")).alias("rank"),
    )
    patterns = messages.groupBy(*keys, "category", "pattern_id").agg(
        F.count(F.lit(1)).alias("events"),
        F.max("rank").alias("rank"),
        F.min("pattern").alias("pattern"),
        F.min("message").alias("sample"),
    )
    severity = F.element_at(F.lit(list(names.SEVERITIES)), F.col("rank").cast("int"))
    entry = F.struct(
        "pattern_id", severity.alias("severity"), "category", "events", "pattern", "sample"
    )
    of_category = patterns.groupBy(*keys, "category").agg(
        F.sum("events").alias("events"),
        F.max_by(entry, F.struct("rank", "events", "pattern_id"), MAX_PATTERNS).alias("patterns"),
    )
    return (
        of_category.groupBy(*keys)
        .agg(
            F.sum("events").alias("events"),
            F.sort_array(F.collect_list(F.struct("category", "events"))).alias("categories"),
            F.flatten(F.array_sort(F.collect_list("patterns"))).alias("patterns"),
        )
        .withColumn("event_date", F.to_date("window_start"))
        .select(*schemas.ERROR_PROFILES.names)
    )
