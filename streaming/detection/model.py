"""Profiles and evaluations as the detector holds them in memory."""

from math import inf
from typing import Final, NamedTuple

from streaming.detection.limits import BASELINE, STATIC, Limit, Rules
from streaming.detection.scoring import ALARM

HELD_BACK: Final = ALARM - 1
"""The highest score of what fails a condition that no statistic overrides."""


class TopClient(NamedTuple):
    """One client's load of a profile."""

    client: str
    load: int
    requests: int
    paths: tuple[str, ...]


class ClientWith404s(NamedTuple):
    """The missing paths of one client in a profile; `uncounted` are those beyond the kept ones."""

    client: str
    missed: int
    requests: int
    paths: tuple[str, ...]
    uncounted: int


class Shared(NamedTuple):
    """A path that ordinary clients miss."""

    path: str
    clients: int
    voters: tuple[int, ...]


class Route(NamedTuple):
    """One route's requests of a profile."""

    route: str
    requests: int
    errors: int
    latency_us: int
    timed: int


class TrafficProfile(NamedTuple):
    """One server's 10 seconds; `second` is the epoch second of its start.

    `latencies` are the (bucket, requests) of its request times, in ascending order.
    """

    second: int
    server: str
    requests: int = 0
    errors: int = 0
    clients: int = 0
    load: int = 0
    latencies: tuple[tuple[int, int], ...] = ()
    top_clients: tuple[TopClient, ...] = ()
    clients_with_404s: tuple[ClientWith404s, ...] = ()
    shared: tuple[Shared, ...] = ()
    routes: tuple[Route, ...] = ()


class Pattern(NamedTuple):
    """One masked message of a profile and how often it was logged."""

    pattern_id: str
    severity: str
    category: str
    events: int
    pattern: str
    sample: str


class ErrorProfile(NamedTuple):
    """One server's error messages of 10 seconds; `second` is the epoch second of their start."""

    second: int
    server: str
    categories: tuple[tuple[str, int], ...]
    patterns: tuple[Pattern, ...]


class Evaluation(NamedTuple):
    """What the detector thinks of one entity at the end of the window that starts at `second`."""

    kind: str
    server: str
    entity: str
    second: int
    horizon_s: int
    observed: float
    expected: float
    threshold: float
    score: float
    basis: str = STATIC
    version: int | None = None
    evidence: tuple[str, ...] = ()


def stretched(expected: float, threshold: float, rules: Rules) -> float:
    """Return the threshold moved by the rules' sensitivity."""
    return expected + (threshold - expected) * rules.sensitivity


def kept_from(expected: float, threshold: float, rules: Rules) -> float:
    """Return an observation below which no score is kept, so that none need be computed.

    −inf where there is none.
    """
    if rules.keep_from <= 0 or threshold <= expected:
        return -inf
    # Scores are rounded to two digits.
    return expected + (threshold - expected) * (rules.keep_from - 0.01) / ALARM


def evaluation(
    kind: str,
    server: str,
    entity: str,
    second: int,
    horizon_s: int,
    *,
    observed: float,
    expected: float,
    threshold: float,
    score: float,
    limit: Limit | None,
    rules: Rules,
    evidence: tuple[str, ...] = (),
    gate: bool = True,
) -> Evaluation | None:
    """Return an evaluation of a score; None when that is below `rules.keep_from`.

    What does not pass its `gate`, a condition that no statistic overrides, stays below an alarm.
    """
    value = score if gate else min(score, HELD_BACK)
    if value < rules.keep_from:
        return None
    learned = limit is not None and limit.learned
    return Evaluation(
        kind,
        server,
        entity,
        second,
        horizon_s,
        round(float(observed), 6),
        round(float(expected), 6),
        round(float(threshold), 6),
        value,
        BASELINE if learned else STATIC,
        limit.version if limit is not None and learned else None,
        evidence,
    )
