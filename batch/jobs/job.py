"""What every batch job needs: a lock, a Spark session, and a word to Dagster if Dagster started it.

with job(settings, "reconcile") as run:
    ... run.spark ...
    run.report({"windows": 12})
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster_pipes
from pyspark.sql import SparkSession

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live.process_lock import exclusive
from streaming.spark.session import spark_session

log = logging.getLogger(__name__)


class JobError(RuntimeError):
    """A batch job cannot run; one sentence for a person."""


@dataclass(frozen=True)
class Check:
    """An asset check that a job evaluated; `asset` is the key as `lake/access_logs`.

    With `warn` a failure is a warning, no error.
    """

    asset: str
    name: str
    passed: bool
    description: str
    metadata: Mapping[str, Any]
    warn: bool = False


@dataclass(frozen=True)
class Job:
    """A running batch job."""

    spark: SparkSession
    pipes: dagster_pipes.PipesContext | None

    def report(self, metadata: Mapping[str, Any], checks: tuple[Check, ...] = ()) -> None:
        """Tell Dagster the figures of this run, once; nothing happens without Dagster."""
        if self.pipes is None:
            return
        for check in checks:
            self.pipes.report_asset_check(
                asset_key=check.asset,
                check_name=check.name,
                passed=check.passed,
                severity="WARN" if check.warn else "ERROR",
                metadata=_typed({"why": check.description, **check.metadata}),
            )
        if not self.pipes.is_asset_step:
            return
        for key in self.pipes.asset_keys:
            self.pipes.report_asset_materialization(asset_key=key, metadata=_typed(metadata))


def _typed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Name the type of nested values, without which Pipes refuses the whole report."""
    return {
        key: {"raw_value": value, "type": "json"} if isinstance(value, (Mapping, list)) else value
        for key, value in metadata.items()
    }


@contextlib.contextmanager
def job(settings: Settings, name: str) -> Iterator[Job]:
    """Run a job that must not run twice at once under one home.

    It ends when the Dagster run that started it ends, however that dies. SIGTERM needs no handler:
    the JVM ends with this process, Delta commits whole or not at all, and points are overwritten.
    Raises `JobError` when the same job runs already.
    """
    with _only_one(settings, name), _pipes() as pipes:
        spark = spark_session(settings, f"loglake-{name}")
        spark.sparkContext.setLogLevel("WARN")
        try:
            yield Job(spark, pipes)
        except JobError as error:
            if pipes is not None:
                pipes.report_custom_message({names.REFUSAL: str(error)})
            raise
        finally:
            spark.stop()


@contextlib.contextmanager
def session(settings: Settings, name: str) -> Iterator[SparkSession]:
    """Open a Spark session for a look-up, which any number may do at once; nothing is logged."""
    spark = spark_session(settings, f"loglake-{name}")
    spark.sparkContext.setLogLevel("OFF")
    try:
        yield spark
    finally:
        spark.stop()


@contextlib.contextmanager
def _pipes() -> Iterator[dagster_pipes.PipesContext | None]:
    if not dagster_pipes.PipesEnvVarParamsLoader().is_dagster_pipes_process():
        yield None
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with dagster_pipes.open_dagster_pipes() as context:
        yield context


def _end_with_parent() -> None:
    # Dagster's run holds the other end of standard input and never writes to it. Not through
    # sys.stdin: Python aborts at its end while a thread waits with the lock of that buffer.
    while os.read(0, 1024):
        pass
    log.error("the Dagster run that started this job is gone; the job ends")
    os.kill(os.getpid(), signal.SIGTERM)


def _only_one(settings: Settings, name: str) -> contextlib.AbstractContextManager[None]:
    return exclusive(
        settings.run_dir / "batch" / f"{name}.lock",
        JobError(f"{name} already runs under {settings.home}; wait until it is done"),
    )
