"""A stream as a program: what it says when it cannot start."""

import os
import subprocess
import sys

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from streaming import names
from streaming.runner import _cause, _only_one
from streaming.settings import Settings

pytestmark = pytest.mark.unit


def start(settings: Settings) -> subprocess.CompletedProcess[str]:
    """Run stream_access with `settings` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streaming.stream_access"],
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"kafka_bootstrap_servers": "127.0.0.1:1"},
            ("Kafka at 127.0.0.1:1 cannot be reached", "LOGLAKE_KAFKA_BOOTSTRAP_SERVERS"),
            id="Kafka is away",
        ),
        pytest.param(
            {"kafka_bootstrap_servers": "nonsense"},
            ("Kafka at nonsense cannot be reached", "LOGLAKE_KAFKA_BOOTSTRAP_SERVERS"),
            id="Kafka's address is none",
        ),
    ],
)
def test_a_missing_service_is_one_sentence(
    settings: Settings, changes: dict[str, str], words: tuple[str, ...]
) -> None:
    done = start(settings.with_changes(**changes))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_second_stream_on_one_checkpoint_is_refused(settings: Settings) -> None:
    with _only_one(settings, names.STREAM_ACCESS):
        done = start(settings)
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert "Traceback" not in done.stderr


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
