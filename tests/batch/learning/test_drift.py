"""Contaminated history and thresholds that run away fail a check."""

import pytest

from batch.learning.drift import CONTAMINATION, DRIFT, checks

pytestmark = pytest.mark.unit


def row(hour: int, upper: float, excluded: float = 0.0, state: str = "ready") -> dict:
    return {
        "server_address": "web1",
        "metric": "request_rate",
        "key": "",
        "hour_of_week": hour,
        "lower": None,
        "upper": upper,
        "excluded_share": excluded,
        "state": state,
    }


def fit(*, moved: int = 0, factor: float = 1.0, excluded: float = 0.0) -> list[dict]:
    return [row(hour, 100 * (factor if hour < moved else 1), excluded) for hour in range(20)]


@pytest.mark.parametrize(
    ("fresh", "old", "failed"),
    [
        pytest.param([], [], set(), id="nothing is known"),
        pytest.param(fit(), fit(), set(), id="nothing changed"),
        pytest.param(fit(excluded=0.2), fit(), set(), id="a fifth left out"),
        pytest.param(fit(excluded=0.21), fit(), {CONTAMINATION}, id="more than a fifth left out"),
        pytest.param(fit(moved=3, factor=1.49), fit(), set(), id="a slow move"),
        pytest.param(fit(moved=2, factor=2), fit(), set(), id="one in ten runs away"),
        pytest.param(fit(moved=3, factor=2), fit(), {DRIFT}, id="more than one in ten runs away"),
        pytest.param(fit(moved=3, factor=0.5), fit(), {DRIFT}, id="downwards"),
        pytest.param(
            fit(moved=20, factor=9),
            [{**old, "state": "learning"} for old in fit()],
            set(),
            id="nothing was learnt before",
        ),
    ],
)
def test_verdict(fresh: list[dict], old: list[dict], failed: set[str]) -> None:
    found = checks(fresh, old)
    assert {check.name for check in found if not check.passed} == failed
    assert all(check.warn and check.description for check in found)
