"""Robust statistics that a tenth of bad values does not move."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import median
from typing import Final

MAD_TO_SIGMA: Final = 1.4826
"""The median absolute deviation of a Gaussian is 1/1.4826 of its standard deviation."""

NINE_TENTHS_TO_SIGMA: Final = 1 / 0.6573
"""The mean of the smallest nine tenths of a Gaussian's absolute deviations is 0.6573 of its
standard deviation: 2 (φ(0) − φ(1.645)) / 0.9."""

LEAST_SPREAD: Final = 0.1
"""No spread below a tenth of the centre: counts that never varied will."""


@dataclass(frozen=True, slots=True)
class Centre:
    """Median and robust standard deviation of `n` values."""

    centre: float
    spread: float
    n: int


def centre_of(values: Sequence[float]) -> Centre:
    """Return median and 1.4826·MAD of counts, at least √median and a tenth of the median."""
    if not values:
        return Centre(0.0, 0.0, 0)
    middle = float(median(values))
    mad = float(median(abs(v - middle) for v in values))
    least = max(sqrt(middle), LEAST_SPREAD * middle)
    return Centre(middle, max(MAD_TO_SIGMA * mad, least), len(values))


def trimmed_spread(values: Sequence[float], middle: float) -> float:
    """Return a standard deviation around `middle` that the wildest tenth of values does not move.

    Unlike the MAD it does not jump where values are steps, as those read from a histogram are.
    """
    apart = sorted(abs(v - middle) for v in values)
    kept = apart[: max(1, len(apart) - len(apart) // 10)]
    return NINE_TENTHS_TO_SIGMA * sum(kept) / len(kept)


def shrunk(own: Centre, wider: Centre, weight: float) -> Centre:
    """Return `own` pulled towards `wider`; the doubt between the two widens the spread."""
    centre = weight * own.centre + (1 - weight) * wider.centre
    apart = (own.centre - wider.centre) ** 2
    variance = (
        weight * own.spread**2 + (1 - weight) * wider.spread**2 + weight * (1 - weight) * apart
    )
    return Centre(centre, sqrt(variance), own.n)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value at rank q·(n−1), interpolated; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def extreme(maxima: Sequence[float], nats: float) -> float:
    """Return the value that a window's maximum exceeds with probability exp(−`nats`).

    A Gumbel distribution, the limit of maxima of exponential tails, through the median and the
    95 % quantile of `maxima`: a twentieth of bad windows hardly moves it.
    """
    middle, high = quantile(maxima, 0.5), quantile(maxima, 0.95)
    scale = (high - middle) / (_reduced(0.95) - _reduced(0.5))
    return middle + scale * (nats - _reduced(0.5))


def trimmed_ratio(parts: Sequence[tuple[int, int]], prior: float, weight: float) -> float:
    """Return Σ part / Σ whole without the worst hundredth of the pairs (part, whole).

    `weight` wholes at the ratio `prior` are added, so that it is never 0.
    """
    keep = sorted(parts, key=lambda p: (p[0] / p[1] if p[1] else 0.0, p[0]))
    keep = keep[: max(1, len(keep) - len(keep) // 100)] if keep else []
    part, whole = sum(p for p, _ in keep), sum(w for _, w in keep)
    return (part + prior * weight) / (whole + weight)


def _reduced(q: float) -> float:
    return -log(-log(q))
