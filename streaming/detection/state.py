"""What the live detector remembers between micro-batches; all of it can be made again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from streaming.contracts import names
from streaming.detection.engine import GONE, WARM_UP
from streaming.detection.incidents import Incident, Session, merge, sessions, still_needed
from streaming.detection.model import Evaluation

KEEP: Final = 2 * WARM_UP
"""Seconds of profiles in memory: the window of a late line is evaluated anew, which takes the half
hour before it."""

SETTLE_SECONDS: Final = 30
"""A window without a line is evaluated this long after its end: lines take some seconds."""


class Timed(Protocol):
    """A profile of either kind."""

    @property
    def second(self) -> int:
        """Epoch second of its start."""

    @property
    def server(self) -> str:
        """Its server."""


P = TypeVar("P", bound=Timed)

Evaluate = Callable[[Iterable[P], int, int, Mapping[str, int]], Iterator[Evaluation]]
"""Evaluates profiles in ascending order, from the window that starts at one epoch second to that at
another, given the newest window of each server before them."""


@dataclass(frozen=True)
class Change:
    """What a micro-batch changed; `since` is the first window that was evaluated."""

    since: int
    changed: list[Incident]
    retracted: list[str]
    incidents: list[Incident]
    evaluations: list[Evaluation]


@dataclass
class Memory(Generic[P]):
    """Recent profiles, their evaluations, and incidents that go on."""

    profiles: dict[int, list[P]] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    carried: list[Session] = field(default_factory=list)
    known: dict[str, Incident | None] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    """The newest window, by server, of the profiles that are no longer here."""
    until: int | None = None
    """The newest window that was evaluated."""

    def replace(self, starts: Sequence[int], profiles: Iterable[P]) -> None:
        """Put profiles in the place of those of the windows `starts`."""
        for start in starts:
            self.profiles.pop(start, None)
        for profile in profiles:
            self.profiles.setdefault(profile.second, []).append(profile)

    def evaluate(self, starts: Sequence[int], until: int, evaluate: Evaluate[P]) -> Change:
        """Evaluate the windows from the first of `starts`, or the newest evaluated, up to `until`.

        Windows more than half an hour old are left to the batch jobs: the profiles that their
        evaluation depends on are no longer here.
        """
        # Lines of an older window may be all that a micro-batch brings.
        until = max(until, self.until or until)
        fresh = until - WARM_UP if self.until is None else self.until + names.WINDOW_SECONDS
        since = max(min([*starts, fresh]), until - WARM_UP)
        self._forget(until)
        start = since - WARM_UP
        seconds = sorted(s for s in self.profiles if start <= s <= until)
        ordered = (
            profile
            for second in seconds
            for profile in sorted(self.profiles[second], key=lambda profile: profile.server)
        )
        before = self._seen_before(start)
        found = [e for e in evaluate(ordered, start, until, before) if e.second >= since]
        self.evaluations = [e for e in self.evaluations if e.second < since] + found
        self.until = until
        return self._change(since)

    def _change(self, since: int) -> Change:
        now = (self.until or 0) + names.WINDOW_SECONDS
        incidents = merge(self.evaluations, now, self.carried)
        by_id = {incident.incident_id: incident for incident in incidents}
        retracted = [i for i in self.known if i not in by_id]
        changed = [i for i in incidents if _differs(self.known.get(i.incident_id), i)]
        for incident_id in retracted:
            del self.known[incident_id]
        return Change(since, changed, retracted, incidents, self.evaluations)

    def stored(self, incidents: Iterable[Incident]) -> None:
        """Take note of what the table now holds."""
        for incident in incidents:
            self.known[incident.incident_id] = incident

    def _seen_before(self, start: int) -> dict[str, int]:
        seen = dict(self.seen)
        for second in sorted(s for s in self.profiles if s < start):
            seen.update((profile.server, second) for profile in self.profiles[second])
        return seen

    def _forget(self, until: int) -> None:
        horizon = until - KEEP
        for second in sorted(s for s in self.profiles if s < horizon):
            for profile in self.profiles.pop(second):
                self.seen[profile.server] = max(second, self.seen.get(profile.server, second))
        self.seen = {s: second for s, second in self.seen.items() if second >= horizon - GONE}
        cut = horizon + WARM_UP
        old = [e for e in self.evaluations if e.second < cut]
        found = sessions(old, self.carried)
        self.carried = still_needed(found, cut)
        # An incident that nothing can change any more is not retracted when its evaluations go.
        for session in found:
            if session not in self.carried:
                self.known.pop(session.incident_id, None)
        self.evaluations = [e for e in self.evaluations if e.second >= cut]


def _differs(known: Incident | None, now: Incident) -> bool:
    """Whether a stored incident has to be written again; its end moves on in steps of a minute."""
    if known is None:
        return True
    return (
        known.peak != now.peak
        or known.closed_at != now.closed_at
        or now.seen_until - known.seen_until >= 60
    )
