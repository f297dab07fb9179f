"""Profiles and the lake: made of its lines, saved beside them, found again after a restart."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import frames, names, projections, tables
from streaming.contracts.settings import Settings
from streaming.contracts.tables import Columns
from streaming.spark import delta_tables, window_filters
from streaming.spark.arrow_bridge import collect_frame, map_groups, spark_frame
from streaming.windows.error_profile import error_profiles
from streaming.windows.traffic_profile import traffic_profiles

LATEST_SAVE_SECONDS: Final = 600
"""Profiles are in the table this long after their lines were in the lake."""

GROUP_SECONDS: Final = 600
"""The lines of so many seconds meet in one worker, whose memory holds them; a call of the core
costs some milliseconds however few they are."""


@dataclass(frozen=True, eq=False)
class Source:
    """A log table, the columns that are read of it, its profiles, and the function between."""

    logs: str
    columns: Columns
    profiles: str
    aggregate: Callable[[pl.DataFrame], pl.DataFrame]


TRAFFIC: Final = Source(
    names.ACCESS_LOGS, projections.PROFILED, names.TRAFFIC_PROFILES, traffic_profiles
)
ERRORS: Final = Source(
    names.ERROR_LOGS, projections.PROFILED_ERRORS, names.ERROR_PROFILES, error_profiles
)


def profiles_of_logs(source: Source, logs: DataFrame) -> DataFrame:
    """Return the profiles of rows of a log table, made by the executors."""
    group = F.floor(F.unix_seconds("event_time") / GROUP_SECONDS)
    return map_groups(
        logs.select(*source.columns),
        [group],
        source.aggregate,
        tables.TABLES[source.profiles],
    )


class ProfileStore:
    """The profiles of one source in one lake; windows are named by their epoch second."""

    def __init__(self, spark: SparkSession, settings: Settings, source: Source) -> None:
        """Take the source; both of its tables must be there."""
        self._spark, self._settings, self._source = spark, settings, source

    def made(self, starts: list[int]) -> pl.DataFrame:
        """Return the profiles of some windows, from the lines of the lake.

        The lines are collected: for a few windows that costs less than to start Python workers.
        """
        return self._source.aggregate(
            collect_frame(self._lines(starts).select(*self._source.columns))
        )

    def remake(self, starts: list[int]) -> None:
        """Make the profiles of some windows and put them in place of what the table has."""
        profiles = profiles_of_logs(self._source, self._lines(starts))
        delta_tables.replace_windows(self._settings, self._source.profiles, profiles, starts)

    def save(self, starts: list[int], profiles: pl.DataFrame) -> None:
        """Put the profiles of some windows into their table, in place of what is there."""
        rows = spark_frame(self._spark, profiles, tables.TABLES[self._source.profiles])
        delta_tables.replace_windows(self._settings, self._source.profiles, rows, starts)

    def saved(self, since: int) -> pl.DataFrame:
        """Return the profiles in the table from epoch second `since` on."""
        return collect_frame(self._saved(since))

    def last_seen(self, since: int, before: int) -> dict[str, int]:
        """Return the newest window of each server in `[since, before)`."""
        edge = F.timestamp_seconds(F.lit(before))
        rows = self._saved(since).where(F.col("window_start") < edge)
        newest = F.max(F.unix_seconds("window_start"))
        return dict(tuple(row) for row in rows.groupBy("server_address").agg(newest).collect())

    def unsaved(self, since: int) -> list[int]:
        """Return the windows that a detector before this one may have evaluated and not saved.

        Where no profile was ever saved, those from epoch second `since` on: older ones are left to
        `loglake baselines --full`.
        """
        stored = self._table(self._source.profiles)
        newest = stored.agg(F.unix_seconds(F.max("window_start"))).collect()[0][0]
        logs = self._table(self._source.logs)
        if newest is None:
            logs = delta_tables.since(logs, datetime.fromtimestamp(since, UTC), "event_time")
        else:
            edge = F.timestamp_seconds(F.lit(newest - LATEST_SAVE_SECONDS))
            logs = logs.where(F.col("ingested_at") >= edge)
        return window_filters.recent_windows(logs)

    def _saved(self, since: int) -> DataFrame:
        start = datetime.fromtimestamp(since, UTC)
        return delta_tables.since(self._table(self._source.profiles), start)

    def _lines(self, starts: list[int]) -> DataFrame:
        return window_filters.in_windows(self._table(self._source.logs), starts)

    def _table(self, name: str) -> DataFrame:
        return delta_tables.read_table(self._spark, self._settings, name)


class Unsaved:
    """Profiles that were made and are not in their table yet: the newest of each window.

    Made again for the table, they would cost as much as those that were evaluated.
    """

    def __init__(self, source: Source) -> None:
        self._starts: set[int] = set()
        self.profiles = pl.DataFrame(schema=frames.TABLES[source.profiles])

    def add(self, starts: Iterable[int], profiles: pl.DataFrame) -> None:
        """Take the profiles of some windows, in place of those that were made before."""
        starts = list(starts)
        self._starts.update(starts)
        older = self.profiles.filter(~pl.col("window_start").dt.epoch("s").is_in(starts))
        self.profiles = pl.concat([older, profiles])

    def starts(self) -> list[int]:
        """Return the windows in ascending order."""
        return sorted(self._starts)

    def clear(self) -> None:
        """Forget them."""
        self._starts.clear()
        self.profiles = self.profiles.clear()
