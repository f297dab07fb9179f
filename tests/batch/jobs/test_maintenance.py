"""Tables are kept small, and nothing of value goes."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

from batch.jobs.maintenance import maintain, wrong_rollup_hours
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables
from tests.batch.conftest import Lake

pytestmark = pytest.mark.stack

DAY = 24 * 60


def test_old_days_go_and_small_files_are_joined(lake: Lake) -> None:
    lake.access("a", minutes_ago=(lake.settings.history_days + 2) * DAY)
    lake.access("b", minutes_ago=(lake.settings.history_days - 1) * DAY)
    for event_id in "cde":
        lake.access(event_id, minutes_ago=1)
    outcome = maintain(lake.spark, lake.settings, lake.now)
    assert outcome.rows_dropped[names.ACCESS_LOGS] == 1
    assert outcome.files_joined[names.ACCESS_LOGS] == 3
    stored = delta_tables.read_table(lake.spark, lake.settings, names.ACCESS_LOGS)
    assert sorted(row["event_id"] for row in stored.collect()) == list("bcde")
    assert len(stored.inputFiles()) == 2
    again = maintain(lake.spark, lake.settings, lake.now)
    assert not any({**again.rows_dropped, **again.files_joined}.values())


def test_only_files_that_no_version_of_the_last_week_needs_are_deleted(lake: Lake) -> None:
    lake.access("a", minutes_ago=1)
    lake.access("b", minutes_ago=1)
    table = Path(lake.settings.table(names.ACCESS_LOGS))
    live = {file for file in table.rglob("*.parquet") if "_delta_log" not in file.parts}
    (day,) = {file.parent for file in live}
    orphan = day / "part-orphan.parquet"
    orphan.write_bytes(b"")
    past = time.time() - (delta_tables.KEEP_HOURS + 1) * 3600
    for file in (orphan, *live):
        os.utime(file, (past, past))
    outcome = maintain(lake.spark, lake.settings, lake.now)
    assert not orphan.exists()
    assert outcome.files_deleted[names.ACCESS_LOGS] == 1
    assert all(file.exists() for file in live), "the version before compaction can still be read"


def test_an_hour_whose_roll_up_differs_from_its_points_is_named(lake: Lake) -> None:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    _count(lake.settings, names.BUCKET_METRICS, hour + timedelta(minutes=5), 7)
    _count(lake.settings, names.BUCKET_METRICS, hour + timedelta(minutes=50), 3)
    assert wrong_rollup_hours(lake.settings, now) == [f"{hour:%Y-%m-%d %H:00}"]
    _count(lake.settings, names.BUCKET_METRICS_1H, hour, 9)
    assert wrong_rollup_hours(lake.settings, now) == [f"{hour:%Y-%m-%d %H:00}"]
    _count(lake.settings, names.BUCKET_METRICS_1H, hour, 10)
    assert wrong_rollup_hours(lake.settings, now) == []


def _count(settings: Settings, bucket: str, moment: datetime, requests: int) -> None:
    point = Point(names.HTTP_TRAFFIC).tag("server", "web1").field("requests", requests)
    with InfluxDBClient(
        settings.influx, token=settings.secret("influx_write_token"), org=settings.influx_org
    ) as client:
        client.write_api(SYNCHRONOUS).write(bucket, record=point.time(moment))
