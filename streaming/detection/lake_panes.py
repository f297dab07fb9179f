"""Panes and the lake: made of its lines, saved beside them, found again after a restart."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming import metrics, names, tables
from streaming.detection import store
from streaming.error_panes import error_panes
from streaming.panes import traffic_panes
from streaming.settings import Settings

LATEST_SAVE_SECONDS: Final = 600
"""Panes are in the table this long after their lines were in the lake."""


@dataclass(frozen=True)
class Source:
    """A log table, its panes, and the function between them."""

    logs: str
    panes: str
    aggregate: Callable[[DataFrame], DataFrame]


TRAFFIC: Final = Source(names.ACCESS_LOGS, names.TRAFFIC_PANES, traffic_panes)
ERRORS: Final = Source(names.ERROR_LOGS, names.ERROR_PANES, error_panes)


class LakePanes:
    """The panes of one source in one lake; windows are named by their epoch second."""

    def __init__(self, spark: SparkSession, settings: Settings, source: Source) -> None:
        """Take the source; both of its tables must be there."""
        self._spark, self._settings, self._source = spark, settings, source

    def made(self, starts: list[int]) -> DataFrame:
        """The panes of some windows, from the lines of the lake."""
        return self._source.aggregate(metrics.in_windows(self._table(self._source.logs), starts))

    def save(self, starts: list[int]) -> None:
        """Put the panes of some windows into their table, in place of what is there."""
        panes = self.made(starts)
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

    def _table(self, name: str) -> DataFrame:
        return tables.read_table(self._spark, self._settings, name)
