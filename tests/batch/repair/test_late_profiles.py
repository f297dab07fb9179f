"""Profiles that the streams did not make: refreshed, they equal the aggregate of the lake."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.testing import assertDataFrameEqual

from batch.repair.late_profiles import WHOLE_DAY, refresh
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, schemas
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lines import access_logs

pytestmark = pytest.mark.unit

MIDNIGHT = 1_767_657_600
BEFORE, AFTER = 6, WHOLE_DAY + 10
"""Windows on two days: few enough to be replaced one by one, and so many that the day is."""


def test_a_full_refresh_puts_right_what_the_table_holds(
    spark: SparkSession, settings: Settings
) -> None:
    for name in schemas.TABLES:
        delta_tables.ensure_table(spark, settings, name)
    number = F.col("id")
    lines = spark.range(BEFORE + AFTER).select(
        number.cast("string").alias("event_id"),
        F.timestamp_seconds(MIDNIGHT + (number - BEFORE) * 10).alias("event_time"),
        F.lit("web1").alias("server_address"),
        F.format_string("10.0.0.%d", number % 5).alias("client_address"),
        F.lit("/page").alias("url_path"),
        F.lit("/page").alias("http_route"),
        F.lit(200).alias("http_response_status_code"),
        F.lit(0.05).alias("http_server_request_duration"),
    )
    logs = access_logs(lines)
    logs.write.format("delta").mode("append").save(settings.table(names.ACCESS_LOGS))
    wrong = traffic_profiles(logs.where("event_id % 2 = 0")).withColumn(
        "requests", F.lit(7).cast("bigint")
    )
    wrong.write.format("delta").mode("append").save(settings.table(names.TRAFFIC_PROFILES))
    assert refresh(spark, settings, full=True) == BEFORE + AFTER
    assertDataFrameEqual(
        delta_tables.read_table(spark, settings, names.TRAFFIC_PROFILES), traffic_profiles(logs)
    )
