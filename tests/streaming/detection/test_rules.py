"""Each rule at, below and above its edge, on profiles made by hand."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from streaming.detection.engine import evaluate
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import (
    ANY_HOUR,
    CLIENT_LOAD,
    ERROR_PATTERN,
    ERROR_RATIO,
    READY,
    REQUEST_RATE,
    Limits,
    Rules,
)
from streaming.detection.model import (
    ClientWith404s,
    ErrorProfile,
    Evaluation,
    Pattern,
    Route,
    Shared,
    TopClient,
    TrafficProfile,
)
from streaming.detection.rules.errors import evaluate_errors
from streaming.detection.scoring import ALARM

pytestmark = pytest.mark.unit

START = 1_767_600_000
RULES = Rules()


def alarms(
    profiles: Iterable[TrafficProfile], limits: Limits | None = None, **until: int
) -> list[Evaluation]:
    found = evaluate(profiles, limits or Limits(), RULES, **until)
    return [j for j in found if j.score >= ALARM]


def limits(
    metric: str, expected: float, upper: float, lower: float | None = None, **more: Any
) -> Limits:
    row = {
        "server_address": "web1",
        "metric": metric,
        "key": "",
        "hour_of_week": ANY_HOUR,
        "expected": expected,
        "variance": expected,
        "lower": lower,
        "upper": upper,
        "state": READY,
        "version": 7,
    }
    return Limits([{**row, **more}])


def client(load: int, name: str = "198.51.100.1") -> TopClient:
    return TopClient(name, load, load, (f"{load} × /login",))


def profile(second: int = START, **values: Any) -> TrafficProfile:
    return TrafficProfile(second, "web1", **values)


def steady(seconds: int, requests: int = 10, **values: Any) -> list[TrafficProfile]:
    return [
        profile(START + s, requests=requests, clients=requests, **values)
        for s in range(0, seconds, 10)
    ]


@pytest.mark.parametrize(
    ("loads", "fires"),
    [
        pytest.param([39], False, id="below"),
        pytest.param([40], True, id="at"),
        pytest.param([20, 20], True, id="split-by-a-window-border"),
        pytest.param([19] * 6, False, id="a-minute-below"),
        pytest.param([20, 0, 0, 20, 20, 20], True, id="two-windows-in-a-row"),
    ],
)
def test_ip_spike_without_a_baseline(loads: list[int], fires: bool) -> None:
    profiles = [
        profile(START + 10 * i, requests=n + 9, clients=4, load=n + 3, top_clients=(client(n),))
        for i, n in enumerate(loads)
    ]
    assert bool([j for j in alarms(profiles) if j.kind == "ip_spike"]) is fires


@pytest.mark.parametrize(("load", "fires"), [(24, False), (25, True), (500, True)])
def test_ip_spike_with_a_baseline(load: int, fires: bool) -> None:
    profiles = [profile(requests=load, clients=1, load=load, top_clients=(client(load),))]
    found = alarms(profiles, limits(CLIENT_LOAD, 3, 25))
    assert [(j.basis, j.version, j.expected, j.threshold) for j in found] == (
        [("baseline", 7, 3.0, 25.0)] if fires else []
    )


def test_no_client_stands_out_where_all_are_busy() -> None:
    crowd = tuple(client(45, f"10.0.0.{i}") for i in range(30))
    assert alarms([profile(requests=1350, clients=30, load=1350, top_clients=crowd)]) == []


@pytest.mark.parametrize("allowed", ["198.51.100.1", "198.51.100.0/24"], ids=["address", "network"])
def test_an_allowed_client_is_never_evaluated(allowed: str) -> None:
    rules = Rules(allowed_clients=frozenset({allowed}))
    busy = profile(requests=900, clients=1, load=900, top_clients=(client(900),))
    assert not [j for j in evaluate([busy], Limits(), rules) if j.kind == "ip_spike"]


def client_with_404s(
    paths: Sequence[str], requests: int | None = None, name: str = "203.0.113.5"
) -> ClientWith404s:
    return ClientWith404s(name, len(paths), requests or len(paths), tuple(paths), 0)


@pytest.mark.parametrize(("paths", "fires"), [(10, False), (11, True), (64, True)])
def test_fast_scan(paths: int, fires: bool) -> None:
    seen = client_with_404s([f"/x{i}.php" for i in range(paths)])
    found = alarms([profile(requests=paths, clients=1, clients_with_404s=(seen,))])
    assert [j.entity for j in found if j.kind == "path_scan"] == (["203.0.113.5"] if fires else [])


@pytest.mark.parametrize(
    ("paths", "requests", "fires"),
    [
        pytest.param(24, 1, False, id="below"),
        pytest.param(25, 1, True, id="at"),
        pytest.param(40, 3, False, id="mostly-finds-what-it-asks-for"),
    ],
)
def test_slow_scan(paths: int, requests: int, fires: bool) -> None:
    profiles = [
        profile(
            START + 60 * i,
            requests=requests,
            clients=1,
            clients_with_404s=(client_with_404s([f"/x{i}"], requests),),
        )
        for i in range(30)
        for _ in range(1)
    ]
    extra = [
        profile(
            START + 60 * i + 30,
            requests=requests,
            clients=1,
            clients_with_404s=(client_with_404s([f"/y{i}"], requests),),
        )
        for i in range(max(0, paths - 30))
    ]
    chosen = sorted(profiles[: min(paths, 30)] + extra, key=lambda p: p.second)
    assert bool([j for j in alarms(chosen) if j.kind == "path_scan"]) is fires


def test_the_same_missing_path_again_and_again_is_no_scan() -> None:
    profiles = [
        profile(
            START + 10 * i,
            requests=9,
            clients=1,
            clients_with_404s=(client_with_404s(["/gone"], 9),),
        )
        for i in range(180)
    ]
    assert not [j for j in alarms(profiles) if j.kind == "path_scan"]


@pytest.mark.parametrize(("voters", "fires"), [(4, True), (5, False)])
def test_paths_that_many_clients_miss_are_a_broken_link(voters: int, fires: bool) -> None:
    paths = [f"/asset{i}" for i in range(20)]
    shared = tuple(Shared(p, voters, tuple(range(voters))) for p in paths)
    found = alarms(
        [
            profile(
                requests=20, clients=9, clients_with_404s=(client_with_404s(paths),), shared=shared
            )
        ]
    )
    assert bool(found) is fires


def test_a_published_crawler_address_is_no_scanner() -> None:
    seen = client_with_404s([f"/old{i}" for i in range(40)], name="66.249.66.194")
    assert alarms([profile(requests=40, clients=1, clients_with_404s=(seen,))]) == []


@pytest.mark.parametrize(
    ("requests", "errors", "fires"),
    [
        pytest.param(1, 1, False, id="one-failed-request-at-night"),
        pytest.param(29, 20, False, id="below-the-volume"),
        pytest.param(30, 5, True, id="at-the-volume"),
        pytest.param(100, 4, False, id="below-the-count"),
        pytest.param(1000, 40, False, id="below-the-share"),
        pytest.param(1000, 51, True, id="above-the-share"),
    ],
)
def test_error_surge_without_a_baseline(requests: int, errors: int, fires: bool) -> None:
    routes = (Route("/cart", requests, errors, 0, 0),)
    profiles = [profile(requests=requests, errors=errors, clients=9, routes=routes)]
    found = [j for j in alarms(profiles) if j.kind == "error_surge" and not j.entity]
    assert bool(found) is fires
    assert all(j.evidence == (f"{errors} of {requests} × /cart",) for j in found)


def test_a_route_that_fails_where_the_server_hardly_notices() -> None:
    routes = (Route("/", 5000, 0, 0, 0), Route("/pay", 40, 30, 0, 0))
    found = alarms([profile(requests=5040, errors=30, clients=900, routes=routes)])
    assert [j.entity for j in found if j.kind == "error_surge"] == ["/pay"]


@pytest.mark.parametrize(("share", "fires"), [(0.02, False), (0.047, False), (0.05, True)], ids=str)
def test_error_surge_against_its_baseline(share: float, fires: bool) -> None:
    usual = limits(ERROR_RATIO, 0.02, 0.05, variance=0.0)
    profiles = [profile(requests=1000, errors=int(1000 * share), clients=99)]
    found = [j for j in alarms(profiles, usual) if j.kind == "error_surge"]
    assert bool(found) is fires


@pytest.mark.parametrize(
    ("requests", "clients", "lone", "fires"),
    [
        pytest.param(1194, 300, 5, False, id="below"),
        pytest.param(1205, 300, 5, True, id="at"),
        pytest.param(1300, 300, 900, False, id="one-client-explains-it"),
        pytest.param(1300, 9, 5, False, id="too-few-clients"),
    ],
)
def test_server_flood(requests: int, clients: int, lone: int, fires: bool) -> None:
    flood = profile(START + 600, requests=requests, clients=clients, top_clients=(client(lone),))
    quiet = steady(600, requests=1)
    found = [j for j in alarms([*quiet, flood]) if j.kind == "server_flood"]
    assert bool(found) is fires


def test_a_busy_server_seen_for_the_first_time_is_no_flood() -> None:
    assert alarms(steady(120, requests=5000)) == []


def test_a_server_that_is_always_busy_is_no_flood() -> None:
    assert alarms(steady(3600, requests=5000)) == []


def test_silence_after_steady_traffic_is_a_drop_and_lasts() -> None:
    found = alarms(steady(3600), until=START + 3600 + 600)
    assert {j.kind for j in found} == {"traffic_drop"}
    assert found[0].second == START + 3600 + 110
    assert merge(found, START + 9999)


def test_silence_of_a_site_that_is_often_silent_is_none() -> None:
    profiles = [p for p in steady(7200) if (p.second - START) // 300 % 2 == 0]
    assert alarms(profiles, until=START + 9000) == []


@pytest.mark.parametrize(("requests", "fires"), [(19, True), (25, False), (100, False)])
def test_drop_against_a_baseline(requests: int, fires: bool) -> None:
    usual = limits(REQUEST_RATE, 600, 1200, lower=400)
    profiles = steady(60, requests)
    found = [j for j in alarms(profiles, usual) if j.kind == "traffic_drop"]
    assert bool([j for j in found if j.second == START + 50]) is fires


def latencies(bucket: int, count: int = 100) -> tuple[tuple[int, int], ...]:
    return ((bucket, count),)


@pytest.mark.parametrize(("bucket", "fires"), [(40, False), (50, True)])
def test_latency_surge(bucket: int, fires: bool) -> None:
    profiles = [profile(requests=100, clients=9, latencies=latencies(bucket))]
    assert bool([j for j in alarms(profiles) if j.kind == "latency_surge"]) is fires


@pytest.mark.parametrize(
    ("slow", "fires"),
    [
        pytest.param(4, False, id="four slow ones of 40 are bad luck"),
        pytest.param(5, True, id="five slow ones of 41"),
    ],
)
def test_latency_surge_wants_several_slow_requests(slow: int, fires: bool) -> None:
    counts = latencies(10, 36) + latencies(50, slow)
    profiles = [profile(requests=36 + slow, clients=9, latencies=counts)]
    assert bool([j for j in alarms(profiles) if j.kind == "latency_surge"]) is fires


def test_latency_surge_of_a_quiet_server_is_seen_in_five_minutes() -> None:
    profiles = [
        profile(START + 10 * i, requests=1, latencies=latencies(50 if i % 3 == 0 else 10, 1))
        for i in range(30)
    ]
    found = [j for j in alarms(profiles) if j.kind == "latency_surge"]
    assert {j.horizon_s for j in found} == {300}


def error_profile(
    second: int, events: int, pattern: str = "p1", severity: str = "error"
) -> ErrorProfile:
    seen = Pattern(pattern, severity, "upstream_refused", events, "connect() failed", "line")
    return ErrorProfile(second, "web1", (("upstream_refused", events),), (seen,))


@pytest.mark.parametrize(("events", "fires"), [(59, False), (60, True)])
def test_error_log_burst_without_a_baseline(events: int, fires: bool) -> None:
    found = evaluate_errors([error_profile(START, events)], Limits(), RULES)
    assert bool([j for j in found if j.score >= ALARM]) is fires


@pytest.mark.parametrize(
    ("pattern", "severity", "events", "fires"),
    [
        pytest.param("known", "error", 9, False, id="known"),
        pytest.param("fresh", "error", 1, False, id="once"),
        pytest.param("fresh", "error", 2, True, id="twice"),
        pytest.param("fresh", "crit", 1, True, id="critical-once"),
    ],
)
def test_new_error_pattern(pattern: str, severity: str, events: int, fires: bool) -> None:
    row = limits(ERROR_PATTERN, 0, 0, key="known")
    found = evaluate_errors([error_profile(START, events, pattern, severity)], row, RULES)
    assert [j.entity for j in found if j.score >= ALARM] == (["fresh"] if fires else [])


def test_without_known_patterns_none_is_new() -> None:
    found = evaluate_errors([error_profile(START, 5)], Limits(), RULES)
    assert not [j for j in found if j.kind == "new_error_pattern"]


@pytest.fixture
def alarm() -> Callable[..., Evaluation]:
    def make(second: int, score: float = 60.0, **values: Any) -> Evaluation:
        fields: dict[str, Any] = {"kind": "ip_spike", "server": "web1", "entity": "c", **values}
        return Evaluation(
            second=START + second,
            horizon_s=20,
            observed=score,
            expected=0.0,
            threshold=50.0,
            score=score,
            **fields,
        )

    return make


def spans(incidents: list[Incident]) -> list[tuple[int, int, int | None]]:
    return [
        (i.opened_at - START, i.seen_until - START, i.closed_at and i.closed_at - START)
        for i in incidents
    ]


def test_an_incident_lasts_while_its_score_sustains(alarm: Callable[..., Evaluation]) -> None:
    seen = [alarm(0, 40), alarm(10), alarm(20, 36), alarm(30, 34)]
    assert spans(merge(seen, START + 40)) == [(10, 30, None)]
    assert spans(merge(seen, START + 330)) == [(10, 30, 30)]


def test_a_long_pause_makes_two_incidents(alarm: Callable[..., Evaluation]) -> None:
    assert spans(merge([alarm(0), alarm(310)], START + 9999)) == [(0, 320, 320)]
    assert spans(merge([alarm(0), alarm(320)], START + 9999)) == [(0, 10, 10), (320, 330, 330)]


@pytest.mark.parametrize(
    ("scores", "opens"), [([60], False), ([60, 60], True), ([75], True)], ids=str
)
def test_a_rule_about_a_server_wants_two_alarms(
    alarm: Callable[..., Evaluation], scores: list[float], opens: bool
) -> None:
    seen = [alarm(10 * i, s, kind="error_surge", entity="") for i, s in enumerate(scores)]
    assert bool(merge(seen, START + 999)) is opens


def test_the_narrower_view_explains_the_wider(alarm: Callable[..., Evaluation]) -> None:
    fleet, server = alarm(0, server="*"), alarm(10)
    assert [i.server for i in merge([fleet, server], START + 99)] == ["web1"]
    assert [i.server for i in merge([fleet], START + 99)] == ["*"]


def test_a_wider_view_that_was_long_there_stays(alarm: Callable[..., Evaluation]) -> None:
    fleet = [alarm(s, server="*") for s in range(0, 200, 10)]
    assert {i.server for i in merge([*fleet, alarm(190)], START + 300)} == {"*", "web1"}
