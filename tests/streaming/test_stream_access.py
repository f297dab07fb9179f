"""What the live metrics leave to nobody: windows that InfluxDB does not keep."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.stream_access import still_kept

pytestmark = pytest.mark.unit


def test_windows_that_influxdb_no_longer_keeps_are_left_out(spark: SparkSession) -> None:
    days = F.make_dt_interval(days=F.col("id").cast("int"))
    windows = spark.range(30).select("id", (F.current_timestamp() - days).alias("window_start"))
    kept = still_kept(windows.where("id != 6")).collect()
    assert sorted(row["id"] for row in kept) == [0, 1, 2, 3, 4, 5]
