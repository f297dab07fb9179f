"""All rules over profiles: the one detector of the stream and of history. No Spark import."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Final

from streaming.contracts import names
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation, TrafficProfile
from streaming.detection.rules.clients import Scans, Spikes
from streaming.detection.rules.servers import Server

WARM_UP: Final = 1800
"""Seconds of profiles before a window that its verdict depends on; none after it do."""

GONE: Final = 86_400
"""A silent server is evaluated for this many seconds; after that it is gone rather than down."""


class _Watch:
    def __init__(self, seen: int = 0) -> None:
        self.server, self.spikes, self.scans = Server(), Spikes(), Scans()
        self.seen = seen

    def evaluate(
        self, profile: TrafficProfile, limits: Limits, rules: Rules
    ) -> Iterator[Evaluation]:
        yield from self.server.evaluate(profile, limits, rules)
        if profile.top_clients:
            yield from self.spikes.evaluate(profile, limits, rules)
        if profile.clients_with_404s or profile.shared:
            yield from self.scans.evaluate(profile, limits, rules)


def evaluate(
    profiles: Iterable[TrafficProfile],
    limits: Limits,
    rules: Rules,
    until: int | None = None,
    start: int | None = None,
    seen: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Evaluation]:
    """Evaluate profiles in ascending order of time; at most one per server and window.

    Windows in which a server had no requests are evaluated too, up to its neighbours' newest
    profile or
    the window that starts at `until`. A verdict depends on the profiles of `WARM_UP` seconds before
    it, on which servers were there before, and on nothing later. For profiles that begin in the
    middle of a history, `start` is their first window and `seen` the newest window with a request
    before it, by server.
    """
    watches = {server: _Watch(second) for server, second in seen.items()}
    expected = start if watches else None
    for second, group in groupby(profiles, key=lambda profile: profile.second):
        present = {profile.server: profile for profile in group}
        if expected is not None:
            for silent in range(expected, min(second, expected + GONE), names.WINDOW_SECONDS):
                yield from _window(silent, {}, watches, limits, rules)
        yield from _window(second, present, watches, limits, rules)
        expected = second + names.WINDOW_SECONDS
    if until is not None and expected is not None:
        for silent in range(expected, until + 1, names.WINDOW_SECONDS):
            yield from _window(silent, {}, watches, limits, rules)


def _window(
    second: int,
    present: dict[str, TrafficProfile],
    watches: dict[str, _Watch],
    limits: Limits,
    rules: Rules,
) -> Iterator[Evaluation]:
    for server in sorted(watches.keys() | present.keys()):
        profile = present.get(server)
        if server in watches and second - watches[server].seen > GONE:
            del watches[server]
        if profile is not None:
            watches.setdefault(server, _Watch()).seen = second
        if server in watches:
            yield from watches[server].evaluate(
                profile or TrafficProfile(second, server), limits, rules
            )
