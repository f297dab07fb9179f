"""The streaming queries of one application: start them, report on them, stop between batches."""

import json
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from streaming.contracts import names
from streaming.contracts.progress import QueryProgress, StreamProgress, write_progress
from streaming.contracts.settings import Settings
from streaming.live import disk
from streaming.live.influx_sink import InfluxSink
from streaming.live.query_progress import query_progress
from streaming.spark.checkpoints import forget_older

log = logging.getLogger(__name__)

PIPELINE_SECONDS = 5.0
"""How often the `pipeline` measurement is written."""

HANG_SECONDS = 180
"""A batch that ends no task for so long stops the heartbeat; InfluxDB is given up on sooner."""

LOOK_SECONDS = 60
"""A batch that takes longer is asked for the tasks that it has ended."""

JOIN_SECONDS = 120
"""A query that lets others go first starts after so long in any case."""

_PYTHON_ERROR: Final = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Failure): .*", re.MULTILINE)
"""The last line of a Python traceback, at the start of a line."""


def _no_counts() -> dict[str, int]:
    return {}


def _at_once(_others: Mapping[str, QueryProgress]) -> bool:
    return True


@dataclass(frozen=True)
class QuerySpec:
    """One streaming query: a batch is due every `trigger_seconds`.

    The source is asked as often, or every `poll_seconds` where it decides itself when a batch is
    due. `counts` is passed to `query_progress`. After a pause of `forget_seconds` the query starts
    anew instead of where it was. It starts when `ready_when` says so of the progress of the others.
    """

    name: str
    writer: DataStreamWriter
    trigger_seconds: float
    counts: Callable[[], dict[str, int]] = _no_counts
    poll_seconds: float | None = None
    forget_seconds: float | None = None
    ready_when: Callable[[Mapping[str, QueryProgress]], bool] = _at_once

    def start(self, spark: SparkSession, checkpoint: str) -> StreamingQuery:
        """Start the query at `checkpoint`, in the scheduler pool of its name."""
        if self.forget_seconds is not None:
            forget_older(spark, checkpoint, self.forget_seconds)
        # Pools share the cores fairly; the thread of a query inherits the one set here.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", self.name)
        milliseconds = round((self.poll_seconds or self.trigger_seconds) * 1000)
        return (
            self.writer.queryName(self.name)
            .option("checkpointLocation", checkpoint)
            .trigger(processingTime=f"{milliseconds} milliseconds")
            .start()
        )


