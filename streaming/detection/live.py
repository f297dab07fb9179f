"""What the live queries remember between micro-batches; all of it can be made again. No Spark."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from streaming import names
from streaming.detection.judge import WARM_UP
from streaming.detection.pane import Judgement
from streaming.incidents import Incident, Session, merge, sessions

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

Judge = Callable[[Iterable[P], int], Iterator[Judgement]]
"""Judges panes in ascending order, up to the window of an epoch second."""


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
        fresh = until - WARM_UP if self.until is None else self.until + names.WINDOW_SECONDS
        since = max(min([*starts, fresh]), until - WARM_UP)
        self._forget(until)
        seconds = sorted(s for s in self.panes if since - WARM_UP <= s <= until)
        ordered = (
            pane
            for second in seconds
            for pane in sorted(self.panes[second], key=lambda pane: pane.server)
        )
        found = [j for j in judge(ordered, until) if j.second >= since]
        self.judgements = [j for j in self.judgements if j.second < since] + found
        self.until = max(until, self.until or until)
        return self._change(since)

    def _change(self, since: int) -> Change:
        now = (self.until or 0) + names.WINDOW_SECONDS
        incidents = merge(self.judgements, now, self.carried)
        by_id = {incident.incident_id: incident for incident in incidents}
        absent = [i for i in self.known if i not in by_id]
        gone = [i for i in absent if not self._settled(i, since)]
        changed = [i for i in incidents if _differs(self.known.get(i.incident_id), i)]
        for incident_id in absent:
            del self.known[incident_id]
        return Change(since, changed, gone, incidents, self.judgements)

    def _settled(self, incident_id: str, since: int) -> bool:
        known = self.known[incident_id]
        return known is None or known.seen_until <= since - WARM_UP

    def stored(self, incidents: Iterable[Incident]) -> None:
        """Take note of what the table now holds."""
        for incident in incidents:
            self.known[incident.incident_id] = incident

    def _forget(self, until: int) -> None:
        horizon = until - KEEP
        for second in [s for s in self.panes if s < horizon]:
            del self.panes[second]
        cut = horizon + WARM_UP
        old = [j for j in self.judgements if j.second < cut]
        # Longer than any pause inside an incident, so that a finished one is not carried on.
        self.carried = [s for s in sessions(old, self.carried) if s.last >= cut - 2 * WARM_UP]
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
