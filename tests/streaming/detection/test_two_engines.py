"""The live engine and the batch engine say the same of the same profiles, however these arrive."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streaming.contracts import names
from streaming.detection.engine import evaluate
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import (
    ANY_HOUR,
    CLIENT_LOAD,
    ERROR_PATTERN,
    READY,
    REQUEST_RATE,
    Limits,
    Rules,
)
from streaming.detection.model import (
    ClientWith404s,
    ErrorProfile,
    Pattern,
    Route,
    Shared,
    TopClient,
    TrafficProfile,
)
from streaming.detection.rules.errors import evaluate_errors
from streaming.detection.state import Change, Memory
from streaming.windows.histogram import LATENCY_BUCKETS

pytestmark = pytest.mark.unit

START = 1_767_600_000
STEP = names.WINDOW_SECONDS
RULES = Rules()
SETTLED = 4200
"""Seconds after the last profile at which every incident is closed."""


def learned(expected: float, upper: float, metric: str, lower: float | None = None) -> list[dict]:
    return [
        {
            "server_address": server,
            "metric": metric,
            "key": "",
            "hour_of_week": ANY_HOUR,
            "expected": expected,
            "variance": expected,
            "lower": lower,
            "upper": upper,
            "state": READY,
            "version": 3,
        }
        for server in ("web1", "web2", names.FLEET)
    ]


LEARNED = Limits(
    [
        *learned(120, 400, REQUEST_RATE, lower=60),
        *learned(3, 25, CLIENT_LOAD),
        *learned(0, 0, ERROR_PATTERN),
    ]
)


def traffic(seed: int, windows: int) -> list[TrafficProfile]:
    """Profiles of two servers and the fleet: busy and silent stretches, attacks in between."""
    rng = Random(seed)
    profiles = []
    mood = dict.fromkeys(("web1", "web2", names.FLEET), "usual")
    for window in range(windows):
        for server in mood:
            if rng.random() < 0.02:
                moods = ("usual", "usual", "silent", "spike", "scan", "errors", "flood", "rare")
                mood[server] = rng.choice(moods)
            profile = one_profile(rng, START + window * STEP, server, mood[server])
            if profile:
                profiles.append(profile)
    return profiles


def one_profile(rng: Random, second: int, server: str, mood: str) -> TrafficProfile | None:
    if mood == "silent" or (mood == "rare" and rng.random() < 0.9):
        return None
    requests = rng.randrange(10, 40) * (20 if mood == "flood" else 1)
    errors = rng.randrange(1 + requests // 4) if mood == "errors" else rng.random() < 0.02
    load = rng.randrange(60) if mood == "spike" else rng.randrange(9)
    wide = 12 if mood == "scan" else 1
    paths = sorted({f"/gone{rng.randrange(80)}" for _ in range(rng.randrange(1, 1 + wide))})
    voters = tuple(sorted(rng.sample(range(9), rng.randrange(1, 4))))
    return TrafficProfile(
        second,
        server,
        requests=requests,
        errors=int(errors),
        clients=rng.randrange(1, 60),
        load=load + 9,
        latencies=tuple((b, requests) for b in range(LATENCY_BUCKETS) if b == rng.randrange(60)),
        top_clients=(TopClient(f"192.0.2.{rng.randrange(3)}", load, load, (f"{load} × /",)),),
        clients_with_404s=(
            ClientWith404s(f"203.0.113.{rng.randrange(2)}", len(paths), 20, tuple(paths), 0),
        )
        if rng.random() < 0.5
        else (),
        shared=(Shared(f"/gone{rng.randrange(80)}", len(voters), voters),),
        routes=(
            Route("/a", requests // 2, int(errors) // 2, 0, 0),
            Route("/b", requests - requests // 2, int(errors) - int(errors) // 2, 0, 0),
        ),
    )


def troubles(seed: int, windows: int) -> list[ErrorProfile]:
    rng = Random(seed)
    profiles = []
    for window in range(windows):
        events = rng.choice((0, 0, 0, 1, 1, 2, 15))
        if events and (window // 97) % 3:
            name = f"p{rng.randrange(4)}"
            seen = Pattern(name, "error", "upstream_refused", events, name, "line")
            categories = (("upstream_refused", events),)
            profiles.append(ErrorProfile(START + window * STEP, "web1", categories, (seen,)))
    return profiles


def facts(incidents: Iterable[Incident]) -> set[tuple]:
    """All that two engines must agree on; the end of an open one moves on in steps of a minute."""
    return {
        (i.incident_id, i.opened_at, i.closed_at, i.closed_at and i.seen_until, i.peak)
        for i in incidents
    }


def store(table: dict[str, Incident], memory: Memory, change: Change) -> None:
    """What the query does with its Delta table."""
    table.update((incident.incident_id, incident) for incident in change.changed)
    for incident_id in change.retracted:
        del table[incident_id]
    memory.stored(change.changed)


def lived(profiles: list, evaluate_profiles, cuts: Random) -> tuple[list[Incident], int]:
    """Feed profiles in random micro-batches, each up to two minutes late, then two silent hours.

    Returns the incidents and the newest window that was evaluated.
    """
    arrivals: dict[int, list] = {}
    for profile in profiles:
        late = cuts.choice((0, 0, 0, 10, 30, 110))
        arrivals.setdefault(profile.second + STEP + late, []).append(profile)
    table: dict[str, Incident] = {}
    memory: Memory = Memory()
    here: dict[int, list] = {}
    fresh: list = []
    for clock in range(START, profiles[-1].second + SETTLED + STEP, STEP):
        fresh += arrivals.pop(clock, [])
        if cuts.random() < 0.85:
            continue
        for profile in fresh:
            here.setdefault(profile.second, []).append(profile)
        starts = sorted({profile.second for profile in fresh})
        memory.replace(starts, [profile for second in starts for profile in here[second]])
        fresh = []
        store(table, memory, memory.evaluate(starts, max([*starts, clock - 40]), evaluate_profiles))
    assert not fresh
    assert memory.until is not None
    return list(table.values()), memory.until


@pytest.mark.parametrize("limits", [Limits(), LEARNED], ids=["static", "learned"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), windows=st.sampled_from([40, 40, 40, 160]))
# A fleet's incident is confirmed just after that of the server which explains it was forgotten.
@example(seed=5356, windows=200)
def test_both_engines_tell_the_same_incidents_of_traffic(
    limits: Limits, seed: int, windows: int
) -> None:
    profiles = traffic(seed, windows)

    def live(some, start, until, seen):
        return evaluate(some, limits, RULES, until, start, seen)

    found, until = lived(profiles, live, Random(seed))
    assert facts(found) == facts(merge(evaluate(profiles, limits, RULES, until), until + STEP))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_both_engines_tell_the_same_incidents_of_error_logs(seed: int) -> None:
    profiles = troubles(seed, 400)

    def live(some, start, until, seen):
        return evaluate_errors(some, LEARNED, RULES)

    found, until = lived(profiles, live, Random(seed))
    assert facts(found) == facts(merge(evaluate_errors(profiles, LEARNED, RULES), until + STEP))
