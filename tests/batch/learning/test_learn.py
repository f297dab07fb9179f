"""What is learned from profiles with incidents in them."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from batch.learning.learn import learn
from batch.learning.profiles import Profiles
from streaming.contracts import frames
from streaming.detection.limits import ERROR_EVENTS, ERROR_PATTERN, ERROR_RATIO, Rules
from streaming.windows.traffic_profile import traffic_profiles

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOURS = 4


def lines() -> pl.DataFrame:
    """A request a second; from 10:00 to 10:10 every other one fails."""
    second = pl.int_range(HOURS * 3600)
    failing = second.is_between(7200, 7800) & (second % 2 == 0)
    known = pl.select(
        event_time=pl.lit(START) + second * timedelta(seconds=1),
        server_address=pl.lit("web1"),
        client_address=pl.format("10.0.0.{}", second % 50),
        url_path=pl.lit("/cart"),
        http_route=pl.lit("/cart"),
        http_response_status_code=pl.when(failing).then(502).otherwise(200),
    )
    empty = pl.DataFrame(schema=dict(frames.ACCESS_LOGS))
    return pl.concat(
        [empty, known.cast({k: frames.ACCESS_LOGS[k] for k in known.columns})], how="diagonal"
    )


def test_a_route_learns_no_errors_from_an_incident() -> None:
    profiles = traffic_profiles(lines(), fleet=False)
    learned = learn(Profiles(lambda: [profiles]), Rules())
    assert "error_surge" in {incident.kind for incident in learned.incidents}
    (row,) = [row for row in learned.rows if row["metric"] == ERROR_RATIO and row["key"] == "/cart"]
    assert row["expected"] < Rules().error_ratio


@pytest.mark.parametrize("rows", [1, 7, 500])
def test_what_is_learned_does_not_depend_on_how_the_past_is_cut(rows: int) -> None:
    profiles = traffic_profiles(lines(), fleet=False)
    whole = learn(Profiles(lambda: [profiles]), Rules())
    assert learn(Profiles(lambda: profiles.iter_slices(rows)), Rules()) == whole


def test_an_incident_that_is_accepted_is_learned_from() -> None:
    profiles = Profiles(lambda: [traffic_profiles(lines(), fleet=False)])
    found = learn(profiles, Rules())
    accepted = frozenset(incident.incident_id for incident in found.incidents)
    again = learn(profiles, Rules(), accepted=accepted)
    assert {row["excluded_share"] for row in again.rows} == {0.0}
    assert min(row["excluded_share"] for row in found.rows) > 0


def errors(*events: int) -> pl.DataFrame:
    """Error profiles of three days, one a minute, with so many messages by turns."""
    minutes = range(3 * 1440)
    some = [
        {
            "window_start": START + timedelta(minutes=minute),
            "server_address": "web1",
            "events": events[minute % len(events)],
            "categories": [{"category": "tls", "events": events[minute % len(events)]}],
            "patterns": [{"pattern_id": "p1", "events": events[minute % len(events)]}],
        }
        for minute in minutes
    ]
    return pl.DataFrame(some, schema=dict(frames.ERROR_PROFILES))


@pytest.mark.parametrize(
    ("with_errors", "metrics"),
    [
        (False, set()),
        (
            True,
            {(ERROR_EVENTS, ""), (ERROR_EVENTS, "tls"), (ERROR_PATTERN, ""), (ERROR_PATTERN, "p1")},
        ),
    ],
    ids=["no error log", "an error log"],
)
def test_messages_are_learned_where_there_is_an_error_log(
    with_errors: bool, metrics: set[tuple[str, str]]
) -> None:
    traffic = traffic_profiles(lines(), fleet=False)
    messages = errors(1, 2)
    profiles = Profiles(lambda: [traffic], (lambda: [messages]) if with_errors else None)
    rows = learn(profiles, Rules()).rows
    assert {
        (r["metric"], r["key"])
        for r in rows
        if r["metric"].startswith("error_") and r["metric"] != ERROR_RATIO
    } == metrics


def test_nothing_is_learned_from_nothing() -> None:
    assert learn(Profiles(), Rules()).rows == []
