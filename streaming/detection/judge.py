"""All rules over panes: the one detector of the stream and of history. No Spark import."""

from collections.abc import Iterable, Iterator
from itertools import groupby
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
    def __init__(self) -> None:
        self.server, self.spikes, self.scans = Server(), Spikes(), Scans()
        self.seen = 0

    def judge(self, pane: Pane, limits: Limits, rules: Rules) -> Iterator[Judgement]:
        yield from self.server.judge(pane, limits, rules)
        if pane.heavy:
            yield from self.spikes.judge(pane, limits, rules)
        if pane.missers or pane.shared:
            yield from self.scans.judge(pane, limits, rules)


def judge(
    panes: Iterable[Pane], limits: Limits, rules: Rules, until: int | None = None
) -> Iterator[Judgement]:
    """Judge panes in ascending order of time; at most one per server and window.

    Windows in which a server had no requests are judged too, up to its neighbours' newest pane or
    the window that starts at `until`. A verdict depends on the panes of `WARM_UP` seconds before
    it and on nothing later.
    """
    watches: dict[str, _Watch] = {}
    expected: int | None = None
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
        watch = watches.setdefault(server, _Watch())
        pane = present.get(server)
        if pane is not None:
            watch.seen = second
        elif second - watch.seen > GONE:
            del watches[server]
            continue
        yield from watch.judge(pane or Pane(second, server), limits, rules)
