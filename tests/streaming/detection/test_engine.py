"""The engine says what one says that evaluates each window from all that it can see."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.detection import limits as metrics
from streaming.detection.engine import GONE, evaluate
from streaming.detection.limits import ANY_HOUR, LEARNING, READY, Limits, Rules
from streaming.detection.model import ClientWith404s, Route, Shared, TopClient, TrafficProfile
from tests.streaming.detection import naive

pytestmark = pytest.mark.unit

START = 1_767_600_000
STEP = 10
SERVERS = ("web1", "web2")
MOODS = ("usual", "usual", "busy", "flood", "spike", "scan", "errors", "slow", "rare", "silent")
PAUSES = (1, 2, 5, 6, 7, 11, 12, 13, 30, 179, 180, 181, 360, GONE // STEP, GONE // STEP + 2)


def learned(rng: Random) -> Limits:
    """Limits of the first server, some of them too young, the rate only in some hours."""
    known = {
        metrics.REQUEST_RATE: (120.0, 400.0),
        metrics.LATENCY_P95: (0.05, 0.4),
        metrics.CLIENT_LOAD: (3.0, 45.0),
        metrics.CLIENT_MISSES: (0.5, 14.0),
        metrics.CLIENT_MISSES_SLOW: (0.5, 30.0),
        metrics.ERROR_RATIO: (0.01, 0.05),
    }
    rows: list[dict[str, Any]] = []
    for metric, (expected, upper) in known.items():
        hours = range(168) if metric == metrics.REQUEST_RATE else [ANY_HOUR]
        for hour in hours:
            row = {"server_address": "web1", "metric": metric, "key": "", "hour_of_week": hour}
            values = {"expected": expected, "variance": expected / 1000, "upper": upper}
            lower = rng.choice((None, 0.5 * expected, 0.1 * expected))
            state = rng.choice((READY, READY, READY, LEARNING))
            if rng.random() < 0.8:
                rows.append({**row, **values, "lower": lower, "state": state, "version": 4})
    return Limits(rows)


def traffic(rng: Random, windows: int) -> list[TrafficProfile]:
    """Profiles of two servers whose mood changes, with pauses of all lengths."""
    profiles = []
    mood = dict.fromkeys(SERVERS, "usual")
    second = START
    for _ in range(windows):
        for server in SERVERS:
            if rng.random() < 0.04:
                mood[server] = rng.choice(MOODS)
            if mood[server] != "silent" and (mood[server] != "rare" or rng.random() < 0.05):
                profiles.append(profile(rng, second, server, mood[server]))
        second += STEP * (rng.choice(PAUSES) if rng.random() < 0.004 else 1)
    return profiles


def profile(rng: Random, second: int, server: str, mood: str) -> TrafficProfile:
    requests = rng.randrange(10, 40) * {"flood": 20, "busy": 6}.get(mood, 1)
    errors = rng.randrange(requests // 3) if mood == "errors" else int(rng.random() < 0.05)
    top = {f"192.0.2.{rng.randrange(9)}": rng.randrange(60 if mood == "spike" else 9)}
    top |= {f"192.0.2.{rng.randrange(10, 30)}": rng.randrange(6) for _ in range(9)}
    tops = sorted(top.items(), key=lambda entry: -entry[1])
    return TrafficProfile(
        second,
        server,
        requests,
        errors,
        rng.choice((9, 12, 60)),
        sum(top.values()),
        latencies(rng, requests, 50 if mood == "slow" else 20),
        tuple(TopClient(name, load, load, (f"{load} × /",)) for name, load in tops),
        tuple(missers(rng, mood == "scan")),
        tuple(
            Shared(f"/gone{number}", rng.choice((1, 2, 5)), tuple(rng.sample(range(8), 2)))
            for number in rng.sample(range(60), rng.randrange(3))
        ),
        (Route("/a", requests // 2, errors // 2, 9, 1), Route("/b", requests, errors // 3, 0, 0)),
    )


def latencies(rng: Random, requests: int, bucket: int) -> tuple[tuple[int, int], ...]:
    near = [min(63, max(0, round(rng.gauss(bucket, 5)))) for _ in range(requests)]
    return tuple((b, near.count(b)) for b in sorted(set(near))) if rng.random() < 0.8 else ()


def missers(rng: Random, scan: bool) -> list[ClientWith404s]:
    found = []
    for name in rng.sample(("203.0.113.1", "203.0.113.2", "66.249.66.1"), rng.randrange(3)):
        paths = rng.sample(range(90), rng.randrange(1, 20 if scan else 3))
        more, rest = rng.choice(((0, 0), (0, 9), (2, 0)))
        missed = len(paths) + more
        gone = tuple(f"/gone{number}" for number in paths)
        found.append(ClientWith404s(name, missed, missed + rest, gone, more))
    return found


@pytest.mark.parametrize("with_baselines", [False, True], ids=["static", "learned"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**9), keep_from=st.sampled_from([0.0, 25.0, 25.0]))
def test_the_engine_says_what_a_naive_one_says(
    with_baselines: bool, seed: int, keep_from: float
) -> None:
    rng = Random(seed)
    limits = learned(rng) if with_baselines else Limits()
    rules = Rules(keep_from=keep_from, allowed_clients=frozenset({"192.0.2.0/30"}))
    profiles = traffic(rng, rng.choice((30, 250)))
    until = profiles[-1].second + STEP * rng.choice((-3, 0, 40, 400))
    found = evaluate(profiles, limits, rules, until)
    assert naive.seen(found) == naive.evaluated(profiles, limits, rules, until)


@pytest.mark.parametrize(
    ("pause", "silent"),
    [
        pytest.param(110, 0, id="not yet"),
        pytest.param(120, 1, id="two minutes"),
        pytest.param(600, 49, id="ten minutes"),
        pytest.param(1800, 155, id="half an hour"),
        pytest.param(GONE, 155, id="a day"),
    ],
)
def test_without_a_baseline_a_drop_lasts_while_the_half_hour_has_requests(
    pause: int, silent: int
) -> None:
    busy = [TrafficProfile(START + s, "web1", requests=10, clients=9) for s in range(0, 3600, STEP)]
    found = list(evaluate(busy, Limits(), Rules(), busy[-1].second + pause))
    assert len(found) == silent
    assert {e.kind for e in found} <= {"traffic_drop"}
    assert [e.second for e in found] == [busy[-1].second + 120 + STEP * n for n in range(silent)]


@pytest.mark.parametrize(
    ("hours", "evaluations"), [(1, 358), (24, 8638), (25, 8638), (600, 8638)], ids=str
)
def test_against_a_baseline_a_silent_server_is_down_for_a_day_and_then_gone(
    hours: int, evaluations: int
) -> None:
    row = {"server_address": "web1", "metric": metrics.REQUEST_RATE, "key": "", "version": 1}
    row |= {"hour_of_week": ANY_HOUR, "expected": 600, "variance": 600, "upper": 1200}
    limits = Limits([{**row, "lower": 400, "state": READY}])
    busy = [TrafficProfile(START + s, "web1", requests=100) for s in range(0, 60, STEP)]
    found = list(evaluate(busy, limits, Rules(), busy[-1].second + 3600 * hours))
    after = [e.second for e in found if e.second > busy[-1].second]
    assert len(after) == evaluations
    assert after[-1] == busy[-1].second + min(3600 * hours, GONE)
