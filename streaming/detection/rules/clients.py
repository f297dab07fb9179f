"""Rules about one client of one server: `ip_spike` and `path_scan`. No Spark import."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import (
    CLIENT_LOAD,
    CLIENT_MISSES,
    CLIENT_MISSES_SLOW,
    CRAWLERS,
    Limit,
    Limits,
    Rules,
)
from streaming.detection.model import (
    ClientWith404s,
    Evaluation,
    TrafficProfile,
    evaluation,
    stretched,
)

FAST: Final = 2 * names.WINDOW_SECONDS
"""Two profiles hold any ten seconds whole."""
MINUTE: Final = 60
SLOW: Final = 1800

MIN_LOAD: Final = 3
"""Windows in which a client loads a server less than this do not count towards a spike."""

MIN_PEERS: Final = 10
"""With fewer clients there is no crowd to be compared with."""

_CRAWLER: Final = re.compile(CRAWLERS)


class Spikes:
    """One server's clients of the last minute."""

    def __init__(self) -> None:
        self._loads: dict[str, deque[tuple[int, int]]] = {}

    def evaluate(
        self, profile: TrafficProfile, limits: Limits, rules: Rules
    ) -> Iterator[Evaluation]:
        """Evaluate each client's load of 20 s and of 60 s against his server's clients.

        Load is requests of any status less the parts of pages (see
        `streaming.windows.traffic_profile`).
        """
        limit = limits.get(profile.server, CLIENT_LOAD, profile.second)
        self._forget(profile.second)
        middle = _middle_load(profile)
        for client in profile.top_clients:
            if client.load < MIN_LOAD or rules.allowed(client.client):
                continue
            loads = self._loads.setdefault(client.client, deque())
            loads.append((profile.second, client.load))
            fast = sum(load for second, load in loads if second > profile.second - FAST)
            minute = sum(load for _, load in loads)
            others = (profile.load - client.load) / max(profile.clients - 1, 1)
            floor = limit.upper if limit else rules.spike_floor
            expected = min(2 * others, floor / 2)
            if limit and limit.learned:
                expected = limit.expected
            threshold = stretched(expected, floor, rules)
            factor = 1.0
            if minute / rules.spike_minute > fast:
                factor, fast = rules.spike_minute, minute
            found = evaluation(
                "ip_spike",
                profile.server,
                client.client,
                profile.second,
                FAST if factor == 1 else MINUTE,
                observed=fast,
                expected=expected * factor,
                threshold=threshold * factor,
                limit=limit,
                rules=rules,
                evidence=client.paths,
                gate=bool(limit and limit.learned) or client.load >= rules.spike_peers * middle,
            )
            if found:
                yield found

    def _forget(self, second: int) -> None:
        for client in [c for c, loads in self._loads.items() if _expire(loads, second - MINUTE)]:
            del self._loads[client]


def _middle_load(profile: TrafficProfile) -> int:
    """The median load of a profile's clients; 0 where few do, or where it lies below the list."""
    middle = profile.clients // 2
    few = profile.clients < MIN_PEERS or middle >= len(profile.top_clients)
    return 0 if few else sorted((c.load for c in profile.top_clients), reverse=True)[middle]


def _expire(loads: deque[tuple[int, int]], until: int) -> bool:
    while loads and loads[0][0] <= until:
        loads.popleft()
    return not loads


class _History:
    """One client's missing paths of the last half hour."""

    __slots__ = ("counts", "missed", "profiles", "requests", "uncounted")

    def __init__(self) -> None:
        self.profiles: deque[tuple[int, ClientWith404s]] = deque()
        self.counts: Counter[str] = Counter()
        self.missed = self.requests = self.uncounted = 0

    def add(self, second: int, seen: ClientWith404s) -> None:
        self.profiles.append((second, seen))
        self.counts.update(seen.paths)
        self.missed += seen.missed
        self.requests += seen.requests
        self.uncounted += seen.uncounted

    def expire(self, until: int) -> bool:
        while self.profiles and self.profiles[0][0] <= until:
            _, seen = self.profiles.popleft()
            for path in seen.paths:
                if self.counts[path] == 1:
                    del self.counts[path]
                else:
                    self.counts[path] -= 1
            self.missed -= seen.missed
            self.requests -= seen.requests
            self.uncounted -= seen.uncounted
        return not self.profiles

    def recent(self, since: int) -> tuple[set[str], int]:
        """Distinct paths of the profiles after `since`, and how many more there are."""
        recent = [seen for second, seen in self.profiles if second > since]
        paths = {path for seen in recent for path in seen.paths}
        return paths, sum(seen.uncounted for seen in recent)


