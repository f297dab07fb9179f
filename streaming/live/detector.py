"""The live detector: lines appended to the lake → profiles, evaluations, incidents, anomalies."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.measurements import TOP_URLS
from streaming.contracts.progress import StreamProgress, read_progress
from streaming.contracts.settings import Settings
from streaming.detection import influx_points
from streaming.detection.engine import GONE, evaluate
from streaming.detection.evidence import with_samples
from streaming.detection.incidents import Incident
from streaming.detection.limits import Limits, rules_of
from streaming.detection.model import Evaluation, TrafficProfile
from streaming.detection.rows import compact, error_profile_of, profile_of
from streaming.detection.rules.errors import ErrorProfile, evaluate_errors
from streaming.detection.state import KEEP, Change, Memory
from streaming.live.application import QuerySpec
from streaming.live.influx_sink import InfluxSink
from streaming.spark import delta_tables, incident_store, live_metrics
from streaming.spark.lake_writer import is_behind
from streaming.spark.profile_store import ERRORS, TRAFFIC, ProfileStore, Source, Unsaved

SETTLE_SECONDS: Final = 30
"""A window without a line is evaluated this long after its end: lines need some seconds to
arrive."""

SAVE_SECONDS: Final = 60
"""How often profiles are written: a window changes with every batch until it is over, and a write
costs more than its evaluation."""

BEHIND_SECONDS: Final = 120
"""How often windows are evaluated while the lake is far behind. What happens now is at the end of
the
backlog: the cores that evaluate what is past are those that would get there."""

WINDOWS_AT_ONCE: Final = 30
"""How many windows are made by one job: after an outage there are hundreds."""

MAKING_SECONDS: Final = 60
"""For so long one batch makes windows, oldest first, before it evaluates and saves what it made;
the
next one goes on."""

TRAFFIC_KINDS: Final = (
    "ip_spike",
    "server_flood",
    "path_scan",
    "error_surge",
    "traffic_drop",
    "latency_surge",
)
ERROR_KINDS: Final = ("error_log_burst", "new_error_pattern")


def build(spark: SparkSession, settings: Settings) -> QuerySpec:
    """The query over `access_logs`."""
    for table in (names.TRAFFIC_PROFILES, names.BASELINES, names.INCIDENTS):
        delta_tables.ensure_table(spark, settings, table)
    return _over(spark, settings, names.ACCESS_LOGS, TrafficDetection(spark, settings))


def build_errors(spark: SparkSession, settings: Settings) -> QuerySpec:
    """The query over `error_logs`."""
    for table in (names.ERROR_PROFILES, names.BASELINES, names.INCIDENTS):
        delta_tables.ensure_table(spark, settings, table)
    return _over(spark, settings, names.ERROR_LOGS, ErrorDetection(spark, settings))


def _over(
    spark: SparkSession, settings: Settings, table: str, detection: "_Detection"
) -> QuerySpec:
    """Stream a table's event times, and a clock, so that silence is a batch too."""
    appended = delta_tables.stream_appends(spark, settings, table).select(
        "event_time", "ingested_at"
    )
    none = F.lit(None).cast("timestamp")
    ticks = spark.readStream.format("rate").option("rowsPerSecond", 1).load()
    clock = ticks.select(none.alias("event_time"), none.alias("ingested_at"))
    return QuerySpec(
        "detection",
        appended.unionByName(clock).writeStream.foreachBatch(detection),
        settings.detection_trigger_seconds,
        ready_when=lambda others: not is_behind(settings, others),
    )


class Sink(Protocol):
    """Where points go."""

    def write(
        self, measurement: str, rows: Iterable[Mapping[str, Any]], *, time_column: str
    ) -> int:
        """Write rows, each with the measurement's tags and fields."""


