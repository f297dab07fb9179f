"""The rule about one client's load of a server: `ip_spike`."""

from collections import deque
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import CLIENT_LOAD, HourlyLimit, Limit, Limits, Rules
from streaming.detection.model import (
    Evaluation,
    TopClient,
    TrafficProfile,
    evaluation,
    kept_from,
    stretched,
)
from streaming.detection.scoring import score

FAST: Final = 2 * names.WINDOW_SECONDS
"""Two profiles hold any ten seconds whole."""
MINUTE: Final = 60

MIN_LOAD: Final = 3
"""Windows in which a client loads a server less than this do not count towards a spike."""

MIN_PEERS: Final = 10
"""With fewer clients there is no crowd to be compared with."""


class _Loads:
    """The loads of a window's clients that count towards a spike."""

    __slots__ = ("_loads", "clients", "largest", "second")

    def __init__(self, profile: TrafficProfile) -> None:
        self.second = profile.second
        self.clients = [c for c in profile.top_clients if c.load >= MIN_LOAD]
        self.largest = max([c.load for c in self.clients], default=0)
        self._loads: dict[str, int] | None = None

    def of(self, client: str) -> int:
        """Return the load of a client."""
        if self._loads is None:
            self._loads = {c.client: c.load for c in self.clients}
        return self._loads.get(client, 0)


class Spikes:
    """One server's clients of the last minute."""

    def __init__(self, name: str, limits: Limits, rules: Rules) -> None:
        self._name, self._rules = name, rules
        self._limits = HourlyLimit(limits, name, CLIENT_LOAD)
        self._windows: deque[_Loads] = deque()
        self._take(None)

    def _take(self, limit: Limit | None) -> None:
        rules = self._rules
        self._limit = limit
        self._upper = limit.upper if limit else rules.spike_load
        self._expected = limit.expected if limit and limit.learned else None
        ends = (0.0, self._most_expected) if self._expected is None else (self._expected,)
        self._least = min(kept_from(e, stretched(e, self._upper, rules), rules) for e in ends)

    @property
    def _most_expected(self) -> float:
        """What is expected of a client without a baseline, however busy the others are."""
        return self._upper / 2

    def evaluate(self, profile: TrafficProfile) -> list[Evaluation]:
        """Evaluate each client's load of 20 s and of 60 s against his server's clients.

        Load is requests of any status less the parts of pages (see
        `streaming.windows.traffic_profile`).
        """
        windows, second = self._windows, profile.second
        now = _Loads(profile)
        windows.append(now)
        while windows[0].second <= second - MINUTE:
            windows.popleft()
        limit = self._limits.at(second)
        if limit is not self._limit:
            self._take(limit)
        # What the heaviest clients of a server came to, no single one exceeds.
        minute = sum([w.largest for w in windows])
        if minute < self._least:
            return []
        fast = sum([w.largest for w in windows if w.second > second - FAST])
        if max(fast, minute / self._rules.spike_minute) < self._least:
            return []
        found = []
        for client in now.clients:
            less = now.largest - client.load
            most = max(fast - less, (minute - less) / self._rules.spike_minute)
            if most >= self._least and not self._rules.allowed(client.client):
                found.append(self._evaluate(profile, client))
        return [one for one in found if one is not None]

    def _evaluate(self, profile: TrafficProfile, client: TopClient) -> Evaluation | None:
        rules, second, expected = self._rules, profile.second, self._expected
        loads = [(w.second, w.of(client.client)) for w in self._windows]
        observed = sum(load for start, load in loads if start > second - FAST)
        minute = sum(load for _, load in loads)
        if expected is None:
            others = (profile.load - client.load) / max(profile.clients - 1, 1)
            expected = min(2 * others, self._most_expected)
        threshold = stretched(expected, self._upper, rules)
        factor = 1.0
        if minute / rules.spike_minute > observed:
            factor, observed = rules.spike_minute, minute
        value = score(observed, expected * factor, threshold * factor)
        if value < rules.keep_from:
            return None
        return evaluation(
            "ip_spike",
            self._name,
            client.client,
            second,
            FAST if factor == 1 else MINUTE,
            observed=observed,
            expected=expected * factor,
            threshold=threshold * factor,
            score=value,
            limit=self._limit,
            rules=rules,
            evidence=client.paths,
            gate=self._expected is not None
            or client.load >= rules.spike_peers * _middle_load(profile),
        )


def _middle_load(profile: TrafficProfile) -> int:
    """The median load of a profile's clients; 0 where few do, or where it lies below the list."""
    middle = profile.clients // 2
    few = profile.clients < MIN_PEERS or middle >= len(profile.top_clients)
    return 0 if few else sorted((c.load for c in profile.top_clients), reverse=True)[middle]
