"""The query that brings every line of a topic into its table."""

from collections.abc import Callable, Mapping
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from streaming.contracts.progress import QueryProgress
from streaming.contracts.settings import Settings
from streaming.live.application import QuerySpec
from streaming.spark.kafka_source import half_batch, read_topic, records
from streaming.spark.lake_writer import LakeWriter

POLL_SECONDS: Final = 1.0
"""How often Kafka is asked whether enough waits for a batch."""


def lake_query(
    spark: SparkSession,
    settings: Settings,
    topic: str,
    table: str,
    parse: Callable[[DataFrame], DataFrame],
    *,
    by_batch: bool = False,
) -> QuerySpec:
    """Return the query that writes every line of a topic once into its table.

    `parse` turns `schemas.RECORD` into rows as `LakeWriter` takes them. It is part of the query's
    plan, which is built once. With `by_batch` it is applied to each batch instead, as it must be
    where a line is read with its neighbours.
    """
    every = settings.lake_trigger_seconds
    stream = records(read_topic(spark, settings, topic, every_seconds=every))
    writer = LakeWriter(spark, settings, table, parse if by_batch else None)
    stream = stream if by_batch else parse(stream)
    return QuerySpec(
        "lake",
        stream.writeStream.foreachBatch(writer),
        every,
        writer.counts,
        poll_seconds=min(every, POLL_SECONDS),
    )


def is_behind(settings: Settings, queries: Mapping[str, QueryProgress]) -> bool:
    """Return whether the lake query has at least half a batch to read.

    Other queries then leave it the cores. Nothing is known before its first batch, which is the
    largest after an outage, so it counts as behind until then.
    """
    lake = queries.get("lake")
    return lake is None or lake.lag_rows >= half_batch(settings)
