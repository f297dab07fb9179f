"""InfluxDB becomes equal to the lake: after an outage, late lines, replays, and from nothing."""

from datetime import timedelta

import pytest

from batch.jobs.job import JobError
from batch.jobs.reconcile import rebuild, reconcile
from streaming.contracts import names
from streaming.spark import delta_tables
from tests.batch.conftest import Lake

pytestmark = pytest.mark.stack


def test_points_that_an_outage_swallowed_are_written_once(lake: Lake) -> None:
    lake.access("ab", minutes_ago=30)
    lake.access("c", minutes_ago=20, server="web2")
    first = reconcile(lake.spark, lake.settings)
    assert (first.written, first.reasons) == (2, {"missing": 2})
    assert lake.requests() == {"web1": 2, "web2": 1}
    second = reconcile(lake.spark, lake.settings)
    assert (second.written, second.late_windows) == (0, 0)


def test_a_window_that_may_still_change_is_left_alone(lake: Lake) -> None:
    lake.access("a", minutes_ago=30)
    lake.access("b", minutes_ago=1)
    reconcile(lake.spark, lake.settings)
    assert lake.requests() == {"web1": 1}


def test_lines_that_come_late_are_added_to_their_window(lake: Lake) -> None:
    lake.access("ab", minutes_ago=30)
    lake.access("c", minutes_ago=20)
    reconcile(lake.spark, lake.settings)
    lake.access("d", minutes_ago=30, offset=10)
    outcome = reconcile(lake.spark, lake.settings)
    assert outcome.late_windows == 1
    assert outcome.reasons == {"fewer": 1}
    assert lake.requests() == {"web1": 4}


def test_events_that_slipped_in_twice_are_removed_from_lake_and_points(lake: Lake) -> None:
    lake.access("ab", minutes_ago=30)
    lake.access("c", minutes_ago=20)
    lake.access("b", minutes_ago=30, offset=50)
    lake.point(minutes_ago=30, requests=3)
    outcome = reconcile(lake.spark, lake.settings)
    assert outcome.duplicates == 1
    assert outcome.reasons["more"] == 1
    assert lake.requests() == {"web1": 3}
    stored = delta_tables.read_table(lake.spark, lake.settings, names.ACCESS_LOGS)
    assert {(r["event_id"], r["kafka_offset"]) for r in stored.collect()} == {
        ("a", 0),
        ("b", 1),
        ("c", 0),
    }
    assert reconcile(lake.spark, lake.settings).duplicates == 0


def test_a_point_without_any_line_is_removed(lake: Lake) -> None:
    lake.access("ab", minutes_ago=30)
    lake.point(minutes_ago=25, requests=7)
    outcome = reconcile(lake.spark, lake.settings)
    assert outcome.removed == 1
    assert lake.requests() == {"web1": 2}


def test_a_period_is_rebuilt_from_nothing(lake: Lake) -> None:
    lake.access("abc", minutes_ago=3 * 24 * 60)
    lake.access("d", minutes_ago=30)
    day = timedelta(days=1)
    start = lake.now - 3 * day - timedelta(minutes=1)
    outcome = rebuild(lake.spark, lake.settings, start, start + timedelta(hours=1))
    assert outcome.reasons == {"missing": 1}
    assert lake.requests() == {"web1": 3}
    with pytest.raises(JobError, match="7 days"):
        rebuild(lake.spark, lake.settings, lake.now - 9 * day, lake.now - 8 * day)
