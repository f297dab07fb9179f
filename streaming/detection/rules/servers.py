"""Rules about a server's requests: `server_flood` and `traffic_drop`."""

from collections import deque
from collections.abc import Iterator
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import REQUEST_RATE, HourlyLimit, Limit, Limits, Rules
from streaming.detection.model import Evaluation, TrafficProfile, evaluation, stretched
from streaming.detection.rules.sliding import SlidingSum
from streaming.detection.scoring import score

STEP: Final = names.WINDOW_SECONDS
MINUTE: Final = 60
SILENCE: Final = 120
SLOW: Final = 1800
HOUR: Final = 3600

KNOWN_WINDOWS: Final = 30
"""A server watched for less than five minutes has no usual rate."""


class Server:
    """One server's requests of the last half hour."""

    def __init__(self, name: str, limits: Limits, rules: Rules, first: int) -> None:
        """Watch a server from the window that starts at epoch second `first`."""
        self._name, self._rules, self._first = name, rules, first
        self._rate = HourlyLimit(limits, name, REQUEST_RATE)
        self._minute, self._half_hour = SlidingSum(MINUTE), SlidingSum(SLOW)
        self._profiles: deque[TrafficProfile] = deque()
        self._last = first - SLOW
        """The newest window with a request."""

    def evaluate(self, profile: TrafficProfile) -> list[Evaluation]:
        """Evaluate a profile; profiles come in ascending order of time."""
        second, requests = profile.second, profile.requests
        if requests:
            self._last = second
            self._half_hour.add(second, requests)
            self._minute.add(second, requests)
        minute = self._minute.at(second)
        profiles = self._profiles
        profiles.append(profile)
        while profiles[0].second <= second - MINUTE:
            profiles.popleft()
        limit = self._rate.at(second)
        flood, drop = self._flood(profile, minute, limit), self._drop(second, minute, limit)
        return [one for one in (flood, drop) if one is not None]

    def silence(self, first: int, last: int) -> Iterator[Evaluation]:
        """Evaluate windows without a request, of which only a drop can be seen.

        They start at epoch seconds `first` to `last`. Within an hour of the week the limit is the
        same, so a minute after the last request every window is like the one before it.
        """
        start = first
        while start <= last:
            end = min(last, start - start % HOUR + HOUR - STEP)
            limit = self._rate.at(start)
            if _lower(limit) is not None:
                changing = max(start, min(end, self._last + MINUTE))
                yield from self._drops(start, changing, limit)
                found = self._drop(changing, self._minute.at(changing), limit)
                if found is not None:
                    for second in range(changing + STEP, end + 1, STEP):
                        yield found._replace(second=second)
            else:
                start = max(start, self._last + SILENCE, self._first + SLOW - STEP)
                if start <= end and self._lost(start) >= self._rules.drop_minute:
                    yield from self._drops(start, end, limit)
            start = end + STEP

    def _drops(self, first: int, last: int, limit: Limit | None) -> Iterator[Evaluation]:
        for second in range(first, last + 1, STEP):
            found = self._drop(second, self._minute.at(second), limit)
            if found is not None:
                yield found

    def _flood(
        self, profile: TrafficProfile, minute: int, limit: Limit | None
    ) -> Evaluation | None:
        """Evaluate a minute's requests that no single client explains."""
        rules = self._rules
        if limit is not None and limit.learned:
            expected, upper = limit.expected, limit.upper
        elif minute < rules.flood_requests / 2 or (usual := self._usual(profile.second)) is None:
            return None
        else:
            expected, upper = usual, max(rules.flood_requests, rules.flood_factor * usual)
        if minute < expected or not profile.requests:
            return None
        threshold = stretched(expected, upper, rules)
        value = score(minute, expected, threshold)
        if value < rules.keep_from:
            return None
        lone = sum(p.top_clients[0].requests for p in self._profiles if p.top_clients)
        crowd = max(p.clients for p in self._profiles)
        return evaluation(
            "server_flood",
            self._name,
            "",
            profile.second,
            MINUTE,
            observed=minute,
            expected=expected,
            threshold=threshold,
            score=value,
            limit=limit,
            rules=rules,
            evidence=tuple(f"{c.requests} × {c.client}" for c in profile.top_clients[:5]),
            gate=crowd >= rules.flood_clients and minute - lone >= threshold,
        )

    def _usual(self, second: int) -> float | None:
        """Requests per minute of the half hour before the last minute; None if unknown."""
        windows = min(SLOW, second - self._first + STEP) // STEP - MINUTE // STEP
        if windows < KNOWN_WINDOWS:
            return None
        requests = self._half_hour.at(second) - self._minute.at(second)
        return requests * MINUTE / (windows * STEP)

    def _drop(self, second: int, minute: int, limit: Limit | None) -> Evaluation | None:
        """Evaluate a minute with far fewer requests than the hour of week has, silence included."""
        rules, lower = self._rules, _lower(limit)
        if limit is not None and lower is not None:
            observed, expected, horizon = minute, limit.expected, MINUTE
            lower = min(lower, rules.drop_share * expected)
        else:
            # Where even no request at all is usual in a minute, only a longer silence can tell.
            if second < max(self._last + SILENCE, self._first + SLOW - STEP):
                return None
            limit, observed, expected, horizon = None, 0, self._lost(second), SILENCE
            if expected < rules.drop_minute:
                return None
            lower = rules.drop_share * expected
        if observed >= expected:
            return None
        threshold = stretched(expected, lower, rules)
        value = score(observed, expected, threshold)
        if value < rules.keep_from:
            return None
        return evaluation(
            "traffic_drop",
            self._name,
            "",
            second,
            horizon,
            observed=observed,
            expected=expected,
            threshold=threshold,
            score=value,
            limit=limit,
            rules=rules,
            gate=limit is not None or self._steady(second),
        )

    def _lost(self, second: int) -> float:
        """Requests that two minutes of silence would have had at the rate of the half hour."""
        usual = self._half_hour.at(second) * MINUTE / (SLOW - SILENCE)
        return usual * SILENCE / MINUTE

    def _steady(self, second: int) -> bool:
        """Whether each minute of the half hour before the silence had its requests."""
        minutes = [0] * ((SLOW - SILENCE) // MINUTE)
        for start, requests in self._half_hour.counts:
            minutes[(start - second + SLOW - STEP) // MINUTE] += requests
        return min(minutes) >= self._rules.drop_minute


def _lower(limit: Limit | None) -> float | None:
    return limit.lower if limit is not None and limit.learned else None
