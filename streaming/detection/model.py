"""Profiles and evaluations as the detector holds them in memory. No Spark import."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from streaming.detection.limits import BASELINE, STATIC, Limit, Rules
from streaming.detection.scoring import score

BELOW: Final = 49.0
"""The highest score of what is held back by a floor."""

LATENCY_BUCKETS: Final = 64
FIRST_LATENCY: Final = 0.001
PER_DOUBLING: Final = 4
"""Bucket i holds request times up to 0.001 s · 2^(i/4); the last one everything above 46 s."""


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


@dataclass(frozen=True, slots=True)
class TrafficProfile:
    """One server's 10 seconds; `second` is the epoch second of its start."""

    second: int
    server: str
    requests: int = 0
    errors: int = 0
    clients: int = 0
    load: int = 0
    latencies: tuple[int, ...] = ()
    top_clients: tuple[TopClient, ...] = ()
    clients_with_404s: tuple[ClientWith404s, ...] = ()
    shared: tuple[Shared, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
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
    limit: Limit | None,
    rules: Rules,
    evidence: tuple[str, ...] = (),
    gate: bool = True,
    points: float | None = None,
) -> Evaluation | None:
    """Score an observation; None when the score is below `rules.keep_from`.

    What does not pass its `gate`, a floor that no statistic overrides, stays below an alarm.
    `points` replaces the linear score.
    """
    value = score(observed, expected, threshold) if points is None else round(points, 2)
    value = value if gate else min(value, BELOW)
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
