"""Thresholds against exact tails."""

from math import exp, lgamma, log

import pytest

from streaming.detection.scoring import (
    divergence,
    lower_threshold,
    score,
    surprise,
    upper_threshold,
)

pytestmark = pytest.mark.unit


def exact_upper(mean: float, variance: float, nats: float) -> int:
    """The smallest count whose exact upper tail is at most exp(−nats)."""

    def mass(x: int) -> float:
        if variance <= mean:
            return exp(x * log(mean) - mean - lgamma(x + 1))
        k = mean * mean / (variance - mean)
        p = k / (k + mean)
        return exp(lgamma(x + k) - lgamma(k) - lgamma(x + 1) + k * log(p) + x * log(1 - p))

    masses = [mass(x) for x in range(20_000)]
    tail = 0.0
    for x in range(len(masses) - 1, -1, -1):
        tail += masses[x]
        if tail > exp(-nats):
            return x + 1
    return 0


@pytest.mark.parametrize(
    ("mean", "variance"),
    [(0.01, 0.01), (0.1, 0.1), (3, 3), (3, 12), (100, 100), (100, 900), (1000, 9000)],
)
def test_the_bound_is_never_below_the_exact_threshold_and_near_it(
    mean: float, variance: float
) -> None:
    nats = surprise(1)
    exact, bound = exact_upper(mean, variance, nats), upper_threshold(mean, variance, nats)
    assert exact - 1 <= bound <= exact * 1.3 + 2


@pytest.mark.parametrize(("mean", "variance"), [(100, 100), (100, 400), (600, 3600)])
def test_the_lower_threshold_is_as_surprising_as_asked(mean: float, variance: float) -> None:
    low = lower_threshold(mean, variance, 10.0)
    assert low is not None
    assert 0 <= low < mean
    assert divergence(low, mean, variance) == pytest.approx(10.0, rel=1e-6)


@pytest.mark.parametrize("mean", [0.0, 1.0, 5.0])
def test_where_zero_is_no_surprise_there_is_no_lower_threshold(mean: float) -> None:
    assert lower_threshold(mean, mean, surprise(1)) is None


@pytest.mark.parametrize(
    ("observed", "points"), [(0, 0), (10, 0), (30, 25), (50, 50), (90, 100), (900, 100)]
)
def test_score(observed: float, points: float) -> None:
    assert score(observed, 10, 50) == points


def test_a_drop_is_scored_downwards() -> None:
    assert score(20, 100, 20) == 50
    assert score(7, 7, 7) == 0
