"""Micro-batches of raw lines → Delta, every line exactly once."""

import logging
from collections.abc import Callable

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, schemas
from streaming.spark.cached import LEVEL, cached
from streaming.spark.replay_detection import FILE, File, Positions, Run, Summary, summary

log = logging.getLogger(__name__)


class LakeWriter:
    """The `foreachBatch` function that appends one topic's lines to its table.

    Exactly once rests on three things: Spark repeats a failed batch with the same offsets, Delta
    skips a batch number it already holds, and lines that Flume sent again are recognised by their
    byte offset and left out.
    """

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        table: str,
        parse: Callable[[DataFrame], DataFrame] | None = None,
    ) -> None:
        """Take the target table and what is still to be done with each batch.

        Its rows then have the table's columns and `projections.VERDICT`.
        """
        self._spark = spark
        self._settings = settings
        self._table = table
        self._parse = parse
        self._positions = Positions(self._ends_in_lake)
        self._input = 0
        self._rejected = 0
        self._duplicates = 0
        self._late = 0

    def counts(self) -> dict[str, int]:
        """Rows of the last batch (`input`), and since this writer was made (the others).

        Late rows are too old for the live metrics. Spark itself counts no input where a batch is
        read from a cache.
        """
        return {
            "input": self._input,
            "rejected": self._rejected,
            "duplicates": self._duplicates,
            "late": self._late,
        }

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Append one micro-batch."""
        parsed = batch if self._parse is None else self._parse(batch)
        with cached(parsed, eager=False) as rows:
            found = summary(rows)
            suspects = self._positions.suspects(found.runs)
            if suspects:
                replayed = self._append_new(rows, found, suspects, batch_id)
            else:
                replayed = set()
                self._append(rows, found, batch_id)
            self._positions.advance(found.runs, replayed)

    def _append(self, parsed: DataFrame, found: Summary, batch_id: int) -> None:
        self._write(accepted(parsed, self._table), self._table, batch_id)
        if found.rejected:
            self._write(rejected(parsed), names.REJECTED_LINES, batch_id)
        self._input = found.lines
        self._rejected += found.rejected
        self._late += found.late

    def _append_new(
        self, parsed: DataFrame, found: Summary, suspects: list[Run], batch_id: int
    ) -> set[File]:
        """Append the batch without the lines that the lake holds; return the files that had any."""
        suspect = _of_files([run.file for run in suspects])
        candidates = parsed.where(suspect).persist(LEVEL)
        fresh = (
            candidates.dropDuplicates(["event_id"])
            .join(self._held(candidates, suspect), "event_id", "left_anti")
            .persist(LEVEL)
        )
        try:
            before, after = _lines_by_file(candidates), _lines_by_file(fresh)
            replayed = {file for file, lines in before.items() if after.get(file, 0) < lines}
            left_out = sum(before.values()) - sum(after.values())
            if left_out:
                log.info("%s: left out %d lines that were sent again", self._table, left_out)
            self._duplicates += left_out
            if left_out:
                parsed = parsed.where(~suspect).unionByName(fresh)
                found = summary(parsed)
            self._append(parsed, found, batch_id)
        finally:
            fresh.unpersist()
            candidates.unpersist()
        return replayed

    def _held(self, candidates: DataFrame, suspect: Column) -> DataFrame:
        """The event_id of lines in the lake that `candidates` may repeat.

        A repeated line has the same event time, so Delta reads only the files of that span.
        """
        span = candidates.where(F.col("reason").isNull()).agg(
            F.min("event_time").alias("start"),
            F.max("event_time").alias("end"),
            F.min("event_date").alias("first_day"),
            F.max("event_date").alias("last_day"),
        )
        row = span.collect()[0]
        refused = delta_tables.read_table(self._spark, self._settings, names.REJECTED_LINES)
        held = refused.where(suspect).select("event_id")
        if row["start"] is None:
            return held
        stored = delta_tables.read_table(self._spark, self._settings, self._table)
        return held.unionByName(
            stored.where(
                F.col("event_date").between(row["first_day"], row["last_day"])
                & F.col("event_time").between(row["start"], row["end"])
            ).select("event_id")
        )

    def _ends_in_lake(self, files: list[File]) -> dict[File, int]:
        """The byte after the last line of each file that the lake has lines of."""
        accepted_lines, refused = (
            delta_tables.read_table(self._spark, self._settings, table).select(*FILE, "byte_offset")
            for table in (self._table, names.REJECTED_LINES)
        )
        # One job for both: it is the first thing that a backlog waits for.
        lines = accepted_lines.unionByName(refused).where(_of_files(files))
        lasts = lines.groupBy(*FILE).agg(F.max("byte_offset").alias("last")).collect()
        return {
            (row["server_address"], row["log_file"]): row["last"] + 1
            for row in lasts
            if row["last"] is not None
        }

    def _app_id(self) -> str:
        # The query's id is born with its checkpoint: a new checkpoint starts at batch 0 again and
        # must not be taken for the old one.
        query = self._spark.sparkContext.getLocalProperty("sql.streaming.queryId")
        if not query:
            raise RuntimeError("LakeWriter works only inside a streaming query's foreachBatch")
        return f"{query}/{self._table}"

    def _write(self, rows: DataFrame, table: str, batch_id: int) -> None:
        (
            rows.write.format("delta")
            .mode("append")
            .option("txnAppId", self._app_id())
            .option("txnVersion", str(batch_id))
            .save(self._settings.table(table))
        )


def _of_files(files: list[File]) -> Column:
    condition = F.lit(False)
    for server, log_file in files:
        condition |= F.col("server_address").eqNullSafe(F.lit(server)) & F.col(
            "log_file"
        ).eqNullSafe(F.lit(log_file))
    return condition


def _lines_by_file(rows: DataFrame) -> dict[File, int]:
    counts = rows.groupBy(*FILE).count().collect()
    return {(row["server_address"], row["log_file"]): row["count"] for row in counts}


def accepted(parsed: DataFrame, table: str) -> DataFrame:
    """Return the rows without a reason, in the columns of `table`."""
    return parsed.where(F.col("reason").isNull()).select(*schemas.TABLES[table].names)


def rejected(parsed: DataFrame) -> DataFrame:
    """Return the rows with a reason, in the columns of `rejected_lines`."""
    return parsed.where(F.col("reason").isNotNull()).select(*schemas.REJECTED_LINES.names)
