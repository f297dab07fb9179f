"""`python -m batch.jobs.reconcile`: make the points in InfluxDB equal to the lake.

The streams are right at once on the clean path. After faults, replays, and for lines later than
the watermark, InfluxDB and the lake differ; this job finds these windows and overwrites them.
Every run looks once at each window that became final since the last run, and at each older window
that got new lines since, found by reading only the files that were added to the table.
"""

import argparse
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.jobs.job import JobError, job
from batch.repair import final_windows
from batch.repair.duplicates import remove_duplicates
from batch.repair.final_windows import TARGETS, Target
from batch.repair.influx_diff import Points, compare
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live import program
from streaming.live.influx_sink import InfluxSink
from streaming.spark import delta_tables, schemas
from streaming.spark.window_filters import window_second

log = logging.getLogger(__name__)

STREAM = "reconcile"
"""Its checkpoints are beside those of the streams."""


@dataclass
class Outcome:
    """What was compared and what was changed."""

    windows: int = 0
    late_windows: int = 0
    written: int = 0
    removed: int = 0
    duplicates: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    """Streams with a backlog: their windows are looked at once it is read."""

    def metadata(self) -> dict[str, object]:
        """Figures for Dagster; `points_*` tell why points were wrong."""
        return {
            "windows_compared": self.windows,
            "late_windows": self.late_windows,
            "points_written": self.written,
            "points_removed": self.removed,
            "duplicate_events_removed": self.duplicates,
            **{f"points_{reason}": count for reason, count in sorted(self.reasons.items())},
            **({"waiting_for": ", ".join(self.waiting)} if self.waiting else {}),
        }


@dataclass(frozen=True)
class Repair:
    """Compares windows of one measurement with the lake and corrects them."""

    spark: SparkSession
    settings: Settings
    target: Target
    outcome: Outcome

    def __call__(self, starts: list[int]) -> None:
        """Correct the windows that start at `starts`, sorted epoch seconds."""
        table, measurement = self.target.table, self.target.measurement
        with Points(self.settings) as points, InfluxSink(self.settings) as sink:
            for chunk in final_windows.chunks(starts):
                self.outcome.duplicates += remove_duplicates(
                    self.spark, self.settings, table, chunk
                )
                rows = final_windows.rows(self.spark, self.settings, self.target, chunk)
                wanted = {start * 1000 for start in chunk}
                held = points.between(measurement, chunk[0], chunk[-1] + names.WINDOW_SECONDS)
                found = compare(
                    measurement, rows, {k: point for k, point in held.items() if k[0] in wanted}
                )
                self.outcome.windows += len(chunk)
                self.outcome.written += sink.write(
                    measurement, found.wrong, time_column="window_start"
                )
                self.outcome.removed += points.remove(measurement, found.surplus)
                for reason, count in found.reasons.items():
                    self.outcome.reasons[reason] = self.outcome.reasons.get(reason, 0) + count


def reconcile(spark: SparkSession, settings: Settings) -> Outcome:
    """Correct what changed since the last run.

    Raises `ConnectionError` if InfluxDB does not answer; the next run starts at the same place.
    """
    outcome = Outcome()
    for name in (names.RECONCILIATIONS, *(target.table for target in TARGETS)):
        delta_tables.ensure_table(spark, settings, name)
    for target in TARGETS:
        now = final_windows.utc_now()
        repair = Repair(spark, settings, target, outcome)
        oldest = final_windows.oldest(now)
        since = final_windows.reconciled_until(spark, settings, target)
        if since is None:
            since = final_windows.first_start(spark, settings, target.table, oldest)
        if since is None:
            continue
        _repair_late(repair, max(since, oldest), oldest)
        until = final_windows.settled_until(settings, target.stream, now)
        if until is None:
            outcome.waiting.append(target.stream)
        elif until > since:
            repair(final_windows.between(max(since, oldest), until))
            _settle(spark, settings, target, until, now)
    return outcome


def rebuild(spark: SparkSession, settings: Settings, start: datetime, stop: datetime) -> Outcome:
    """Correct every final window of `[start, stop)`, as if nothing were known of it.

    Raises `JobError` for a period of which InfluxDB keeps no points.
    """
    outcome = Outcome()
    now = final_windows.utc_now()
    for target in TARGETS:
        delta_tables.ensure_table(spark, settings, target.table)
    first = max(final_windows.aligned(start.timestamp()), final_windows.oldest(now))
    for target in TARGETS:
        settled = final_windows.settled_until(settings, target.stream, now)
        last = min(int(stop.timestamp()), settled or final_windows.aligned(now.timestamp()))
        if first >= last:
            raise JobError(
                f"no final window between {start:%Y-%m-%d %H:%M} and {stop:%Y-%m-%d %H:%M} UTC "
                "is within the 7 days that InfluxDB keeps"
            )
        Repair(spark, settings, target, outcome)(final_windows.between(first, last))
    return outcome


def _repair_late(repair: Repair, since: int, oldest: int) -> None:
    """Correct windows before `since` that got lines since the last run."""

    def late(batch: DataFrame, _batch_id: int) -> None:
        seconds = F.unix_seconds("event_time")
        rows = (
            batch.where((seconds >= oldest) & (seconds < since))
            .select(window_second("event_time").alias("start"))
            .distinct()
            .collect()
        )
        starts = sorted(row["start"] for row in rows)
        repair.outcome.late_windows += len(starts)
        repair(starts)

    target = repair.target
    appended = delta_tables.stream_appends(repair.spark, repair.settings, target.table)
    query = (
        appended.writeStream.queryName(f"{STREAM}-{target.table}")
        .option("checkpointLocation", repair.settings.checkpoint(STREAM, target.table))
        .trigger(availableNow=True)
        .foreachBatch(late)
        .start()
    )
    query.awaitTermination()


def _settle(
    spark: SparkSession, settings: Settings, target: Target, until: int, now: datetime
) -> None:
    row = (target.measurement, datetime.fromtimestamp(until, UTC), now)
    frame = spark.createDataFrame([row], schemas.RECONCILIATIONS)
    frame.write.format("delta").mode("append").save(settings.table(names.RECONCILIATIONS))


def run(settings: Settings, start: datetime | None = None, stop: datetime | None = None) -> Outcome:
    """Run the job: what changed, or a period of which both ends are given."""
    began = time.monotonic()
    with job(settings, STREAM) as current:
        if start and stop:
            outcome = rebuild(current.spark, settings, start, stop)
        else:
            outcome = reconcile(current.spark, settings)
        seconds = round(time.monotonic() - began, 1)
        current.report({**outcome.metadata(), "seconds": seconds})
    log.info("%s", outcome.metadata())
    return outcome


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make InfluxDB equal to the lake.")
    parser.add_argument("--from", dest="start", type=utc, help="Start of a period, ISO 8601, UTC.")
    parser.add_argument("--to", dest="stop", type=utc, help="End of the period.")
    return parser.parse_args()


def utc(text: str) -> datetime:
    """Parse ISO 8601; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


if __name__ == "__main__":
    arguments = _arguments()
    program.main(lambda settings: run(settings, arguments.start, arguments.stop))
