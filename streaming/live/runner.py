"""A stream as a program: what it needs before it starts, its loop, and its end on a signal."""

import logging
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from pyspark.sql import SparkSession

from streaming.contracts.progress import progress_path
from streaming.contracts.settings import Settings
from streaming.live import program
from streaming.live.application import Application, QuerySpec
from streaming.live.process_lock import exclusive
from streaming.spark.session import spark_session, tune

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0


class StopRequested(Exception):
    """SIGTERM or SIGINT arrived."""


def main(stream: str, build: Callable[[SparkSession, Settings], list[QuerySpec]]) -> None:
    """Run a stream as a program: exit 0 after a signal, 1 with one sentence after a failure."""
    program.main(lambda settings: run_stream(settings, stream, build))


def run_stream(
    settings: Settings,
    stream: str,
    build: Callable[[SparkSession, Settings], list[QuerySpec]],
) -> None:
    """Run the application until a signal arrives or one of its queries fails.

    Raises `ConnectionError` for an unreachable Kafka or InfluxDB, `RuntimeError` when the stream
    runs already or a query failed.
    """
    signal.signal(signal.SIGTERM, _request_stop)
    signal.signal(signal.SIGINT, _request_stop)
    with _only_one(settings, stream):
        for address in settings.kafka.split(","):
            _require(address.strip(), "Kafka", "LOGLAKE_KAFKA_BOOTSTRAP_SERVERS")
        _require(settings.influx.split("://")[-1].strip("/"), "InfluxDB", "LOGLAKE_INFLUX_URL")
        application = Application(settings, stream)
        spark = spark_session(settings, stream, ui_port=settings.spark_ui_ports()[stream])
        spark.sparkContext.setLogLevel("WARN")
        tune(spark)
        try:
            application.start(spark, build(spark, settings))
            while True:
                application.report()
                time.sleep(REPORT_SECONDS)
        except StopRequested:
            log.info("%s stops after its running batches", stream)
        finally:
            application.stop()
            spark.stop()


def _request_stop(_signal: int, _frame: object) -> None:
    raise StopRequested


def _only_one(settings: Settings, stream: str) -> AbstractContextManager[None]:
    """Hold the stream's lock: two writers on one checkpoint would corrupt it."""
    return exclusive(
        progress_path(settings, stream).with_suffix(".lock"),
        RuntimeError(
            f"{stream} already runs under {settings.home}; stop it before starting another"
        ),
    )


def _require(address: str, service: str, setting: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"{service} at {address} cannot be reached ({error}); start it with `loglake up` "
            f"or correct {setting}"
        ) from None
