"""The points of incidents, written window by window as a stream does."""

import pytest

from streaming.detection import influx_points
from streaming.detection.incidents import merge, quiet_seconds
from streaming.detection.model import Evaluation

pytestmark = pytest.mark.unit

START = 1_795_000_000


def evaluation(kind: str, second: int, entity: str, score: float = 80.0) -> Evaluation:
    return Evaluation(
        kind=kind,
        server="web1",
        entity=entity,
        second=second,
        horizon_s=60,
        score=score,
        observed=100.0,
        expected=4.0,
        threshold=40.0,
    )


def held(evaluations: list[Evaluation], until: int) -> dict[tuple[object, ...], dict[str, object]]:
    """What InfluxDB holds after every window up to `until` was published once, in order."""
    store: dict[tuple[object, ...], dict[str, object]] = {}
    for second in range(START, until, 10):
        known = [j for j in evaluations if j.second <= second]
        rows = influx_points.anomalies(merge(known, second + 10), known, since=second)
        store |= {(r["window_start"], r["kind"], r["server"], r["rank"]): r for r in rows}
    return store


@pytest.mark.parametrize("kind", ["ip_spike", "path_scan"])
def test_incident_that_ends_is_closed_once_its_quiet_time_is_over(kind: str) -> None:
    seen = [evaluation(kind, START + 10 * n, "10.0.0.1") for n in range(3)]
    over = START + 30 + quiet_seconds(kind)
    assert {row["state"] for row in held(seen, over - 10).values()} == {"open"}
    rows = list(held(seen, over + 60).values())
    (closed,) = [row for row in rows if row["state"] == "closed"]
    assert closed["closed_at"] == closed["window_start"] == (START + 30) * 1000
    assert len(rows) == 4


def test_closing_point_takes_no_other_incidents_place() -> None:
    short = [evaluation("ip_spike", START, "10.0.0.1")]
    long = [evaluation("ip_spike", START + 10 * n, "10.0.0.2", 70.0) for n in range(60)]
    rows = held(short + long, START + 600)
    window = [row for (at, *_), row in rows.items() if at == (START + 10) * 1000]
    assert {(row["entity"], row["state"]) for row in window} == {
        ("10.0.0.1", "closed"),
        ("10.0.0.2", "open"),
    }
