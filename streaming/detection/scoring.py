"""Thresholds from tail probabilities, and the one score made of them."""

from functools import lru_cache
from math import inf, log
from typing import Final

from streaming.contracts import names

ALARM: Final = 50.0
"""The score at a threshold: chance alone would reach it once in 100 days."""

CHANCE_PER_DAY: Final = 0.01
"""Chance alarms per server and day that a threshold allows."""

_WINDOWS_PER_DAY: Final = 86_400 / names.WINDOW_SECONDS


def surprise(entities: float) -> float:
    """−ln of the tail probability that allows one chance alarm in 100 days.

    A union bound: each of `entities` is evaluated in every window of a day.
    """
    return log(_WINDOWS_PER_DAY * max(entities, 1.0) / CHANCE_PER_DAY)


def divergence(x: float, mean: float, variance: float) -> float:
    """−ln of the Chernoff bound on the tail at `x` of a negative binomial count.

    Poisson where the variance is not larger than the mean. With k = m²/(v−m):
    D(x) = x ln(x/m) − (x+k) ln((x+k)/(m+k)). The bound never understates a probability; the
    threshold it gives is at most 30 % above the exact one, and 2 counts where means are small.
    """
    if x < 0:
        return inf
    k = mean * mean / (variance - mean) if variance > mean * (1 + 1e-9) else inf
    own = x * log(x / mean) if x > 0 else 0.0
    if k > 1e9 * (mean + x):
        return own - x + mean
    return own - (x + k) * log((x + k) / (mean + k))


# The live detector evaluates a window again with each late line of the half hour after it.
@lru_cache(maxsize=8192)
def upper_threshold(mean: float, variance: float, nats: float) -> float:
    """Return the count above `mean` whose upper tail is exp(−`nats`)."""
    mean = max(mean, 1e-6)
    low, high = mean, mean + 1
    while divergence(high, mean, variance) < nats:
        low, high = high, high * 2
    return _crossing(low, high, mean, variance, nats)


def lower_threshold(mean: float, variance: float, nats: float) -> float | None:
    """Return the count below `mean` with lower tail exp(−`nats`); None if even 0 is likelier."""
    if mean <= 0 or divergence(0.0, mean, variance) < nats:
        return None
    return _crossing(mean, 0.0, mean, variance, nats)


def score(observed: float, expected: float, threshold: float) -> float:
    """Return 0–100: 0 at `expected`, 50 at `threshold`, 100 at twice that distance.

    Chance alarms per day at a score s are about 10^(2 − s/12.5): 100 at 0, 1 at 25, 0.01 at 50,
    one in 10,000 days at 75. Exact for an exponential tail, and too modest for a lighter one.
    """
    if threshold == expected:
        return 0.0
    share = (observed - expected) / (threshold - expected)
    return round(min(100.0, max(0.0, ALARM * share)), 2)


def _crossing(near: float, far: float, mean: float, variance: float, nats: float) -> float:
    for _ in range(60):
        middle = (near + far) / 2
        if middle in (near, far):
            break
        if divergence(middle, mean, variance) < nats:
            near = middle
        else:
            far = middle
    return far
