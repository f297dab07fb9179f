"""Keep ratio: what share of Spark's own parsing speed the full access application keeps.

Both sides drain the same topic in turn, A B A B …, each in a fresh JVM with the same heap.
A reads Kafka, casts, parses JSON into strings and drops the rows. B is the whole application with
its own triggers: the lake has every line, live metrics are at their end, the detector has evaluated
every window, and `reconcile` has run. The time begins with the queries, not with Spark's session.
The second drain of each JVM is measured; the first loads and compiles.
"""

import json
import multiprocessing
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from rich.console import Console
from rich.table import Table

from batch.jobs.reconcile import reconcile
from streaming.contracts import names
from streaming.contracts.progress import QueryProgress
from streaming.contracts.settings import Settings
from streaming.live import detection_query
from streaming.live.application import Application
from streaming.live.detector import TrafficDetector
from streaming.live.stream_access import build
from streaming.spark.kafka_source import read_topic
from streaming.spark.session import spark_session, tune
from tests.bench.report import write_report
from tests.bench.services import running

LINES = 1_100_007
"""An odd number: the last lines wait for a trigger, as they do in a real backlog."""
SECONDS = 2400
"""The time that the lines span: 500 lines/s."""
ROUNDS = 3
LEAST = 0.35


def lines(count: int, server: str, seed: int) -> Iterator[bytes]:
    """Access lines of one server over `SECONDS`, of the size that nginx writes."""
    rng = random.Random(seed)
    now = time.time()
    for i in range(count):
        yield json.dumps(
            {
                "msec": round(now - SECONDS + SECONDS * i / count, 3),
                "request_id": uuid.UUID(int=rng.getrandbits(128)).hex,
                "hostname": server,
                "remote_addr": f"127.{rng.randrange(8)}.{rng.randrange(250)}.{i % 250}",
                "request_method": "GET",
                "request_uri": f"/products/{rng.randrange(5000)}?from=search&page={i % 9}",
                "server_protocol": "HTTP/1.1",
                "status": rng.choice((200,) * 18 + (304, 404)),
                "body_bytes_sent": rng.randrange(60_000),
                "request_time": round(rng.expovariate(20), 3),
                "upstream_response_time": "0.012",
                "http_referer": "https://shop.example/category/garden",
                "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko Firefox/140.0",
                "http_host": "shop.example",
                "scheme": "https",
                "request_length": 512,
            },
            separators=(",", ":"),
        ).encode()


KEYS = list(json.loads(next(lines(1, "web1", 0))))


def as_strings(messages: DataFrame) -> DataFrame:
    """Kafka's columns → one text per key, by Spark's own parser."""
    schema = T.StructType([T.StructField(key, T.StringType()) for key in KEYS])
    return messages.select(F.from_json(F.col("value").cast("string"), schema).alias("line")).select(
        "line.*"
    )


