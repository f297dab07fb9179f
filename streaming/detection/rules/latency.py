"""The rule about a server's request times: `latency_surge`."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from math import log
from typing import Final

from streaming.detection.limits import LATENCY_P95, HourlyLimit, Limit, Limits, Rules
from streaming.detection.model import (
    Evaluation,
    TrafficProfile,
    evaluation,
)
from streaming.detection.scoring import ALARM
from streaming.windows.histogram import FIRST_LATENCY, LATENCY_BUCKETS, PER_DOUBLING

SPANS: Final = (60, 300)
"""Seconds that request times are evaluated over: the one is quick, the other has enough of a
quiet server."""

QUANTILE: Final = 0.95

UPPER_EDGES: Final = tuple(
    float(FIRST_LATENCY * 2 ** (bucket / PER_DOUBLING)) for bucket in range(LATENCY_BUCKETS)
)
"""The longest request time in s that each bucket of the histogram holds."""


Timed = Sequence[tuple[int, int]]
"""(bucket, requests) of a window, in ascending order."""


class _Span:
    """Request times of the last `seconds`, and how many of them lie in the buckets from `first`."""

    def __init__(self, seconds: int) -> None:
        self.seconds, self.first = seconds, 0
        self.total = self.high = 0
        self._windows: deque[tuple[int, int, Timed]] = deque()

    def count_from(self, first: int) -> None:
        """Count the requests in the buckets from `first`."""
        self.first = first
        self.high = sum(_high(timed, first) for _, _, timed in self._windows)

    def add(self, second: int, requests: int, timed: Timed) -> None:
        """Take the window at an epoch second, in ascending order of time."""
        windows, until = self._windows, second - self.seconds
        windows.append((second, requests, timed))
        self.total += requests
        self.high += _high(timed, self.first)
        while windows[0][0] <= until:
            _, requests, timed = windows.popleft()
            self.total -= requests
            self.high -= _high(timed, self.first)

    def histogram(self) -> list[int]:
        """Return the requests of each bucket."""
        counts = [0] * LATENCY_BUCKETS
        for _, _, timed in self._windows:
            for bucket, requests in timed:
                counts[bucket] += requests
        return counts


def _high(timed: Timed, first: int) -> int:
    # Most windows have none, and their last bucket says so.
    return 0 if timed[-1][0] < first else sum([n for bucket, n in timed if bucket >= first])


class Latencies:
    """One server's request times of the last five minutes."""

    def __init__(self, name: str, limits: Limits, rules: Rules) -> None:
        self._name, self._rules = name, rules
        self._limits = HourlyLimit(limits, name, LATENCY_P95)
        self._spans = tuple(_Span(seconds) for seconds in SPANS)
        self._take(None)

    def _take(self, limit: Limit | None) -> None:
        rules = self._rules
        self._limit = limit
        self._expected, upper = rules.latency_static / 10, rules.latency_static
        if limit is not None and limit.learned:
            self._expected, upper = limit.expected, limit.upper
        self._threshold = self._expected * (upper / self._expected) ** rules.sensitivity
        self._scores = [self._score(edge) for edge in UPPER_EDGES]
        first_kept = bisect_left(self._scores, rules.keep_from)
        for span in self._spans:
            span.count_from(first_kept)

    def _score(self, observed: float) -> float:
        if observed <= self._expected or self._threshold <= self._expected:
            return 0.0
        points = ALARM * log(observed / self._expected) / log(self._threshold / self._expected)
        return round(min(100.0, points), 2)

    def evaluate(self, profile: TrafficProfile) -> list[Evaluation]:
        """Evaluate the 95th percentile of the request times of 1 and 5 min, as a logarithm."""
        limit = self._limits.at(profile.second)
        if limit is not self._limit:
            self._take(limit)
        requests = sum([n for _, n in profile.latencies])
        worst: Evaluation | None = None
        for span in self._spans:
            span.add(profile.second, requests, profile.latencies)
            if span.total - span.high >= QUANTILE * span.total:
                continue
            found = self._evaluate(profile, span)
            if found is not None and (worst is None or found.score > worst.score):
                worst = found
        return [] if worst is None else [worst]

    def _evaluate(self, profile: TrafficProfile, span: _Span) -> Evaluation | None:
        rules = self._rules
        if span.total < rules.latency_requests:
            return None
        counts = span.histogram()
        bucket = quantile_bucket(counts, QUANTILE)
        return evaluation(
            "latency_surge",
            self._name,
            "",
            profile.second,
            span.seconds,
            observed=UPPER_EDGES[bucket],
            expected=self._expected,
            threshold=self._threshold,
            score=self._scores[bucket],
            limit=self._limit,
            rules=rules,
            evidence=slowest(profile),
            gate=sum(counts[bisect_left(UPPER_EDGES, self._threshold) :]) >= rules.latency_slow,
        )


def quantile_bucket(counts: Sequence[int], q: float) -> int:
    """Return the bucket that holds quantile `q`; its upper edge is at most 19 % too high."""
    up_to = list(accumulate(counts))
    return bisect_left(up_to, q * up_to[-1])


def slowest(profile: TrafficProfile) -> tuple[str, ...]:
    """Return texts of the five routes with the largest mean request time."""
    timed = [(r.latency_us / r.timed / 1e6, r.route) for r in profile.routes if r.timed]
    ranked = sorted(timed, key=lambda entry: (-entry[0], entry[1]))
    return tuple(f"{mean:.3f} s × {route}" for mean, route in ranked[:5])
