"""Exactly once into Delta: a real streaming query over recorded batches, crashes included."""

import json
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, schemas
from streaming.spark.lake_writer import LakeWriter
from streaming.spark.parsing import access_rows

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
Record = tuple[bytes, str, int, int, datetime, str, str, int]


class Topic:
    """Kafka's part: batches of records, each a file that the query reads as one micro-batch."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark = spark
        self.settings = settings
        self.source = settings.home / "topic"
        self.checkpoint = settings.home / "checkpoint"
        self.offset = 0
        for name in (names.ACCESS_LOGS, names.REJECTED_LINES):
            delta_tables.ensure_table(spark, settings, name)

    def lines(self, *indexes: int, file: str = "access.log", bad: bool = False) -> list[Record]:
        """Lines of one file by their index; every line is as long as the next."""
        records = []
        for i in indexes:
            line = json.dumps(
                {
                    "msec": f"{NOW.timestamp() - 60 + i:.3f}",
                    "request_id": f"{file.encode().hex()[:16]:0<16}{i:016d}",
                    "remote_addr": "127.0.0.1",
                    "status": "xyz" if bad else "200",
                }
            ).encode()
            start = i * (len(line) + 1)
            records.append((line, "web-logs", 0, self.offset, NOW, "web1", "/l/access.log", start))
            self.offset += 1
        return records

    def send(self, records: list[Record]) -> None:
        """Add a micro-batch."""
        frame = self.spark.createDataFrame(records, schemas.RECORD)
        frame.coalesce(1).write.mode("append").parquet(str(self.source))

    def drain(self) -> LakeWriter:
        """Run the query until the topic is empty, as a new process would."""
        writer = LakeWriter(
            self.spark,
            self.settings,
            names.ACCESS_LOGS,
            partial(access_rows, settings=self.settings),
        )
        query = (
            self.spark.readStream.schema(schemas.RECORD)
            .option("maxFilesPerTrigger", "1")
            .parquet(str(self.source))
            .writeStream.foreachBatch(writer)
            .option("checkpointLocation", str(self.checkpoint))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        return writer

    def forget_last_commit(self) -> None:
        """What a kill between Delta's commit and Spark's leaves behind."""
        commits = self.checkpoint / "commits"
        last = max((path for path in commits.iterdir() if path.name.isdigit()), key=_number)
        for path in (last, commits / f".{last.name}.crc"):
            path.unlink(missing_ok=True)

    def stored(self, table: str = names.ACCESS_LOGS) -> list[str]:
        """The event_id of every row, repeats included."""
        rows = (
            delta_tables.read_table(self.spark, self.settings, table).select("event_id").collect()
        )
        return sorted(row["event_id"] for row in rows)


def _number(path: Path) -> int:
    return int(path.name)


@pytest.fixture
def topic(spark: SparkSession, settings: Settings) -> Topic:
    return Topic(spark, settings)


def test_lines_arrive_once_each(topic: Topic) -> None:
    topic.send(topic.lines(0, 1, 2))
    topic.send(topic.lines(3, 4))
    writer = topic.drain()
    assert len(topic.stored()) == len(set(topic.stored())) == 5
    assert writer.counts() == {"input": 2, "rejected": 0, "duplicates": 0, "late": 0}


def test_a_replay_in_a_later_batch_is_left_out(topic: Topic) -> None:
    topic.send(topic.lines(0, 1, 2))
    topic.send(topic.lines(1, 2, 3))
    writer = topic.drain()
    assert len(topic.stored()) == len(set(topic.stored())) == 4
    assert writer.counts()["duplicates"] == 2


def test_a_replay_inside_one_batch_is_left_out(topic: Topic) -> None:
    topic.send(topic.lines(0, 1, 2, 1, 2, 3))
    topic.drain()
    assert len(topic.stored()) == len(set(topic.stored())) == 4


def test_a_replay_after_a_restart_is_recognised_from_the_lake(topic: Topic) -> None:
    topic.send(topic.lines(0, 1, 2))
    topic.drain()
    topic.send(topic.lines(0, 1, 2, 3))
    topic.drain()
    assert len(topic.stored()) == len(set(topic.stored())) == 4


def test_a_batch_repeated_after_a_crash_is_appended_once(topic: Topic) -> None:
    topic.send(topic.lines(0, 1) + topic.lines(2, bad=True))
    topic.drain()
    topic.forget_last_commit()
    topic.drain()
    assert len(topic.stored()) == 2
    assert len(topic.stored(names.REJECTED_LINES)) == 1


def test_a_lost_checkpoint_reads_the_topic_again_and_adds_nothing(topic: Topic) -> None:
    topic.send(topic.lines(0, 1) + topic.lines(2, bad=True))
    topic.send(topic.lines(3, 4))
    topic.drain()
    shutil.rmtree(topic.checkpoint)
    topic.drain()
    assert len(topic.stored()) == len(set(topic.stored())) == 4
    assert len(topic.stored(names.REJECTED_LINES)) == 1


def test_a_rotation_loses_nothing_and_its_replay_adds_nothing(topic: Topic) -> None:
    topic.send(topic.lines(*range(10)))
    new = topic.lines(0, 1, file="rotated") + topic.lines(2, 3, file="rotated")
    topic.send(topic.lines(10, 11) + new)
    topic.send(topic.lines(9, 10, 11) + topic.lines(0, 1, 2, 3, 4, file="rotated"))
    topic.drain()
    assert len(topic.stored()) == len(set(topic.stored())) == 12 + 5


def test_rejected_lines_are_kept_with_their_reason_once(topic: Topic) -> None:
    topic.send(topic.lines(0) + topic.lines(1, bad=True))
    topic.send(topic.lines(1, bad=True) + topic.lines(2))
    writer = topic.drain()
    rows = delta_tables.read_table(topic.spark, topic.settings, names.REJECTED_LINES).collect()
    assert [row["reason"] for row in rows] == ["invalid_status"]
    assert writer.counts()["rejected"] == 1


def test_replayed_history_is_kept_and_counted_as_late(topic: Topic) -> None:
    old = topic.lines(0)[0]
    value = json.dumps(
        {"msec": NOW.timestamp() - 86400, "remote_addr": "127.0.0.1", "status": 200}
    ).encode()
    topic.send([(value, *old[1:])])
    assert topic.drain().counts()["late"] == 1
    assert len(topic.stored()) == 1
