"""The baselines table: versions appended, the newest read, moves bounded."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, schemas

MAX_MOVE: Final = 1.5
"""A recompute may move a threshold by no more than this factor unless an operator accepts it."""

MAX_EXCLUDED: Final = 0.2
"""A server with more of its minutes inside incidents keeps its old baselines."""


def newest(spark: SparkSession, path: str, at: datetime | None = None) -> list[dict[str, Any]]:
    """Return the rows of the newest version of a baselines table, or of the newest at `at`.

    Empty when the table has none yet. Raises `FileNotFoundError` when there is no such table.
    """
    try:
        table = spark.read.format("delta").load(path).select(*schemas.BASELINES.names)
    except AnalysisException as error:
        raise FileNotFoundError(
            f"no baselines at {path}; make them with `loglake baselines`, or use `learn` or `none`"
        ) from error
    if at is not None:
        table = table.where(F.col("computed_at") <= F.lit(at))
    version = table.agg(F.max("version")).collect()[0][0]
    if version is None:
        return []
    return [row.asDict() for row in table.where(F.col("version") == version).collect()]


def publish(
    spark: SparkSession, settings: Settings, rows: Iterable[Mapping[str, Any]], version: int
) -> None:
    """Append one version; earlier ones stay."""
    delta_tables.ensure_table(spark, settings, names.BASELINES)
    now = datetime.now(UTC)
    full = [{**row, "version": version, "computed_at": now} for row in rows]
    frame: DataFrame = spark.createDataFrame(full, schemas.BASELINES)
    path = settings.table(names.BASELINES)
    frame.coalesce(1).write.format("delta").mode("append").save(path)


def merged(
    fresh: list[dict[str, Any]], old: list[dict[str, Any]], accept: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what may be published of `fresh` in place of `old`, and sentences on what was not.

    A server with too much left out keeps its old rows, and no threshold of a learned row moves by
    more than `MAX_MOVE`, unless `accept`.
    """
    notes: list[str] = []
    kept_back = {row["server_address"] for row in fresh if row["excluded_share"] > MAX_EXCLUDED} & {
        row["server_address"] for row in old
    }
    if accept:
        return fresh, notes
    for server in sorted(kept_back):
        notes.append(
            f"{server} keeps its old baselines: more than {MAX_EXCLUDED:.0%} of its minutes lie "
            "in incidents; run `loglake baselines --accept` if that is its new normal"
        )
    before = {_key(row): row for row in old if row["state"] in ("provisional", "ready")}
    rows = [row for row in old if row["server_address"] in kept_back]
    held = 0
    for row in fresh:
        if row["server_address"] in kept_back:
            continue
        bounded = _bounded(row, before.get(_key(row)))
        held += bounded is not row
        rows.append(bounded)
    if held:
        notes.append(
            f"{held} thresholds wanted to move by more than ×{MAX_MOVE} and moved by that; "
            "run `loglake baselines --accept` to let them"
        )
    return rows, notes


def _key(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return row["server_address"], row["metric"], row["key"], row["hour_of_week"]


def _bounded(row: dict[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    if old is None:
        return row
    upper, lower = _near(row["upper"], old["upper"]), _near(row["lower"], old["lower"])
    if upper == row["upper"] and lower == row["lower"]:
        return row
    return {**row, "upper": upper, "lower": lower}


def _near(value: float | None, old: float | None) -> float | None:
    if value is None or not old:
        return value
    return min(max(value, old / MAX_MOVE), old * MAX_MOVE)
