"""The live detectors: lines of the lake → profiles, evaluations, incidents, points."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Protocol

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.measurements import TOP_URLS
from streaming.contracts.progress import StreamProgress, read_progress
from streaming.contracts.settings import Settings
from streaming.detection import influx_points
from streaming.detection.engine import GONE, evaluate
from streaming.detection.incidents import Incident
from streaming.detection.limits import Limits, rules_of
from streaming.detection.model import ErrorProfile, Evaluation, TrafficProfile
from streaming.detection.rows import error_profiles_of, traffic_profiles_of
from streaming.detection.rules.errors import evaluate_errors
from streaming.detection.state import KEEP, SETTLE_SECONDS, Change, Memory
from streaming.live.influx_sink import InfluxSink
from streaming.live.lake_query import is_behind
from streaming.spark import delta_tables, incident_store, window_filters
from streaming.spark.evidence_lines import with_samples
from streaming.spark.limits_store import StoredLimits
from streaming.spark.profile_store import ERRORS, TRAFFIC, ProfileStore, Source, Unsaved

SAVE_SECONDS: Final = 60
"""How often profiles are written: a window changes with every batch until it is over, and a write
costs more than its evaluation."""

BEHIND_SECONDS: Final = 120
"""How often windows are evaluated while the lake is far behind: its query needs the cores."""

WINDOWS_AT_ONCE: Final = 180
"""How many windows are made at once: after an outage there are hundreds, and each time the files
of the lake are read that hold some of them."""

LINES_AT_ONCE: Final = 300_000
"""About so many lines are in memory at once, some 100 MB, unless one window has more."""

MAKING_SECONDS: Final = 60
"""One batch makes windows for at most so long, oldest first; the next one goes on."""


class Sink(Protocol):
    """Where points go."""

    def write(
        self, measurement: str, rows: Iterable[Mapping[str, Any]], *, time_column: str
    ) -> int:
        """Write rows, each with the measurement's tags and fields."""


class Detector:
    """What both detectors share: memory that is filled from the lake at the first batch."""

    stream: str
    source: Source
    kinds: tuple[str, ...]
    count: str

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
        self._limits = StoredLimits(spark, settings)
        self._sink = InfluxSink(settings) if sink is None else sink
        self._clock = clock
        self._memory: Memory[Any] | None = None
        self._waiting: set[int] = set()
        self._evaluated_at = self._clock()
        self._unsaved = Unsaved(self.source)
        self._windows_at_once = 1
        self._saved_at = self._clock()

    def __call__(self, batch: DataFrame, _batch_id: int) -> None:
        """Evaluate what one micro-batch of event times touched."""
        progress = read_progress(self._settings, self.stream)
        covered = self._covered(progress)
        self._waiting.update(
            window_filters.recent_windows(batch.where(F.col("event_time").isNotNull()))
        )
        behind = progress is not None and is_behind(self._settings, progress.queries)
        if behind and self._clock() - self._evaluated_at < BEHIND_SECONDS:
            return
        if self._memory is None:
            self._memory = self._remembered()
            self._waiting.update(self._profiles.unsaved(round(self._clock()) - KEEP))
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
            starts = sorted(self._waiting)[: self._windows_at_once]
            profiles = self._profiles.made(starts)
            self._resize(profiles, len(starts))
            memory.replace(starts, self._take(profiles))
            self._unsaved.add(starts, profiles)
            self._waiting.difference_update(starts)
            made += starts
        return made

    def _resize(self, profiles: pl.DataFrame, windows: int) -> None:
        """Take so many windows next time that their lines fit in memory."""
        lines = profiles[self.count].sum() / windows
        self._windows_at_once = max(1, min(WINDOWS_AT_ONCE, int(LINES_AT_ONCE / max(lines, 1))))

    def _take(self, profiles: pl.DataFrame) -> Iterable[Any]:
        return self._decode(profiles)

    def _decode(self, profiles: pl.DataFrame) -> Iterable[Any]:
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
        memory.replace((), self._decode(self._profiles.saved(since)))
        memory.seen = self._profiles.last_seen(since - GONE, since)
        memory.carried, ids = incident_store.recent_sessions(
            self._spark, self._settings, self.kinds, round(self._clock()) - 2 * KEEP
        )
        memory.known.update(dict.fromkeys(ids))
        return memory

    def _save(self) -> None:
        """Write profiles to the table: the memory is ahead of it by up to `SAVE_SECONDS`."""
        starts = self._unsaved.starts()
        if starts and self._clock() - self._saved_at >= SAVE_SECONDS:
            self._profiles.save(starts, self._unsaved.profiles)
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


class TrafficDetector(Detector):
    """The `foreachBatch` function of the detector over `access_logs`."""

    stream = names.STREAM_ACCESS
    source, kinds, count = TRAFFIC, names.TRAFFIC_INCIDENTS, "requests"

    def _take(self, profiles: pl.DataFrame) -> Iterable[TrafficProfile]:
        rows = profiles.select(
            pl.col("window_start").dt.epoch("s"), "server_address", "routes"
        ).iter_rows()
        urls = [
            url
            for second, server, routes in rows
            for url in influx_points.top_urls(server, routes or (), second, TOP_URLS)
        ]
        self._sink.write(names.HTTP_TOP_URLS, urls, time_column="window_start")
        return self._decode(profiles)

    def _decode(self, profiles: pl.DataFrame) -> Iterable[TrafficProfile]:
        return traffic_profiles_of(profiles)

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
        return with_samples(logs, incidents)

    def _publish(self, change: Change, limits: Limits) -> None:
        super()._publish(change, limits)
        assert self._memory is not None  # noqa: S101
        seconds = sorted(s for s in self._memory.profiles if s >= change.since)
        servers = sorted({p.server for s in seconds for p in self._memory.profiles[s]})
        bands = influx_points.baseline_points(servers, seconds, limits)
        self._sink.write(names.BASELINE, bands, time_column="window_start")


class ErrorDetector(Detector):
    """The `foreachBatch` function of the detector over `error_logs`."""

    stream = names.STREAM_ERRORS
    source, kinds, count = ERRORS, names.ERROR_INCIDENTS, "events"

    def _decode(self, profiles: pl.DataFrame) -> Iterable[ErrorProfile]:
        return error_profiles_of(profiles)

    def _evaluate(
        self,
        limits: Limits,
        profiles: Iterable[ErrorProfile],
        start: int,
        until: int,
        seen: Mapping[str, int],
    ) -> Iterator[Evaluation]:
        return evaluate_errors(profiles, limits, self._rules)
