"""`python -m tests.bench.crowd 1000000`: so many clients and URLs in ten minutes, one an attacker.

Prints how large the profiles and the detector's memory of them become, and whom it names.
"""

import json
import pickle
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any, Final

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts.settings import Settings
from streaming.detection.engine import evaluate
from streaming.detection.incidents import merge
from streaming.detection.limits import Limits, Rules
from streaming.detection.rows import profiles_of
from streaming.detection.state import Memory
from streaming.spark.session import spark_session
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lines import access_logs

START: Final = 1_767_600_000
MINUTES: Final = 10
ATTACKER: Final = "203.0.113.9"


def crowd(spark: SparkSession, clients: int, windows: int) -> DataFrame:
    """Access lines: every client asks once for a URL of its own, the attacker 60 times a window."""
    span = windows * 10
    many = spark.range(clients).select(
        (F.col("id") % span + START).alias("second"),
        F.format_string(
            "10.%d.%d.%d", *(F.floor(F.col("id") / 256**n) % 256 for n in (2, 1, 0))
        ).alias("c"),
        F.format_string("/item/%x", F.col("id")).alias("path"),
    )
    lone = spark.range(windows * 60).select(
        (F.floor(F.col("id") / 6) + START).alias("second"),
        F.lit(ATTACKER).alias("c"),
        F.format_string("/x%x.php", F.col("id")).alias("path"),
    )
    status = F.when(F.col("c") == ATTACKER, 404).otherwise(200)
    lines = many.unionByName(lone).select(
        F.timestamp_seconds("second").alias("event_time"),
        F.lit("web1").alias("server_address"),
        F.col("c").alias("client_address"),
        F.col("path").alias("url_path"),
        F.col("path").alias("http_route"),
        status.alias("http_response_status_code"),
    )
    return access_logs(lines)


def sizes(spark: SparkSession, clients: int, windows: int) -> dict[str, Any]:
    """What such a crowd comes to: rows, largest lists, bytes in memory, entities named."""
    profiles = list(profiles_of(traffic_profiles(crowd(spark, clients, windows), fleet=False)))
    memory: Memory = Memory()
    memory.replace((), profiles)
    end = profiles[-1].second
    change = memory.evaluate(
        (), end, lambda some, start, until, seen: evaluate(some, Limits(), Rules())
    )
    incidents = merge(change.evaluations, end + 10)
    return {
        "clients": sum(profile.clients for profile in profiles),
        "profiles": len(profiles),
        "heavy": max(len(profile.top_clients) for profile in profiles),
        "clients_with_404s": max(len(profile.clients_with_404s) for profile in profiles),
        "routes": max(len(profile.routes) for profile in profiles),
        "bytes_per_profile": max(len(pickle.dumps(profile)) for profile in profiles),
        "bytes_of_memory": len(pickle.dumps(memory)),
        "series": len({(i.kind, i.server) for i in incidents}),
        "named": sorted({i.entity for i in incidents if i.kind == "path_scan"}),
    }


def main(clients: int) -> None:
    """Measure and print one JSON object."""
    with tempfile.TemporaryDirectory(prefix="loglake-") as home:
        spark = spark_session(Settings(home=Path(home)), "loglake-crowd")
        started = monotonic()
        found = sizes(spark, clients, MINUTES * 6)
        click.echo(json.dumps({**found, "seconds": round(monotonic() - started, 1)}))
        spark.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
