"""Why an incident fired, or why none did, evaluated with the baseline as it stood at that time."""

from datetime import datetime
from functools import partial
from typing import Any, Final

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.jobs.job import JobError, session
from batch.learning.versions import newest
from batch.repair import late_profiles
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.engine import WARM_UP, evaluate
from streaming.detection.limits import BASELINE, Limits, Rules, rules_of
from streaming.detection.model import Evaluation
from streaming.detection.rows import error_profiles_of, traffic_profiles_of, utc
from streaming.detection.rules.errors import evaluate_errors
from streaming.detection.scoring import ALARM
from streaming.spark import delta_tables

AROUND: Final = 300
"""Seconds on either side of a time that is asked about."""

MOST: Final = 20
_TIMES: Final = ("opened_at", "closed_at", "last_seen_at", "peak_at")


def explain(
    settings: Settings,
    incident_id: str | None,
    server: str,
    entity: str,
    at: datetime | None,
) -> dict[str, Any]:
    """Return what `loglake explain` prints: an incident, a moment, or the newest incidents.

    Raises `JobError` or `FileNotFoundError` when there is nothing to explain.
    """
    with session(settings, "explain") as spark:
        if incident_id:
            return explain_incident(spark, settings, incident_id)
        if at:
            return explain_moment(spark, settings, server, entity, at)
        return {"incidents": recent(spark, settings)}


def explain_incident(spark: SparkSession, settings: Settings, incident_id: str) -> dict[str, Any]:
    """Return an incident, the evaluations behind it, and what a clean past would have shown.

    `incident_id` may be cut short. Raises `JobError` when none or several begin with it.
    """
    table = delta_tables.read_table(spark, settings, names.INCIDENTS)
    chosen = table.where(F.col("incident_id").startswith(incident_id))
    found = [_readable(row.asDict()) for row in _with_seconds(chosen).limit(2).collect()]
    if len(found) != 1:
        what = "no incident begins" if not found else "several incidents begin"
        raise JobError(f"{what} with {incident_id}; see `loglake explain` without arguments")
    row = found[0]
    moment = datetime.fromisoformat(row["peak_at"])
    evaluated = explain_moment(spark, settings, row["server_address"], row["entity"], moment)
    same = [j for j in evaluated["evaluations"] if j["kind"] == row["kind"]]
    return {
        "incident": row,
        "baseline": evaluated["baseline"],
        "evaluations": same,
        "sentence": _sentence(row),
    }


def explain_moment(
    spark: SparkSession, settings: Settings, server: str, entity: str, at: datetime
) -> dict[str, Any]:
    """Return every evaluation about an entity around a time, the harmless ones too.

    The baselines are those that were the newest at that time. Raises `JobError` when the lake
    holds nothing of that time.
    """
    middle = int(at.timestamp())
    rows = newest(spark, settings.table(names.BASELINES), at)
    limits = Limits(rows, settings.time_zone)
    rules = rules_of(settings, keep_from=0.0)
    around = partial(_around, spark, settings, server=server, middle=middle)
    traffic = list(traffic_profiles_of(around(names.TRAFFIC_PROFILES)))
    troubles = list(error_profiles_of(around(names.ERROR_PROFILES)))
    evaluations = [*evaluate(traffic, limits, rules), *evaluate_errors(troubles, limits, rules)]
    if not traffic and not troubles:
        raise JobError(f"the lake holds nothing of {server} around {at:%Y-%m-%d %H:%M:%S} UTC")
    near = [
        j
        for j in evaluations
        if abs(j.second - middle) <= AROUND and (not entity or j.entity == entity)
    ]
    best: dict[tuple[str, str], Evaluation] = {}
    for j in near:
        known = best.get((j.kind, j.entity))
        if known is None or j.score > known.score:
            best[j.kind, j.entity] = j
    ranked = sorted(best.values(), key=lambda j: -j.score)[:MOST]
    return {
        "baseline": {
            "version": limits.version,
            "rows": len(rows),
        },
        "evaluations": [_evaluation(j, Rules()) for j in ranked],
    }


def recent(spark: SparkSession, settings: Settings, most: int = MOST) -> list[dict[str, Any]]:
    """Return the newest incidents."""
    table = delta_tables.read_table(spark, settings, names.INCIDENTS)
    rows = _with_seconds(table.orderBy(F.desc("opened_at")).limit(most)).collect()
    return [_readable(row.asDict()) for row in rows]


def _with_seconds(incidents: DataFrame) -> DataFrame:
    # A collected timestamp is local time without a zone; an epoch second is not.
    return incidents.withColumns({name: F.unix_seconds(name) for name in _TIMES})


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: utc(value).isoformat() if name in _TIMES and value is not None else value
        for name, value in row.items()
    }


def _around(
    spark: SparkSession, settings: Settings, table: str, *, server: str, middle: int
) -> pl.DataFrame:
    """Return the profiles of a server that an evaluation depends on, and the minutes after it.

    The streams save profiles once a minute; the newest are made of the log itself.
    """
    start, end = utc(middle - AROUND - WARM_UP), utc(middle + AROUND)
    return late_profiles.current(spark, settings, table, server, start, end)


def _evaluation(evaluation: Evaluation, rules: Rules) -> dict[str, Any]:
    alarm = evaluation.score >= ALARM
    lacking = evaluation.threshold - evaluation.observed
    verdict = "alarm" if alarm else "near miss" if evaluation.score >= rules.keep_from else "usual"
    held = not alarm and lacking <= 0 and evaluation.kind != "traffic_drop"
    return {
        "kind": evaluation.kind,
        "server": evaluation.server,
        "entity": evaluation.entity,
        "window_start": utc(evaluation.second).isoformat(),
        "horizon_s": evaluation.horizon_s,
        "observed": evaluation.observed,
        "expected": evaluation.expected,
        "threshold": evaluation.threshold,
        "score": evaluation.score,
        "basis": evaluation.basis,
        "baseline_version": evaluation.version,
        "verdict": f"{verdict}, held back by a condition or an exemption" if held else verdict,
        "evidence": list(evaluation.evidence),
    }


def _sentence(row: dict[str, Any]) -> str:
    against = (
        f"baseline version {row['baseline_version']}"
        if row["basis"] == BASELINE
        else "a static threshold, since there is no baseline yet"
    )
    about = f" about {row['entity']}" if row["entity"] else ""
    return (
        f"{row['kind']} on {row['server_address']}{about}: {row['observed']:g} observed at its "
        f"peak, {row['expected']:g} expected, alarm from {row['threshold']:g} by {against}; "
        f"score {row['peak_score']:g}"
    )
