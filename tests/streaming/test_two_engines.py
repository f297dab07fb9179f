"""The live engine and the batch engine say the same of the same panes, however these arrive."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming import names, thresholds
from streaming.detection.errors import ErrorPane, Pattern, judge_errors
from streaming.detection.judge import judge
from streaming.detection.live import Change, Memory
from streaming.detection.pane import LATENCY_BUCKETS, Heavy, Misser, Pane, Route, Shared
from streaming.incidents import Incident, merge
from streaming.thresholds import Limits, Rules

pytestmark = pytest.mark.unit

START = 1_767_600_000
STEP = names.WINDOW_SECONDS
RULES = Rules()
SETTLED = 7200
"""Seconds after the last pane at which every incident is closed."""


def learned(expected: float, upper: float, metric: str, lower: float | None = None) -> list[dict]:
    return [
        {
            "server_address": server,
            "metric": metric,
            "key": "",
            "hour_of_week": thresholds.ANY_HOUR,
            "expected": expected,
            "variance": expected,
            "lower": lower,
            "upper": upper,
            "state": thresholds.READY,
            "version": 3,
        }
        for server in ("web1", "web2", names.FLEET)
    ]


LEARNED = Limits(
    [
        *learned(120, 400, thresholds.REQUEST_RATE, lower=60),
        *learned(3, 25, thresholds.CLIENT_LOAD),
        *learned(0, 0, thresholds.ERROR_PATTERN),
    ]
)


def traffic(seed: int, windows: int) -> list[Pane]:
    """Panes of two servers and the fleet: busy and silent stretches, attacks in between."""
    rng = Random(seed)
    panes = []
    mood = dict.fromkeys(("web1", "web2", names.FLEET), "usual")
    for window in range(windows):
        for server in mood:
            if rng.random() < 0.02:
                moods = ("usual", "usual", "silent", "spike", "scan", "errors", "flood", "rare")
                mood[server] = rng.choice(moods)
            pane = one_pane(rng, START + window * STEP, server, mood[server])
            if pane:
                panes.append(pane)
    return panes


def one_pane(rng: Random, second: int, server: str, mood: str) -> Pane | None:
    if mood == "silent" or (mood == "rare" and rng.random() < 0.9):
        return None
    requests = rng.randrange(10, 40) * (20 if mood == "flood" else 1)
    errors = rng.randrange(1 + requests // 4) if mood == "errors" else rng.random() < 0.02
    load = rng.randrange(60) if mood == "spike" else rng.randrange(9)
    wide = 12 if mood == "scan" else 1
    paths = sorted({f"/gone{rng.randrange(80)}" for _ in range(rng.randrange(1, 1 + wide))})
    voters = tuple(sorted(rng.sample(range(9), rng.randrange(1, 4))))
    return Pane(
        second,
        server,
        requests=requests,
        errors=int(errors),
        clients=rng.randrange(1, 60),
        load=load + 9,
        latencies=tuple(requests if b == rng.randrange(60) else 0 for b in range(LATENCY_BUCKETS)),
        heavy=(Heavy(f"192.0.2.{rng.randrange(3)}", load, load, (f"{load} × /",)),),
        missers=(Misser(f"203.0.113.{rng.randrange(2)}", len(paths), 20, tuple(paths), 0),)
        if rng.random() < 0.5
        else (),
        shared=(Shared(f"/gone{rng.randrange(80)}", len(voters), voters),),
        routes=(
            Route("/a", requests // 2, int(errors) // 2, 0, 0),
            Route("/b", requests - requests // 2, int(errors) - int(errors) // 2, 0, 0),
        ),
    )


def troubles(seed: int, windows: int) -> list[ErrorPane]:
    rng = Random(seed)
    panes = []
    for window in range(windows):
        events = rng.choice((0, 0, 0, 1, 1, 2, 15))
        if events and (window // 97) % 3:
            name = f"p{rng.randrange(4)}"
            seen = Pattern(name, "error", "upstream_refused", events, name, "line")
            categories = (("upstream_refused", events),)
            panes.append(ErrorPane(START + window * STEP, "web1", categories, (seen,)))
    return panes


def facts(incidents: Iterable[Incident]) -> set[tuple]:
    """All that two engines must agree on; the end of an open one moves on in steps of a minute."""
    return {
        (i.incident_id, i.opened_at, i.closed_at, i.closed_at and i.seen_until, i.peak)
        for i in incidents
    }


def store(table: dict[str, Incident], memory: Memory, change: Change) -> None:
    """What the query does with its Delta table."""
    table.update((incident.incident_id, incident) for incident in change.changed)
    for incident_id in change.gone:
        del table[incident_id]
    memory.stored(change.changed)


def lived(panes: list, judge_panes, cuts: Random) -> tuple[list[Incident], int]:
    """Feed panes in random micro-batches, each up to two minutes late, then two hours of nothing.

    Returns the incidents and the newest window that was judged.
    """
    arrivals: dict[int, list] = {}
    for pane in panes:
        late = cuts.choice((0, 0, 0, 10, 30, 110))
        arrivals.setdefault(pane.second + STEP + late, []).append(pane)
    table: dict[str, Incident] = {}
    memory: Memory = Memory()
    here: dict[int, list] = {}
    fresh: list = []
    for clock in range(START, panes[-1].second + SETTLED + STEP, STEP):
        fresh += arrivals.pop(clock, [])
        if cuts.random() < 0.85:
            continue
        for pane in fresh:
            here.setdefault(pane.second, []).append(pane)
        starts = sorted({pane.second for pane in fresh})
        memory.replace(starts, [pane for second in starts for pane in here[second]])
        fresh = []
        store(table, memory, memory.judge(starts, max([*starts, clock - 40]), judge_panes))
    assert not fresh
    assert memory.until is not None
    return list(table.values()), memory.until


@pytest.mark.parametrize("limits", [Limits(), LEARNED], ids=["floors", "learned"])
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), windows=st.sampled_from([100, 700]))
def test_both_engines_tell_the_same_incidents_of_traffic(
    limits: Limits, seed: int, windows: int
) -> None:
    panes = traffic(seed, windows)

    def live(some, start, until, seen):
        return judge(some, limits, RULES, until, start, seen)

    found, until = lived(panes, live, Random(seed))
    assert facts(found) == facts(merge(judge(panes, limits, RULES, until), until + STEP))


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_both_engines_tell_the_same_incidents_of_error_logs(seed: int) -> None:
    panes = troubles(seed, 1500)

    def live(some, start, until, seen):
        return judge_errors(some, LEARNED, RULES)

    found, until = lived(panes, live, Random(seed))
    assert facts(found) == facts(merge(judge_errors(panes, LEARNED, RULES), until + STEP))
