"""`python -m streaming.spark.class_archive FILE`: archive the classes that Spark loads.

A JVM that finds them read and checked takes a fifth less time and CPU for its first work
(docs/measurements.md). This one works once on a lake that is thrown away, and archives what it
loaded. A JVM of other JARs or another Java refuses the archive, and loads as ever.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, schemas
from streaming.spark.lake_writer import LakeWriter
from streaming.spark.live_metrics import http_traffic
from streaming.spark.parsing import access_rows
from streaming.spark.session import java_option, spark_session, tune


def archive_classes(settings: Settings, target: Path) -> None:
    """Write the archive to `target`, which must not exist.

    Raises `RuntimeError` when Java wrote none.
    """
    with tempfile.TemporaryDirectory(prefix="loglake-classes-") as home:
        option = java_option("XX:ArchiveClassesAtExit", target)
        # Here, whatever cluster and storage the settings name: it is this machine's archive.
        thrown_away = settings.with_changes(
            home=home, lake="", checkpoints="", spark_master="local[2]", spark_java_options=option
        )
        spark = spark_session(thrown_away, "class-archive")
        spark.sparkContext.setLogLevel("ERROR")
        gateway: Any = spark.sparkContext._gateway
        tune(spark)
        _work(spark, thrown_away)
        spark.stop()
        # The JVM ends with its standard input, and writes the archive then.
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
    if not target.is_file():
        raise RuntimeError(f"Java wrote no archive to {target}; its output is above")


def _work(spark: SparkSession, settings: Settings) -> None:
    """Load what the streams load: sources, parser, Delta, state, aggregates."""
    for table in (names.ACCESS_LOGS, names.REJECTED_LINES):
        delta_tables.ensure_table(spark, settings, table)
    parsed = access_rows(_records(spark), settings)
    writer = LakeWriter(spark, settings, names.ACCESS_LOGS)
    lake = parsed.writeStream.foreachBatch(writer)
    timely = parsed.where(F.col("reason").isNull()).withWatermark(
        "event_time", f"{names.WATERMARK_SECONDS} seconds"
    )
    traffic = http_traffic(timely).writeStream.format("noop").outputMode("update")
    for name, query in (("lake", lake), ("metrics", traffic)):
        checkpoint = settings.checkpoint("class_archive", name)
        query.option("checkpointLocation", checkpoint).trigger(
            availableNow=True
        ).start().awaitTermination()
    rows = delta_tables.read_table(spark, settings, names.ACCESS_LOGS)
    rows.groupBy("server_address").agg(F.count("*"), F.max("event_time")).collect()


def _records(spark: SparkSession) -> DataFrame:
    """Stream a line of our own format and one that is rejected, as `schemas.RECORD`."""
    ticks = (
        spark.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", 2)
        .option("startTimestamp", round(time.time() * 1000))
        .load()
    )
    line = F.to_json(
        F.struct(
            F.lit(time.time()).alias("msec"),
            F.lit("127.0.0.1").alias("remote_addr"),
            F.lit(200).alias("status"),
            F.lit("GET /products/17?from=search HTTP/1.1").alias("request"),
        )
    )
    origin = {
        "value": F.when(F.col("value") % 2 == 0, line).otherwise("no line").cast("binary"),
        "topic": F.lit(names.TOPIC_ACCESS),
        "kafka_partition": F.lit(0),
        "kafka_offset": F.col("value"),
        "ingested_at": F.current_timestamp(),
        "server_address": F.lit("web1"),
        "log_file": F.lit("access.log"),
        "byte_offset": F.lit(None).cast("long"),
    }
    return ticks.select(*(origin[name].alias(name) for name in schemas.RECORD.names))


if __name__ == "__main__":
    archive_classes(Settings(), Path(sys.argv[1]))
