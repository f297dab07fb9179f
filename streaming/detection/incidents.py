"""Evaluations → incidents: one from the first alarm to the last, not one per window."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby
from typing import Final

from streaming.contracts import names
from streaming.detection.model import Evaluation
from streaming.detection.scoring import ALARM

SUSTAIN: Final = 35.0
"""An open incident lasts while its score is at least this: 0.7 of what opens it."""

CERTAIN: Final = 75.0
"""A rule about a server opens on two alarms, or on one with this score."""

QUIET_SECONDS: Final = {"path_scan": 1800, "new_error_pattern": 3600}
DEFAULT_QUIET: Final = 300
"""An incident closes after this long without a sustaining evaluation (CrowdSec mutes 5 min)."""

AT_ONCE: Final = ("ip_spike", "path_scan", "new_error_pattern")
"""Rules about one client or message open on their first alarm."""

HEAD_START: Final = 60
"""A wider view may open this many seconds before the narrower one that explains it."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Session:
    """Evaluations of one key without a long pause; `last` is the second of the newest."""

    peak: Evaluation
    last: int
    opened_at: int | None = None
    alarms: int = 0

    @property
    def incident_id(self) -> str:
        """The name of its incident: what it is about, and when it opened."""
        identity = "\x1f".join((*key_of(self.peak), str(self.opened_at)))
        return sha256(identity.encode()).hexdigest()[:16]

    def joined(self, evaluation: Evaluation) -> "Session":
        """Return the session with one more evaluation, in ascending order of time."""
        alarm = evaluation.score >= ALARM
        opened = self.opened_at if self.opened_at is not None or not alarm else evaluation.second
        return Session(
            evaluation if evaluation.score > self.peak.score else self.peak,
            max(self.last, evaluation.second),
            opened,
            self.alarms + alarm,
        )


@dataclass(frozen=True, slots=True)
class Incident:
    """Times are epoch seconds; `seen_until` is the end of the last sustaining window."""

    incident_id: str
    opened_at: int
    seen_until: int
    closed_at: int | None
    peak: Evaluation
    samples: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The rule."""
        return self.peak.kind

    @property
    def server(self) -> str:
        """The server, or `names.FLEET`."""
        return self.peak.server

    @property
    def entity(self) -> str:
        """Client, route, category or pattern; empty for a server."""
        return self.peak.entity

    @property
    def evidence(self) -> tuple[str, ...]:
        """What the rule saw, then sample lines."""
        return tuple(dict.fromkeys(self.peak.evidence + self.samples))

    def with_samples(self, samples: tuple[str, ...]) -> "Incident":
        """Return the incident with sample lines."""
        return replace(self, samples=samples)


def quiet_seconds(kind: str) -> int:
    """Seconds without a sustaining evaluation after which an incident of `kind` is closed."""
    return QUIET_SECONDS.get(kind, DEFAULT_QUIET)


def sessions(evaluations: Iterable[Evaluation], carried: Iterable[Session] = ()) -> list[Session]:
    """Merge evaluations, in any order, into sessions; `carried` come from earlier ones."""
    done: list[Session] = []
    open_sessions: dict[Key, Session] = {}
    for session in sorted(carried, key=lambda session: session.last):
        before = open_sessions.get(key_of(session.peak))
        if before is not None:
            done.append(before)
        open_sessions[key_of(session.peak)] = session
    lasting = (e for e in evaluations if e.score >= SUSTAIN)
    ordered = sorted(lasting, key=lambda e: (*key_of(e), e.second, -e.score))
    for key, group in groupby(ordered, key=key_of):
        going = open_sessions.pop(key, None)
        for evaluation in group:
            pause = evaluation.second - going.last if going else 0
            if going and pause > quiet_seconds(evaluation.kind) + names.WINDOW_SECONDS:
                done.append(going)
                going = None
            going = (going or Session(evaluation, evaluation.second)).joined(evaluation)
        if going:
            done.append(going)
    return done + list(open_sessions.values())


def merge(
    evaluations: Iterable[Evaluation], now: int, carried: Iterable[Session] = ()
) -> list[Incident]:
    """Merge evaluations into incidents as they stand at `now`, ordered by opening time.

    Any order of evaluations gives the same result, so feeding a stream's windows one by one or a
    whole history at once makes no difference. An incident about the fleet is left out while one
    about a server says the same, and one about a route while its server's says it.
    """
    found = [_incident(session, now) for session in sessions(evaluations, carried)]
    confirmed = [incident for incident in found if incident is not None]
    return sorted(_undominated(confirmed), key=lambda i: (i.opened_at, *key_of(i.peak)))


def still_needed(found: Iterable[Session], since: int) -> list[Session]:
    """Return the sessions that matter to incidents from epoch second `since` on.

    These are the ones that a later evaluation may continue, and narrower ones that are over but
    leave out an incident of a wider one that goes on.
    """
    going: list[Session] = []
    over: list[Session] = []
    for session in found:
        pause = quiet_seconds(session.peak.kind) + names.WINDOW_SECONDS
        (going if session.last + pause >= since else over).append(session)
    # One that a single alarm opened may yet be confirmed.
    wide = [_opened(s, s.opened_at, since) for s in going if s.opened_at is not None]
    for session in over:
        incident = _incident(session, since)
        if incident is not None and any(
            incident.kind == other.kind and _explains(incident, other) for other in wide
        ):
            going.append(session)
    return going


def key_of(evaluation: Evaluation) -> Key:
    """What evaluations of one incident share."""
    return evaluation.kind, evaluation.server, evaluation.entity


def _incident(session: Session, now: int) -> Incident | None:
    peak = session.peak
    if session.opened_at is None:
        return None
    if peak.kind not in AT_ONCE and session.alarms < 2 and peak.score < CERTAIN:
        return None
    return _opened(session, session.opened_at, now)


def _opened(session: Session, opened_at: int, now: int) -> Incident:
    peak = session.peak
    seen_until = session.last + names.WINDOW_SECONDS
    ended = seen_until + quiet_seconds(peak.kind) <= now
    return Incident(
        session.incident_id,
        opened_at,
        seen_until,
        seen_until if ended else None,
        peak,
    )


def _undominated(found: list[Incident]) -> list[Incident]:
    by_kind: dict[str, list[Incident]] = {}
    for incident in found:
        by_kind.setdefault(incident.kind, []).append(incident)
    return [
        wide for wide in found if not any(_explains(narrow, wide) for narrow in by_kind[wide.kind])
    ]


def _explains(narrow: Incident, wide: Incident) -> bool:
    """Whether a narrower incident, open at about the same time, says what a wider one says."""
    if not (
        narrow.opened_at <= wide.opened_at + HEAD_START
        and narrow.seen_until + quiet_seconds(narrow.kind) >= wide.opened_at
    ):
        return False
    if wide.server == names.FLEET and narrow.server != names.FLEET:
        return narrow.entity == wide.entity
    return (
        wide.kind == "error_surge"
        and wide.server == narrow.server
        and wide.entity != ""
        and narrow.entity == ""
    )
