"""`python -m batch.jobs.backtest`: the detector over a past with attacks put into it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final

import polars as pl
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.evaluation import attacks
from batch.evaluation.attacks import Attack
from batch.evaluation.scores import Field, Result, run_backtest
from batch.jobs.job import JobError, job
from batch.learning.versions import newest
from streaming.contracts import frames, names, projections
from streaming.contracts.settings import Settings
from streaming.detection.limits import Limits, rules_of
from streaming.detection.model import TrafficProfile
from streaming.detection.rows import traffic_profiles_of
from streaming.live import program
from streaming.logs.routes import http_route
from streaming.spark import delta_tables
from streaming.spark.arrow_bridge import collect_frame, spark_frame
from streaming.spark.profile_store import TRAFFIC, profiles_of_logs
from streaming.spark.session import tune_for_long_jobs

log = logging.getLogger(__name__)

DAYS: Final = 2
WARM_UP: Final = 3600
"""Seconds at the start of the period without an attack."""

_INJECTED: Final = {
    name: frames.ACCESS_LOGS[name]
    for name in (
        "event_time",
        "server_address",
        "client_address",
        "url_path",
        "http_response_status_code",
        "http_server_request_duration",
    )
}
"""The columns that an attack's own lines have."""


def field_of(spark: SparkSession, settings: Settings, days: int = DAYS, seed: int = 1) -> Field:
    """Fetch the last `days` of profiles and put attacks into the lines behind them.

    Raises `JobError` when there is less than an hour of profiles.
    """
    profiles = delta_tables.read_table(spark, settings, names.TRAFFIC_PROFILES)
    end = profiles.agg(F.unix_seconds(F.max("window_start"))).collect()[0][0]
    if end is None:
        raise JobError("there are no traffic profiles yet; run the streams or `loglake baselines`")
    start = end - days * 86_400
    recent = delta_tables.since(profiles, datetime.fromtimestamp(start, UTC))
    clean = list(traffic_profiles_of(collect_frame(recent)))
    first = max(start, clean[0].second) + WARM_UP
    if first + WARM_UP > end:
        raise JobError("there are less than two hours of traffic profiles; wait for more history")
    servers = sorted({p.server for p in clean} - {names.FLEET})
    planned = attacks.plan(servers, first, end, seed)
    logs = delta_tables.read_table(spark, settings, names.ACCESS_LOGS)
    logs = delta_tables.since(logs, datetime.fromtimestamp(first, UTC), "event_time")
    lines = attacked_lines(spark, logs, planned, servers, clean)
    made = collect_frame(profiles_of_logs(TRAFFIC, lines))
    touched = {(p.second, p.server): p for p in traffic_profiles_of(made)}
    spans = [(a.start - a.start % 10, a.end) for a in planned]
    rest = [p for p in clean if not any(s <= p.second < e for s, e in spans)]
    merged = sorted([*rest, *touched.values()], key=lambda p: (p.second, p.server))
    return Field(clean, merged, planned)


def attacked_lines(
    spark: SparkSession,
    access_logs: DataFrame,
    planned: Sequence[Attack],
    servers: Sequence[str],
    clean: Iterable[TrafficProfile],
) -> DataFrame:
    """Return the lines of the attacked windows under attack, with `projections.PROFILED`."""
    second = F.unix_seconds("event_time")
    spans = [(a.start - a.start % 10, -(-a.end // 10) * 10) for a in planned]
    inside = reduce(Column.__or__, [(second >= s) & (second < e) for s, e in spans], F.lit(False))
    old = access_logs.where(inside)
    dice = F.pmod(F.xxhash64("event_id"), F.lit(1000)) / 1000
    silent = _under(planned, attacks.SILENCE)
    failing = _under(planned, attacks.ERRORS) & (dice < attacks.ERROR_SHARE)
    status = F.when(failing, 502).otherwise(F.col("http_response_status_code"))
    latency = F.col("http_server_request_duration")
    slow = F.when(_under(planned, attacks.SLOWNESS), latency * attacks.SLOWER).otherwise(latency)
    changed = old.where(~silent).withColumns(
        {"http_response_status_code": status, "http_server_request_duration": slow}
    )
    busy = _busy(clean)
    extra = [
        (
            datetime.fromtimestamp(line.time, UTC),
            line.server,
            line.client,
            line.path,
            line.status,
            line.seconds,
        )
        for attack in planned
        for line in attacks.lines(attack, servers, busy.get(attack.server, 0.0))
    ]
    injected = pl.DataFrame(extra, _INJECTED, orient="row").with_columns(
        http_route=http_route(pl.col("url_path"))
    )
    columns = {name: projections.PROFILED[name] for name in injected.columns}
    return (
        changed.select(*projections.PROFILED)
        .unionByName(spark_frame(spark, injected, columns), allowMissingColumns=True)
        .select(*projections.PROFILED)
    )


def _under(planned: Sequence[Attack], name: str) -> Column:
    second = F.unix_seconds("event_time")
    spans = [
        (F.col("server_address") == a.server) & (second >= a.start) & (second < a.end)
        for a in planned
        if a.name == name
    ]
    return reduce(Column.__or__, spans, F.lit(False))


def _busy(profiles: Iterable[TrafficProfile]) -> dict[str, float]:
    totals: dict[str, list[int]] = {}
    for profile in profiles:
        totals.setdefault(profile.server, []).append(profile.requests)
    return {server: 6 * sum(n) / len(n) for server, n in totals.items()}


def backtest(
    settings: Settings, days: int = DAYS, tell: Callable[[str], None] = log.info
) -> Result:
    """Run a backtest with the newest baselines and report it to Dagster.

    Raises `JobError` when there is too little history.
    """
    rules = rules_of(settings)
    with job(settings, "backtest") as current:
        tune_for_long_jobs(current.spark)
        field = field_of(current.spark, settings, days)
        tell(f"{len(field.clean)} profiles of {field.days:.1f} days, {len(field.attacks)} attacks")
        rows = newest(current.spark, settings.table(names.BASELINES))
        result = run_backtest(field, Limits(rows, rules.time_zone), rules)
        current.report(metadata(result))
    return result


def metadata(result: Result) -> dict[str, Any]:
    """Figures for Dagster, flat."""
    figures: dict[str, Any] = {
        "recall": result.recall,
        "alerts_per_server_and_day": result.alerts_per_day,
        "days": result.days,
    }
    for s in result.scores:
        figures.update({f"{s.rule}/{k}": v for k, v in asdict(s).items() if v is not None})
        figures.update({f"{s.rule}/recall": s.recall, f"{s.rule}/precision": s.precision})
    return figures


if __name__ == "__main__":
    program.main(lambda settings: backtest(settings))
