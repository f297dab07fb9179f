"""The number of series stands still, however many clients and paths an attacker makes up."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from stack.series import count_series, most_series
from streaming.contracts import names
from streaming.live.influx_sink import InfluxSink
from streaming.spark import live_metrics
from tests.grafana import sample
from tests.grafana.conftest import Scene

pytestmark = pytest.mark.stack


def test_a_flood_of_clients_adds_no_series(scene: Scene, spark: SparkSession) -> None:
    settings = scene.store.settings
    at = sample.now() - 3_600
    for clients in (1, 50_000):
        lines = spark.range(clients).select(
            F.timestamp_seconds(F.lit(at)).alias("event_time"),
            F.lit("web1").alias("server_address"),
            F.concat(F.lit("10."), F.col("id").cast("string")).alias("client_address"),
            F.concat(F.lit("/"), F.col("id").cast("string")).alias("url_path"),
            F.lit(404).alias("http_response_status_code"),
            F.lit(10).cast("long").alias("http_response_body_size"),
            F.lit(0.01).alias("http_server_request_duration"),
        )
        with InfluxSink(settings) as sink:
            rows = live_metrics.points_of(live_metrics.http_traffic(lines))
            sink.write(names.HTTP_TRAFFIC, rows, time_column="window_start")
        if clients == 1:
            before = count_series(settings)
    assert count_series(settings) == before


def test_all_that_is_written_is_within_the_bound(scene: Scene) -> None:
    settings = scene.store.settings
    # The tests write a server of their own, too.
    allowed = most_series(settings.with_changes(servers=(*settings.servers, "web9")))
    assert 40 < count_series(settings) <= allowed < 1_000
