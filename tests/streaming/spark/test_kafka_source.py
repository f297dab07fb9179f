"""Where reading a topic begins, on a real broker."""

import time
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.spark.kafka_source import live, read_topic, records
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack


class Reader:
    """Reads the lines with `mark` since an epoch second, each time from where it was."""

    def __init__(
        self, spark: SparkSession, stack: Stack, home: Path, mark: str, since: float
    ) -> None:
        lines = read_topic(spark, stack.settings, names.TOPIC_ACCESS, headers=False, since=since)
        line = F.col("value").cast("string")
        self._lines = lines.select(line.alias("line")).where(line.startswith(mark))
        self._checkpoint = str(home / "checkpoint")

    def read(self) -> list[str]:
        """The lines up to now's end of the topic that were not read before."""
        found: list[str] = []

        def take(batch: DataFrame, _batch_id: int) -> None:
            found.extend(row["line"] for row in batch.collect())

        query = (
            self._lines.writeStream.foreachBatch(take)
            .option("checkpointLocation", self._checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        assert query.awaitTermination(60)
        return found


def test_reading_since_a_moment_begins_with_the_first_record_after_it(
    spark: SparkSession, stack: Stack, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    stack.produce(names.TOPIC_ACCESS, [f"{mark} before".encode()])
    time.sleep(0.1)
    moment = time.time()
    stack.produce(names.TOPIC_ACCESS, [f"{mark} after".encode()])
    assert Reader(spark, stack, tmp_path, mark, moment).read() == [f"{mark} after"]


def test_where_nothing_is_as_young_reading_begins_with_what_comes(
    spark: SparkSession, stack: Stack, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    stack.produce(names.TOPIC_ACCESS, [f"{mark} before".encode()])
    reader = Reader(spark, stack, tmp_path, mark, time.time() + 60)
    assert reader.read() == []
    stack.produce(names.TOPIC_ACCESS, [f"{mark} after".encode()])
    assert reader.read() == [f"{mark} after"]


def test_the_time_of_a_batch_is_not_compiled_into_its_code(
    spark: SparkSession, stack: Stack, tmp_path: Path
) -> None:
    # It was: the code that reads Kafka was compiled anew every second.
    since = time.time()
    stack.produce(names.TOPIC_ACCESS, [b"a line"] * 5000)
    settings = stack.settings.with_changes(max_rows_per_batch=1000)
    lines = records(live(read_topic(spark, settings, names.TOPIC_ACCESS, since=since)))
    times: list[datetime] = []
    compiled: list[int] = []

    def take(batch: DataFrame, _batch_id: int) -> None:
        times.extend(row["ingested_at"] for row in batch.select("ingested_at").distinct().collect())
        compiled.append(_classes_compiled(spark))

    query = (
        lines.writeStream.foreachBatch(take)
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    assert query.awaitTermination(60)
    assert len(times) == len(set(times)) == len(compiled) >= 4
    assert set(compiled[1:]) == {compiled[0]}


def _classes_compiled(spark: SparkSession) -> int:
    jvm = spark._jvm
    assert jvm is not None
    metrics = jvm.org.apache.spark.metrics.source.CodegenMetrics
    return int(metrics.METRIC_COMPILATION_TIME().getCount())
