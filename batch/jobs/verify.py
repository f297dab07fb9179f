"""`python -m batch.jobs.verify`: whether the lake and InfluxDB hold what was sent.

Three comparisons over a period: each Kafka record is a row (or rightly none), no event is there
twice, and the points of final windows equal the same aggregate over the lake.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from batch.jobs.job import Check, JobError, job
from batch.jobs.reconcile import utc
from batch.repair import final_windows, kafka_audit
from batch.repair.influx_diff import Points, compare
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live import program
from streaming.spark import delta_tables

log = logging.getLogger(__name__)

PERIOD: Final = timedelta(hours=1)
SETTLE: Final = timedelta(minutes=2)
"""A record has so long to get from Kafka into the lake."""
SAMPLE: Final = 120
"""Most windows that are compared per measurement; spread evenly over the period."""
REJECTED_SHARE: Final = 0.01
"""More rejected lines than this deserve a look; a probe or a broken client makes a few."""


@dataclass(frozen=True)
class Verification:
    """What was compared; `ok` only if nothing is lost, doubled or different."""

    start: datetime
    stop: datetime
    topics: Mapping[str, kafka_audit.Account] = field(default_factory=dict)
    duplicates: Mapping[str, int] = field(default_factory=dict)
    windows: Mapping[str, int] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether Kafka, lake and InfluxDB agree."""
        lost = any(account.lost for account in self.topics.values())
        return not (lost or any(self.duplicates.values()) or any(self.differences.values()))

    def summary(self) -> dict[str, Any]:
        """As JSON: `topics`, `duplicates`, `windows`, `differences` by name, and `ok`."""
        return {
            "from": self.start.isoformat(),
            "to": self.stop.isoformat(),
            "ok": self.ok,
            "topics": {name: asdict(account) for name, account in self.topics.items()},
            "duplicates": dict(self.duplicates),
            "windows": dict(self.windows),
            "differences": {name: dict(found) for name, found in self.differences.items()},
        }


def verify(
    spark: SparkSession, settings: Settings, start: datetime, stop: datetime, sample: int = SAMPLE
) -> Verification:
    """Compare Kafka, lake and InfluxDB for `[start, stop)`.

    Raises `ConnectionError` when Kafka or InfluxDB does not answer.
    """
    own = (names.REJECTED_LINES, names.RECONCILIATIONS)
    for table in (*own, *(topic.table for topic in kafka_audit.TOPICS)):
        delta_tables.ensure_table(spark, settings, table)
    topics, duplicates = {}, {}
    for topic in kafka_audit.TOPICS:
        expected = kafka_audit.ranges(settings, topic.name, start, stop)
        topics[topic.name] = kafka_audit.account(spark, settings, topic, expected)
        duplicates[topic.table] = _duplicates(spark, settings, topic.table, start, stop)
    compared, differences = {}, {}
    with Points(settings) as points:
        for target in final_windows.TARGETS:
            starts = _final_windows(spark, settings, target, start, stop, sample)
            compared[target.measurement] = len(starts)
            differences[target.measurement] = _differences(spark, settings, target, starts, points)
    return Verification(start, stop, topics, duplicates, compared, differences)


def _duplicates(
    spark: SparkSession, settings: Settings, table: str, start: datetime, stop: datetime
) -> int:
    """Rows too many in a table, by event time."""
    logs = delta_tables.read_table(spark, settings, table)
    first, last = (F.timestamp_seconds(F.lit(moment.timestamp())) for moment in (start, stop))
    inside = (
        F.col("event_date").between(F.to_date(first), F.to_date(last))
        & (F.col("event_time") >= first)
        & (F.col("event_time") < last)
    )
    copies = logs.where(inside).groupBy("event_id").agg((F.count("*") - 1).alias("copies"))
    found = copies.agg(F.coalesce(F.sum("copies"), F.lit(0)).alias("copies")).collect()
    return int(found[0]["copies"])


def _final_windows(
    spark: SparkSession,
    settings: Settings,
    target: final_windows.Target,
    start: datetime,
    stop: datetime,
    sample: int,
) -> list[int]:
    now = final_windows.utc_now()
    settled = final_windows.settled_until(settings, target.stream, now)
    if settled is None:
        return []
    # The points of a backlog are made by reconcile, some minutes after the lake has its lines.
    reconciled = final_windows.reconciled_until(spark, settings, target)
    settled = settled if reconciled is None else min(settled, reconciled)
    first = max(final_windows.aligned(start.timestamp()), final_windows.oldest(now))
    every = final_windows.between(first, min(int(stop.timestamp()), settled))
    step = -(-len(every) // sample) or 1
    return every[::step]


def _differences(
    spark: SparkSession,
    settings: Settings,
    target: final_windows.Target,
    starts: list[int],
    points: Points,
) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for chunk in final_windows.chunks(starts):
        wanted = {start * 1000 for start in chunk}
        held = points.between(target.measurement, chunk[0], chunk[-1] + names.WINDOW_SECONDS)
        found = compare(
            target.measurement,
            final_windows.rows(spark, settings, target, chunk),
            {key: point for key, point in held.items() if key[0] in wanted},
        )
        for reason, count in found.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return reasons


def checks(found: Verification) -> tuple[Check, ...]:
    """The same as asset checks, named as `orchestration` declares them."""
    result = []
    for topic in kafka_audit.TOPICS:
        account = found.topics[topic.name]
        table = f"lake/{topic.table}"
        copies = found.duplicates[topic.table]
        result += [
            Check(
                table,
                "every_line_in_kafka_is_in_the_lake",
                not account.lost,
                f"{account.lost} of {account.records} records of {topic.name} are missing.",
                asdict(account),
            ),
            Check(table, "no_event_is_there_twice", not copies, f"{copies} rows too many.", {}),
            Check(
                table,
                "few_lines_are_rejected",
                account.rejected_share <= REJECTED_SHARE,
                f"{account.rejected} of {account.records} lines were rejected.",
                {"share": account.rejected_share},
            ),
        ]
    for measurement, reasons in found.differences.items():
        text = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        result.append(
            Check(
                f"influxdb/{measurement}",
                "points_equal_the_lake",
                not reasons,
                text or f"{found.windows[measurement]} windows are equal.",
                {"windows": found.windows[measurement], **reasons},
            )
        )
    return tuple(result)


def run(
    settings: Settings,
    start: datetime | None = None,
    stop: datetime | None = None,
    sample: int = SAMPLE,
) -> Verification:
    """Run the job; without a period, over the last hour.

    Raises `JobError` for an empty period.
    """
    stop = stop or final_windows.utc_now() - SETTLE
    start = start or stop - PERIOD
    if start >= stop:
        raise JobError(f"the period from {start:%F %T} to {stop:%F %T} is empty; swap its ends")
    with job(settings, "verify") as current:
        found = verify(current.spark, settings, start, stop, sample)
        current.report(found.summary(), checks(found))
    return found


def _program(settings: Settings) -> None:
    parser = argparse.ArgumentParser(description="Compare Kafka, the lake and InfluxDB.")
    parser.add_argument("--from", dest="start", type=utc, help="Start of the period, ISO 8601.")
    parser.add_argument("--to", dest="stop", type=utc, help="End of the period.")
    arguments = parser.parse_args()
    found = run(settings, arguments.start, arguments.stop)
    sys.stdout.write(json.dumps(found.summary(), indent=2) + "\n")


if __name__ == "__main__":
    program.main(_program)
