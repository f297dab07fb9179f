"""`python -m tests.bench.steps`: what each step from Kafka to the lake and to live metrics costs.

Each step reads the topic in a batch of its own and does a little more than the one before it.
A few lines cost what a batch costs however small: building a query, planning, committing.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console
from rich.table import Table

from batch.repair.kafka_audit import Ranges, ranges
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, live_metrics
from streaming.spark.cached import cached
from streaming.spark.kafka_source import READING, records
from streaming.spark.lake_writer import accepted
from streaming.spark.parsing import access_rows, metric_rows
from streaming.spark.replay_detection import summary
from streaming.spark.session import spark_session, tune
from tests.bench.keep_ratio import LINES, as_strings, full_topic

FEW, MANY = 3_000, 200_000
ROUNDS = 8
"""The first rounds load and compile; the best one counts."""


class Topic:
    """The first lines of the bench's topic, as batches."""

    def __init__(self, spark: SparkSession, settings: Settings, whole: Ranges, lines: int) -> None:
        """Take the offsets of the `whole` topic and how many of its `LINES` to read."""
        self._spark, self._settings = spark, settings
        self._ends = {str(p): end * lines // LINES for p, (_, end) in whole.items()}
        self._starts = dict.fromkeys(self._ends, 0)

    def read(self, *, headers: bool = True) -> DataFrame:
        """Kafka's columns."""
        options = {
            "kafka.bootstrap.servers": self._settings.kafka,
            **READING,
            "assign": json.dumps({names.TOPIC_ACCESS: [int(p) for p in self._ends]}),
            "startingOffsets": json.dumps({names.TOPIC_ACCESS: self._starts}),
            "endingOffsets": json.dumps({names.TOPIC_ACCESS: self._ends}),
            "includeHeaders": str(headers).lower(),
        }
        return self._spark.read.format("kafka").options(**options).load()

    def parsed(self, *, detail: bool = True) -> DataFrame:
        """What the lake, or without detail what live metrics parse."""
        lines = records(self.read(headers=detail))
        return (access_rows if detail else metric_rows)(lines, self._settings)

    def append(self, parsed: DataFrame) -> None:
        """Append to the table."""
        table = self._settings.table(names.ACCESS_LOGS)
        accepted(parsed, names.ACCESS_LOGS).write.format("delta").mode("append").save(table)

    def append_once(self) -> None:
        """Do what `LakeWriter` does of a batch: keep it, look for repeats, append it."""
        with cached(self.parsed(), eager=False) as rows:
            summary(rows)
            self.append(rows)


def _drop(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


STEPS: dict[str, Callable[[Topic], None]] = {
    "read Kafka": lambda topic: _drop(topic.read(headers=False).select("value")),
    "the same, with headers": lambda topic: _drop(records(topic.read())),
    "plain: from_json into texts": lambda topic: _drop(as_strings(topic.read())),
    "parse for live metrics": lambda topic: _drop(topic.parsed(detail=False)),
    "and aggregate": lambda topic: _drop(live_metrics.http_traffic(topic.parsed(detail=False))),
    "parse for the lake": lambda topic: _drop(accepted(topic.parsed(), names.ACCESS_LOGS)),
    "and append": lambda topic: topic.append(topic.parsed()),
    "and cache, to look for repeats": Topic.append_once,
}


def _best(topic: Topic) -> dict[str, float]:
    best = dict.fromkeys(STEPS, float("inf"))
    for _ in range(ROUNDS):
        for name, step in STEPS.items():
            began = time.monotonic()
            step(topic)
            best[name] = min(best[name], time.monotonic() - began)
    return best


def main() -> None:
    """Print the seconds of each step on few and on many lines."""
    with full_topic() as settings:
        spark = spark_session(settings, "bench-steps")
        spark.sparkContext.setLogLevel("ERROR")
        tune(spark)
        delta_tables.ensure_table(spark, settings, names.ACCESS_LOGS)
        whole = ranges(
            settings, names.TOPIC_ACCESS, datetime.fromtimestamp(0, UTC), datetime.now(UTC)
        )
        few, many = (_best(Topic(spark, settings, whole, lines)) for lines in (FEW, MANY))
        spark.stop()
    table = Table("step", f"{FEW:,} lines", f"{MANY:,} lines")
    for name in STEPS:
        table.add_row(name, f"{few[name]:.2f} s", f"{many[name]:.2f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