class Application:
    """The queries of one stream, what they say of themselves, and their orderly end."""

    def __init__(self, settings: Settings, stream: str) -> None:
        """Take the name of the stream, one of `names.STREAMS`; nothing starts yet."""
        self._settings = settings
        self._stream = stream
        self._started_at = datetime.now(UTC)
        self._waiting: list[QuerySpec] = []
        self._queries: list[tuple[QuerySpec, StreamingQuery]] = []
        self.progress: dict[str, QueryProgress] = {}
        self._moved: dict[str, float] = {}
        self._ended: dict[str, tuple[int, int]] = {}
        self._heartbeat = self._started_at
        self._pipeline_due = 0.0
        self._sink = InfluxSink(settings)

    def start(self, spark: SparkSession, specs: list[QuerySpec]) -> None:
        """Start every query that lets no other go first; `report` starts the rest."""
        self._spark, self._waiting = spark, specs
        self._write_progress()
        self._start_waiting()

    def report(self) -> None:
        """Write down how far each query is; raise `RuntimeError` if one of them has ended."""
        for spec, query in self._queries:
            self._observe(spec, query)
        self._start_waiting()
        if time.monotonic() - min(self._moved.values()) < HANG_SECONDS:
            self._heartbeat = datetime.now(UTC)
        self._write_progress()
        self._publish()

    def stop(self, patience_seconds: float = HANG_SECONDS) -> None:
        """End each query after its running batch, or in its midst when patience ends."""
        # A second signal must not end the patience that the first one asked for.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        deadline = time.monotonic() + patience_seconds
        running = [(query, _last_batch(query)) for _, query in self._queries]
        while running:
            for query, batch in list(running):
                # One that is behind begins its next batch at once: its batch is over all the same.
                between = not query.status["isTriggerActive"] or _last_batch(query) != batch
                if query.isActive and not between:
                    if time.monotonic() <= deadline:
                        continue
                    log.warning("query %s is stopped in the middle of a batch", query.name)
                query.stop()
                running.remove((query, batch))
            time.sleep(0.02)
        self._sink.close()

    def _start_waiting(self) -> None:
        waited = datetime.now(UTC) - self._started_at
        late = waited.total_seconds() >= JOIN_SECONDS
        due = [spec for spec in self._waiting if late or spec.ready_when(self.progress)]
        self._waiting = [spec for spec in self._waiting if spec not in due]
        for spec in due:
            query = spec.start(self._spark, self._settings.checkpoint(self._stream, spec.name))
            self._queries.append((spec, query))
            self._moved[spec.name] = time.monotonic()

    def _observe(self, spec: QuerySpec, query: StreamingQuery) -> None:
        if not query.isActive:
            sentence = f"query {spec.name} of {self._stream} ended: {_cause(query)}"
            self._write_progress(error=sentence)
            raise RuntimeError(sentence)
        report = query.lastProgress
        before = self.progress.get(spec.name)
        if report is not None:
            values = json.loads(report.json)
            now = query_progress(values, spec.trigger_seconds, spec.counts())
            self.progress[spec.name] = now
            moved = before is None or before.batch_id != now.batch_id
        else:
            moved = False
        if moved or not query.status["isTriggerActive"] or self._works(spec.name, query):
            self._moved[spec.name] = time.monotonic()

    def _works(self, name: str, query: StreamingQuery) -> bool:
        """Whether a batch that takes long has ended a task since the last look.

        Two slow cores need minutes for a backlog of long lines, and for a detector's first windows.
        Taken for a hang, such a batch would be repeated for ever.
        """
        if time.monotonic() - self._moved[name] < LOOK_SECONDS:
            return False
        before, self._ended[name] = self._ended.get(name), _tasks_ended(self._spark, query)
        return self._ended[name] != before

    def _write_progress(self, error: str | None = None) -> None:
        write_progress(
            self._settings,
            StreamProgress(
                stream=self._stream,
                pid=os.getpid(),
                started_at=self._started_at,
                heartbeat_at=self._heartbeat,
                queries=self.progress,
                error=error,
            ),
        )

    def _publish(self) -> None:
        if time.monotonic() < self._pipeline_due or not self.progress:
            return
        self._pipeline_due = time.monotonic() + PIPELINE_SECONDS
        disk_used = disk.used_ratio(self._settings.home)
        rows = [
            {
                "stream": self._stream,
                "query": name,
                "at": round(datetime.now(UTC).timestamp() * 1000),
                "input_rows_per_s": query.input_rows_per_s,
                "lag_rows": query.lag_rows,
                "batch_seconds": query.batch_seconds,
                "trigger_seconds": query.trigger_seconds,
                "rejected": query.rejected_rows,
                "late": query.late_rows,
                "event_time_delay_s": query.event_time_delay_s,
                "disk_used_ratio": disk_used,
            }
            for name, query in self.progress.items()
        ]
        try:
            self._sink.write(names.PIPELINE, rows, time_column="at", retry=False)
        except ConnectionError as error:
            # A stream may go on while only its own gauge cannot be drawn.
            log.warning("pipeline metrics not written: %s", error)


def _last_batch(query: StreamingQuery) -> int | None:
    report = query.lastProgress
    return None if report is None else report.batchId


def _tasks_ended(spark: SparkSession, query: StreamingQuery) -> tuple[int, int]:
    """Return the newest job of a query, -1 for none, and how many of its tasks have ended."""
    tracker = spark.sparkContext.statusTracker()
    job = max(tracker.getJobIdsForGroup(str(query.runId)), default=-1)
    info = tracker.getJobInfo(job)
    stages = [] if info is None else [tracker.getStageInfo(stage) for stage in info.stageIds]
    return job, sum(stage.numCompletedTasks for stage in stages if stage is not None)


def _cause(query: StreamingQuery) -> str:
    """Return why a query ended, in one line of the pages that Spark has for it."""
    failure = query.exception()
    if failure is None:
        return "it was stopped from outside"
    # After the error come the query's plan and offsets.
    text = str(failure).partition("=== Streaming Query ===")[0]
    if raised := _PYTHON_ERROR.findall(text):
        return str(raised[-1])
    return text.rpartition("terminated with exception: ")[2].strip().partition("\n")[0]
