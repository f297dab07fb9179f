"""Which 10-second windows rows of a log table fall into, and the rows of some windows."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names

RECENT_SECONDS: Final = 3600
"""Lines that arrive later than this after their event are left to the batch jobs."""


def window_second(time: str | Column) -> Column:
    """Return the start (epoch seconds) of the 10-second window that holds a timestamp."""
    seconds = F.unix_seconds(time)
    return seconds - F.pmod(seconds, F.lit(names.WINDOW_SECONDS))


def recent_windows(appended: DataFrame) -> list[int]:
    """Return the starts (epoch seconds) of the windows that new rows of a log table fall into.

    Rows that came more than `RECENT_SECONDS` after their time are left to the reconcile job, so
    that a replay of old logs does not hold up what happens now.
    """
    delay = F.unix_seconds("ingested_at") - F.unix_seconds("event_time")
    rows = (
        appended.where(delay <= RECENT_SECONDS)
        .select(window_second("event_time").alias("start"))
        .distinct()
        .collect()
    )
    return sorted(row["start"] for row in rows)


def in_windows(logs: DataFrame, starts: list[int]) -> DataFrame:
    """Return the rows of a log table whose event time lies in one of the windows.

    The span of all windows comes first, so that Delta can skip whole files by their statistics.
    """
    if not starts:
        return logs.where(F.lit(False))
    first = F.timestamp_seconds(F.lit(starts[0]))
    end = F.timestamp_seconds(F.lit(starts[-1] + names.WINDOW_SECONDS))
    spanned = logs.where(
        (F.col("event_date") >= F.to_date(first))
        & (F.col("event_date") <= F.to_date(end))
        & (F.col("event_time") >= first)
        & (F.col("event_time") < end)
    )
    if starts[-1] - starts[0] == (len(starts) - 1) * names.WINDOW_SECONDS:
        return spanned
    return spanned.where(window_second("event_time").isin(starts))
