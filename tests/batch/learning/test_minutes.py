"""Minutes and what else the fit wants of profiles, from profiles made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from batch.learning import minutes as source
from batch.learning.minutes import MIN_TIMED, NEWEST, Minute
from streaming.contracts import frames
from streaming.detection.rules.latency import UPPER_EDGES
from streaming.windows.histogram import LATENCY_BUCKETS

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
MINUTE = round(START.timestamp()) // 60
HALF_HOUR, HOUR = MINUTE // 30, MINUTE // 60


def row(second: int, server: str = "web1", **values: Any) -> dict[str, Any]:
    sums = {"requests": 5, "status_5xx": 1, "clients": 3, "load": 4, "missing_paths": 2}
    window = {"window_start": START + timedelta(seconds=second), "server_address": server}
    return {**window, **sums, **values}


def traffic(*some: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(some, schema=dict(frames.TRAFFIC_PROFILES))


def histogram(*buckets: int, each: int = 10) -> list[int]:
    return [each * buckets.count(bucket) for bucket in range(LATENCY_BUCKETS)]


def test_profiles_of_a_minute_are_added_up() -> None:
    found = source.minutes(
        traffic(
            row(50, top_clients=[{"load": 9}, {"load": 1}], clients_with_404s=[]),
            row(0, clients_with_404s=[{"missing_paths": 7}]),
            row(60, "web2"),
            row(60),
        )
    )
    assert list(found) == [
        Minute("web1", MINUTE, 10, 2, 2, 6, 8, 4, None, (9, 0), (0, 7)),
        Minute("web1", MINUTE + 1, 5, 1, 1, 3, 4, 2, None, (0,), (0,)),
        Minute("web2", MINUTE + 1, 5, 1, 1, 3, 4, 2, None, (0,), (0,)),
    ]


@pytest.mark.parametrize(
    ("histograms", "bucket"),
    [
        pytest.param([], None, id="none"),
        pytest.param([histogram(4, 4)], None, id="too few"),
        pytest.param([histogram(4, 4), None, histogram(9)], 9, id="of several profiles"),
        pytest.param([histogram(4, each=MIN_TIMED)], 4, id="all the same"),
        pytest.param([histogram(*[4] * 19, 60)], 4, id="a twentieth is slow"),
        pytest.param([histogram(*[4] * 18, 60)], 60, id="more than a twentieth is slow"),
        pytest.param([histogram(0, 63, 63)], 63, id="the last bucket"),
    ],
)
def test_95th_percentile_of_a_minute(
    histograms: list[list[int] | None], bucket: int | None
) -> None:
    some = [row(10 * n, latency_counts=counts) for n, counts in enumerate(histograms)]
    (found,) = source.minutes(traffic(*some, row(50)))
    assert found.p95 == (None if bucket is None else UPPER_EDGES[bucket])


def misser(client: str, paths: str, missed: int, requests: int) -> dict[str, Any]:
    return {"client": client, "missing": list(paths), "missed": missed, "requests": requests}


@pytest.mark.parametrize(
    ("missers", "most"),
    [
        pytest.param([[], []], None, id="nobody"),
        pytest.param([[misser("a", "xy", 2, 2)], [misser("a", "yz", 2, 2)]], 3, id="distinct"),
        pytest.param([[misser("a", "xy", 2, 3)], [misser("a", "z", 1, 3)]], 3, id="half missed"),
        pytest.param([[misser("a", "xy", 2, 9)], [misser("a", "z", 1, 1)]], 0, id="mostly found"),
        pytest.param([[misser("a", "x", 1, 1), misser("b", "yz", 2, 2)], []], 2, id="the most"),
    ],
)
def test_missing_paths_of_half_an_hour(
    missers: list[list[dict[str, Any]]], most: int | None
) -> None:
    some = [row(600 * n, clients_with_404s=seen) for n, seen in enumerate(missers)]
    later = row(1800, clients_with_404s=[misser("a", "w", 1, 1)])
    first = [] if most is None else [("web1", HALF_HOUR, most)]
    found = list(source.slow_misses(traffic(*some, later)))
    assert found == [*first, ("web1", HALF_HOUR + 1, 1)]


def route(name: str, requests: int, errors: int = 0) -> dict[str, Any]:
    return {"route": name, "requests": requests, "status_5xx": errors}


def test_busiest_routes_by_hour() -> None:
    parts = (
        traffic(
            row(0, routes=[route("/a", 5, 1), route("/b", 9)]), row(10, routes=[route("/a", 2)])
        ),
        traffic(row(3600, routes=[route("/a", 3, 2), route("/c", 9)]), row(3610)),
        traffic(row(7200, "web2", routes=[route("/c", 1)])),
    )
    found = source.routes(map(source.route_hours, parts), 2)
    assert [(server, name, sorted(hours)) for server, name, hours in found] == [
        ("web1", "/a", [(HOUR, 7, 1), (HOUR + 1, 3, 2)]),
        ("web1", "/c", [(HOUR + 1, 9, 0)]),
        ("web2", "/c", [(HOUR + 2, 1, 0)]),
    ]


def errors(second: int, server: str = "web1", **events: int) -> dict[str, Any]:
    return {
        "window_start": START + timedelta(seconds=second),
        "server_address": server,
        "categories": [{"category": name, "events": n} for name, n in events.items()],
        "patterns": [{"pattern_id": name, "events": n} for name, n in events.items()],
    }


def test_messages_by_minute() -> None:
    some = [
        errors(0, tls=1, other=2),
        errors(50, tls=3),
        errors(60, tls=5),
        errors(0, "web2", tls=7),
    ]
    frame = pl.DataFrame(some, schema=dict(frames.ERROR_PROFILES))
    assert list(source.error_minutes(frame)) == [
        ("web1", MINUTE, "other", 2),
        ("web1", MINUTE, "tls", 4),
        ("web1", MINUTE + 1, "tls", 5),
        ("web2", MINUTE, "tls", 7),
    ]


def test_most_frequent_patterns_and_their_newest_minutes() -> None:
    rare = [errors(60, a=100), errors(0, b=3, c=2)]
    often = [errors(60 * n, c=1) for n in range(60, 60 + NEWEST + 5)]
    parts = [pl.DataFrame(some, schema=dict(frames.ERROR_PROFILES)) for some in (rare, often)]
    found = source.patterns(map(source.pattern_minutes, parts), 2)
    assert [(server, pattern, sorted(minutes)) for server, pattern, minutes in found] == [
        ("web1", "a", [MINUTE + 1]),
        ("web1", "c", [MINUTE + n for n in range(65, 65 + NEWEST)]),
    ]
