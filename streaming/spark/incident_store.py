"""The Delta tables of the detector: profiles replaced by window, incidents by id, limits read."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.incidents import Incident, Session
from streaming.detection.limits import Limits
from streaming.detection.rows import incident_row, session_of
from streaming.spark import delta_tables, schemas

log = logging.getLogger(__name__)

RETRIES = 5


def replace_windows(
    settings: Settings, table: str, profiles: DataFrame, starts: Sequence[int]
) -> None:
    """Put `profiles` in the place of whatever the table holds of the windows `starts`."""
    days = sorted({utc_date(start).isoformat() for start in starts})
    windows = ", ".join(f"timestamp_seconds({start})" for start in starts)
    dates = ", ".join(f"DATE'{day}'" for day in days)
    replace_where(
        settings, table, profiles, f"event_date IN ({dates}) AND window_start IN ({windows})"
    )


def replace_where(settings: Settings, table: str, profiles: DataFrame, condition: str) -> None:
    """Put `profiles` in the place of the rows of a table that meet a SQL condition."""
    writer = (
        profiles.coalesce(1)
        .write.format("delta")
        .mode("overwrite")
        .option("replaceWhere", condition)
    )
    _persistently(lambda: writer.save(settings.table(table)), table)


def utc_date(second: int) -> date:
    """Return the UTC date of an epoch second."""
    return datetime.fromtimestamp(second, UTC).date()


def upsert_incidents(
    spark: SparkSession, settings: Settings, changed: Iterable[Incident], retracted: Iterable[str]
) -> None:
    """Insert or update incidents by id and delete those that late lines made untrue."""
    rows = [incident_row(incident) for incident in changed]
    ids = [*(row["incident_id"] for row in rows), *retracted]
    if not ids:
        return
    fresh = delta_tables.frame_of(spark, rows, schemas.INCIDENTS)
    # One commit; a MERGE reads the table twice.
    listed = ", ".join(f"'{incident_id}'" for incident_id in ids)
    replace_where(settings, names.INCIDENTS, fresh, f"incident_id IN ({listed})")


def recent_sessions(
    spark: SparkSession, settings: Settings, kinds: Sequence[str], since: int
) -> tuple[list[Session], list[str]]:
    """Return incidents of these kinds, open or seen after epoch second `since`, and their ids."""
    times = ("opened_at", "last_seen_at", "peak_at")
    table = delta_tables.read_table(spark, settings, names.INCIDENTS)
    rows = (
        table.where(F.col("kind").isin(*kinds))
        .withColumns({name: F.unix_seconds(name) for name in times})
        .where(F.col("closed_at").isNull() | (F.col("last_seen_at") >= since))
        .collect()
    )
    return [session_of(row.asDict()) for row in rows], [row["incident_id"] for row in rows]


class StoredLimits:
    """The newest baselines, read again when there is a newer version."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._spark, self._settings = spark, settings
        self._limits = Limits(time_zone=settings.time_zone)
        self._commit: int | None = None
        self._complaint = ""

    def get(self) -> Limits:
        """Return the newest limits; the last good ones, or none at all, when unreadable."""
        try:
            commit = delta_tables.latest_version(self._spark, self._settings, names.BASELINES)
            if commit == self._commit:
                return self._limits
            table = delta_tables.read_table(self._spark, self._settings, names.BASELINES)
            version = table.agg(F.max("version")).collect()[0][0]
            if version is not None and version != self._limits.version:
                rows = table.where(F.col("version") == version).collect()
                self._limits = Limits((row.asDict() for row in rows), self._settings.time_zone)
                log.info("baselines version %d: %d rows", version, len(rows))
            self._commit, self._complaint = commit, ""
        except Exception as error:
            # Whatever is wrong with the table, the stream goes on with what it has.
            complaint = _sentence(error)
            if complaint != self._complaint:
                log.warning(
                    "baselines cannot be read (%s); going on with %s",
                    complaint,
                    f"version {self._limits.version}" if self._limits.version else "fixed floors",
                )
            self._complaint = complaint
        return self._limits


def _sentence(error: Exception) -> str:
    """What went wrong first; Py4J itself says only the number of the call."""
    if not isinstance(error, Py4JJavaError):
        return str(error).splitlines()[0]
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.toString()).splitlines()[0]


def _persistently(write: Callable[[], Any], table: str) -> None:
    """Repeat a commit that another writer of the same table got ahead of."""
    for attempt in range(RETRIES):
        try:
            write()
            return
        except PySparkException as error:
            if "CONCURRENT" not in str(error).upper() or attempt == RETRIES - 1:
                raise
            log.info("%s: another writer was first; trying again", table)
            time.sleep(0.2 * 2**attempt)
