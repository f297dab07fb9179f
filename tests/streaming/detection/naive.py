"""The rules once more, over all windows of the half hour before one: slow, without any state."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import log
from typing import NamedTuple

from streaming.detection import limits as metrics
from streaming.detection.engine import GONE
from streaming.detection.limits import Limit, Limits, Rules
from streaming.detection.model import (
    HELD_BACK,
    ClientWith404s,
    Evaluation,
    TopClient,
    TrafficProfile,
    stretched,
)
from streaming.detection.rules.latency import UPPER_EDGES
from streaming.detection.scoring import score, surprise, upper_threshold
from streaming.windows.histogram import LATENCY_BUCKETS

STEP = 10
HALF_HOUR = 1800


class Seen(NamedTuple):
    """What an evaluation says, apart from its evidence."""

    kind: str
    server: str
    entity: str
    second: int
    horizon_s: int
    observed: float
    expected: float
    threshold: float
    score: float
    version: int | None


def seen(found: Iterable[Evaluation]) -> list[Seen]:
    return sorted(Seen(*e[:9], e.version) for e in found)


def evaluated(
    profiles: list[TrafficProfile], limits: Limits, rules: Rules, until: int
) -> list[Seen]:
    """Evaluate every window of every server, from its first profile to `until`."""
    found: list[Seen] = []
    for server in {p.server for p in profiles}:
        own = {p.second: p for p in profiles if p.server == server}
        windows: list[TrafficProfile] = []
        newest = 0
        for second in range(min(own), max(until, profiles[-1].second) + STEP, STEP):
            if windows and second - newest > GONE:
                windows = []
            if second in own:
                newest = second
            elif not windows:
                continue
            windows = [*windows, own.get(second, TrafficProfile(second, server))]
            windows = windows[-HALF_HOUR // STEP :]
            found.extend(Window(windows, limits, rules).evaluated())
    return sorted(found)


class Window:
    """The last of one server's `windows`, of which there are as many as the half hour has."""

    def __init__(self, windows: list[TrafficProfile], limits: Limits, rules: Rules) -> None:
        self.windows, self.limits, self.rules = windows, limits, rules
        self.now = windows[-1]

    def evaluated(self) -> Iterator[Seen]:
        yield from self.flood()
        yield from self.drop()
        if self.now.latencies:
            yield from worst([*self.latency(60), *self.latency(300)])
        for route in ("", *(r.route for r in self.now.routes if r.errors and r.route)):
            if self.now.errors:
                yield from worst([*self.failures(route, 60), *self.failures(route, 300)])
        for client in self.now.top_clients:
            yield from self.spike(client)
        for misser in self.now.clients_with_404s:
            yield from self.scan(misser)

    def limit(self, metric: str, key: str = "") -> tuple[Limit | None, Limit | None]:
        """A limit, and the same once more if it is learned."""
        limit = self.limits.get(self.now.server, metric, self.now.second, key)
        return limit, limit if limit and limit.learned else None

    def last(self, seconds: int) -> list[TrafficProfile]:
        return self.windows[-seconds // STEP :]

    def seen(
        self,
        kind: str,
        entity: str,
        horizon: int,
        numbers: tuple[float, float, float],
        learned: Limit | None,
        *,
        gate: bool = True,
        points: float | None = None,
    ) -> Iterator[Seen]:
        value = score(*numbers) if points is None else points
        value = value if gate else min(value, HELD_BACK)
        if value >= self.rules.keep_from:
            rounded = (round(float(number), 6) for number in numbers)
            about = (kind, self.now.server, entity, self.now.second, horizon)
            yield Seen(*about, *rounded, value, learned.version if learned else None)

    def usual(self, before: int) -> float:
        windows = self.windows[: -before // STEP]
        if len(windows) < 30:
            return 0.0
        return sum(w.requests for w in windows) * 60 / (len(windows) * STEP)

    def flood(self) -> Iterator[Seen]:
        rules, minute = self.rules, self.last(60)
        _, learned = self.limit(metrics.REQUEST_RATE)
        observed = sum(w.requests for w in minute)
        if learned:
            expected, upper = learned.expected, learned.upper
        else:
            if len(self.windows) < 36 or observed < rules.flood_requests / 2:
                return
            expected = self.usual(60)
            upper = max(rules.flood_requests, rules.flood_factor * expected)
        if observed < expected or not self.now.requests:
            return
        threshold = stretched(expected, upper, rules)
        lone = sum(w.top_clients[0].requests for w in minute if w.top_clients)
        crowd = max(w.clients for w in minute) >= rules.flood_clients
        gate = crowd and observed - lone >= threshold
        numbers = observed, expected, threshold
        yield from self.seen("server_flood", "", 60, numbers, learned, gate=gate)

    def drop(self) -> Iterator[Seen]:
        rules, gate, horizon = self.rules, True, 60
        _, learned = self.limit(metrics.REQUEST_RATE)
        if learned and learned.lower is not None:
            observed, expected = sum(w.requests for w in self.last(60)), learned.expected
            lower = min(learned.lower, rules.drop_share * expected)
        else:
            learned, horizon, expected = None, 120, self.usual(120) * 2
            observed, lower = sum(w.requests for w in self.last(120)), rules.drop_share * expected
            if observed or len(self.windows) < 180 or expected < rules.drop_minute:
                return
            before = [w.requests for w in self.windows[:-12]]
            gate = min(sum(before[i : i + 6]) for i in range(0, 168, 6)) >= rules.drop_minute
        if observed < expected:
            numbers = observed, expected, stretched(expected, lower, rules)
            yield from self.seen("traffic_drop", "", horizon, numbers, learned, gate=gate)

    def latency(self, span: int) -> Iterator[Seen]:
        rules, counts = self.rules, [0] * LATENCY_BUCKETS
        for bucket, requests in (entry for w in self.last(span) for entry in w.latencies):
            counts[bucket] += requests
        if sum(counts) < rules.latency_requests:
            return
        _, learned = self.limit(metrics.LATENCY_P95)
        expected, upper = rules.latency_static / 10, rules.latency_static
        if learned:
            expected, upper = learned.expected, learned.upper
        need = 0.95 * sum(counts)
        observed = UPPER_EDGES[next(i for i, n in enumerate(accumulate(counts)) if n >= need)]
        threshold = expected * (upper / expected) ** rules.sensitivity
        points = 50 * log(observed / expected) / log(threshold / expected)
        slow = sum(counts[bisect_left(UPPER_EDGES, threshold) :])
        yield from self.seen(
            "latency_surge",
            "",
            span,
            (observed, expected, threshold),
            learned,
            gate=slow >= rules.latency_slow,
            points=round(min(100.0, max(0.0, points)), 2),
        )

    def failures(self, route: str, span: int) -> Iterator[Seen]:
        rules = self.rules
        parts = [r for w in self.last(span) for r in w.routes if r.route == route]
        whole = parts if route else self.last(span)
        requests, errors = sum(w.requests for w in whole), sum(w.errors for w in whole)
        if requests < rules.error_requests or errors < 2:
            return
        own, own_learned = self.limit(metrics.ERROR_RATIO, route)
        learned = own_learned if own else self.limit(metrics.ERROR_RATIO)[1]
        ratio, variance = rules.error_ratio, 0.0
        least, share = rules.error_count, rules.error_share
        if learned:
            ratio, variance = learned.expected, learned.variance
            least, share = rules.error_count_learned, rules.error_share_learned
        mean = requests * ratio
        tail = upper_threshold(mean, mean + requests * requests * variance, surprise(1))
        upper = max(tail, least, share * requests) / requests
        numbers = errors / requests, ratio, stretched(ratio, upper, rules)
        yield from self.seen("error_surge", route, span, numbers, learned)

    def spike(self, client: TopClient) -> Iterator[Seen]:
        rules, now = self.rules, self.now
        if client.load < 3 or rules.allowed(client.client):
            return

        def load(seconds: int) -> int:
            tops = (c for w in self.last(seconds) for c in w.top_clients if c.load >= 3)
            return sum(c.load for c in tops if c.client == client.client)

        limit, learned = self.limit(metrics.CLIENT_LOAD)
        upper = limit.upper if limit else rules.spike_load
        expected = min(2 * (now.load - client.load) / max(now.clients - 1, 1), upper / 2)
        if learned:
            expected = learned.expected
        threshold, factor, horizon, observed = stretched(expected, upper, rules), 1.0, 20, load(20)
        if load(60) / rules.spike_minute > observed:
            factor, horizon, observed = rules.spike_minute, 60, load(60)
        middle, loads = now.clients // 2, sorted(c.load for c in now.top_clients)[::-1]
        median = loads[middle] if now.clients >= 10 and middle < len(loads) else 0
        gate = learned is not None or client.load >= rules.spike_peers * median
        numbers = observed, expected * factor, threshold * factor
        yield from self.seen("ip_spike", client.client, horizon, numbers, learned, gate=gate)

    def scan(self, misser: ClientWith404s) -> Iterator[Seen]:
        rules = self.rules
        votes = [s for w in self.windows for s in w.shared]
        clients = {s.path: 0 for s in votes}
        for path in clients:
            own = [s for s in votes if s.path == path]
            voters = len({voter for s in own for voter in s.voters})
            clients[path] = max(voters, *(s.clients for s in own))
        broken = {path for path, many in clients.items() if many >= rules.shared_voters}
        if rules.allowed(misser.client) or (
            not misser.uncounted and broken.issuperset(misser.paths)
        ):
            return
        history = [
            [c for w in self.last(span) for c in w.clients_with_404s if c.client == misser.client]
            for span in (20, HALF_HOUR)
        ]
        quick, patient = (
            len({p for c in own for p in c.paths} - broken) + sum(c.uncounted for c in own)
            for own in history
        )
        (fast, fast_learned), (slow, slow_learned) = (
            self.limit(metric) for metric in (metrics.CLIENT_MISSES, metrics.CLIENT_MISSES_SLOW)
        )
        uppers = fast.upper if fast else rules.scan_fast, slow.upper if slow else rules.scan_slow
        missed, requests = (sum(getattr(c, f) for c in history[1]) for f in ("missed", "requests"))
        mostly = missed >= rules.scan_miss_share * requests
        is_slow = patient / uppers[1] > quick / uppers[0] and mostly
        learned = slow_learned if is_slow else fast_learned
        expected = learned.expected if learned else 0.0
        numbers = (patient if is_slow else quick, expected, uppers[is_slow])
        numbers = (*numbers[:2], stretched(expected, numbers[2], rules))
        gate = not misser.client.startswith("66.249.66.")
        horizon = HALF_HOUR if is_slow else 20
        yield from self.seen("path_scan", misser.client, horizon, numbers, learned, gate=gate)


def worst(found: list[Seen]) -> list[Seen]:
    """The one with the highest score, of equals the first."""
    return sorted(found, key=lambda one: -one.score)[:1]
