"""The past of the shop: access and error lines of any period, with known incidents in it.

Pure Python with no service in sight, so that tests and backtests may use it too.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from stack.demo import attack_plans
from stack.demo.lines import access_line, error_line
from stack.demo.profile import Profile, timeline
from stack.demo.shop import Answer, answer, broken
from stack.demo.visitors import Ask

DAY_S: Final = 86_400

OUTAGE: Final = "outage"
"""An incident of its own kind: a server that serves nothing."""


@dataclass(frozen=True)
class Incident:
    """Something that happened to a server between two epoch seconds.

    `kind` is one of `attack_plans.KINDS` or `OUTAGE`; `options` are those of the attack.
    """

    kind: str
    server: str
    start: float
    end: float
    seed: int = 1
    options: dict[str, float | bool] = field(default_factory=dict)


class Record(NamedTuple):
    """One line of a server's access log (`error` False) or error log, at an epoch second.

    `label` is the kind of the incident it belongs to, or empty.
    """

    at: float
    server: str
    error: bool
    line: str
    label: str


def past_incidents(
    servers: Sequence[str], start: float, end: float, seed: int
) -> tuple[Incident, ...]:
    """Return one incident for each UTC day that begins in [start, end), of every kind in turn.

    What happens on a day depends on the seed and the date alone.
    """
    kinds: tuple[tuple[str, float, dict[str, float | bool]], ...] = (
        ("scan", 60.0, {"count": 120}),
        ("flood", 60.0, {"seconds": 60.0, "rate": 40.0}),
        ("errors", 240.0, {"seconds": 240.0, "rate": 2.0}),
        ("scan", 1200.0, {"count": 240, "slow": True}),
        ("flood", 120.0, {"seconds": 120.0, "rate": 40.0, "distributed": True}),
        (OUTAGE, 900.0, {}),
    )
    found = []
    for day in range(math.ceil(start / DAY_S), math.ceil(end / DAY_S)):
        rng = Random(f"{seed}/{day}")  # noqa: S311
        kind, seconds, options = kinds[day % len(kinds)]
        at = (day + rng.uniform(0.2, 0.8)) * DAY_S
        server = servers[rng.randrange(len(servers))]
        found.append(Incident(kind, server, at, at + seconds, seed + day, options))
    return tuple(found)


def server_records(
    profile: Profile,
    server: str,
    start: float,
    end: float,
    seed: int,
    incidents: Sequence[Incident] = (),
    zone: ZoneInfo | None = None,
) -> Iterator[Record]:
    """Yield every line of one server in [start, end), by the time of the request.

    Error-log times are written in `zone`, UTC by default. The same arguments give the same lines.
    """
    mine = [incident for incident in incidents if incident.server == server]
    down = [incident for incident in mine if incident.kind == OUTAGE]
    failing = [incident for incident in mine if incident.kind == "errors"]
    visitors = ((ask.at, 0, ask, "") for ask in timeline(profile, server, start, end, seed))
    usual = Random(f"{seed}/{server}/answers")  # noqa: S311
    # An attack draws from dice of its own: other lines are what they are without it. After an
    # outage, whose lines are never drawn, the rest of the day is another.
    unusual = Random(f"{seed}/{server}/incidents")  # noqa: S311
    connection = 1
    for at, _, ask, label in heapq.merge(visitors, *map(_attack, mine)):
        if not start <= at < end or any(i.start <= at < i.end for i in down):
            continue
        rng = unusual if label else usual
        drawn = answer(ask.path, rng)
        if (
            failing
            and any(i.start <= at < i.end for i in failing)
            and unusual.random() < attack_plans.ERROR_SHARE
        ):
            drawn = broken(drawn, unusual)
            label = "errors"
        if drawn.seconds > ask.patience:
            drawn = _abandoned(ask, drawn)
        connection += rng.random() < 0.3
        line = access_line(server, ask, drawn, rng.getrandbits(128))
        yield Record(at, server, False, line, label)
        error = error_line(server, ask, drawn, connection, zone)
        if error is not None:
            yield Record(at, server, True, error, label)


def records(
    profile: Profile,
    start: float,
    end: float,
    seed: int,
    incidents: Sequence[Incident] = (),
    zone: ZoneInfo | None = None,
) -> Iterator[Record]:
    """Yield every line of every server of the profile in [start, end), in order of time."""
    return heapq.merge(
        *(server_records(profile, s, start, end, seed, incidents, zone) for s in profile.servers)
    )


def history_lines(
    profile: Profile, start: float, end: float, seed: int, incidents: Sequence[Incident] = ()
) -> Iterator[tuple[str, str]]:
    """Yield (server, access line) of every server in [start, end), in order of time."""
    for record in records(profile, start, end, seed, incidents):
        if not record.error:
            yield record.server, record.line


def attack_lines(
    kind: str, server: str, start: float, seed: int, **options: float | bool
) -> Iterator[tuple[str, str]]:
    """Yield (server, access line) of one attack alone; the options are those of its plan."""
    rng = Random(f"{seed}/{server}/attack")  # noqa: S311
    for ask in attack_plans.asks(kind, start, seed, **options):
        drawn = answer(ask.path, rng)
        if kind == "errors" and rng.random() < attack_plans.ERROR_SHARE:
            drawn = broken(drawn, rng)
        yield server, access_line(server, ask, drawn, rng.getrandbits(128))


def _attack(incident: Incident) -> Iterator[tuple[float, int, Ask, str]]:
    if incident.kind == OUTAGE:
        return
    plan = attack_plans.asks(incident.kind, incident.start, incident.seed, **incident.options)
    for ask in plan:
        yield ask.at, 1, ask, incident.kind


def _abandoned(ask: Ask, drawn: Answer) -> Answer:
    upstream = None if drawn.upstream_s is None else ask.patience
    return drawn._replace(status=499, size=0, seconds=ask.patience, upstream_s=upstream)
