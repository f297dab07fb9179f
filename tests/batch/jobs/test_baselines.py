"""The backtest gate on a real lake: a version that finds fewer attacks is not published."""

from typing import Any

import pytest
from pyspark.sql import SparkSession

from batch.jobs.baselines import _gate
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.limits import (
    ANY_HOUR,
    CLIENT_LOAD,
    CLIENT_MISSES,
    CLIENT_MISSES_SLOW,
    ERROR_RATIO,
    LATENCY_P95,
    READY,
    REQUEST_RATE,
    Limits,
    rules_of,
)
from streaming.detection.rows import utc
from streaming.spark import delta_tables, schemas
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lake import append
from tests.fixtures.lines import access_logs

START = 1_767_600_000
HOURS = 6

# metric: expected, lower, upper
FITTING = {
    REQUEST_RATE: (120.0, 60.0, 320.0),
    ERROR_RATIO: (0.001, None, 0.02),
    LATENCY_P95: (0.05, None, 0.3),
    CLIENT_LOAD: (2.0, None, 40.0),
    CLIENT_MISSES: (0.1, None, 11.0),
    CLIENT_MISSES_SLOW: (0.1, None, 25.0),
}
BLIND = {metric: (expected, None, 1e9) for metric, (expected, _, _) in FITTING.items()}


def rows(limits: dict[str, tuple[float, float | None, float]]) -> list[dict[str, Any]]:
    """Rows of `baselines`, all ready."""
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
        for metric, (expected, lower, upper) in limits.items()
    ]


@pytest.fixture(scope="module")
def past(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Six hours of two quiet requests a second, and their profiles."""
    settings = Settings(home=tmp_path_factory.mktemp("gate"))
    for name in schemas.TABLES:
        delta_tables.ensure_table(spark, settings, name)
    logs = access_logs(
        {
            "event_id": str(number),
            "event_time": utc(START + number // 2),
            "server_address": "web1",
            "client_address": f"10.0.0.{number % 50}",
            "url_path": f"/page/{number % 20}",
            "http_route": f"/page/{number % 20}",
            "http_response_status_code": 200,
            "http_server_request_duration": 0.05,
        }
        for number in range(HOURS * 3600 * 2)
    )
    append(spark, settings, names.ACCESS_LOGS, logs)
    append(spark, settings, names.TRAFFIC_PROFILES, traffic_profiles(logs))
    return settings


@pytest.mark.parametrize(
    ("fresh", "passes", "sentence"),
    [
        pytest.param(FITTING, True, "version 2 published", id="as good as before"),
        pytest.param(BLIND, False, "version 2 not published", id="blind"),
    ],
)
def test_only_a_version_that_finds_the_injected_attacks_passes(
    spark: SparkSession,
    past: Settings,
    fresh: dict[str, tuple[float, float | None, float]],
    passes: bool,
    sentence: str,
) -> None:
    rules = rules_of(past)
    current = Limits([{**row, "version": 1} for row in rows(FITTING)], rules.time_zone)
    passed, reason, _ = _gate(spark, past, rows(fresh), current, rules, 2)
    assert reason.startswith(sentence)
    assert passed == passes
