"""Rules about a server: flood, drop, error surge, latency surge. No Spark import."""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import log
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import ERROR_RATIO, LATENCY_P95, REQUEST_RATE, Limit, Limits, Rules
from streaming.detection.model import (
    FIRST_LATENCY,
    LATENCY_BUCKETS,
    PER_DOUBLING,
    Evaluation,
    TrafficProfile,
    evaluation,
    stretched,
)
from streaming.detection.scoring import surprise, upper_threshold

STEP: Final = names.WINDOW_SECONDS
MINUTE: Final = 60
SILENCE: Final = 120
FIVE_MINUTES: Final = 300
SLOW: Final = 1800

KNOWN_PROFILES: Final = 30
"""A server watched for less than five minutes has no usual rate."""

SPANS: Final = (MINUTE, FIVE_MINUTES)
"""What errors and request times are evaluated over: the one is quick, the other has enough of a
quiet server."""

UPPER_EDGES: Final = tuple(
    float(FIRST_LATENCY * 2 ** (bucket / PER_DOUBLING)) for bucket in range(LATENCY_BUCKETS)
)
"""The longest request time in s that each bucket of the histogram holds."""

_ONE: Final = surprise(1)


class Histogram:
    """Request times of the last `seconds`, renewed by the profiles that come and go.

    Adding up the thirty profiles of five minutes for each new one took two thirds of all
    evaluating.
    """

    def __init__(self, seconds: int) -> None:
        self._most = seconds // STEP
        self._profiles: deque[Sequence[int]] = deque()
        self.counts = [0] * LATENCY_BUCKETS

    def add(self, latencies: Sequence[int]) -> None:
        """Take the next window's histogram, which is empty where no request was timed."""
        self._profiles.append(latencies)
        if latencies:
            self.counts = [a + b for a, b in zip(self.counts, latencies, strict=True)]
        if len(self._profiles) > self._most and (old := self._profiles.popleft()):
            self.counts = [a - b for a, b in zip(self.counts, old, strict=True)]


