"""What is learned from profiles with incidents in them."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from batch.learning.learn import learn
from streaming.detection.limits import ERROR_RATIO, Rules
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lines import access_logs

pytestmark = pytest.mark.unit

START = 1_767_600_000
HOURS = 4


def test_a_route_learns_no_errors_from_an_incident(spark: SparkSession) -> None:
    second = F.col("id")
    failing = second.between(7200, 7800) & (second % 2 == 0)
    lines = spark.range(HOURS * 3600).select(
        second.cast("string").alias("event_id"),
        F.timestamp_seconds(START + second).alias("event_time"),
        F.lit("web1").alias("server_address"),
        F.format_string("10.0.0.%d", second % 50).alias("client_address"),
        F.lit("/cart").alias("url_path"),
        F.lit("/cart").alias("http_route"),
        F.when(failing, 502).otherwise(200).alias("http_response_status_code"),
    )
    learned = learn(traffic_profiles(access_logs(lines), fleet=False), None, Rules())
    assert "error_surge" in {incident.kind for incident in learned.incidents}
    (row,) = [row for row in learned.rows if row["metric"] == ERROR_RATIO and row["key"] == "/cart"]
    assert row["expected"] < Rules().error_ratio
