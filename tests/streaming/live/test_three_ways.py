"""Stream, history and command line say the same of the same lines, however these arrive."""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from batch.files.detect import evaluate_past
from batch.files.log_files import chunks, log_file
from batch.files.past import read_past
from batch.files.stored_baselines import stored_limits
from batch.files.workers import Workers
from batch.learning.profiles import Profiles, evaluate_all
from batch.learning.versions import newest, publish
from stack.demo.history import Incident as Attack
from stack.demo.history import Record, records
from stack.demo.profile import Profile
from streaming.contracts import frames, names, tables
from streaming.contracts.settings import Settings
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import (
    ANY_HOUR,
    CLIENT_LOAD,
    ERROR_PATTERN,
    READY,
    REQUEST_RATE,
    Limits,
    Rules,
)
from streaming.live import detector
from streaming.live.detector import Detector, ErrorDetector, TrafficDetector
from streaming.logs.access import parse_access
from streaming.logs.error import parse_errors, stitch
from streaming.spark import delta_tables
from streaming.spark.arrow_bridge import collect_frame, spark_frame
from streaming.spark.profile_store import ERRORS, TRAFFIC, Source, profiles_of_logs

START: Final = 1_767_600_000
MINUTES: Final = 25
SERVERS: Final = ("web1", "web2")
RULES: Final = Rules()
BATCHES: Final = 8
TABLES: Final = (
    *(TRAFFIC.logs, TRAFFIC.profiles, ERRORS.logs, ERRORS.profiles),
    *(names.BASELINES, names.INCIDENTS),
)
FIELDS: Final = (
    "incident_id",
    "opened_at",
    "closed_at",
    "peak_at",
    "peak_score",
    "observed",
    "threshold",
    "basis",
)


def lines(seed: int) -> list[Record]:
    """Traffic with an attack of each kind; both servers log at the start and at the end."""
    attacks = (
        Attack("scan", "web1", START + 240, START + 300, seed, {"count": 60}),
        Attack("flood", "web2", START + 540, START + 600, seed, {"seconds": 60.0, "rate": 30.0}),
        Attack("errors", "web1", START + 900, START + 1140, seed, {"seconds": 240.0, "rate": 2.0}),
    )
    end = START + MINUTES * 60
    found = list(records(Profile(6.0, SERVERS), START, end, seed, attacks))
    for at in (START + 1, end - 1):
        for server in SERVERS:
            usual = next(r for r in found if r.server == server and not r.error)
            moved = usual.line.replace(usual.line.split('"msec":')[1].split(",")[0], f"{at}.000")
            found.append(Record(at, server, False, moved, ""))
            stamp = datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d %H:%M:%S")
            said = f"{stamp} [error] 7#7: *1 upstream timed out (110: Connection timed out)"
            found.append(Record(at, server, True, said, ""))
    return sorted(found)


def learned() -> list[dict[str, Any]]:
    """Baselines of web1; web2 and the fleet have none."""
    values = {REQUEST_RATE: (180.0, 500.0, 60.0), CLIENT_LOAD: (3.0, 25.0, None)}
    values[ERROR_PATTERN] = (0.0, 0.0, None)
    return [
        {
            "server_address": "web1",
            "metric": metric,
            "key": "",
            "hour_of_week": ANY_HOUR,
            "expected": expected,
            "variance": expected,
            "lower": lower,
            "upper": upper,
            "n": 1000,
            "state": READY,
            "excluded_share": 0.0,
        }
        for metric, (expected, upper, lower) in values.items()
    ]


class Points:
    """Where the detector writes points; nothing here looks at them."""

    def write(self, _measurement: str, rows: Iterable[Any], *, time_column: str) -> int:
        return len([row[time_column] for row in rows])


def parsed(some: list[Record], source: Source, now: float) -> pl.DataFrame:
    """Rows of the log table, as the lake query has them."""
    rows = [
        {
            "value": record.line.encode(),
            "kafka_partition": 0,
            "kafka_offset": number,
            "ingested_at": datetime.fromtimestamp(now, UTC),
            "server_address": record.server,
            "log_file": record.server,
        }
        for number, record in enumerate(some)
    ]
    records_ = pl.DataFrame(rows, dict(frames.RECORD))
    if source is ERRORS:
        zones = {"*": "UTC"}
        return parse_errors(stitch(records_), time_zones=zones, history_days=None)
    return parse_access(records_, history_days=None)