class _Detection:
    """What both detectors share: memory that is filled from the lake at the first batch."""

    stream: str
    source: Source
    kinds: tuple[str, ...]

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        sink: Sink | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write points to `sink`, by default InfluxDB; `clock` tells epoch seconds."""
        self._spark, self._settings = spark, settings
        self._profiles = ProfileStore(spark, settings, self.source)
        self._rules = rules_of(settings)
        self._limits = incident_store.StoredLimits(spark, settings)
        self._sink = InfluxSink(settings) if sink is None else sink
        self._clock = clock
        self._memory: Memory[Any] | None = None
        self._waiting: set[int] = set()
        self._evaluated_at = self._clock()
        self._unsaved = Unsaved()
        self._saved_at = self._clock()

    def __call__(self, batch: DataFrame, _batch_id: int) -> None:
        """Evaluate what one micro-batch of event times touched."""
        progress = read_progress(self._settings, self.stream)
        covered = self._covered(progress)
        self._waiting.update(
            live_metrics.recent_windows(batch.where(F.col("event_time").isNotNull()))
        )
        behind = progress is not None and is_behind(self._settings, progress.queries)
        if behind and self._clock() - self._evaluated_at < BEHIND_SECONDS:
            return
        if self._memory is None:
            self._memory = self._remembered()
            self._waiting.update(self._profiles.unsaved())
        starts = self._make_waiting(self._memory)
        self._evaluated_at = self._clock()
        self._save()
        limits = self._limits.get()
        # A window that still waits to be made would look like silence.
        until = self._until(self._memory, 0.0 if self._waiting else covered)
        change = self._memory.evaluate(starts, until, partial(self._evaluate, limits))
        self._store(change)
        self._publish(change, limits)

    def _make_waiting(self, memory: Memory[Any]) -> list[int]:
        began, made = self._clock(), list[int]()
        while self._waiting and self._clock() - began < MAKING_SECONDS:
            starts = sorted(self._waiting)[:WINDOWS_AT_ONCE]
            profiles = self._profiles.made(starts)
            memory.replace(starts, self._take(profiles))
            self._unsaved.add(starts, profiles)
            self._waiting.difference_update(starts)
            made += starts
        return made

    def _take(self, profiles: DataFrame) -> Iterable[Any]:
        return self._fetch(profiles)

    def _fetch(self, profiles: DataFrame) -> Iterable[Any]:
        raise NotImplementedError

    def _evaluate(
        self,
        limits: Limits,
        profiles: Iterable[Any],
        start: int,
        until: int,
        seen: Mapping[str, int],
    ) -> Iterator[Evaluation]:
        raise NotImplementedError

    def _samples(self, incidents: list[Incident]) -> list[Incident]:
        return incidents

    def _remembered(self) -> Memory[Any]:
        memory: Memory[Any] = Memory()
        since = round(self._clock()) - KEEP
        memory.replace((), self._fetch(self._profiles.saved(since)))
        newest = F.max(F.unix_seconds("window_start"))
        edge = F.timestamp_seconds(F.lit(since))
        day = self._profiles.saved(since - GONE).where(F.col("window_start") < edge)
        memory.seen = dict(day.groupBy("server_address").agg(newest).toLocalIterator())
        memory.carried, ids = incident_store.recent_sessions(
            self._spark, self._settings, self.kinds, round(self._clock()) - 2 * KEEP
        )
        memory.known.update(dict.fromkeys(ids))
        return memory

    def _save(self) -> None:
        """Write profiles to the table: the memory is ahead of it by up to `SAVE_SECONDS`."""
        starts = self._unsaved.starts()
        if starts and self._clock() - self._saved_at >= SAVE_SECONDS:
            self._profiles.save(starts, self._unsaved.profiles())
            self._unsaved.clear()
            self._saved_at = self._clock()

    def _covered(self, progress: StreamProgress | None) -> float:
        """Epoch second up to which the lake has what Kafka had; the clock where no stream runs.

        Without it a lake query that falls behind would look like a silence of every server.
        """
        if progress is None:
            return self._clock()
        lake = progress.queries.get("lake")
        if lake is None or lake.lag_rows:
            return 0.0
        return min(self._clock(), lake.committed_at.timestamp() - lake.batch_seconds)

    def _until(self, memory: Memory[Any], covered: float) -> int:
        """The newest window with a line, or the one that must have had its lines by now."""
        known = [*memory.profiles, *(session.last for session in memory.carried)]
        # A clock that is ahead would have every other server evaluated silent.
        begun = [second for second in known if second <= self._clock()]
        settled = int(covered - SETTLE_SECONDS - names.WINDOW_SECONDS)
        return max([*begun, settled - settled % names.WINDOW_SECONDS])

    def _store(self, change: Change) -> None:
        assert self._memory is not None  # noqa: S101
        known = self._memory.known
        have = [i for i in change.changed if (k := known.get(i.incident_id)) and k.samples]
        lack = [i for i in change.changed if i not in have]
        changed = self._samples(lack) + [
            i.with_samples(k.samples) for i in have if (k := known[i.incident_id])
        ]
        incident_store.upsert_incidents(self._spark, self._settings, changed, change.retracted)
        self._memory.stored(changed)

    def _publish(self, change: Change, limits: Limits) -> None:
        rows = influx_points.anomalies(change.incidents, change.evaluations, change.since)
        self._sink.write(names.ANOMALIES, rows, time_column="window_start")


class TrafficDetection(_Detection):
    """The `foreachBatch` function of the detector over `access_logs`."""

    stream = names.STREAM_ACCESS
    source, kinds = TRAFFIC, TRAFFIC_KINDS

    def _take(self, profiles: DataFrame) -> list[TrafficProfile]:
        rows = compact(profiles, F.col("routes").alias("all_routes")).collect()
        urls = [
            url
            for row in rows
            for url in influx_points.top_urls(
                row["server_address"], row["all_routes"] or (), row["second"], TOP_URLS
            )
        ]
        self._sink.write(names.HTTP_TOP_URLS, urls, time_column="window_start")
        return [profile_of(row) for row in rows]

    def _fetch(self, profiles: DataFrame) -> list[TrafficProfile]:
        return [profile_of(row) for row in compact(profiles).collect()]

    def _evaluate(
        self,
        limits: Limits,
        profiles: Iterable[TrafficProfile],
        start: int,
        until: int,
        seen: Mapping[str, int],
    ) -> Iterator[Evaluation]:
        return evaluate(profiles, limits, self._rules, until, start, seen)

    def _samples(self, incidents: list[Incident]) -> list[Incident]:
        if not incidents:
            return []
        logs = delta_tables.read_table(self._spark, self._settings, self.source.logs)
        return with_samples(self._spark, logs, incidents)

    def _publish(self, change: Change, limits: Limits) -> None:
        super()._publish(change, limits)
        assert self._memory is not None  # noqa: S101
        seconds = sorted(s for s in self._memory.profiles if s >= change.since)
        servers = sorted({p.server for s in seconds for p in self._memory.profiles[s]})
        bands = influx_points.baseline_points(servers, seconds, limits)
        self._sink.write(names.BASELINE, bands, time_column="window_start")


class ErrorDetection(_Detection):
    """The `foreachBatch` function of the detector over `error_logs`."""

    stream = names.STREAM_ERRORS
    source, kinds = ERRORS, ERROR_KINDS

    def _fetch(self, profiles: DataFrame) -> list[ErrorProfile]:
        second = F.unix_seconds("window_start")
        columns = profiles.select(second, "server_address", "categories", "patterns")
        return [error_profile_of(row) for row in columns.collect()]

    def _evaluate(
        self,
        limits: Limits,
        profiles: Iterable[ErrorProfile],
        start: int,
        until: int,
        seen: Mapping[str, int],
    ) -> Iterator[Evaluation]:
        return evaluate_errors(profiles, limits, self._rules)
