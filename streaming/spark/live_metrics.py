"""Live metrics: aggregates of one window and one server, the same for a stream and a table."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names

QUANTILES = {"latency_p50": 0.50, "latency_p95": 0.95, "latency_p99": 0.99}

# 2^12 registers: exact for a few hundred clients, then a standard error of 1.6 %
# (Apache DataSketches, HLL accuracy table).
HLL_LG_K = 12


def http_traffic(access_logs: DataFrame) -> DataFrame:
    """One row per 10-second window and server, the fields of measurement `http_traffic`.

    Needs the columns event_time, server_address, client_address, http_response_status_code,
    http_response_body_size and http_server_request_duration. Works on a stream in update mode and
    on a table; all but the quantiles (KLL, k=200: rank error 1.3 %) and `clients` are exact.
    """
    status = F.col("http_response_status_code")
    latency = "http_server_request_duration"
    aggregated = access_logs.groupBy(
        F.window("event_time", f"{names.WINDOW_SECONDS} seconds").alias("window"),
        F.col("server_address").alias("server"),
    ).agg(
        F.count("*").alias("requests"),
        F.sum("http_response_body_size").alias("bytes"),
        F.avg(latency).alias("latency_avg"),
        F.max(latency).alias("latency_max"),
        F.kll_sketch_agg_double(latency).alias("latencies"),
        F.hll_sketch_agg("client_address", HLL_LG_K).alias("clients"),
        *(
            F.count_if(status.between(100 * c, 100 * c + 99)).alias(f"status_{c}xx")
            for c in range(1, 6)
        ),
    )
    # A sketch of no value has no quantile and asking for one is an error.
    known = F.col("latency_avg").isNotNull()
    return aggregated.select(
        F.col("window.start").alias("window_start"),
        "server",
        "requests",
        (F.col("requests") / names.WINDOW_SECONDS).alias("rps"),
        F.coalesce("bytes", F.lit(0)).alias("bytes"),
        (F.coalesce("bytes", F.lit(0)) * 8 / names.WINDOW_SECONDS).alias("throughput_bps"),
        "latency_avg",
        "latency_max",
        *(
            F.when(known, F.kll_sketch_get_quantile_double("latencies", F.lit(rank))).alias(name)
            for name, rank in QUANTILES.items()
        ),
        *(f"status_{c}xx" for c in range(1, 6)),
        (F.col("status_5xx") / F.col("requests")).alias("error_rate"),
        F.coalesce(F.hll_sketch_estimate("clients"), F.lit(0)).alias("clients"),
    )


def error_events(error_logs: DataFrame) -> DataFrame:
    """One row per 10-second window, server, severity and category: measurement `error_events`.

    `pattern` is the most frequent message template of the group and `sample` one of its messages.
    """
    group = ["window", "server", "severity", "category"]
    by_pattern = error_logs.groupBy(
        F.window("event_time", f"{names.WINDOW_SECONDS} seconds").alias("window"),
        F.col("server_address").alias("server"),
        "severity",
        "category",
        "pattern",
    ).agg(F.count("*").alias("count"), F.max("message").alias("sample"))
    # The pattern breaks a tie, so that two engines name the same one.
    leading = F.max_by(F.struct("pattern", "sample"), F.struct("count", "pattern"))
    return (
        by_pattern.groupBy(*group)
        .agg(F.sum("count").alias("count"), leading.alias("leading"))
        .select(
            F.col("window.start").alias("window_start"),
            "server",
            "severity",
            "category",
            "count",
            F.col("leading.pattern").alias("pattern"),
            F.col("leading.sample").alias("sample"),
        )
    )


def points_of(windows: DataFrame) -> list[dict[str, Any]]:
    """Collect a small frame as rows for `InfluxSink.write`; window_start in epoch ms.

    A collected timestamp would be local time without a zone, and ambiguous once a year.
    """
    rows = windows.withColumn("window_start", F.unix_millis("window_start")).collect()
    return [row.asDict() for row in rows]
