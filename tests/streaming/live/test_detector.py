"""The live detector's tables: profiles saved once a minute, and none lost with the process."""

import itertools
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.progress import QueryProgress, StreamProgress, write_progress
from streaming.contracts.settings import Settings
from streaming.live import detector
from streaming.live.detector import BEHIND_SECONDS, SAVE_SECONDS, TrafficDetector
from streaming.spark import delta_tables, schemas
from streaming.spark.arrow_bridge import collect_frame
from streaming.spark.kafka_source import half_batch
from streaming.windows.traffic_profile import traffic_profiles

START = 1_767_600_000


class Points(list[tuple[str, Mapping[str, Any]]]):
    """Keeps what would go to InfluxDB."""

    def write(
        self, measurement: str, rows: Iterable[Mapping[str, Any]], *, time_column: str
    ) -> int:
        rows = list(rows)
        assert all(time_column in row for row in rows)
        self.extend((measurement, row) for row in rows)
        return len(rows)


class World:
    """A lake, a clock and a detector that can be started anew."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark, self.settings = spark, settings
        self.now = float(START)
        self.points = Points()
        for name in (
            names.ACCESS_LOGS,
            names.TRAFFIC_PROFILES,
            names.BASELINES,
            names.INCIDENTS,
        ):
            delta_tables.ensure_table(spark, settings, name)
        self.restart()

    def restart(self) -> None:
        self.detection = TrafficDetector(self.spark, self.settings, self.points, lambda: self.now)

    def lines(self, paths: Iterable[str], client: str = "192.0.2.1") -> DataFrame:
        """Lines of this moment, appended to the lake."""
        moment = datetime.fromtimestamp(self.now, UTC)
        rows = [
            {
                "event_time": moment,
                "ingested_at": moment,
                "event_date": moment.date(),
                "server_address": "web1",
                "client_address": client,
                "url_path": path,
                "http_response_status_code": 404,
            }
            for path in paths
        ]
        frame = self.spark.createDataFrame(rows, schemas.ACCESS_LOGS)
        path = self.settings.table(names.ACCESS_LOGS)
        frame.write.format("delta").mode("append").save(path)
        return frame.select("event_time", "ingested_at")

    def lake_lags(self, rows: int | None) -> None:
        """Say what the stream would of its lake query; None before its first batch."""
        moment = datetime.fromtimestamp(self.now, UTC)
        queries = {}
        if rows is not None:
            queries["lake"] = QueryProgress(
                batch_id=1,
                committed_at=moment,
                input_rows=1,
                input_rows_per_s=1.0,
                lag_rows=rows,
                batch_seconds=1.0,
                trigger_seconds=10.0,
            )
        write_progress(
            self.settings,
            StreamProgress(
                stream=names.STREAM_ACCESS,
                pid=1,
                started_at=moment,
                heartbeat_at=moment,
                queries=queries,
            ),
        )

    def table(self, name: str) -> DataFrame:
        return delta_tables.read_table(self.spark, self.settings, name)

    def stored(self) -> DataFrame:
        return self.table(names.TRAFFIC_PROFILES)


@pytest.fixture
def world(spark: SparkSession, settings: Settings) -> World:
    return World(spark, settings)


def test_profiles_are_saved_once_a_minute_and_equal_those_of_the_lake(world: World) -> None:
    for batch in range(3):
        world.now = START + 10 * batch
        world.detection(world.lines(f"/{batch}/{i}" for i in range(4)), batch)
    assert world.stored().isEmpty()
    world.now = START + SAVE_SECONDS
    world.detection(world.lines(["/last"]), 3)
    expected = traffic_profiles(collect_frame(world.table(names.ACCESS_LOGS)))
    assert len(expected) == 8
    assert_frame_equal(collect_frame(world.stored()).sort(expected.columns[:3]), expected)


def test_what_a_killed_detector_had_not_saved_is_evaluated_and_saved_by_the_next(
    world: World,
) -> None:
    world.detection(world.lines([f"/old{i}.php" for i in range(6)]), 0)
    world.restart()
    world.now += 10
    world.detection(world.lines([f"/new{i}.php" for i in range(6)]), 1)
    (incident,) = world.table(names.INCIDENTS).where(F.col("server_address") == "web1").collect()
    assert (incident["kind"], incident["observed"]) == ("path_scan", 12.0)
    world.now += SAVE_SECONDS
    world.detection(world.lines([]), 2)
    assert world.stored().agg(F.sum("requests")).collect()[0][0] == 2 * 12


def test_a_first_start_on_an_old_lake_leaves_old_windows_to_the_batch_jobs(world: World) -> None:
    world.now = START - 10 * 86_400
    world.lines(["/old"])
    world.now = START
    world.detection(world.lines(["/new"]), 0)
    seconds = {row["window_start"] for name, row in world.points if name == names.HTTP_TOP_URLS}
    assert seconds == {START * 1000}


def test_an_incident_that_goes_on_stays_one_row(world: World) -> None:
    for batch in range(3):
        world.now = START + 10 * batch
        paths = [f"/{batch}/{i}.php" for i in range(15)]
        world.detection(world.lines(paths, "203.0.113.9"), batch)
    rows = world.table(names.INCIDENTS).where(F.col("kind") == "path_scan").collect()
    assert [(row["server_address"], row["entity"]) for row in rows] == [("web1", "203.0.113.9")]
    assert rows[0]["observed"] == 30.0
    samples = [line for line in rows[0]["evidence"] if " web1 203.0.113.9 /0/" in line]
    assert len(samples) == 3
    assert all(line.endswith(".php 404") for line in samples)


@pytest.mark.parametrize(
    "lag",
    [
        pytest.param(half_batch(Settings()), id="half a batch behind"),
        pytest.param(None, id="before its first batch"),
    ],
)
def test_while_the_lake_is_far_behind_windows_are_evaluated_less_often_and_none_is_left_out(
    world: World, lag: int | None
) -> None:
    found = world.table(names.INCIDENTS).where(F.col("server_address") == "web1")
    world.lake_lags(lag)
    world.now += BEHIND_SECONDS - 10
    world.detection(world.lines(f"/early{i}.php" for i in range(12)), 0)
    assert found.isEmpty()
    world.now += 10
    world.detection(world.lines(["/"]), 1)
    assert [row["kind"] for row in found.collect()] == ["path_scan"]


def test_a_lake_that_lags_by_less_than_half_a_batch_delays_no_verdict(world: World) -> None:
    world.lake_lags(half_batch(world.settings) - 1)
    world.detection(world.lines(f"/{i}.php" for i in range(12)), 0)
    assert not world.table(names.INCIDENTS).isEmpty()


def test_windows_that_take_too_long_for_one_batch_are_made_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "WINDOWS_AT_ONCE", 1)
    monkeypatch.setattr(detector, "MAKING_SECONDS", 3)
    touched = world.lines(["/"])
    for _ in range(3):
        world.now += 10
        touched = touched.union(world.lines(["/"]))

    def made() -> int:
        seconds = {row["window_start"] for name, row in world.points if name == names.HTTP_TOP_URLS}
        return len(seconds)

    ticks = itertools.count(world.now)
    world.detection = TrafficDetector(
        world.spark, world.settings, world.points, lambda: next(ticks)
    )
    world.detection(touched, 0)
    assert 0 < made() < 4
    world.detection(touched.limit(0), 1)
    assert made() == 4


def _lose_the_table(table: Path) -> None:
    shutil.rmtree(table)


def _lose_the_rows(table: Path) -> None:
    for file in table.glob("*.parquet"):
        file.unlink()


def _garble_the_log(table: Path) -> None:
    newest = max((table / "_delta_log").glob("*.json"))
    newest.write_text("no JSON", encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_lose_the_table, id="table gone"),
        pytest.param(_lose_the_rows, id="rows gone"),
        pytest.param(_garble_the_log, id="log garbled"),
    ],
)
def test_baselines_that_cannot_be_read_are_said_once_and_static_thresholds_evaluate(
    world: World, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{**dict.fromkeys(schemas.BASELINES.names), "version": 1, "server_address": "web1"}]
    path = world.settings.table(names.BASELINES)
    fresh = world.spark.createDataFrame(rows, schemas.BASELINES)
    fresh.coalesce(1).write.format("delta").mode("append").save(path)
    damage(Path(path))
    for batch in range(2):
        world.detection(world.lines(f"/{batch}{i}.php" for i in range(12)), batch)
    found = world.table(names.INCIDENTS).where(F.col("server_address") == "web1").collect()
    assert [(row["kind"], row["basis"]) for row in found] == [("path_scan", "static")]
    (said,) = [r.getMessage() for r in caplog.records if "baselines" in r.getMessage()]
    assert said.startswith("baselines cannot be read (")
    assert said.endswith("; going on with static thresholds")
