"""Rows go through the bridge as they are, whatever their types."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.contracts import frames, names, tables
from streaming.spark.arrow_bridge import collect_frame, map_frames, map_groups, spark_frame

MOMENT = datetime(2026, 3, 29, 1, 30, 0, 123456, UTC)

EXAMPLES = {
    names.ACCESS_LOGS: {
        "event_id": "a",
        "event_time": MOMENT,
        "event_date": MOMENT.date(),
        "url_path": "/ä\ufffd",
        "http_response_status_code": 404,
        "http_server_request_duration": 0.25,
        "byte_offset": 2**40,
    },
    names.TRAFFIC_PROFILES: {
        "window_start": MOMENT.replace(second=0, microsecond=0),
        "event_date": date(2026, 3, 29),
        "latency_counts": [0, 7],
        "top_clients": [
            {
                "load": 1,
                "requests": 2,
                "client": "c",
                "status_5xx": 0,
                "top_paths": [{"requests": 2, "path": "/"}],
            }
        ],
        "clients_with_404s": [],
        "shared_paths": None,
    },
    names.INCIDENTS: {"incident_id": "i", "closed_at": None, "evidence": ["a", "b"]},
}


def example(table: str) -> pl.DataFrame:
    """A row with values and a row of nulls."""
    return pl.DataFrame([EXAMPLES[table], {}], frames.TABLES[table])


def twice(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame])


def how_many(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.first("event_id"), pl.len().cast(pl.Int64).alias("kafka_offset"))


@pytest.mark.parametrize("table", EXAMPLES)
def test_rows_come_back_as_they_were(spark: SparkSession, table: str) -> None:
    frame = example(table)
    rows = spark_frame(spark, frame, tables.TABLES[table]).coalesce(1)
    assert_frame_equal(collect_frame(rows), frame)
    mapped = map_frames(rows, twice, tables.TABLES[table])
    assert_frame_equal(collect_frame(mapped), twice(frame))
    assert mapped.schema == rows.schema


def test_groups_are_whole_and_null_is_a_group(spark: SparkSession) -> None:
    keys = ["x", "y", None, "x", None, "x"]
    frame = pl.DataFrame({"event_id": keys}, {"event_id": pl.String})
    columns = {name: tables.ACCESS_LOGS[name] for name in ("event_id", "kafka_offset")}
    rows = spark_frame(spark, frame, {"event_id": tables.ACCESS_LOGS["event_id"]}).repartition(3)
    counted = map_groups(rows, [F.col("event_id")], how_many, columns).collect()
    assert {tuple(row) for row in counted} == {("x", 3), ("y", 1), (None, 2)}


def test_no_rows_are_a_frame_with_columns(spark: SparkSession) -> None:
    empty = spark_frame(spark, example(names.INCIDENTS).clear(), tables.TABLES[names.INCIDENTS])
    assert_frame_equal(collect_frame(empty), example(names.INCIDENTS).clear())
