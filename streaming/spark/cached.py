"""Rows that several jobs read are made once, and freed when the last has read them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

LEVEL = StorageLevel.MEMORY_AND_DISK


def cache(rows: DataFrame, *, eager: bool = True) -> DataFrame:
    """Return the rows as they are; `DataFrame.cache` would turn them into columns first.

    They are made at once, or with `eager` off by the first job that reads them.
    """
    return rows.localCheckpoint(eager=eager, storageLevel=LEVEL)


def free(rows: DataFrame) -> None:
    """Drop what `cache` returned; Spark itself does so only when the JVM next collects."""
    plan: Any = rows._jdf.queryExecution().logical()
    plan.rdd().unpersist(False)


@contextmanager
def cached(rows: DataFrame, *, eager: bool = True) -> Iterator[DataFrame]:
    """`cache`, then `free`."""
    checkpointed = cache(rows, eager=eager)
    try:
        yield checkpointed
    finally:
        free(checkpointed)
