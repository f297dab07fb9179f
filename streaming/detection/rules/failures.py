"""The rule about failed requests of a server and of its routes: `error_surge`."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from streaming.detection.limits import ERROR_RATIO, Limit, Limits, Rules
from streaming.detection.model import Evaluation, Route, TrafficProfile, evaluation, stretched
from streaming.detection.scoring import score, surprise, upper_threshold

SPANS: Final = (60, 300)
"""Seconds that failures are evaluated over: the one is quick, the other has enough of a quiet
server."""

LEAST: Final = 2
"""One failed request is never a surge."""

_ONE: Final = surprise(1)

Counts = Sequence[tuple[int, int, int]]
"""Epoch second, requests and 5xx of windows in ascending order of time."""


class Failures:
    """One server's requests and 5xx of the last five minutes."""

    def __init__(self, name: str, limits: Limits, rules: Rules) -> None:
        self._name, self._limits, self._rules = name, limits, rules
        self._profiles: deque[TrafficProfile] = deque()
        self._routes: dict[int, dict[str, Route]] = {}
        """Routes by epoch second and name, of the windows that were asked for them."""

    def add(self, profile: TrafficProfile) -> None:
        """Take the newest profile."""
        profiles, until = self._profiles, profile.second - SPANS[-1]
        profiles.append(profile)
        while profiles[0].second <= until:
            self._routes.pop(profiles.popleft().second, None)

    def evaluate(self) -> list[Evaluation]:
        """Evaluate the share of 5xx responses of the server and of each route, of 1 and 5 min."""
        profile = self._profiles[-1]
        whole = [(p.second, p.requests, p.errors) for p in self._profiles]
        if sum(errors for _, _, errors in whole) < LEAST:
            return []
        limit = self._limits.get(self._name, ERROR_RATIO, profile.second)
        found = [self._worst(profile, "", whole, limit)]
        for route in profile.routes:
            if route.errors and route.route:
                own = self._limits.get(self._name, ERROR_RATIO, profile.second, route.route)
                counts = self._counts_of(route.route)
                found.append(self._worst(profile, route.route, counts, own or limit))
        return [one for one in found if one is not None]

    def _counts_of(self, route: str) -> Counts:
        counts = []
        for profile in self._profiles:
            second = profile.second
            if second not in self._routes:
                self._routes[second] = {r.route: r for r in profile.routes}
            seen = self._routes[second].get(route)
            if seen is not None:
                counts.append((second, seen.requests, seen.errors))
        return counts

    def _worst(
        self, profile: TrafficProfile, route: str, counts: Counts, limit: Limit | None
    ) -> Evaluation | None:
        """Return the evaluation of the span with the higher score, of equals the shorter one's."""
        spans = (self._evaluate(profile, route, counts, span, limit) for span in SPANS)
        found = (one for one in spans if one is not None)
        return max(found, key=lambda one: one.score, default=None)

    def _evaluate(
        self,
        profile: TrafficProfile,
        route: str,
        counts: Counts,
        span: int,
        limit: Limit | None,
    ) -> Evaluation | None:
        rules = self._rules
        recent = [(n, x) for second, n, x in counts if second > profile.second - span]
        requests, errors = sum(n for n, _ in recent), sum(x for _, x in recent)
        if requests < rules.error_requests or errors < LEAST:
            return None
        learned = limit is not None and limit.learned
        ratio, variance = rules.error_ratio, 0.0
        least, share = rules.error_count, rules.error_share
        if limit is not None and learned:
            ratio, variance = limit.expected, limit.variance
            least, share = rules.error_count_learned, rules.error_share_learned
        least = max(least, share * requests)
        threshold = stretched(ratio, least / requests, rules)
        # A tail costs a hundred times as much as all else here, and only raises the threshold.
        if threshold > ratio and score(errors / requests, ratio, threshold) < rules.keep_from:
            return None
        mean = requests * ratio
        tail = upper_threshold(mean, mean + requests * requests * variance, _ONE)
        threshold = stretched(ratio, max(tail, least) / requests, rules)
        value = score(errors / requests, ratio, threshold)
        if value < rules.keep_from:
            return None
        return evaluation(
            "error_surge",
            self._name,
            route,
            profile.second,
            span,
            observed=errors / requests,
            expected=ratio,
            threshold=threshold,
            score=value,
            limit=limit,
            rules=rules,
            evidence=failing(profile)[: 1 if route else 5],
        )


def failing(profile: TrafficProfile) -> tuple[str, ...]:
    """Return texts of the routes with failed requests."""
    return tuple(f"{r.errors} of {r.requests} × {r.route}" for r in profile.routes if r.errors)
