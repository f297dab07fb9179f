"""Records of Kafka to rows of the log tables: `streaming.logs` through the Arrow bridge."""

from functools import partial

import polars as pl
from pyspark.sql import DataFrame

from streaming.contracts import projections, tables
from streaming.contracts.settings import Settings
from streaming.logs.access import NARROW, parse_access
from streaming.logs.error import parse_errors, stitch
from streaming.spark.arrow_bridge import map_frames, map_groups
from streaming.spark.replay_detection import FILE


def access_rows(records: DataFrame, settings: Settings) -> DataFrame:
    """Parse `schemas.RECORD` into the columns of `access_logs` and `projections.VERDICT`."""
    parse = partial(parse_access, history_days=settings.history_days)
    return map_frames(records, parse, {**tables.ACCESS_LOGS, **projections.VERDICT})


def metric_rows(records: DataFrame, settings: Settings) -> DataFrame:
    """Parse `schemas.RECORD` into `projections.NARROW`; rejected lines are left out."""
    accepted = partial(_accepted, settings.history_days)
    # Each column that goes to a worker and back costs a core about 0.1 µs a line.
    needed = records.select("value", "ingested_at", "server_address")
    return map_frames(needed, accepted, projections.NARROW)


def error_rows(records: DataFrame, settings: Settings) -> DataFrame:
    """Parse a micro-batch into the columns of `error_logs` and `projections.VERDICT`.

    The lines of a file meet in one group, since a record may go on over several of them.
    """
    parse = partial(_stitched, settings.error_log_time_zones, settings.history_days)
    return map_groups(records, [*FILE], parse, {**tables.ERROR_LOGS, **projections.VERDICT})


def _accepted(history_days: int, records: pl.DataFrame) -> pl.DataFrame:
    parsed = parse_access(records, history_days=history_days, columns=NARROW)
    return parsed.filter(pl.col("reason").is_null())


def _stitched(zones: dict[str, str], history_days: int, records: pl.DataFrame) -> pl.DataFrame:
    return parse_errors(stitch(records), time_zones=zones, history_days=history_days)
