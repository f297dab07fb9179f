"""`python -m batch.jobs.maintenance`: what keeps the tables small and quick.

For every table: drop the days past the retention, join small files of the last days (a stream
commits every few seconds), and delete files that no version of the last week needs. Then the hourly
roll-up in InfluxDB is compared with the points that it was made of.
"""

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from delta.tables import DeltaTable
from influxdb_client import InfluxDBClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from batch.jobs.job import job
from batch.repair import final_windows
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live import program
from streaming.live.influx_sink import INFLUX_ERRORS, reason
from streaming.spark import schemas
from streaming.spark.delta_tables import PARTITION

log = logging.getLogger(__name__)

COMPACT_DAYS: Final = 3
"""Late lines reach back further, but too few to matter; `replay` makes large files itself."""
ROLLUP_HOURS: Final = 24


@dataclass
class Outcome:
    """What was done, by table."""

    rows_dropped: dict[str, int] = field(default_factory=dict)
    files_joined: dict[str, int] = field(default_factory=dict)
    files_deleted: dict[str, int] = field(default_factory=dict)
    rollup_hours_wrong: list[str] = field(default_factory=list)

    def metadata(self) -> dict[str, object]:
        """Figures for Dagster."""
        return {
            "rows_dropped": sum(self.rows_dropped.values()),
            "files_joined": sum(self.files_joined.values()),
            "files_deleted": sum(self.files_deleted.values()),
            "rollup_hours_wrong": len(self.rollup_hours_wrong),
            "by_table": {
                "rows_dropped": self.rows_dropped,
                "files_joined": self.files_joined,
                "files_deleted": self.files_deleted,
            },
        }


def maintain(spark: SparkSession, settings: Settings, now: datetime) -> Outcome:
    """Tidy up every table that exists; safe beside running streams."""
    outcome = Outcome()
    for name, schema in schemas.TABLES.items():
        path = settings.table(name)
        if not DeltaTable.isDeltaTable(spark, path):
            continue
        table = DeltaTable.forPath(spark, path)
        daily = PARTITION in schema.names
        if daily:
            outcome.rows_dropped[name] = _drop_old_days(table, settings, now)
        outcome.files_joined[name] = _join_files(table, now if daily else None)
        outcome.files_deleted[name] = _delete_files(spark, path)
        log.info("%s is tidy", name)
    return outcome


def _drop_old_days(table: DeltaTable, settings: Settings, now: datetime) -> int:
    """Whole partitions only: no file is rewritten."""
    last_day = (now - timedelta(days=settings.history_days)).date()
    old = F.col(PARTITION) < F.lit(last_day)
    rows = table.toDF().where(old).count()
    if rows:
        table.delete(old)
    return rows


def _join_files(table: DeltaTable, now: datetime | None) -> int:
    """Join small files, of the last days where there are days; large ones are left alone."""
    optimize = table.optimize()
    if now is not None:
        first = (now - timedelta(days=COMPACT_DAYS)).date()
        optimize = optimize.where(f"{PARTITION} >= DATE'{first}'")
    metrics = optimize.executeCompaction().select("metrics.*").collect()[0]
    return int(metrics["numFilesRemoved"])


def _delete_files(spark: SparkSession, path: str) -> int:
    before = spark.sql(f"VACUUM delta.`{path}` DRY RUN").count()
    spark.sql(f"VACUUM delta.`{path}`")
    return before


def wrong_rollup_hours(settings: Settings, now: datetime) -> list[str]:
    """Hours of the last day whose roll-up has other requests than the points it was made of.

    Raises `ConnectionError` when InfluxDB does not answer.
    """
    stop = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    points = _requests_by_hour(settings, names.BUCKET_METRICS, stop)
    rolled = _requests_by_hour(settings, names.BUCKET_METRICS_1H, stop)
    return sorted(hour for hour, count in points.items() if rolled.get(hour) != count)


def _requests_by_hour(settings: Settings, bucket: str, stop: datetime) -> dict[str, int]:
    start = stop - timedelta(hours=ROLLUP_HOURS)
    flux = (
        f'from(bucket: "{bucket}")'
        f" |> range(start: {start:%Y-%m-%dT%H:%M:%SZ}, stop: {stop:%Y-%m-%dT%H:%M:%SZ})"
        f' |> filter(fn: (r) => r._measurement == "{names.HTTP_TRAFFIC}"'
        ' and r._field == "requests")'
        ' |> group() |> aggregateWindow(every: 1h, fn: sum, timeSrc: "_start", createEmpty: false)'
    )
    with InfluxDBClient(
        url=settings.influx,
        token=settings.secret("influx_read_token"),
        org=settings.influx_org,
        timeout=60_000,
    ) as client:
        try:
            records = list(client.query_api().query_stream(flux))
        except INFLUX_ERRORS as error:
            raise ConnectionError(
                f"InfluxDB at {settings.influx} does not answer ({reason(error)}); "
                "check `loglake status`"
            ) from error
    return {f"{record.get_time():%Y-%m-%d %H:00}": round(record.get_value()) for record in records}


def run(settings: Settings) -> Outcome:
    """Run the job."""
    began = time.monotonic()
    now = final_windows.utc_now()
    with job(settings, "maintenance") as current:
        outcome = maintain(current.spark, settings, now)
        outcome.rollup_hours_wrong = wrong_rollup_hours(settings, now)
        current.report({**outcome.metadata(), "seconds": round(time.monotonic() - began, 1)})
    log.info("%s", outcome.metadata())
    return outcome


if __name__ == "__main__":
    program.main(run)
