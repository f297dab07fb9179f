"""Profiles and the lake: made of its lines, saved beside them, found again after a restart."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, incident_store, live_metrics
from streaming.spark.cached import cache, cached, free
from streaming.windows.error_profile import error_profiles
from streaming.windows.traffic_profile import traffic_profiles

LATEST_SAVE_SECONDS: Final = 600
"""Profiles are in the table this long after their lines were in the lake."""


Keep = Callable[[DataFrame], DataFrame]


@dataclass(frozen=True)
class Source:
    """A log table, its profiles, and the function between them, as one plan or step by step."""

    logs: str
    profiles: str
    aggregate: Callable[[DataFrame], DataFrame]
    stepwise: Callable[[DataFrame, Keep], DataFrame]


TRAFFIC: Final = Source(
    names.ACCESS_LOGS,
    names.TRAFFIC_PROFILES,
    traffic_profiles,
    lambda logs, step: traffic_profiles(logs, keep=step),
)
ERRORS: Final = Source(
    names.ERROR_LOGS, names.ERROR_PROFILES, error_profiles, lambda logs, _step: error_profiles(logs)
)


class ProfileStore:
    """The profiles of one source in one lake; windows are named by their epoch second."""

    def __init__(self, spark: SparkSession, settings: Settings, source: Source) -> None:
        """Take the source; both of its tables must be there."""
        self._spark, self._settings, self._source = spark, settings, source

    def made(self, starts: list[int]) -> DataFrame:
        """The profiles of some windows, from the lines of the lake; to be freed by `kept.free`."""
        with ExitStack() as steps:

            def step(rows: DataFrame) -> DataFrame:
                return steps.enter_context(cached(rows))

            return cache(self._source.stepwise(self._lines(starts), step))

    def remake(self, starts: list[int]) -> None:
        """Make the profiles of some windows and put them in place of what the table has."""
        self.save(starts, self._source.aggregate(self._lines(starts)))

    def save(self, starts: list[int], profiles: DataFrame) -> None:
        """Put the profiles of some windows into their table, in place of what is there."""
        incident_store.replace_windows(self._settings, self._source.profiles, profiles, starts)

    def saved(self, since: int) -> DataFrame:
        """The profiles in the table from epoch second `since` on."""
        start = datetime.fromtimestamp(since, UTC)
        return delta_tables.since(self._table(self._source.profiles), start)

    def unsaved(self) -> list[int]:
        """The windows that a detector before this one may have evaluated and not saved."""
        stored = self._table(self._source.profiles)
        newest = stored.agg(F.unix_seconds(F.max("window_start"))).collect()[0][0]
        logs = self._table(self._source.logs)
        if newest is not None:
            edge = F.timestamp_seconds(F.lit(newest - LATEST_SAVE_SECONDS))
            logs = logs.where(F.col("ingested_at") >= edge)
        return live_metrics.recent_windows(logs)

    def _lines(self, starts: list[int]) -> DataFrame:
        return live_metrics.in_windows(self._table(self._source.logs), starts)

    def _table(self, name: str) -> DataFrame:
        return delta_tables.read_table(self._spark, self._settings, name)


class Unsaved:
    """Profiles that were made and are not in their table yet: of each window the newest.

    Made again for the table, they would cost as much as those that were evaluated.
    """

    def __init__(self) -> None:
        self._made: list[tuple[set[int], DataFrame]] = []

    def add(self, starts: Iterable[int], profiles: DataFrame) -> None:
        """Take the kept profiles of some windows, in place of those that were made before."""
        newer = set(starts)
        older = [(windows - newer, frame) for windows, frame in self._made]
        for windows, frame in older:
            if not windows:
                free(frame)
        self._made = [*(entry for entry in older if entry[0]), (newer, profiles)]

    def starts(self) -> list[int]:
        """The windows in ascending order."""
        return sorted(start for windows, _ in self._made for start in windows)

    def profiles(self) -> DataFrame:
        """Their profiles; there must be a window."""
        second = F.unix_seconds("window_start")
        # An array is data; single constants would be compiled into the code of each save.
        parts = (
            frame.where(F.array_contains(F.lit(sorted(windows)), second))
            for windows, frame in self._made
        )
        return reduce(DataFrame.union, parts)

    def clear(self) -> None:
        """Forget and free them."""
        for _, frame in self._made:
            free(frame)
        self._made = []
