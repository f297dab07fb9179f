"""Counted lines of one kind, traffic or errors, as they come → what changes in its incidents."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Generic, TypeVar

from streaming.contracts import names
from streaming.detection.engine import WARM_UP
from streaming.detection.incidents import Incident
from streaming.detection.model import Evaluation
from streaming.detection.state import SETTLE_SECONDS, Change, Evaluate, Memory

STEP: Final = names.WINDOW_SECONDS

T = TypeVar("T")


@dataclass(frozen=True)
class Counting(Generic[T]):
    """How lines of one kind are counted and evaluated.

    `split` yields the counts of each window by its epoch second, `servers` the first window of
    each server, and `profiles` makes the profiles of counts, with those of the fleet or without.
    """

    split: Callable[[T], Iterable[tuple[int, T]]]
    merged: Callable[[Sequence[T]], T]
    servers: Callable[[T], Mapping[str, int]]
    profiles: Callable[[T, bool], Iterable[Any]]
    evaluate: Evaluate[Any]


@dataclass(frozen=True)
class Remembered(Generic[T]):
    """A past to go on from: the last hour of profiles, and all that was found.

    `counts` are those of the last half hour at least. `first` has the first window of each server
    of that hour, `seen` the newest one of each server that has been silent for longer.
    """

    profiles: Iterable[Any]
    counts: T
    first: Mapping[str, int]
    seen: Mapping[str, int]
    evaluations: Sequence[Evaluation]
    incidents: Iterable[Incident]


class Watch(Generic[T]):
    """The last hour of one kind.

    Time is that of the log: it goes on from the newest line as the clock does. So an old file can
    be appended to, and nothing is silent because its file ended yesterday.
    """

    def __init__(self, counting: Counting[T], clock: Callable[[], float]) -> None:
        """Watch with nothing known yet; `clock` tells epoch seconds."""
        self._counting, self._clock = counting, clock
        self._memory: Memory[Any] = Memory()
        self._counts: dict[int, list[T]] = defaultdict(list)
        self._touched: set[int] = set()
        self._first: dict[str, int] = {}
        self._newest, self._heard_at = 0, clock()

    def remember(self, past: Remembered[T]) -> None:
        """Go on from a past."""
        memory = self._memory
        memory.replace((), past.profiles)
        memory.seen = dict(past.seen)
        memory.evaluations = list(past.evaluations)
        memory.known = {incident.incident_id: incident for incident in past.incidents}
        memory.until = self._newest = max(memory.profiles)
        for second, part in self._counting.split(past.counts):
            self._counts[second].append(part)
        self._first = dict(past.first)

    def add(self, counts: T) -> None:
        """Take the counts of some more lines; those of windows that are long over are left out."""
        oldest = (self._memory.until or 0) - WARM_UP
        for second, part in self._counting.split(counts):
            if second >= oldest:
                self._counts[second].append(part)
                self._touched.add(second)
        before = self._together_since()
        for server, second in self._counting.servers(counts).items():
            self._first[server] = min(second, self._first.get(server, second))
        # Windows in which there now is a fleet, though only one server may have lines in them.
        since = self._together_since()
        self._touched.update(s for s in self._counts if since <= s < before)

    def evaluate(self) -> Iterator[Change]:
        """Evaluate what was added, and windows that must have had their lines by now."""
        memory, evaluate = self._memory, self._counting.evaluate
        starts = self._make()
        now = self._log_time(starts)
        begun = [second for second in memory.profiles if second <= now]
        if memory.until is None:
            if not begun:
                return
            memory.until = min(begun) - STEP
        settled = int(now - SETTLE_SECONDS - STEP)
        target = max([*begun, settled - settled % STEP])
        late = [second for second in starts if second <= memory.until]
        if late:
            yield self._noted(memory.evaluate(late, memory.until, evaluate))
        while memory.until < target:
            until = min(target, self._next(memory.until))
            yield self._noted(memory.evaluate((), until, evaluate))
        self._forget(memory.until)

    def _make(self) -> list[int]:
        """Make the profiles of the windows that changed, and return these."""
        starts, since = sorted(self._touched), self._together_since()
        self._touched.clear()
        alone = [second for second in starts if second < since]
        for some, fleet in ((alone, False), (starts[len(alone) :], True)):
            if some:
                parts = chain.from_iterable(self._counts[second] for second in some)
                counts = self._counting.merged(list(parts))
                self._counts.update((s, [part]) for s, part in self._counting.split(counts))
                self._memory.replace(some, self._counting.profiles(counts, fleet))
        return starts

    def _together_since(self) -> float:
        """The window in which a second server had its first line."""
        return sorted(self._first.values())[1] if len(self._first) > 1 else float("inf")

    def _log_time(self, starts: Sequence[int]) -> float:
        wall = self._clock()
        newest = max((second for second in starts if second <= wall), default=0)
        if newest > self._newest:
            self._newest, self._heard_at = newest, wall
        return min(wall, self._newest + STEP + wall - self._heard_at)

    def _next(self, until: int) -> int:
        """The window up to which to evaluate next: half an hour on, or where a server returns."""
        if self._memory.seen or any(second <= until for second in self._memory.profiles):
            return until + WARM_UP
        return max(until + WARM_UP, min(self._memory.profiles, default=until) - STEP)

    def _noted(self, change: Change) -> Change:
        self._memory.stored(change.changed)
        return change

    def _forget(self, until: int) -> None:
        for second in [second for second in self._counts if second < until - WARM_UP]:
            del self._counts[second]
