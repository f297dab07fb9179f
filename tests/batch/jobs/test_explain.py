"""`loglake explain`: why, why not, and by the baseline of that time, on real Delta tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from batch.jobs.explain import explain_incident, explain_moment, recent
from batch.jobs.job import JobError
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.engine import evaluate
from streaming.detection.incidents import merge
from streaming.detection.limits import ANY_HOUR, CLIENT_MISSES, READY, Limits, Rules
from streaming.detection.rows import traffic_profiles_of, utc
from streaming.spark import delta_tables, incident_store, schemas
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lake import append
from tests.fixtures.lines import access_logs

START = 1_767_600_000
SCANNER, CURIOUS = "203.0.113.9", "203.0.113.10"


def baseline(version: int, computed_at: int, upper: float) -> dict:
    return {
        **dict.fromkeys(schemas.BASELINES.names),
        "version": version,
        "computed_at": datetime.fromtimestamp(computed_at, UTC),
        "server_address": "web1",
        "metric": CLIENT_MISSES,
        "key": "",
        "hour_of_week": ANY_HOUR,
        "expected": 0.5,
        "variance": 0.5,
        "upper": upper,
        "n": 100,
        "state": READY,
        "excluded_share": 0.0,
    }


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake with one scanner, one curious client, and two versions of baselines."""
    settings = Settings(home=tmp_path_factory.mktemp("explain"))
    for name in schemas.TABLES:
        delta_tables.ensure_table(spark, settings, name)
    rows = [(START + 300 + i // 4, c, f"/{c}{i}.php") for i in range(30) for c in (SCANNER,)]
    rows += [(START + 300, CURIOUS, f"/old{i}.php") for i in range(8)]
    access = access_logs(
        {
            "event_time": utc(second),
            "server_address": "web1",
            "http_response_status_code": 404,
            "client_address": client,
            "url_path": path,
        }
        for second, client, path in rows
    )
    profiles = traffic_profiles(access, fleet=False)
    append(spark, settings, names.ACCESS_LOGS, access)
    append(spark, settings, names.TRAFFIC_PROFILES, profiles)
    versions = [baseline(1, START + 100, 12.0), baseline(2, START + 3600, 400.0)]
    fresh = spark.createDataFrame(versions, schemas.BASELINES)
    fresh.write.format("delta").mode("append").save(settings.table(names.BASELINES))
    evaluations = evaluate(traffic_profiles_of(profiles), Limits(versions[:1]), Rules())
    found = merge(evaluations, START + 9999)
    incident_store.upsert_incidents(spark, settings, found, ())
    return settings


def about(found: dict, kind: str) -> dict:
    return next(j for j in found["evaluations"] if j["kind"] == kind)


def test_an_incident_is_explained_by_the_baseline_of_its_time(
    spark: SparkSession, lake: Settings
) -> None:
    (row,) = recent(spark, lake)
    told = explain_incident(spark, lake, row["incident_id"][:8])
    assert told["baseline"] == {"version": 1, "rows": 1}
    assert about(told, "path_scan")["threshold"] == row["threshold"] == 12.0
    assert about(told, "path_scan")["observed"] == row["observed"] == 30.0
    assert f"path_scan on web1 about {SCANNER}: 30 observed" in told["sentence"]
    assert "baseline version 1" in told["sentence"]


def test_a_near_miss_says_how_far_it_was(spark: SparkSession, lake: Settings) -> None:
    at = datetime.fromtimestamp(START + 305, UTC)
    scan = about(explain_moment(spark, lake, "web1", CURIOUS, at), "path_scan")
    assert (scan["observed"], scan["threshold"], scan["verdict"]) == (8.0, 12.0, "near miss")


def test_later_baselines_do_not_change_the_past(spark: SparkSession, lake: Settings) -> None:
    early = datetime.fromtimestamp(START + 310, UTC)
    past = explain_moment(spark, lake, "web1", SCANNER, early)
    assert about(past, "path_scan")["verdict"] == "alarm"
    assert past["baseline"]["version"] == 1
    before = explain_moment(spark, lake, "web1", SCANNER, early - timedelta(seconds=260))
    assert (before["baseline"]["version"], about(before, "path_scan")["basis"]) == (None, "static")


def test_an_unknown_incident_gets_a_sentence(spark: SparkSession, lake: Settings) -> None:
    with pytest.raises(JobError, match="no incident begins with zzzz"):
        explain_incident(spark, lake, "zzzz")


def test_an_unknown_server_gets_a_sentence(spark: SparkSession, lake: Settings) -> None:
    with pytest.raises(JobError, match="the lake holds nothing of web9"):
        explain_moment(spark, lake, "web9", "", datetime.fromtimestamp(START, UTC))


def test_a_lake_without_tables_names_the_remedy(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="loglake"):
        recent(spark, Settings(home=tmp_path))
