"""Kafka records as the parsers take them."""

from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import schemas

READING: Final = {
    # 500, the default, is a few milliseconds of a full topic: a sixth of the time to read it.
    "kafka.max.poll.records": "5000",
    # A server's lines are one partition: split, or one busy server has one core to itself. Each
    # task has its own consumer and writes its own files, so not into too many.
    "maxRecordsPerPartition": "100000",
}


def read_topic(
    spark: SparkSession,
    settings: Settings,
    topic: str,
    *,
    headers: bool = True,
    every_seconds: float | None = None,
    since: float | None = None,
) -> DataFrame:
    """Stream one topic from its earliest retained record, or from that of the epoch second `since`.

    A batch is taken every `every_seconds`, and at once when `half_batch` waits: with a trigger of
    ten seconds alone, a backlog would be read no faster than one batch in ten seconds.
    Without `headers`, which cost a third of the reading, nothing is known of a line's file.

    Fails the query, rather than skip, when Kafka no longer holds an offset that was not yet read.
    """
    source = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("includeHeaders", str(headers).lower())
        .options(**READING)
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", str(settings.max_rows_per_batch))
    )
    if since is not None:
        source = source.option("startingTimestamp", str(round(since * 1000))).option(
            "startingOffsetsByTimestampStrategy", "latest"
        )
    if every_seconds is not None:
        delay = f"{round(every_seconds * 1000)}ms"
        least = str(half_batch(settings))
        source = source.option("minOffsetsPerTrigger", least).option("maxTriggerDelay", delay)
    return source.load()


def half_batch(settings: Settings) -> int:
    """So many waiting records make the lake take its next batch at once: it is behind."""
    return settings.max_rows_per_batch // 2


def records(messages: DataFrame) -> DataFrame:
    """Kafka's columns → `schemas.RECORD`.

    The record key is the server's name: it is set by the agent's configuration, never by a line.
    """
    origin = {
        "topic": F.col("topic"),
        "kafka_partition": F.col("partition"),
        "kafka_offset": F.col("offset"),
        "ingested_at": _batch_time(),
        "server_address": F.col("key").cast("string"),
        "log_file": _header(messages, "file"),
        "byte_offset": _header(messages, "byteoffset").try_cast("long"),
    }
    return messages.select(
        *(origin.get(name, F.col(name)).alias(name) for name in schemas.RECORD.names)
    )


def live(messages: DataFrame) -> DataFrame:
    """The records that reached Kafka within `names.WATERMARK_SECONDS` of the batch's time.

    After an outage the live metrics would parse what nobody watches any more, a quarter of the work
    on a backlog, before they showed what happens now. `reconcile` makes its points from the lake.
    """
    age = F.unix_micros(_batch_time()) - F.unix_micros("timestamp")
    return messages.where(age <= names.WATERMARK_SECONDS * 1_000_000)


def _batch_time() -> Column:
    """Return the micro-batch's time, which stays the same when Spark repeats the batch.

    A lambda is interpreted. Without one the time would be a constant of the generated code, and
    Spark would compile that code anew for each batch.
    """
    return F.get(F.transform(F.array(F.current_timestamp()), lambda time: time), F.lit(0))


def _header(messages: DataFrame, name: str) -> Column:
    if "headers" not in messages.columns:
        return F.lit(None).cast("string")
    position = F.array_position(F.col("headers")["key"], name)
    return F.get(F.col("headers")["value"], position.cast("int") - 1).cast("string")