def live(
    spark: SparkSession, settings: Settings, source: Source, some: list[Record], dice: Random
) -> None:
    """Bring lines into a lake in random micro-batches, some late, each told to the detector."""
    clock = [float(START)]
    make: type[Detector] = ErrorDetector if source is ERRORS else TrafficDetector
    found = make(spark, settings, Points(), lambda: clock[0])
    late = [(r.at + dice.choice((1, 1, 1, 5, 90)), n) for n, r in enumerate(some)]
    arrivals = [some[n] for _, n in sorted(late)]
    cuts = sorted(dice.sample(range(1, len(arrivals)), min(BATCHES, len(arrivals)) - 1))
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, None], strict=True)):
        batch = arrivals[first:last]
        clock[0] = max(clock[0], *(record.at + 1 for record in batch))
        rows = parsed(batch, source, clock[0])
        table = spark_frame(spark, rows, tables.TABLES[source.logs])
        table.write.format("delta").mode("append").save(settings.table(source.logs))
        found(table.select("event_time", "ingested_at"), number)


def facts(incidents: Iterable[Incident]) -> set[tuple[Any, ...]]:
    return {
        (
            i.incident_id,
            i.opened_at,
            i.closed_at,
            i.peak.second,
            i.peak.score,
            i.peak.observed,
            i.peak.threshold,
            i.peak.basis,
        )
        for i in incidents
    }


def stored(spark: SparkSession, settings: Settings) -> set[tuple[Any, ...]]:
    table = delta_tables.read_table(spark, settings, names.INCIDENTS)
    times = ("opened_at", "closed_at", "peak_at")
    rows = table.withColumns({name: F.unix_seconds(name) for name in times}).select(*FIELDS)
    return {tuple(row) for row in rows.collect()}


def test_stream_history_and_command_line_agree(
    spark: SparkSession, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "SAVE_SECONDS", 0)
    seed = secrets.randbelow(1_000_000)
    every, dice = lines(seed), Random(seed)
    for name in TABLES:
        delta_tables.ensure_table(spark, settings, name)
    publish(spark, settings, learned(), 1)
    paths = []
    for source in (TRAFFIC, ERRORS):
        own = [record for record in every if record.error == (source is ERRORS)]
        live(spark, settings, source, own, dice)
        for server in SERVERS:
            path = tmp_path / f"{server}.{source.logs}"
            text = [record.line + "\n" for record in own if record.server == server]
            path.write_text("".join(dice.sample(text, len(text)) if source is TRAFFIC else text))
            paths.append((path, server))

    history = {
        source: collect_frame(
            profiles_of_logs(source, delta_tables.read_table(spark, settings, source.logs))
        ).sort("window_start", "server_address")
        for source in (TRAFFIC, ERRORS)
    }
    profiles = Profiles(lambda: [history[TRAFFIC]], lambda: [history[ERRORS]])
    limits = Limits(newest(spark, settings.table(names.BASELINES)), "UTC")
    of_history = merge(evaluate_all(profiles, limits, RULES), profiles.end())

    files = [log_file(path, server) for path, server in paths]
    some = (chunk for file in files for chunk in chunks(file, size=50_000))
    with Workers(1) as workers, read_past(some, {"*": "UTC"}, workers) as past:
        of_files = evaluate_past(
            past, stored_limits(str(settings.home / "lake"), RULES), RULES, workers
        )
        from_files = {
            TRAFFIC: pl.concat(past.profiles.traffic()),
            ERRORS: pl.concat(past.profiles.errors() if past.profiles.errors else ()),
        }

    for source, made in history.items():
        saved = collect_frame(delta_tables.read_table(spark, settings, source.profiles))
        assert_frame_equal(saved.sort("window_start", "server_address"), made)
        assert_frame_equal(from_files[source].sort("window_start", "server_address"), made)
    kinds = {incident.kind for incident in of_history}
    assert {"path_scan", "new_error_pattern"} <= kinds, f"seed {seed}: {kinds}"
    assert facts(of_files.incidents) == facts(of_history), f"seed {seed}"
    assert stored(spark, settings) == facts(of_history), f"seed {seed}"
