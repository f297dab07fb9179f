"""The queries of a stream: why one ended, who goes first, how they stop."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from streaming.contracts.progress import read_progress
from streaming.contracts.settings import Settings
from streaming.live import application as module
from streaming.live.application import Application, QuerySpec, _cause


def test_a_failed_query_names_its_cause_in_one_line(spark: SparkSession) -> None:
    def write(_batch: DataFrame, _batch_id: int) -> None:
        try:
            raise OSError(111, "refused")
        except OSError as error:
            raise ConnectionError("InfluxDB at home does not take points (full)") from error

    query = spark.readStream.format("rate").load().writeStream.foreachBatch(write).start()
    with pytest.raises(StreamingQueryException):
        query.awaitTermination(60)
    assert _cause(query) == "ConnectionError: InfluxDB at home does not take points (full)"


def test_a_query_that_spark_itself_ends_names_its_cause_in_one_line(spark: SparkSession) -> None:
    broken = spark.readStream.format("rate").load().selectExpr("raise_error('no such thing')")
    query = broken.writeStream.format("noop").start()
    with pytest.raises(StreamingQueryException):
        query.awaitTermination(60)
    assert "no such thing" in _cause(query)
    assert "\n" not in _cause(query)


def test_a_query_that_somebody_stopped_has_no_cause(spark: SparkSession) -> None:
    query = spark.readStream.format("rate").load().writeStream.format("noop").start()
    query.stop()
    assert _cause(query) == "it was stopped from outside"


@pytest.fixture
def signals() -> Iterator[None]:
    """Give the test process back what an application takes: Ctrl-C would be lost to the rest."""
    taken = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in taken.items():
        signal.signal(number, handler)


@pytest.fixture
def application(settings: Settings, signals: None) -> Iterator[Application]:
    """An application whose points nobody takes, which stops as it does on a signal."""
    token = settings.home / "secrets" / "influx_write_token"
    token.parent.mkdir()
    token.write_text("never used")
    application = Application(settings.with_changes(influx_url="http://127.0.0.1:1"), "stream")
    yield application
    application.stop(patience_seconds=30)


def endless(spark: SparkSession) -> DataFrame:
    """Rows whose next batch always waits, so that a query is never seen without one."""
    return spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 1).load()


def ticking(
    spark: SparkSession, name: str, ready_when: Callable[..., bool] | None = None
) -> QuerySpec:
    """A query of endless rows that are dropped."""
    spec = QuerySpec(name, endless(spark).writeStream.format("noop"), 0.01)
    return spec if ready_when is None else replace(spec, ready_when=ready_when)


def test_a_query_lets_others_go_first(spark: SparkSession, application: Application) -> None:
    second = ticking(spark, "second", lambda others: "first" in others)
    application.start(spark, [second, ticking(spark, "first")])
    assert [query.name for query in spark.streams.active] == ["first"]
    deadline = time.monotonic() + 60
    while "second" not in application.progress and time.monotonic() < deadline:
        application.report()
        time.sleep(0.1)
    assert "second" in application.progress


def test_a_query_waits_for_others_no_longer_than_two_minutes(
    spark: SparkSession, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    shy = ticking(spark, "shy", lambda _others: False)
    application.start(spark, [ticking(spark, "first"), shy])
    application.report()
    assert [query.name for query in spark.streams.active] == ["first"]
    monkeypatch.setattr(module, "JOIN_SECONDS", 0)
    application.report()
    assert {query.name for query in spark.streams.active} == {"first", "shy"}


@pytest.fixture
def heartbeat_age(settings: Settings, application: Application) -> Callable[[], float]:
    """Seconds since the application last said that it lives, after it was asked once more."""

    def age() -> float:
        application.report()
        progress = read_progress(settings, "stream")
        assert progress is not None
        return (datetime.now(UTC) - progress.heartbeat_at).total_seconds()

    return age


@pytest.mark.parametrize(
    "ends_tasks", [pytest.param(False, id="no task ends"), pytest.param(True, id="tasks end")]
)
def test_a_long_batch_hangs_when_none_of_its_tasks_ends(
    spark: SparkSession,
    application: Application,
    heartbeat_age: Callable[[], float],
    monkeypatch: pytest.MonkeyPatch,
    ends_tasks: bool,
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(module, "HANG_SECONDS", 5)
    began, over = threading.Event(), threading.Event()

    def write(batch: DataFrame, _batch_id: int) -> None:
        began.set()
        while not over.wait(0.2):
            if ends_tasks:
                batch.count()

    application.start(
        spark, [QuerySpec("long", endless(spark).writeStream.foreachBatch(write), 0.01)]
    )
    assert began.wait(60)
    hung, until = False, time.monotonic() + 12
    while not hung and time.monotonic() < until:
        hung = heartbeat_age() > 1
        time.sleep(0.1)
    over.set()
    assert hung != ends_tasks


def test_a_query_that_is_far_behind_stops_after_its_running_batch(
    spark: SparkSession, application: Application
) -> None:
    begun: list[int] = []
    ended: list[int] = []

    def write(_batch: DataFrame, batch_id: int) -> None:
        begun.append(batch_id)
        time.sleep(1)
        ended.append(batch_id)

    rows = endless(spark)
    application.start(spark, [QuerySpec("endless", rows.writeStream.foreachBatch(write), 0.01)])
    while len(begun) < 2:
        time.sleep(0.01)
    running = begun[-1]
    application.stop(patience_seconds=30)
    # The next one may have begun before it was asked to stop; it is not cut off in Python.
    assert running in ended
    assert ended[-1] <= running + 1
