"""The rule about a client's missing paths: `path_scan`."""

import re
from collections import deque
from heapq import nsmallest
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import (
    CLIENT_MISSES,
    CLIENT_MISSES_SLOW,
    CRAWLERS,
    HourlyLimit,
    Limit,
    Limits,
    Rules,
)
from streaming.detection.model import (
    ClientWith404s,
    Evaluation,
    Shared,
    TrafficProfile,
    evaluation,
    kept_from,
    stretched,
)
from streaming.detection.scoring import score

FAST: Final = 2 * names.WINDOW_SECONDS
"""Two profiles hold any ten seconds whole."""
SLOW: Final = 1800

_CRAWLER: Final = re.compile(CRAWLERS)


class _History:
    """One client's missing paths of the last half hour, and those of the last 20 s by window."""

    __slots__ = ("counts", "missed", "recent", "requests", "uncounted", "windows")

    def __init__(self) -> None:
        self.recent: deque[tuple[int, ClientWith404s]] = deque()
        self.counts: dict[str, int] = {}
        self.windows = self.missed = self.requests = self.uncounted = 0

    def add(self, second: int, seen: ClientWith404s) -> None:
        self.recent.append((second, seen))
        while self.recent[0][0] <= second - FAST:
            self.recent.popleft()
        self._count(seen, 1)

    def expire(self, seen: ClientWith404s) -> None:
        self._count(seen, -1)

    def _count(self, seen: ClientWith404s, times: int) -> None:
        counts = self.counts
        for path in seen.paths:
            left = counts.get(path, 0) + times
            if left:
                counts[path] = left
            else:
                del counts[path]
        self.windows += times
        self.missed += times * seen.missed
        self.requests += times * seen.requests
        self.uncounted += times * seen.uncounted


class _Votes:
    """The windows of the last half hour in which ordinary clients missed a path."""

    __slots__ = ("many", "voters")

    def __init__(self) -> None:
        self.many = 0
        self.voters: dict[int, int] = {}

    def count(self, shared: Shared, enough: int, times: int) -> None:
        self.many += times * (shared.clients >= enough)
        for voter in shared.voters:
            left = self.voters.get(voter, 0) + times
            if left:
                self.voters[voter] = left
            else:
                del self.voters[voter]


class _BrokenLinks:
    """One server's paths that enough ordinary clients missed in the last half hour."""

    def __init__(self, enough: int) -> None:
        self.paths: set[str] = set()
        self._enough = enough
        self._seen: deque[tuple[int, Shared]] = deque()
        self._votes: dict[str, _Votes] = {}

    def move_to(self, profile: TrafficProfile) -> None:
        """Take a profile's shared paths and forget those of half an hour before it."""
        for shared in profile.shared:
            self._seen.append((profile.second, shared))
            self._count(shared, 1)
        while self._seen and self._seen[0][0] <= profile.second - SLOW:
            self._count(self._seen.popleft()[1], -1)

    def _count(self, shared: Shared, times: int) -> None:
        votes = self._votes.setdefault(shared.path, _Votes())
        votes.count(shared, self._enough, times)
        if votes.many or len(votes.voters) >= self._enough:
            self.paths.add(shared.path)
        else:
            self.paths.discard(shared.path)
        if not votes.many and not votes.voters:
            del self._votes[shared.path]


class _Horizon:
    """One of the two spans that missing paths are counted over, and where its alarm begins."""

    def __init__(self, limits: HourlyLimit, static: float, rules: Rules) -> None:
        self._limits, self._static, self._rules = limits, static, rules
        self._take(None)

    def move_to(self, second: int) -> None:
        """Take the limit at an epoch second."""
        limit = self._limits.at(second)
        if limit is not self.limit:
            self._take(limit)

    def _take(self, limit: Limit | None) -> None:
        self.limit = limit
        self.upper = limit.upper if limit else self._static
        self.expected = limit.expected if limit and limit.learned else 0.0
        self.threshold = stretched(self.expected, self.upper, self._rules)
        self.least = kept_from(self.expected, self.threshold, self._rules)


class Scans:
    """One server's missing paths of the last half hour, by client and by path."""

    def __init__(self, name: str, limits: Limits, rules: Rules) -> None:
        self._name, self._rules = name, rules
        self._fast = _Horizon(HourlyLimit(limits, name, CLIENT_MISSES), rules.scan_fast, rules)
        self._slow = _Horizon(HourlyLimit(limits, name, CLIENT_MISSES_SLOW), rules.scan_slow, rules)
        self._broken = _BrokenLinks(rules.shared_voters)
        self._clients: dict[str, _History] = {}
        self._seen: deque[tuple[int, ClientWith404s]] = deque()

    def evaluate(self, profile: TrafficProfile) -> list[Evaluation]:
        """Evaluate each client's distinct missing paths of 20 s and of 30 min.

        Paths that ordinary clients miss too are a broken link, and left out.
        """
        second = profile.second
        self._fast.move_to(second)
        self._slow.move_to(second)
        self._broken.move_to(profile)
        self._forget(second - SLOW)
        found = []
        for seen in profile.clients_with_404s:
            if self._rules.allowed(seen.client):
                continue
            history = self._clients.get(seen.client)
            if history is None:
                history = self._clients[seen.client] = _History()
            history.add(second, seen)
            self._seen.append((second, seen))
            found.append(self._evaluate(second, seen, history))
        return [one for one in found if one is not None]

    def _forget(self, until: int) -> None:
        while self._seen and self._seen[0][0] <= until:
            _, seen = self._seen.popleft()
            history = self._clients[seen.client]
            history.expire(seen)
            if not history.windows:
                del self._clients[seen.client]

    def _evaluate(self, second: int, seen: ClientWith404s, history: _History) -> Evaluation | None:
        rules, broken, counts = self._rules, self._broken.paths, history.counts
        most = sum(len(s.paths) + s.uncounted for _, s in history.recent)
        if most < self._fast.least and len(counts) + history.uncounted < self._slow.least:
            return None
        if not seen.uncounted and broken.issuperset(seen.paths):
            return None
        recent = {path for _, s in history.recent for path in s.paths}
        quick = len(recent - broken) + sum(s.uncounted for _, s in history.recent)
        patient = len(counts) - len(counts.keys() & broken) + history.uncounted
        is_slow = (
            patient / self._slow.upper > quick / self._fast.upper
            and history.missed >= rules.scan_miss_share * history.requests
        )
        horizon, observed = (self._slow, patient) if is_slow else (self._fast, quick)
        value = score(observed, horizon.expected, horizon.threshold)
        if value < rules.keep_from:
            return None
        return evaluation(
            "path_scan",
            self._name,
            seen.client,
            second,
            SLOW if is_slow else FAST,
            observed=observed,
            expected=horizon.expected,
            threshold=horizon.threshold,
            score=value,
            limit=horizon.limit,
            rules=rules,
            evidence=tuple(nsmallest(5, counts.keys() - broken)),
            gate=not _CRAWLER.match(seen.client),
        )