def plain(spark: SparkSession, settings: Settings) -> float:
    """Seconds from the start of Kafka → from_json → noop until the topic is read."""
    began = time.monotonic()
    query = (
        as_strings(read_topic(spark, settings, names.TOPIC_ACCESS))
        .writeStream.format("noop")
        .option("checkpointLocation", settings.checkpoint("bench", f"plain-{time.time_ns()}"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return time.monotonic() - began


class Watched(TrafficDetector):
    """A detector that tells when it began the call after which no window waited."""

    caught_up_from = 0.0

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Evaluate as ever."""
        began = time.monotonic()
        super().__call__(batch, batch_id)
        if self._memory is not None and not self._waiting:
            Watched.caught_up_from = began


def full(spark: SparkSession, settings: Settings) -> float:
    """Seconds from the start of the application until all of its work is done."""
    fresh = settings.with_changes(home=settings.home / f"full-{time.time_ns()}")
    secrets = fresh.home / "secrets"
    secrets.parent.mkdir()
    secrets.symlink_to(settings.home / "secrets")
    tune(spark)
    detection_query.TrafficDetector = Watched  # type: ignore[misc]
    application = Application(fresh, names.STREAM_ACCESS)
    specs = build(spark, fresh)
    began = time.monotonic()
    application.start(spark, specs)
    _wait(application, lambda: all(map(_drained, map(application.progress.get, READERS))))
    read = time.monotonic()
    _wait(application, lambda: Watched.caught_up_from > read)
    evaluated = time.monotonic()
    outcome = reconcile(spark, fresh)
    done = time.monotonic()
    application.stop(patience_seconds=0)
    click.echo(
        f"read {read - began:.1f} s, evaluated {evaluated - read:.1f} s, "
        f"reconciled {outcome.windows} windows in {done - evaluated:.1f} s"
    )
    return done - began


READERS = ("lake", "metrics")


def _wait(application: Application, done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(0.2)
        application.report()


def _drained(progress: QueryProgress | None) -> bool:
    return progress is not None and progress.lag_rows == 0


SIDES: dict[str, Callable[[SparkSession, Settings], float]] = {"plain": plain, "full": full}


def _measure(side: str, settings: Settings, result: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    spark = spark_session(settings, f"bench-{side}")
    spark.sparkContext.setLogLevel("ERROR")
    # The first drain loads and compiles; the second one is measured.
    SIDES[side](spark, settings)
    result.put(SIDES[side](spark, settings))
    spark.stop()


def measure(side: str, settings: Settings) -> float:
    """Lines per second of one side, in a process and JVM of its own."""
    result: multiprocessing.SimpleQueue[float] = multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=_measure, args=(side, settings, result))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the side {side} failed; its log is above")
    return LINES / result.get()


@contextmanager
def full_topic() -> Iterator[Settings]:
    """Kafka with `LINES` access lines, and InfluxDB."""
    with running("kafka", "influxd") as stack:
        process = multiprocessing.Process(target=_fill, args=(stack.settings,))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError("the topic could not be filled; the log is above")
        yield stack.settings


def _fill(settings: Settings) -> None:
    """Send the lines as Flume does, but by Spark: seconds instead of kafka-python's minutes."""
    spark = spark_session(settings, "bench-fill")
    share = LINES // len(settings.servers)
    path = settings.home / "lines.txt"
    ends = dict.fromkeys(settings.servers, 0)
    sources = [lines(share, server, number) for number, server in enumerate(ends)]
    with path.open("wb") as file:
        # All servers at once, as they send: the watermark follows the one that is ahead.
        for among in zip(*sources, strict=True):
            for server, line in zip(ends, among, strict=True):
                file.write(b"%s\t%d\t%s\n" % (server.encode(), ends[server], line))
                ends[server] += len(line) + 1
    # One task: lines stay in order.
    sent = spark.read.csv(str(path), "key STRING, offset STRING, value STRING", sep="\t", quote="")
    headers = {"server": "key", "file": F.lit("access.log"), "byteoffset": "offset"}
    (
        sent.coalesce(1)
        .select(
            "key",
            "value",
            F.array(
                *(
                    F.struct(F.lit(name).alias("key"), F.encode(text, "UTF-8").alias("value"))
                    for name, text in headers.items()
                )
            ).alias("headers"),
        )
        .write.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka)
        .option("topic", names.TOPIC_ACCESS)
        .option("includeHeaders", "true")
        .save()
    )
    spark.stop()


def main(rounds: int = ROUNDS) -> float:
    """Measure, print a table and return the median ratio."""
    console = Console()
    with full_topic() as settings:
        table = Table("round", "plain lines/s", "full lines/s", "ratio")
        ratios = []
        for number in range(1, rounds + 1):
            rate = {side: measure(side, settings) for side in SIDES}
            ratios.append(rate["full"] / rate["plain"])
            table.add_row(
                str(number), f"{rate['plain']:,.0f}", f"{rate['full']:,.0f}", f"{ratios[-1]:.2f}"
            )
            console.print(f"round {number} of {rounds}: ratio {ratios[-1]:.2f}")
    console.print(table)
    median = statistics.median(ratios)
    console.print(f"keep ratio: median {median:.2f} (aim 0.50, must {LEAST})")
    write_report("keep_ratio", {"lines": LINES, "ratios": ratios, "median": median})
    return median


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main() < LEAST)