class Scans:
    """One server's missing paths of the last half hour, by client and by path."""

    def __init__(self) -> None:
        self._clients: dict[str, _History] = {}
        self._votes: dict[str, deque[tuple[int, int, tuple[int, ...]]]] = {}
        self._broken: set[str] = set()

    def evaluate(
        self, profile: TrafficProfile, limits: Limits, rules: Rules
    ) -> Iterator[Evaluation]:
        """Evaluate each client's distinct missing paths of 20 s and of 30 min.

        Paths that ordinary clients miss too are a broken link, and left out.
        """
        self._remember(profile, rules)
        fast = limits.get(profile.server, CLIENT_MISSES, profile.second)
        slow = limits.get(profile.server, CLIENT_MISSES_SLOW, profile.second)
        for client_with_404s in profile.clients_with_404s:
            if rules.allowed(client_with_404s.client):
                continue
            history = self._clients.setdefault(client_with_404s.client, _History())
            history.add(profile.second, client_with_404s)
            if not client_with_404s.uncounted and self._broken.issuperset(client_with_404s.paths):
                continue
            found = _evaluate_scan(
                profile, client_with_404s.client, history, self._broken, fast, slow, rules
            )
            if found:
                yield found

    def _remember(self, profile: TrafficProfile, rules: Rules) -> None:
        until = profile.second - SLOW
        for client in [c for c, history in self._clients.items() if history.expire(until)]:
            del self._clients[client]
        changed = [path for path, votes in self._votes.items() if votes[0][0] <= until]
        for shared in profile.shared:
            votes = self._votes.setdefault(shared.path, deque())
            votes.append((profile.second, shared.clients, shared.voters))
            changed.append(shared.path)
        for path in changed:
            if _expired(self._votes[path], until):
                del self._votes[path]
            if _voters(self._votes.get(path, ())) >= rules.shared_voters:
                self._broken.add(path)
            else:
                self._broken.discard(path)


def _voters(votes: Iterable[tuple[int, int, tuple[int, ...]]]) -> int:
    most, seen = 0, set[int]()
    for _, clients, some in votes:
        most = max(most, clients)
        seen.update(some)
    return max(most, len(seen))


def _expired(votes: deque[tuple[int, int, tuple[int, ...]]], until: int) -> bool:
    while votes and votes[0][0] <= until:
        votes.popleft()
    return not votes


def _evaluate_scan(
    profile: TrafficProfile,
    client: str,
    history: _History,
    broken: set[str],
    fast: Limit | None,
    slow: Limit | None,
    rules: Rules,
) -> Evaluation | None:
    recent, more = history.recent(profile.second - FAST)
    quick = len(recent - broken) + more
    patient = len(history.counts) - len(history.counts.keys() & broken) + history.uncounted
    fast_limit = fast.upper if fast else rules.scan_fast
    slow_limit = slow.upper if slow else rules.scan_slow
    is_slow = (
        patient / slow_limit > quick / fast_limit
        and history.missed >= rules.scan_miss_share * history.requests
    )
    limit, floor = (slow, slow_limit) if is_slow else (fast, fast_limit)
    expected = limit.expected if limit and limit.learned else 0.0
    return evaluation(
        "path_scan",
        profile.server,
        client,
        profile.second,
        SLOW if is_slow else FAST,
        observed=patient if is_slow else quick,
        expected=expected,
        threshold=stretched(expected, floor, rules),
        limit=limit,
        rules=rules,
        evidence=tuple(sorted(history.counts.keys() - broken)[:5]),
        gate=not _CRAWLER.match(client),
    )
