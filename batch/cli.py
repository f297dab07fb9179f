"""What the commands of the batch jobs call: sessions opened and closed, rows made plain."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from batch.files.detect import detect
from batch.files.log_files import log_file
from batch.jobs.explain import explain_incident, explain_moment, recent
from batch.jobs.job import JobError
from batch.learning.learn import learn
from batch.learning.versions import newest
from streaming.contracts.settings import Settings
from streaming.detection.incidents import Incident
from streaming.detection.limits import Limits, Rules, rules_of
from streaming.detection.rows import utc
from streaming.spark.session import spark_session, tune_for_long_jobs

Tell = Callable[[str], None]


@contextmanager
def session(settings: Settings, name: str) -> Iterator[SparkSession]:
    """Open a Spark session for one command."""
    spark = spark_session(settings, name)
    spark.sparkContext.setLogLevel("OFF")
    tune_for_long_jobs(spark)
    try:
        yield spark
    finally:
        spark.stop()


def detect_files(
    settings: Settings,
    paths: tuple[Path, ...],
    baselines: str,
    server: str | None,
    allowed: tuple[str, ...],
    tell: Tell,
) -> list[dict[str, Any]]:
    """Return the incidents of log files, most severe first, as `loglake detect` prints them.

    Raises `FileNotFoundError` naming a log file or a baselines table that cannot be read, and
    `ValueError` when no line at all is one of a log, or a client to allow is no address.
    """
    files = [log_file(path, server) for path in paths]
    rules = rules_of(settings.with_changes(allowed_clients=settings.allowed_clients + allowed))
    with session(settings, "loglake-detect") as spark:

        def limits(traffic: DataFrame | None, troubles: DataFrame | None) -> Limits:
            if baselines == "none":
                return Limits(time_zone=rules.time_zone)
            if baselines == "learn":
                return learn(traffic, troubles, rules, tell=tell).limits(rules)
            return stored_limits(spark, baselines, rules)

        try:
            found = detect(spark, settings, files, rules, limits, tell)
        except (PySparkException, Py4JJavaError) as error:
            why = str(error).partition("\n")[0]
            raise ValueError(
                f"the files or the baselines cannot be read to their end: {why}"
            ) from error
    if found.lines and found.rejected == found.lines:
        raise ValueError(
            f"none of the {found.lines} lines is in a known format: JSON, combined, common, "
            "or nginx's error log"
        )
    rows = [plain(incident) for incident in found.incidents]
    return sorted(rows, key=lambda row: (-row["peak_score"], row["opened_at"]))


def stored_limits(spark: SparkSession, path: str, rules: Rules) -> Limits:
    """Return the newest baselines of a Delta table.

    Raises `FileNotFoundError` when there is no such table.
    """
    return Limits(newest(spark, path), rules.time_zone)


def plain(incident: Incident) -> dict[str, Any]:
    """Return an incident as one JSON object."""
    peak = incident.peak
    return {
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "server": incident.server,
        "entity": incident.entity,
        "opened_at": utc(incident.opened_at).isoformat(),
        "closed_at": None if incident.closed_at is None else utc(incident.closed_at).isoformat(),
        "peak_score": peak.score,
        "observed": peak.observed,
        "expected": peak.expected,
        "threshold": peak.threshold,
        "basis": peak.basis,
        "baseline_version": peak.version,
        "evidence": list(incident.evidence),
    }


def explain(
    settings: Settings,
    incident_id: str | None,
    server: str,
    entity: str,
    at: datetime | None,
) -> dict[str, Any]:
    """Return what `loglake explain` prints: an incident, a moment, or the newest incidents.

    Raises `FileNotFoundError` when there is nothing to explain.
    """
    with session(settings, "loglake-explain") as spark:
        try:
            if incident_id:
                return explain_incident(spark, settings, incident_id)
            if at:
                return explain_moment(spark, settings, server, entity, at)
            return {"incidents": recent(spark, settings)}
        except JobError as error:
            raise FileNotFoundError(str(error)) from error
