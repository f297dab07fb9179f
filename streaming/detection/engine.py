"""All rules over profiles: the one detector of the stream and of history."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation, TrafficProfile
from streaming.detection.rules.failures import Failures
from streaming.detection.rules.latency import Latencies
from streaming.detection.rules.scans import Scans
from streaming.detection.rules.servers import Server
from streaming.detection.rules.spikes import Spikes

WARM_UP: Final = 1800
"""Seconds of profiles before a window that its verdict depends on; none after it do."""

GONE: Final = 86_400
"""A silent server is evaluated for this many seconds; after that it is gone rather than down."""

STEP: Final = names.WINDOW_SECONDS


class _Watch:
    """The rules over one server.

    `seen` is its newest window with a request, `next` the first one that is not evaluated yet.
    """

    def __init__(self, name: str, limits: Limits, rules: Rules, first: int, seen: int) -> None:
        """Watch a server from the window that starts at epoch second `first`."""
        self.seen = seen
        self.next = first
        self._server = Server(name, limits, rules, first)
        self._latencies = Latencies(name, limits, rules)
        self._failures = Failures(name, limits, rules)
        self._spikes = Spikes(name, limits, rules)
        self._scans = Scans(name, limits, rules)

    def silence(self, before: int) -> Iterator[Evaluation]:
        """Evaluate the windows without a request up to the one before epoch second `before`."""
        last = min(before - STEP, self.seen + GONE)
        if self.next <= last:
            yield from self._server.silence(self.next, last)
            self.next = last + STEP

    def evaluate(self, profile: TrafficProfile) -> list[Evaluation]:
        """Evaluate the newest profile."""
        found = self._server.evaluate(profile)
        if profile.latencies:
            found += self._latencies.evaluate(profile)
        self._failures.add(profile)
        if profile.errors:
            found += self._failures.evaluate()
        if profile.top_clients:
            found += self._spikes.evaluate(profile)
        if profile.clients_with_404s or profile.shared:
            found += self._scans.evaluate(profile)
        self.seen, self.next = profile.second, profile.second + STEP
        return found


def evaluate(
    profiles: Iterable[TrafficProfile],
    limits: Limits,
    rules: Rules,
    until: int | None = None,
    start: int | None = None,
    seen: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Evaluation]:
    """Evaluate profiles in ascending order of time; at most one per server and window.

    Yields each server's evaluations in order of time.

    Windows in which a server had no requests are evaluated too, up to its neighbours' newest
    profile or the window that starts at `until`. A verdict depends on the server's own profiles of
    the `WARM_UP` seconds before it, on whether the server was there before, and on nothing later:
    servers can be evaluated one by one, and a history in pieces. For profiles that begin in the
    middle of a history, `start` is their first window and `seen` the newest window with a request
    before it, by server.
    """
    watches: dict[str, _Watch] = {}
    if start is not None:
        for server, last in seen.items():
            watches[server] = _Watch(server, limits, rules, start, last)
    newest = until
    for profile in profiles:
        second, server = profile.second, profile.server
        watch = watches.get(server)
        if watch is not None and watch.next < second:
            yield from watch.silence(second)
        if watch is None or second - watch.seen > GONE:
            watch = watches[server] = _Watch(server, limits, rules, second, second)
        yield from watch.evaluate(profile)
        newest = second if newest is None else max(second, newest)
    if newest is not None:
        for server in sorted(watches):
            yield from watches[server].silence(newest + STEP)