class Server:
    """One server's profiles of the last half hour; windows without requests are profiles too."""

    def __init__(self) -> None:
        self._profiles: deque[TrafficProfile] = deque(maxlen=SLOW // STEP)
        self._times = {span: Histogram(span) for span in SPANS}

    def evaluate(
        self, profile: TrafficProfile, limits: Limits, rules: Rules
    ) -> Iterator[Evaluation]:
        """Evaluate one profile; every window of the server must come, in order."""
        self._profiles.append(profile)
        for histogram in self._times.values():
            histogram.add(profile.latencies)
        for found in (
            self._flood(profile, limits, rules),
            self._drop(profile, limits, rules),
            self._latency(profile, limits, rules),
            *self._errors(profile, limits, rules),
        ):
            if found:
                yield found

    def _last(self, seconds: int, before: int = 0) -> list[TrafficProfile]:
        stop = len(self._profiles) - before // STEP
        start = max(0, stop - seconds // STEP)
        return [self._profiles[i] for i in range(start, max(stop, 0))]

    def _usual(self, before: int) -> float | None:
        """Requests per minute of the half hour that ended `before` s ago; None if unknown."""
        profiles = self._last(SLOW - before, before)
        if len(profiles) < KNOWN_PROFILES:
            return None
        return sum(p.requests for p in profiles) * MINUTE / (len(profiles) * STEP)

    def _flood(self, profile: TrafficProfile, limits: Limits, rules: Rules) -> Evaluation | None:
        """Evaluate a minute's requests that no single client explains."""
        limit = limits.get(profile.server, REQUEST_RATE, profile.second)
        minute = self._last(MINUTE)
        observed = sum(p.requests for p in minute)
        if limit and limit.learned:
            expected, floor = limit.expected, limit.upper
        elif observed < rules.flood_requests / 2:
            return None
        else:
            usual = self._usual(MINUTE)
            if usual is None:
                return None
            expected = usual
            floor = max(rules.flood_requests, rules.flood_factor * expected)
        threshold = stretched(expected, floor, rules)
        if observed < expected or not profile.requests:
            return None
        lone = sum(p.top_clients[0].requests for p in minute if p.top_clients)
        crowd = max(p.clients for p in minute)
        return evaluation(
            "server_flood",
            profile.server,
            "",
            profile.second,
            MINUTE,
            observed=observed,
            expected=expected,
            threshold=threshold,
            limit=limit,
            rules=rules,
            evidence=tuple(f"{c.requests} × {c.client}" for c in profile.top_clients[:5]),
            gate=crowd >= rules.flood_clients and observed - lone >= threshold,
        )

    def _drop(self, profile: TrafficProfile, limits: Limits, rules: Rules) -> Evaluation | None:
        """Evaluate a minute with far fewer requests than the hour of week has, silence included."""
        limit = limits.get(profile.server, REQUEST_RATE, profile.second)
        # Where even no request at all is usual in a minute, only a longer silence can tell.
        lower = limit.lower if limit and limit.learned else None
        if limit and lower is not None:
            observed = sum(p.requests for p in self._last(MINUTE))
            expected = limit.expected
            floor, gate = min(lower, rules.drop_share * expected), True
        else:
            limit = None
            observed = sum(p.requests for p in self._last(SILENCE))
            if observed or len(self._profiles) < SLOW // STEP:
                return None
            expected = (self._usual(SILENCE) or 0.0) * SILENCE / MINUTE
            if expected < rules.drop_minute:
                return None
            floor, gate = rules.drop_share * expected, self._steady(rules)
        if observed >= expected:
            return None
        return evaluation(
            "traffic_drop",
            profile.server,
            "",
            profile.second,
            MINUTE if limit else SILENCE,
            observed=observed,
            expected=expected,
            threshold=stretched(expected, floor, rules),
            limit=limit,
            rules=rules,
            gate=gate,
        )

    def _steady(self, rules: Rules) -> bool:
        before = [p.requests for p in self._last(SLOW - SILENCE, SILENCE)]
        minutes = [sum(before[i : i + 6]) for i in range(0, len(before), 6)]
        return min(minutes, default=0) >= rules.drop_minute

    def _latency(self, profile: TrafficProfile, limits: Limits, rules: Rules) -> Evaluation | None:
        """Evaluate the 95th percentile of the request times of 1 and 5 min, as a logarithm."""
        if not profile.latencies:
            return None
        limit = limits.get(profile.server, LATENCY_P95, profile.second)
        evidence = slowest(profile)
        return _worst(
            _evaluate_latency(profile, histogram.counts, span, limit, rules, evidence)
            for span, histogram in self._times.items()
        )

    def _errors(
        self, profile: TrafficProfile, limits: Limits, rules: Rules
    ) -> Iterator[Evaluation | None]:
        """Evaluate the share of 5xx responses of the server and of each route, of 1 and 5 min."""
        if not profile.errors:
            return
        limit = limits.get(profile.server, ERROR_RATIO, profile.second)
        whole = [(p.second, p.requests, p.errors) for p in self._last(FIVE_MINUTES)]
        failing = tuple(
            f"{r.errors} of {r.requests} × {r.route}" for r in profile.routes if r.errors
        )[:5]
        yield _worst(_evaluate_errors(profile, "", whole, limit, rules, failing))
        by_route = defaultdict(list)
        for p in self._last(FIVE_MINUTES):
            for route in p.routes:
                by_route[route.route].append((p.second, route.requests, route.errors))
        for route in profile.routes:
            if route.errors and route.route:
                own = limits.get(profile.server, ERROR_RATIO, profile.second, route.route)
                counts = by_route[route.route]
                found = _evaluate_errors(
                    profile, route.route, counts, own or limit, rules, failing[:1]
                )
                yield _worst(found)


def _evaluate_errors(
    profile: TrafficProfile,
    route: str,
    counts: Sequence[tuple[int, int, int]],
    limit: Limit | None,
    rules: Rules,
    evidence: tuple[str, ...],
) -> Iterator[Evaluation | None]:
    learned = limit is not None and limit.learned
    ratio = limit.expected if limit is not None and learned else rules.error_ratio
    variance = limit.variance if limit is not None and learned else 0.0
    least = rules.error_count_learned if learned else rules.error_count
    share = rules.error_share_learned if learned else rules.error_share
    for span in SPANS:
        seen = [(n, x) for second, n, x in counts if second > profile.second - span]
        n, x = sum(s[0] for s in seen), sum(s[1] for s in seen)
        if n < rules.error_requests or x < 2:
            continue
        mean = n * ratio
        tail = upper_threshold(mean, mean + n * n * variance, _ONE)
        floor = max(tail, least, share * n) / n
        yield evaluation(
            "error_surge",
            profile.server,
            route,
            profile.second,
            span,
            observed=x / n,
            expected=ratio,
            threshold=stretched(ratio, floor, rules),
            limit=limit,
            rules=rules,
            evidence=evidence,
        )


def _evaluate_latency(
    profile: TrafficProfile,
    counts: Sequence[int],
    span: int,
    limit: Limit | None,
    rules: Rules,
    evidence: tuple[str, ...],
) -> Evaluation | None:
    if sum(counts) < rules.latency_requests:
        return None
    observed = quantile(counts, 0.95)
    if limit and limit.learned:
        expected, floor = limit.expected, limit.upper
    else:
        expected, floor = rules.latency_static / 10, rules.latency_static
    threshold = expected * (floor / expected) ** rules.sensitivity
    slow = sum(counts[bisect_left(UPPER_EDGES, threshold) :])
    distance = log(threshold / expected)
    points = 50 * log(observed / expected) / distance if observed > expected else 0.0
    return evaluation(
        "latency_surge",
        profile.server,
        "",
        profile.second,
        span,
        observed=observed,
        expected=expected,
        threshold=threshold,
        limit=limit,
        rules=rules,
        evidence=evidence,
        points=min(100.0, points),
        gate=slow >= rules.latency_slow,
    )


def _worst(found: Iterable[Evaluation | None]) -> Evaluation | None:
    """Return the evaluation with the highest score, of equals the first."""
    return max((j for j in found if j), key=lambda j: j.score, default=None)


def quantile(counts: Sequence[int], q: float) -> float:
    """Return the upper edge in s of the bucket that holds quantile `q`; at most 19 % too high."""
    need = q * sum(counts)
    bucket = next(i for i, seen in enumerate(accumulate(counts)) if seen >= need)
    return UPPER_EDGES[bucket]


def slowest(profile: TrafficProfile) -> tuple[str, ...]:
    """Return texts of the five routes with the largest mean request time."""
    timed = [(r.latency_us / r.timed / 1e6, r.route) for r in profile.routes if r.timed]
    ranked = sorted(timed, key=lambda entry: (-entry[0], entry[1]))
    return tuple(f"{mean:.3f} s × {route}" for mean, route in ranked[:5])
