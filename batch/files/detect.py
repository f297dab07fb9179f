"""The detector over log files, with no stack running."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from batch.files.log_files import LogFile, records
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.engine import evaluate
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation
from streaming.detection.rows import error_profiles_of, profiles_of
from streaming.detection.rules.errors import evaluate_errors
from streaming.logs.access import parse_access
from streaming.logs.error import parse_errors, stitch
from streaming.windows.error_profile import error_profiles
from streaming.windows.traffic_profile import traffic_profiles

_KEEP = StorageLevel.MEMORY_AND_DISK

ACCESS_COLUMNS: Final = (
    "event_time",
    "server_address",
    "client_address",
    "url_path",
    "http_route",
    "http_response_status_code",
    "http_response_body_size",
    "http_server_request_duration",
    "http_request_referrer",
    "user_agent_original",
)
"""What profiles are made of."""

Learn = Callable[[DataFrame | None, DataFrame | None], Limits]
"""Fits limits on traffic profiles and error profiles, either of which may be missing."""


@dataclass(frozen=True)
class Found:
    """What came of a run: incidents, every evaluation from 25 up, and lines read and refused."""

    incidents: list[Incident]
    evaluations: list[Evaluation]
    lines: int
    rejected: int


def detect(
    spark: SparkSession,
    settings: Settings,
    files: Iterable[LogFile],
    rules: Rules,
    learn: Learn,
    tell: Callable[[str], None] = lambda _: None,
) -> Found:
    """Evaluate log files as the streams would have; `tell` hears of progress."""
    access, errors = _parsed(spark, settings, list(files))
    # All that is kept in memory of a line; everything else is parsed for nothing.
    access = access.select(*ACCESS_COLUMNS, "reason") if access is not None else None
    lines = rejected = 0
    traffic = troubles = None
    for parsed in (access, errors):
        if parsed is not None:
            parsed.persist(_KEEP)
            counts = parsed.agg(
                F.count(F.lit(1)), F.count_if(F.col("reason").isNotNull())
            ).collect()[0]
            lines, rejected = lines + counts[0], rejected + counts[1]
    tell(f"{lines} lines read, {rejected} of them in no known format")
    if access is not None:
        traffic = _traffic(access)
        tell(f"{traffic.count()} windows of traffic")
    if errors is not None:
        accepted = errors.where(F.col("reason").isNull())
        troubles = error_profiles(accepted, fleet=_servers(accepted) > 1).persist(_KEEP)
        tell(f"{troubles.count()} windows with errors")
    limits = learn(traffic, troubles)
    evaluations = evaluate_all(traffic, troubles, limits, rules)
    return Found(merge(evaluations, end_of(traffic, troubles)), evaluations, lines, rejected)


def end_of(*profiles: DataFrame | None) -> int:
    """Epoch second at which the newest of these profiles ends; 0 without any."""
    newest = F.max(F.unix_seconds("window_start"))
    ends = [frame.agg(newest).collect()[0][0] for frame in profiles if frame is not None]
    return max((end + names.WINDOW_SECONDS for end in ends if end is not None), default=0)


def evaluate_all(
    traffic: DataFrame | None, troubles: DataFrame | None, limits: Limits, rules: Rules
) -> list[Evaluation]:
    """Evaluate traffic profiles and error profiles, either of which may be missing."""
    found: list[Evaluation] = []
    if traffic is not None:
        found.extend(evaluate(profiles_of(traffic), limits, rules))
    if troubles is not None:
        found.extend(evaluate_errors(error_profiles_of(troubles), limits, rules))
    return found


def _parsed(
    spark: SparkSession, settings: Settings, files: list[LogFile]
) -> tuple[DataFrame | None, DataFrame | None]:
    of_access = [f for f in files if not f.errors]
    of_errors = [f for f in files if f.errors]
    access = errors = None
    if of_access:
        access = parse_access(records(spark, of_access), history_days=None)
    if of_errors:
        errors = parse_errors(
            stitch(records(spark, of_errors)),
            time_zones=settings.error_log_time_zones,
            history_days=None,
        )
    return access, errors


def _traffic(access: DataFrame) -> DataFrame:
    """Traffic profiles; the fleet has some only while at least two servers have lines.

    Files of different years are no fleet, and what one server does alone is no norm for two.
    """
    accepted = access.where(F.col("reason").isNull())
    second = F.unix_seconds("event_time")
    rows = accepted.groupBy("server_address").agg(F.min(second), F.max(second)).collect()
    spans = [(first, last) for _, first, last in rows]
    shared = [
        (max(a[0], b[0]), min(a[1], b[1]))
        for i, a in enumerate(spans)
        for b in spans[:i]
        if max(a[0], b[0]) <= min(a[1], b[1])
    ]
    profiles = traffic_profiles(accepted, fleet=bool(shared))
    start = F.unix_seconds("window_start")
    together = [
        (start > F.lit(first - names.WINDOW_SECONDS)) & (start <= F.lit(last))
        for first, last in _merged(shared)
    ]
    wanted = reduce(Column.__or__, together, F.col("server_address") != names.FLEET)
    return profiles.where(wanted).persist(_KEEP)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _servers(accepted: DataFrame) -> int:
    return accepted.select("server_address").distinct().count()
