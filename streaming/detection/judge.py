"""All rules over panes: the one detector of the stream and of history. No Spark import."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Final

from streaming import names
from streaming.detection.clients import Scans, Spikes
from streaming.detection.pane import Judgement, Pane
from streaming.detection.servers import Server
from streaming.thresholds import Limits, Rules

WARM_UP: Final = 1800
"""Seconds of panes before a window that its verdict depends on; none after it do."""

GONE: Final = 86_400
"""A silent server is judged for this many seconds; after that it is gone rather than down."""


class _Watch:
    def __init__(self, seen: int = 0) -> None:
        self.server, self.spikes, self.scans = Server(), Spikes(), Scans()
        self.seen = seen

    def judge(self, pane: Pane, limits: Limits, rules: Rules) -> Iterator[Judgement]:
        yield from self.server.judge(pane, limits, rules)
        if pane.heavy:
            yield from self.spikes.judge(pane, limits, rules)
        if pane.missers or pane.shared:
            yield from self.scans.judge(pane, limits, rules)


def judge(
    panes: Iterable[Pane],
    limits: Limits,
    rules: Rules,
    until: int | None = None,
    start: int | None = None,
    seen: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Judgement]:
    """Judge panes in ascending order of time; at most one per server and window.

    Windows in which a server had no requests are judged too, up to its neighbours' newest pane or
    the window that starts at `until`. A verdict depends on the panes of `WARM_UP` seconds before
    it, on which servers were there before, and on nothing later. For panes that begin in the
    middle of a history, `start` is their first window and `seen` the newest window with a request
    before it, by server.
    """
    watches = {server: _Watch(second) for server, second in seen.items()}
    expected = start if watches else None
    for second, group in groupby(panes, key=lambda pane: pane.second):
        present = {pane.server: pane for pane in group}
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
    present: dict[str, Pane],
    watches: dict[str, _Watch],
    limits: Limits,
    rules: Rules,
) -> Iterator[Judgement]:
    for server in sorted(watches.keys() | present.keys()):
        pane = present.get(server)
        if server in watches and second - watches[server].seen > GONE:
            del watches[server]
        if pane is not None:
            watches.setdefault(server, _Watch()).seen = second
        if server in watches:
            yield from watches[server].judge(pane or Pane(second, server), limits, rules)
