"""What the live queries remember between micro-batches; all of it can be made again. No Spark."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from streaming import names
from streaming.detection.judge import GONE, WARM_UP
from streaming.detection.pane import Judgement
from streaming.incidents import Incident, Session, merge, sessions, still_needed

KEEP: Final = 2 * WARM_UP
"""Seconds of panes in memory: a late line is judged anew with the half hour before it."""


class Timed(Protocol):
    """A pane of either kind."""

    @property
    def second(self) -> int:
        """Epoch second of its start."""

    @property
    def server(self) -> str:
        """Its server."""


P = TypeVar("P", bound=Timed)

Judge = Callable[[Iterable[P], int, int, Mapping[str, int]], Iterator[Judgement]]
"""Judges panes in ascending order, from one epoch second's window to another's, given the newest
window of each server before these."""


@dataclass(frozen=True)
class Change:
    """What a micro-batch changed; `since` is the first window that was judged."""

    since: int
    changed: list[Incident]
    gone: list[str]
    incidents: list[Incident]
    judgements: list[Judgement]


@dataclass
class Memory(Generic[P]):
    """Recent panes, their judgements, and incidents that go on."""

    panes: dict[int, list[P]] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    carried: list[Session] = field(default_factory=list)
    known: dict[str, Incident | None] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    """The newest window, by server, of the panes that are no longer here."""
    until: int | None = None
    """The newest window that was judged."""

    def replace(self, starts: Sequence[int], panes: Iterable[P]) -> None:
        """Put panes in the place of those of the windows `starts`."""
        for start in starts:
            self.panes.pop(start, None)
        for pane in panes:
            self.panes.setdefault(pane.second, []).append(pane)

    def judge(self, starts: Sequence[int], until: int, judge: Judge[P]) -> Change:
        """Judge the windows from the first of `starts`, or the newest judged, up to `until`.

        Windows more than half an hour old are left to the batch jobs: what a verdict on them
        depends on is no longer here.
        """
        # Lines of an older window may be all that a micro-batch brings.
        until = max(until, self.until or until)
        fresh = until - WARM_UP if self.until is None else self.until + names.WINDOW_SECONDS
        since = max(min([*starts, fresh]), until - WARM_UP)
        self._forget(until)
        start = since - WARM_UP
        seconds = sorted(s for s in self.panes if start <= s <= until)
        ordered = (
            pane
            for second in seconds
            for pane in sorted(self.panes[second], key=lambda pane: pane.server)
        )
        before = self._seen_before(start)
        found = [j for j in judge(ordered, start, until, before) if j.second >= since]
        self.judgements = [j for j in self.judgements if j.second < since] + found
        self.until = until
        return self._change(since)

    def _change(self, since: int) -> Change:
        now = (self.until or 0) + names.WINDOW_SECONDS
        incidents = merge(self.judgements, now, self.carried)
        by_id = {incident.incident_id: incident for incident in incidents}
        gone = [i for i in self.known if i not in by_id]
        changed = [i for i in incidents if _differs(self.known.get(i.incident_id), i)]
        for incident_id in gone:
            del self.known[incident_id]
        return Change(since, changed, gone, incidents, self.judgements)

    def stored(self, incidents: Iterable[Incident]) -> None:
        """Take note of what the table now holds."""
        for incident in incidents:
            self.known[incident.incident_id] = incident

    def _seen_before(self, start: int) -> dict[str, int]:
        seen = dict(self.seen)
        for second in sorted(s for s in self.panes if s < start):
            seen.update((pane.server, second) for pane in self.panes[second])
        return seen

    def _forget(self, until: int) -> None:
        horizon = until - KEEP
        for second in sorted(s for s in self.panes if s < horizon):
            for pane in self.panes.pop(second):
                self.seen[pane.server] = max(second, self.seen.get(pane.server, second))
        self.seen = {s: second for s, second in self.seen.items() if second >= horizon - GONE}
        cut = horizon + WARM_UP
        old = [j for j in self.judgements if j.second < cut]
        found = sessions(old, self.carried)
        self.carried = still_needed(found, cut)
        # What nothing can change any more is not gone when it is not found again.
        for session in found:
            if session not in self.carried:
                self.known.pop(session.incident_id, None)
        self.judgements = [j for j in self.judgements if j.second >= cut]


def _differs(known: Incident | None, now: Incident) -> bool:
    """Whether a stored incident has to be written again; its end moves on in steps of a minute."""
    if known is None:
        return True
    return (
        known.peak != now.peak
        or known.closed_at != now.closed_at
        or now.seen_until - known.seen_until >= 60
    )
