"""Sample lines for incidents, from the access log itself."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from streaming.contracts import names
from streaming.detection.incidents import Incident
from streaming.spark.delta_tables import frame_of

SAMPLES: Final = 3
SPAN: Final = 60
"""Samples come from this many seconds after an incident opened, and the window it opened in."""

MAX_INCIDENTS: Final = 200

_KINDS: Final = ("ip_spike", "path_scan", "server_flood", "error_surge", "latency_surge")

_WANTED: Final = T.StructType(
    [
        T.StructField("incident_id", T.StringType()),
        T.StructField("kind", T.StringType()),
        T.StructField("server", T.StringType()),
        T.StructField("entity", T.StringType()),
        T.StructField("start", T.LongType()),
    ]
)


def with_samples(
    spark: SparkSession, access_logs: DataFrame, incidents: Sequence[Incident]
) -> list[Incident]:
    """Return the incidents, the first `MAX_INCIDENTS` with up to `SAMPLES` lines as evidence.

    `access_logs` has the columns of `schemas.ACCESS_LOGS`. A sample reads
    `2026-01-31T10:00:00Z web1 203.0.113.9 GET /wp-login.php 404`.
    """
    asked = [i for i in incidents if i.kind in _KINDS][:MAX_INCIDENTS]
    if not asked:
        return list(incidents)
    wanted = [
        {
            "incident_id": i.incident_id,
            "kind": i.kind,
            "server": i.server,
            "entity": i.entity,
            "start": i.opened_at,
        }
        for i in asked
    ]
    starts = [i.opened_at for i in asked]
    first, last = min(starts), max(starts) + SPAN
    lines = access_logs.where(
        F.col("event_date").between(_utc(first).date(), _utc(last).date())
        & F.col("event_time").between(_utc(first), _utc(last))
    )
    sample = F.min_by(_text(), F.struct("event_time", "event_id"), SAMPLES)
    found = (
        lines.join(F.broadcast(frame_of(spark, wanted, _WANTED)), _belongs())
        .groupBy("incident_id")
        .agg(sample.alias("samples"))
        .collect()
    )
    samples = {row["incident_id"]: tuple(row["samples"]) for row in found}
    return [i.with_samples(samples.get(i.incident_id, ())) for i in incidents]


def _belongs() -> Column:
    second = F.unix_seconds("event_time")
    client = F.col("kind").isin("ip_spike", "path_scan")
    failed = F.col("http_response_status_code") >= 500
    missed = F.col("http_response_status_code").between(400, 499)
    return (
        (F.col("server").isin(names.FLEET) | (F.col("server") == F.col("server_address")))
        & (second >= F.col("start"))
        & (second < F.col("start") + SPAN)
        & (~client | (F.col("entity") == F.col("client_address")))
        & ((F.col("kind") != "path_scan") | missed)
        & ((F.col("kind") != "error_surge") | failed)
        & (
            (F.col("kind") != "error_surge")
            | F.col("entity").isin("")
            | (F.col("entity") == F.col("http_route"))
        )
    )


def _text() -> Column:
    time = F.date_format("event_time", "yyyy-MM-dd'T'HH:mm:ss'Z'")
    query = F.when(F.col("url_query").isNotNull(), F.concat(F.lit("?"), "url_query"))
    path = F.concat(F.coalesce("url_path", F.lit("")), F.coalesce(query, F.lit("")))
    return F.concat_ws(
        " ",
        time,
        "server_address",
        "client_address",
        "http_request_method",
        F.substring(path, 1, 300),
        F.col("http_response_status_code").cast("string"),
    )


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
