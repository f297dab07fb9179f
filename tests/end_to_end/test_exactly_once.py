"""Known requests through the whole system: each line once in the lake, each window right."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from stack.demo.traffic import send_known
from streaming import names, tables
from streaming.progress import read_progress
from tests.end_to_end import oracle
from tests.fixtures.stack import Stack, eventually

pytestmark = pytest.mark.stack

PATIENCE = 240
"""Seconds for lines to arrive: the first batches of two streams compile on two busy cores."""


@pytest.fixture(scope="module")
def pipeline(stack: Stack) -> Iterator[Stack]:
    """The stack with both streams, each of which has committed a batch."""
    stack.start(*names.STREAMS)
    for stream in names.STREAMS:
        eventually(lambda stream=stream: _committed(stack, stream), PATIENCE)
    yield stack
    for stream in names.STREAMS:
        stack.supervisor.stop(stream)


def _committed(stack: Stack, stream: str) -> bool:
    progress = read_progress(stack.settings, stream)
    return progress is not None and "lake" in progress.queries


def test_every_request_is_in_the_lake_once_and_every_window_is_right(
    pipeline: Stack, spark: SparkSession
) -> None:
    replies = send_known(pipeline.settings, 3000, rate=300)
    sent = {reply.request_id for reply in replies}
    assert len(sent) == 3000
    _assert_lake_holds_each_once(pipeline, spark, sent)
    _assert_windows_match(pipeline)
    _assert_error_lines_match(pipeline, spark)


def test_a_rotation_under_load_loses_and_repeats_nothing(
    pipeline: Stack, spark: SparkSession
) -> None:
    rotations = [threading.Timer(delay, _rotate, (pipeline, delay)) for delay in (2, 5)]
    for rotation in rotations:
        rotation.start()
    replies = send_known(pipeline.settings, 3000, rate=300)
    for rotation in rotations:
        rotation.join()
    _assert_lake_holds_each_once(pipeline, spark, {reply.request_id for reply in replies})
    _assert_windows_match(pipeline)
    _assert_error_lines_match(pipeline, spark)


def _rotate(stack: Stack, number: int) -> None:
    """What logrotate does: rename, then tell nginx to open its logs anew."""
    for server in stack.settings.servers:
        home = stack.settings.home / "nginx" / server
        for name in ("access.log", "error.log"):
            (home / name).rename(home / f"{name}.{number}")
        os.kill(int((home / "nginx.pid").read_text()), signal.SIGUSR1)


def _assert_lake_holds_each_once(stack: Stack, spark: SparkSession, sent: set[str]) -> None:
    def stored() -> Counter[str]:
        table = tables.read_table(spark, stack.settings, names.ACCESS_LOGS)
        return Counter(row["request_id"] for row in table.select("request_id").collect())

    found = eventually(lambda: (rows := stored()) and sent <= rows.keys() and rows, PATIENCE, 2)
    assert {request for request, times in found.items() if times > 1} == set()
    written = {
        line["request_id"]
        for server in stack.settings.servers
        for line in oracle.access_lines(stack.settings.home, server)
    }
    assert found.keys() == written


def _assert_windows_match(stack: Stack) -> None:
    expected = oracle.windows(stack.settings.home, stack.settings.servers)
    fields = {key: window.fields() for key, window in expected.items()}
    query = f"""
        from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1h)
          |> filter(fn: (r) => r._measurement == "{names.HTTP_TRAFFIC}")
          |> pivot(rowKey: ["_time", "server"], columnKey: ["_field"], valueColumn: "_value")
    """

    def differing() -> dict[object, object]:
        seen = {(row["server"], int(row["_time"].timestamp())): row for row in stack.flux(query)}
        return {
            key: (want, {name: seen.get(key, {}).get(name) for name in want})
            for key, want in fields.items()
            if any(seen.get(key, {}).get(name) != value for name, value in want.items())
        }

    eventually(lambda: not differing() or None, PATIENCE, 1)
    assert differing() == {}


def _assert_error_lines_match(stack: Stack, spark: SparkSession) -> None:
    def written() -> int:
        """Lines by now: nginx adds one when a client closes its idle connection, seconds later."""
        return sum(
            1
            for server in stack.settings.servers
            for _ in oracle.log_lines(stack.settings.home, server, "error.log")
        )

    query = f"""
        from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1h)
          |> filter(fn: (r) => r._measurement == "{names.ERROR_EVENTS}" and r._field == "count")
          |> group() |> sum()
    """

    def lake() -> int:
        logs = tables.read_table(spark, stack.settings, names.ERROR_LOGS)
        refused = tables.read_table(spark, stack.settings, names.REJECTED_LINES)
        return logs.count() + refused.where(f"topic = '{names.TOPIC_ERRORS}'").count()

    def counted() -> int:
        return sum(row["_value"] for row in stack.flux(query))

    eventually(lambda: lake() == written(), PATIENCE, 2)
    logs = tables.read_table(spark, stack.settings, names.ERROR_LOGS)
    assert logs.select("event_id").distinct().count() == logs.count()
    eventually(lambda: counted() == logs.count(), PATIENCE, 2)
