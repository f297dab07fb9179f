"""The Delta table `incidents`: written by id, read to go on after a restart."""

from collections.abc import Iterable, Sequence

import polars as pl
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.contracts import frames, names
from streaming.contracts.settings import Settings
from streaming.contracts.tables import TABLES
from streaming.detection.incidents import Incident, Session
from streaming.detection.rows import incident_row, session_of
from streaming.spark import delta_tables
from streaming.spark.arrow_bridge import spark_frame


def upsert_incidents(
    spark: SparkSession, settings: Settings, changed: Iterable[Incident], retracted: Iterable[str]
) -> None:
    """Insert or update incidents by id and delete those that late lines made untrue."""
    rows = [incident_row(incident) for incident in changed]
    ids = [*(row["incident_id"] for row in rows), *retracted]
    if not ids:
        return
    fresh = pl.DataFrame(rows, frames.TABLES[names.INCIDENTS])
    # One commit; a MERGE reads the table twice.
    listed = ", ".join(f"'{incident_id}'" for incident_id in ids)
    delta_tables.replace_where(
        settings,
        names.INCIDENTS,
        spark_frame(spark, fresh, TABLES[names.INCIDENTS]),
        f"incident_id IN ({listed})",
    )


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
