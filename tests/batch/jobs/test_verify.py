"""`loglake verify` on real Kafka, Delta and InfluxDB: it agrees until something is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from batch.jobs.reconcile import rebuild, reconcile
from batch.jobs.verify import checks, verify
from streaming.contracts import names
from streaming.contracts.settings import CHECKOUT, Settings
from streaming.live import stream_access
from streaming.spark import delta_tables
from tests.batch.conftest import Lake, empty_lake
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack

LOGLAKE = str(Path(sys.executable).parent / "loglake")
MINUTES_AGO = 30
GOOD = 20
REJECTED = ("lake/access_logs", "few_lines_are_rejected")
"""One of 21 lines is refused: too many, but no difference between Kafka and the lake."""


@pytest.fixture(scope="module")
def sent(spark: SparkSession, influx: Settings, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Lines that went through Kafka into the lake and from there into InfluxDB."""
    lake = empty_lake(spark, influx, tmp_path_factory.mktemp("sent"))
    moment = (lake.now - timedelta(minutes=MINUTES_AGO)).timestamp()
    lines = [
        json.dumps(
            {
                "msec": f"{moment:.3f}",
                "request_id": f"{i:032x}",
                "remote_addr": "192.0.2.1",
                "status": "200",
                "body_bytes_sent": "100",
                "request_time": "0.250",
            }
        ).encode()
        for i in range(GOOD)
    ]
    Stack(lake.settings).produce(names.TOPIC_ACCESS, [*lines, b"no log line"])
    query = (
        stream_access.lake(spark, lake.settings)
        .writer.option("checkpointLocation", lake.settings.checkpoint("test", "lake"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    reconcile(spark, lake.settings)
    return lake


def failed(lake: Lake) -> set[tuple[str, str]]:
    """Asset and name of the checks that fail over the last hour."""
    start, stop = lake.now - timedelta(hours=1), lake.now + timedelta(minutes=5)
    found = verify(lake.spark, lake.settings, start, stop, sample=1_000_000)
    return {(check.asset, check.name) for check in checks(found) if not check.passed}


def lose(lake: Lake) -> None:
    logs = DeltaTable.forPath(lake.spark, lake.settings.table(names.ACCESS_LOGS))
    logs.delete(f"request_id = '{0:032x}'")


def double(lake: Lake) -> None:
    path = lake.settings.table(names.ACCESS_LOGS)
    row = lake.spark.read.format("delta").load(path).limit(1)
    row.write.format("delta").mode("append").save(path)


def change(lake: Lake) -> None:
    lake.point(MINUTES_AGO, requests=GOOD + 1)


LOST = ("lake/access_logs", "every_line_in_kafka_is_in_the_lake")
TWICE = ("lake/access_logs", "no_event_is_there_twice")
UNEQUAL = ("influxdb/http_traffic", "points_equal_the_lake")


@pytest.fixture
def wrong(sent: Lake) -> Iterator[Lake]:
    """The lake for a test that does harm, which is undone afterwards."""
    version = delta_tables.latest_version(sent.spark, sent.settings, names.ACCESS_LOGS)
    yield sent
    logs = DeltaTable.forPath(sent.spark, sent.settings.table(names.ACCESS_LOGS))
    logs.restoreToVersion(version)
    rebuild(sent.spark, sent.settings, sent.now - timedelta(hours=1), sent.now)


def test_a_refused_line_is_no_difference(sent: Lake) -> None:
    assert failed(sent) == {REJECTED}


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        pytest.param(lose, {LOST, UNEQUAL}, id="a row is lost"),
        pytest.param(double, {TWICE, UNEQUAL}, id="a row is there twice"),
        pytest.param(change, {UNEQUAL}, id="a point is changed"),
    ],
)
def test_every_kind_of_harm_fails_its_own_checks(
    wrong: Lake, harm: Callable[[Lake], None], expected: set[tuple[str, str]]
) -> None:
    harm(wrong)
    assert failed(wrong) == {REJECTED, *expected}


def test_the_exit_status_says_whether_they_agree(wrong: Lake) -> None:
    agreed = _command(wrong.settings)
    assert agreed.returncode == 0, agreed.stderr
    lose(wrong)
    differed = _command(wrong.settings)
    assert differed.returncode == 1, differed.stderr
    found = json.loads(differed.stdout)
    assert (found["ok"], found["topics"][names.TOPIC_ACCESS]["lost"]) == (False, 1)


def _command(settings: Settings) -> subprocess.CompletedProcess[str]:
    # Without an end the youngest two minutes are left out, and the lines were sent in them.
    stop = f"{datetime.now(UTC) + timedelta(minutes=5):%Y-%m-%dT%H:%M:%S}"
    return subprocess.run(
        [LOGLAKE, "verify", "--json", "--every-window", "--to", stop],
        cwd=CHECKOUT,
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
