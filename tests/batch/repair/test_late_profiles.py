"""Profiles that the streams did not make: refreshed, they equal the aggregate of the lake."""

import polars as pl
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession

from batch.repair.late_profiles import WHOLE_DAY, refresh
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.rows import utc
from streaming.spark import delta_tables, schemas
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lake import append, rows_of
from tests.fixtures.lines import access_logs

MIDNIGHT = 1_767_657_600
BEFORE, AFTER = 6, WHOLE_DAY + 10
"""Windows on two days: few enough to be replaced one by one, and so many that the day is."""


def test_a_full_refresh_puts_right_what_the_table_holds(
    spark: SparkSession, settings: Settings
) -> None:
    for name in schemas.TABLES:
        delta_tables.ensure_table(spark, settings, name)
    logs = access_logs(
        {
            "event_id": str(number),
            "event_time": utc(MIDNIGHT + (number - BEFORE) * 10),
            "server_address": "web1",
            "client_address": f"10.0.0.{number % 5}",
            "url_path": "/page",
            "http_route": "/page",
            "http_response_status_code": 200,
            "http_server_request_duration": 0.05,
        }
        for number in range(BEFORE + AFTER)
    )
    expected = traffic_profiles(logs)
    append(spark, settings, names.ACCESS_LOGS, logs)
    wrong = expected.gather_every(2).with_columns(requests=pl.lit(7, pl.Int64))
    append(spark, settings, names.TRAFFIC_PROFILES, wrong)
    assert refresh(spark, settings, full=True) == BEFORE + AFTER
    made = rows_of(spark, settings, names.TRAFFIC_PROFILES)
    assert_frame_equal(made.sort("window_start", "server_address"), expected)
