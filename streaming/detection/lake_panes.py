"""Panes and the lake: made of its lines, saved beside them, found again after a restart."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming import metrics, names, tables
from streaming.detection import store
from streaming.error_panes import error_panes
from streaming.kept import free, keep, kept
from streaming.panes import traffic_panes
from streaming.settings import Settings

LATEST_SAVE_SECONDS: Final = 600
"""Panes are in the table this long after their lines were in the lake."""


Keep = Callable[[DataFrame], DataFrame]


@dataclass(frozen=True)
class Source:
    """A log table, its panes, and the function between them, as one plan or step by step."""

    logs: str
    panes: str
    aggregate: Callable[[DataFrame], DataFrame]
    stepwise: Callable[[DataFrame, Keep], DataFrame]


TRAFFIC: Final = Source(
    names.ACCESS_LOGS,
    names.TRAFFIC_PANES,
    traffic_panes,
    lambda logs, step: traffic_panes(logs, keep=step),
)
ERRORS: Final = Source(
    names.ERROR_LOGS, names.ERROR_PANES, error_panes, lambda logs, _step: error_panes(logs)
)


class LakePanes:
    """The panes of one source in one lake; windows are named by their epoch second."""

    def __init__(self, spark: SparkSession, settings: Settings, source: Source) -> None:
        """Take the source; both of its tables must be there."""
        self._spark, self._settings, self._source = spark, settings, source

    def made(self, starts: list[int]) -> DataFrame:
        """The panes of some windows, from the lines of the lake; to be freed by `kept.free`."""
        with ExitStack() as steps:

            def step(rows: DataFrame) -> DataFrame:
                return steps.enter_context(kept(rows))

            return keep(self._source.stepwise(self._lines(starts), step))

    def remake(self, starts: list[int]) -> None:
        """Make the panes of some windows and put them in place of what the table has."""
        self.save(starts, self._source.aggregate(self._lines(starts)))

    def save(self, starts: list[int], panes: DataFrame) -> None:
        """Put the panes of some windows into their table, in place of what is there."""
        store.replace_windows(self._settings, self._source.panes, panes, starts)

    def saved(self, since: int) -> DataFrame:
        """The panes in the table from epoch second `since` on."""
        start = datetime.fromtimestamp(since, UTC)
        return tables.since(self._table(self._source.panes), start)

    def unsaved(self) -> list[int]:
        """The windows that a detector before this one may have judged and not saved."""
        stored = self._table(self._source.panes)
        newest = stored.agg(F.unix_seconds(F.max("window_start"))).collect()[0][0]
        logs = self._table(self._source.logs)
        if newest is not None:
            edge = F.timestamp_seconds(F.lit(newest - LATEST_SAVE_SECONDS))
            logs = logs.where(F.col("ingested_at") >= edge)
        return metrics.recent_windows(logs)

    def _lines(self, starts: list[int]) -> DataFrame:
        return metrics.in_windows(self._table(self._source.logs), starts)

    def _table(self, name: str) -> DataFrame:
        return tables.read_table(self._spark, self._settings, name)


class Unsaved:
    """Panes that were made and are not in their table yet: of each window the newest.

    Made again for the table, they would cost as much as those that were judged.
    """

    def __init__(self) -> None:
        self._made: list[tuple[set[int], DataFrame]] = []

    def add(self, starts: Iterable[int], panes: DataFrame) -> None:
        """Take the kept panes of some windows, in place of those that were made before."""
        newer = set(starts)
        older = [(windows - newer, frame) for windows, frame in self._made]
        for windows, frame in older:
            if not windows:
                free(frame)
        self._made = [*(entry for entry in older if entry[0]), (newer, panes)]

    def starts(self) -> list[int]:
        """The windows in ascending order."""
        return sorted(start for windows, _ in self._made for start in windows)

    def panes(self) -> DataFrame:
        """Their panes; there must be a window."""
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
