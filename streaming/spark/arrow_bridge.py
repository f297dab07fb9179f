"""The one bridge between Spark and the core: a function of Polars frames over rows of Spark."""

from collections.abc import Callable, Iterator, Sequence

import polars as pl
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from streaming.contracts.tables import Columns
from streaming.spark.schemas import spark_schema

Transform = Callable[[pl.DataFrame], pl.DataFrame]
"""A pure function that executors can import; its columns are in any order."""


def map_frames(rows: DataFrame, transform: Transform, columns: Columns) -> DataFrame:
    """Apply `transform` to each Arrow batch of `rows`; a batch has at most some thousand rows.

    The result has the given columns. Works on a stream and on a table.
    """
    schema = spark_schema(columns)
    table = _on_tables(transform, schema)

    def on_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from table(pa.Table.from_batches([batch])).to_batches()

    return rows.mapInArrow(on_batches, schema)


def map_groups(
    rows: DataFrame, keys: Sequence[Column | str], transform: Transform, columns: Columns
) -> DataFrame:
    """Apply `transform` to all rows that share `keys`, which then fit in a worker's memory.

    The result has the given columns. Works on a table, and on the rows of a micro-batch.
    """
    schema = spark_schema(columns)
    table = _on_tables(transform, schema)

    def on_group(group: pa.Table) -> pa.Table:
        return table(group)

    return rows.groupBy(*keys).applyInArrow(on_group, schema)


def collect_frame(rows: DataFrame) -> pl.DataFrame:
    """Fetch rows as a Polars frame; times are UTC."""
    return _polars(rows.toArrow())


def spark_frame(spark: SparkSession, frame: pl.DataFrame, columns: Columns) -> DataFrame:
    """Return a Polars frame as rows of Spark with the given columns, without a Python worker."""
    schema = spark_schema(columns)
    if frame.is_empty():
        return spark.createDataFrame([], schema)
    return spark.createDataFrame(_arrow(frame, _arrow_schema(schema)), schema)


def _on_tables(transform: Transform, schema: T.StructType) -> Callable[[pa.Table], pa.Table]:
    arrow_schema = _arrow_schema(schema)
    return lambda table: _arrow(transform(_polars(table)), arrow_schema)


def _arrow_schema(schema: T.StructType) -> pa.Schema:
    return to_arrow_schema(schema, timezone="UTC")


def _polars(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is never a series
    return frame


def _arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    # Polars holds texts and lists by 64-bit offsets or views, which Spark does not read.
    table = frame.select(schema.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.cast(schema)
