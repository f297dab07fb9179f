"""The Spark session of every job: Delta, the Kafka connector, UTC."""

import os
import sys
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from streaming.contracts.settings import CLASS_ARCHIVE, Settings

JAVA_OPTIONS: Final = (
    "-Djava.awt.headless=true -XX:+UseParallelGC"
    # As a URI: a space in the path would end the option.
    f" -Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
    # C2 waits for code that is hot for long, which is that of the rows. By its default it took 36
    # of the 94 core-seconds of the first 600,000 lines, most of them for the planner.
    " -XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=20000"
    " -XX:Tier4CompileThreshold=200000 -XX:Tier4BackEdgeThreshold=400000"
    # The code of C1 that stays instead would fill the default, of which it gets the half.
    " -XX:ReservedCodeCacheSize=400m"
)

BARE_FILE_SYSTEM: Final = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"
POOLS: Final = Path(__file__).with_name("fairscheduler.xml")
CHECKPOINT_FILES: Final = (
    "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
)

ARROW_ROWS: Final = 20_000
ARROW_BYTES: Final = "64m"
"""Most rows and bytes that a Python worker parses at once: a call of the core costs some
milliseconds, and lines may be long."""

_SMALL_BATCHES: Final = {
    # Adaptive execution makes a job of each stage and plans anew after it: good for an hour of
    # work, and most of the time of a batch of a second.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.ui.explainMode": "simple",
    # Checks Spark's own rules after each of them, not the query.
    "spark.sql.lightweightPlanChangeValidation": "false",
    # The actions of a Delta log have more than 100 fields, the most that are compiled as a whole;
    # else each task writes the code of each step anew.
    "spark.sql.codegen.maxFields": "500",
    # Rows would be sorted by day, which live ones of one or two days are nearly always.
    "spark.sql.maxConcurrentOutputFileWriters": "4",
    # A batch of raw lines is kept for some seconds and no two lines are alike.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # No two of these are alike in a file: their dictionary is given up after 20,000 of them, and
    # all are written again.
    **{
        f"parquet.enable.dictionary#{column}": "false"
        for column in ("event_id", "request_id", "event_time", "kafka_offset", "byte_offset")
    },
    # Histograms of nulls that nothing here reads.
    "parquet.size.statistics.enabled": "false",
    # For stages that are run again after a fetch failure, which one process does not know.
    "spark.sql.shuffle.orderIndependentChecksum.enabled": "false",
}

_LONG_JOBS: Final = {
    # The lines of a fortnight are shuffled by their ten minutes; two parts would not fit a heap of
    # 1 GB. Adaptive execution joins parts that are small.
    "spark.sql.shuffle.partitions": "64",
}


def spark_session(settings: Settings, app_name: str, *, ui_port: int | None = None) -> SparkSession:
    """Build a session from `settings`; without `ui_port` the Spark UI stays off.

    Raises `FileNotFoundError` when the JARs were never fetched.
    """
    jars = sorted(settings.jars("spark").glob("*.jar"))
    if not jars:
        raise FileNotFoundError(
            f"no Spark connector JARs in {settings.jars('spark')}; run `make setup`"
        )
    # Else workers run the first Python that they find on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = (
        SparkSession.builder.appName(app_name)
        .master(settings.spark_master)
        # Each Python worker has one core; more threads would only get in each other's way.
        .config("spark.executorEnv.POLARS_MAX_THREADS", "1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(ARROW_ROWS))
        .config("spark.sql.execution.arrow.maxBytesPerBatch", ARROW_BYTES)
        # Instead of loopback TCP: a tenth of the CPU of a batch that goes through Python.
        .config("spark.python.unix.domain.socket.enabled", "true")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .config("spark.driver.memory", settings.spark_driver_memory)
        .config("spark.driver.extraJavaOptions", _java_options(settings))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(settings.shuffle_partitions))
        .config("spark.ui.enabled", str(ui_port is not None).lower())
        .config("spark.ui.port", str(ui_port or 0))
        .config("spark.ui.showConsoleProgress", "false")
        # A snapshot is rebuilt by 50 tasks by default; the log of a small table needs one.
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.streaming.metricsEnabled", "false")
        # PySpark would note for each column expression where in our code it was made: six calls to
        # the JVM and a search for IPython each time, half of the time it takes to build a query.
        .config("spark.python.sql.dataFrameDebugging.enabled", "false")
        # VACUUM lists a table in so many tasks; the default is 10,000, for a handful of folders.
        .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "16")
        # What a task fetched beyond its range is kept for the next one, which starts elsewhere: a
        # backlog of 600,000 lines left 150 MB in five minutes, the default.
        .config("spark.kafka.consumer.fetchedData.cache.timeout", "5s")
        .config("spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval", "2s")
        # First in, first out would let a long batch of one query hold up the live metrics.
        .config("spark.scheduler.mode", "FAIR")
        .config("spark.scheduler.allocation.file", f"file:{POOLS}")
        # One detection batch runs some 150 generated classes; with room for 100, the default, each
        # batch compiled all of them again, which was a third of the CPU of a stream.
        .config("spark.sql.codegen.cache.maxEntries", "1000")
    )
    if settings.spark_master.startswith("local"):
        builder = (
            builder.config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            # Not as `spark.jars`: only classes of Java's own class path can be archived.
            .config("spark.driver.extraClassPath", ":".join(str(jar) for jar in jars))
            # Hadoop forks a `chmod` or `readlink` for each file that it makes or renames, a hundred
            # a second in two streams. This file system asks Java instead; a rename is atomic on any
            # local disk, so checkpoints may use it.
            .config("spark.hadoop.fs.file.impl", BARE_FILE_SYSTEM)
            .config("spark.sql.streaming.checkpointFileManagerClass", CHECKPOINT_FILES)
        )
    else:
        builder = builder.config("spark.jars", ",".join(str(jar) for jar in jars))
    return builder.getOrCreate()


def java_option(name: str, path: Path) -> str:
    """Return an option of Java whose value is a path, which may hold spaces."""
    return f'"-{name}={path}"'


def tune(spark: SparkSession) -> None:
    """Set what pays for many small batches; before the queries are started."""
    for key, value in _SMALL_BATCHES.items():
        spark.conf.set(key, value)


def tune_for_long_jobs(spark: SparkSession) -> None:
    """Set what bounds the memory of a job over weeks of lines, whatever their number."""
    for key, value in _LONG_JOBS.items():
        spark.conf.set(key, value)


def _java_options(settings: Settings) -> str:
    options = [JAVA_OPTIONS]
    if CLASS_ARCHIVE.exists():
        # Of other JARs, or another Java, it is not used; `loglake setup` makes a new one.
        options += ["-Xlog:cds*=off", java_option("XX:SharedArchiveFile", CLASS_ARCHIVE)]
    return " ".join([*options, settings.spark_java_options])
