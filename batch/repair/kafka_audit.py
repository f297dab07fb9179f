"""Kafka offsets against the lake: which records are no row, and whether that is right.

A record may rightly be no row of its own: Flume sent it twice, or it continues the error message
before it. Such records are read from Kafka again and parsed, and their event must be in the lake.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables
from streaming.spark.kafka_source import records
from streaming.spark.parsing import access_rows, error_rows

MAX_GAPS: Final = 10_000
"""More separate gaps than this are too many to read again; the period is then not verified."""

Ranges = Mapping[int, tuple[int, int]]
"""First offset and the one after the last, by partition."""


@dataclass(frozen=True)
class Topic:
    """A topic, its table, and how its records become rows."""

    name: str
    table: str
    parse: Callable[[DataFrame, Settings], DataFrame]


TOPICS: Final = (
    Topic(names.TOPIC_ACCESS, names.ACCESS_LOGS, access_rows),
    Topic(names.TOPIC_ERRORS, names.ERROR_LOGS, error_rows),
)


@dataclass(frozen=True)
class Account:
    """What became of the records of a topic; `lost` have no row and no event in the lake."""

    records: int
    rows: int
    rejected: int
    sent_again: int
    lost: int

    @property
    def rejected_share(self) -> float:
        """Rejected lines over all records."""
        return self.rejected / self.records if self.records else 0.0


def ranges(settings: Settings, topic: str, start: datetime, stop: datetime) -> Ranges:
    """Offsets of the records that reached Kafka in `[start, stop)` and are still there.

    Raises `ConnectionError` when Kafka does not answer.
    """
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka, request_timeout_ms=30_000, enable_auto_commit=False
        )
        try:
            found = consumer.partitions_for_topic(topic) or set()
            partitions = [TopicPartition(topic, number) for number in sorted(found)]
            ends = consumer.end_offsets(partitions)
            first, last = (
                _offsets_at(consumer, partitions, moment, ends) for moment in (start, stop)
            )
        finally:
            consumer.close()
    except KafkaError as error:
        raise ConnectionError(
            f"Kafka at {settings.kafka} does not answer ({error}); check `loglake status`"
        ) from error
    return {p.partition: (first[p], last[p]) for p in partitions if first[p] < last[p]}


def _offsets_at(
    consumer: Any, partitions: list[Any], moment: datetime, ends: Mapping[Any, int]
) -> dict[Any, int]:
    milliseconds = round(moment.timestamp() * 1000)
    found = consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
    return {p: found[p].offset if found.get(p) else ends[p] for p in partitions}


def account(spark: SparkSession, settings: Settings, topic: Topic, expected: Ranges) -> Account:
    """Compare the records in `expected` with the rows of the lake."""
    total = sum(last - first for first, last in expected.values())
    if not total:
        return Account(0, 0, 0, 0, 0)
    stored = _stored(spark, settings, topic, expected)
    counts = stored.agg(
        F.count_distinct("kafka_partition", "kafka_offset").alias("offsets"),
        F.count_if(~F.col("refused")).alias("rows"),
        F.count_if("refused").alias("rejected"),
    ).collect()[0]
    without_row = total - counts["offsets"]
    lost = _lost(spark, settings, topic, _gaps(stored, expected)) if without_row else 0
    return Account(total, counts["rows"], counts["rejected"], without_row - lost, lost)


def _stored(spark: SparkSession, settings: Settings, topic: Topic, expected: Ranges) -> DataFrame:
    inside = _inside(expected)
    columns = ("kafka_partition", "kafka_offset")
    rows = delta_tables.read_table(spark, settings, topic.table).where(inside)
    refused = delta_tables.read_table(spark, settings, names.REJECTED_LINES).where(
        inside & (F.col("topic") == topic.name)
    )
    return rows.select(*columns, F.lit(False).alias("refused")).unionByName(
        refused.select(*columns, F.lit(True).alias("refused"))
    )


def _inside(expected: Ranges) -> Column:
    condition = F.lit(False)
    for partition, (first, last) in expected.items():
        offset = F.col("kafka_offset")
        condition |= (F.col("kafka_partition") == partition) & offset.between(first, last - 1)
    return condition


def _gaps(stored: DataFrame, expected: Ranges) -> list[tuple[int, int, int]]:
    """Partition, first offset and the one after the last of each gap."""
    edges = stored.sparkSession.createDataFrame(
        [(p, offset) for p, (first, last) in expected.items() for offset in (first - 1, last)],
        "kafka_partition int, kafka_offset long",
    )
    offsets = stored.select("kafka_partition", "kafka_offset").unionByName(edges).distinct()
    order = Window.partitionBy("kafka_partition").orderBy("kafka_offset")
    before = F.lag("kafka_offset").over(order)
    rows = (
        offsets.withColumn("before", before)
        .where(F.col("kafka_offset") > F.col("before") + 1)
        .select("kafka_partition", (F.col("before") + 1).alias("first"), "kafka_offset")
        .limit(MAX_GAPS + 1)
        .collect()
    )
    if len(rows) > MAX_GAPS:
        raise RuntimeError(
            f"more than {MAX_GAPS} gaps in the offsets of the lake; verify a shorter period"
        )
    return [(row["kafka_partition"], row["first"], row["kafka_offset"]) for row in rows]


def _lost(
    spark: SparkSession, settings: Settings, topic: Topic, gaps: list[tuple[int, int, int]]
) -> int:
    """How many records of the gaps have no event in the lake."""
    # The record before a gap may be the message that the lines in the gap continue.
    wanted = [(p, max(first - 1, 0), last) for p, first, last in gaps]
    batch = _read(spark, settings, topic.name, wanted)
    parsed = topic.parse(batch, settings).select("event_id", "event_date", "kafka_partition")
    days = parsed.agg(F.min("event_date").alias("first"), F.max("event_date").alias("last"))
    span = days.collect()[0]
    rows = delta_tables.read_table(spark, settings, topic.table).select("event_id", "event_date")
    if span["first"] is not None:
        rows = rows.where(F.col("event_date").between(span["first"], span["last"]))
    refused = delta_tables.read_table(spark, settings, names.REJECTED_LINES).select("event_id")
    held = rows.select("event_id").unionByName(refused)
    lost: int = parsed.join(held, "event_id", "left_anti").count()
    return lost


def _read(
    spark: SparkSession, settings: Settings, topic: str, wanted: list[tuple[int, int, int]]
) -> DataFrame:
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for partition, first, last in wanted:
        starts[str(partition)] = min(first, starts.get(str(partition), first))
        ends[str(partition)] = max(last, ends.get(str(partition), last))
    messages = (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka)
        .option("assign", json.dumps({topic: [int(p) for p in starts]}))
        .option("startingOffsets", json.dumps({topic: starts}))
        .option("endingOffsets", json.dumps({topic: ends}))
        .option("includeHeaders", "true")
        .load()
    )
    frame = spark.createDataFrame(wanted, "partition int, first long, last long")
    inside = (
        (messages["partition"] == frame["partition"])
        & (messages["offset"] >= frame["first"])
        & (messages["offset"] < frame["last"])
    )
    return records(messages.join(F.broadcast(frame), inside, "left_semi"))
