"""Each rule at, below and above its edge, on panes made by hand."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from streaming import thresholds
from streaming.detection.errors import ErrorPane, Pattern, judge_errors
from streaming.detection.judge import judge
from streaming.detection.pane import (
    LATENCY_BUCKETS,
    Heavy,
    Judgement,
    Misser,
    Pane,
    Route,
    Shared,
)
from streaming.incidents import Incident, merge
from streaming.tails import ALARM
from streaming.thresholds import Limits, Rules

pytestmark = pytest.mark.unit

START = 1_767_600_000
RULES = Rules()


def alarms(panes: Iterable[Pane], limits: Limits | None = None, **until: int) -> list[Judgement]:
    found = judge(panes, limits or Limits(), RULES, **until)
    return [j for j in found if j.score >= ALARM]


def limits(
    metric: str, expected: float, upper: float, lower: float | None = None, **more: Any
) -> Limits:
    row = {
        "server_address": "web1",
        "metric": metric,
        "key": "",
        "hour_of_week": thresholds.ANY_HOUR,
        "expected": expected,
        "variance": expected,
        "lower": lower,
        "upper": upper,
        "state": thresholds.READY,
        "version": 7,
    }
    return Limits([{**row, **more}])


def client(load: int, name: str = "198.51.100.1") -> Heavy:
    return Heavy(name, load, load, (f"{load} × /login",))


def pane(second: int = START, **values: Any) -> Pane:
    return Pane(second, "web1", **values)


def steady(seconds: int, requests: int = 10, **values: Any) -> list[Pane]:
    return [
        pane(START + s, requests=requests, clients=requests, **values)
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
    panes = [
        pane(START + 10 * i, requests=n + 9, clients=4, load=n + 3, heavy=(client(n),))
        for i, n in enumerate(loads)
    ]
    assert bool([j for j in alarms(panes) if j.kind == "ip_spike"]) is fires


@pytest.mark.parametrize(("load", "fires"), [(24, False), (25, True), (500, True)])
def test_ip_spike_with_a_baseline(load: int, fires: bool) -> None:
    panes = [pane(requests=load, clients=1, load=load, heavy=(client(load),))]
    found = alarms(panes, limits(thresholds.CLIENT_LOAD, 3, 25))
    assert [(j.basis, j.version, j.expected, j.threshold) for j in found] == (
        [("baseline", 7, 3.0, 25.0)] if fires else []
    )


def test_no_client_stands_out_where_all_are_busy() -> None:
    crowd = tuple(client(45, f"10.0.0.{i}") for i in range(30))
    assert alarms([pane(requests=1350, clients=30, load=1350, heavy=crowd)]) == []


@pytest.mark.parametrize("allowed", ["198.51.100.1", "198.51.100.0/24"], ids=["address", "network"])
def test_an_allowed_client_is_never_judged(allowed: str) -> None:
    rules = Rules(allowed_clients=frozenset({allowed}))
    busy = pane(requests=900, clients=1, load=900, heavy=(client(900),))
    assert not [j for j in judge([busy], Limits(), rules) if j.kind == "ip_spike"]


def misser(paths: Sequence[str], requests: int | None = None, name: str = "203.0.113.5") -> Misser:
    return Misser(name, len(paths), requests or len(paths), tuple(paths), 0)


@pytest.mark.parametrize(("paths", "fires"), [(10, False), (11, True), (64, True)])
def test_fast_scan(paths: int, fires: bool) -> None:
    seen = misser([f"/x{i}.php" for i in range(paths)])
    found = alarms([pane(requests=paths, clients=1, missers=(seen,))])
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
    panes = [
        pane(START + 60 * i, requests=requests, clients=1, missers=(misser([f"/x{i}"], requests),))
        for i in range(30)
        for _ in range(1)
    ]
    extra = [
        pane(
            START + 60 * i + 30,
            requests=requests,
            clients=1,
            missers=(misser([f"/y{i}"], requests),),
        )
        for i in range(max(0, paths - 30))
    ]
    chosen = sorted(panes[: min(paths, 30)] + extra, key=lambda p: p.second)
    assert bool([j for j in alarms(chosen) if j.kind == "path_scan"]) is fires


def test_the_same_missing_path_again_and_again_is_no_scan() -> None:
    panes = [
        pane(START + 10 * i, requests=9, clients=1, missers=(misser(["/gone"], 9),))
        for i in range(180)
    ]
    assert not [j for j in alarms(panes) if j.kind == "path_scan"]


@pytest.mark.parametrize(("voters", "fires"), [(4, True), (5, False)])
def test_paths_that_many_clients_miss_are_a_broken_link(voters: int, fires: bool) -> None:
    paths = [f"/asset{i}" for i in range(20)]
    shared = tuple(Shared(p, voters, tuple(range(voters))) for p in paths)
    found = alarms([pane(requests=20, clients=9, missers=(misser(paths),), shared=shared)])
    assert bool(found) is fires


def test_a_published_crawler_address_is_no_scanner() -> None:
    seen = misser([f"/old{i}" for i in range(40)], name="66.249.66.194")
    assert alarms([pane(requests=40, clients=1, missers=(seen,))]) == []


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
    panes = [pane(requests=requests, errors=errors, clients=9, routes=routes)]
    found = [j for j in alarms(panes) if j.kind == "error_surge" and not j.entity]
    assert bool(found) is fires
    assert all(j.evidence == (f"{errors} of {requests} × /cart",) for j in found)


def test_a_route_that_fails_where_the_server_hardly_notices() -> None:
    routes = (Route("/", 5000, 0, 0, 0), Route("/pay", 40, 30, 0, 0))
    found = alarms([pane(requests=5040, errors=30, clients=900, routes=routes)])
    assert [j.entity for j in found if j.kind == "error_surge"] == ["/pay"]


@pytest.mark.parametrize(("share", "fires"), [(0.02, False), (0.047, False), (0.05, True)], ids=str)
def test_error_surge_against_its_baseline(share: float, fires: bool) -> None:
    usual = limits(thresholds.ERROR_RATIO, 0.02, 0.05, variance=0.0)
    panes = [pane(requests=1000, errors=int(1000 * share), clients=99)]
    found = [j for j in alarms(panes, usual) if j.kind == "error_surge"]
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
    flood = pane(START + 600, requests=requests, clients=clients, heavy=(client(lone),))
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
    panes = [p for p in steady(7200) if (p.second - START) // 300 % 2 == 0]
    assert alarms(panes, until=START + 9000) == []


@pytest.mark.parametrize(("requests", "fires"), [(19, True), (25, False), (100, False)])
def test_drop_against_a_baseline(requests: int, fires: bool) -> None:
    usual = limits(thresholds.REQUEST_RATE, 600, 1200, lower=400)
    panes = steady(60, requests)
    found = [j for j in alarms(panes, usual) if j.kind == "traffic_drop"]
    assert bool([j for j in found if j.second == START + 50]) is fires


def latencies(bucket: int, count: int = 100) -> tuple[int, ...]:
    return tuple(count if i == bucket else 0 for i in range(LATENCY_BUCKETS))


@pytest.mark.parametrize(("bucket", "fires"), [(40, False), (50, True)])
def test_latency_surge(bucket: int, fires: bool) -> None:
    panes = [pane(requests=100, clients=9, latencies=latencies(bucket))]
    assert bool([j for j in alarms(panes) if j.kind == "latency_surge"]) is fires


@pytest.mark.parametrize(
    ("slow", "fires"),
    [
        pytest.param(4, False, id="four slow ones of 40 are bad luck"),
        pytest.param(5, True, id="five slow ones of 41"),
    ],
)
def test_latency_surge_wants_several_slow_requests(slow: int, fires: bool) -> None:
    counts = [a + b for a, b in zip(latencies(10, 36), latencies(50, slow), strict=True)]
    panes = [pane(requests=36 + slow, clients=9, latencies=tuple(counts))]
    assert bool([j for j in alarms(panes) if j.kind == "latency_surge"]) is fires


def test_latency_surge_of_a_quiet_server_is_seen_in_five_minutes() -> None:
    panes = [
        pane(START + 10 * i, requests=1, latencies=latencies(50 if i % 3 == 0 else 10, 1))
        for i in range(30)
    ]
    found = [j for j in alarms(panes) if j.kind == "latency_surge"]
    assert {j.horizon_s for j in found} == {300}


def error_pane(second: int, events: int, pattern: str = "p1", severity: str = "error") -> ErrorPane:
    seen = Pattern(pattern, severity, "upstream_refused", events, "connect() failed", "line")
    return ErrorPane(second, "web1", (("upstream_refused", events),), (seen,))


@pytest.mark.parametrize(("events", "fires"), [(59, False), (60, True)])
def test_error_log_burst_without_a_baseline(events: int, fires: bool) -> None:
    found = judge_errors([error_pane(START, events)], Limits(), RULES)
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
    row = limits(thresholds.ERROR_PATTERN, 0, 0, key="known")
    found = judge_errors([error_pane(START, events, pattern, severity)], row, RULES)
    assert [j.entity for j in found if j.score >= ALARM] == (["fresh"] if fires else [])


def test_without_known_patterns_none_is_new() -> None:
    found = judge_errors([error_pane(START, 5)], Limits(), RULES)
    assert not [j for j in found if j.kind == "new_error_pattern"]


@pytest.fixture
def alarm() -> Callable[..., Judgement]:
    def make(second: int, score: float = 60.0, **values: Any) -> Judgement:
        fields: dict[str, Any] = {"kind": "ip_spike", "server": "web1", "entity": "c", **values}
        return Judgement(
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


def test_an_incident_lasts_while_its_score_sustains(alarm: Callable[..., Judgement]) -> None:
    seen = [alarm(0, 40), alarm(10), alarm(20, 36), alarm(30, 34)]
    assert spans(merge(seen, START + 40)) == [(10, 30, None)]
    assert spans(merge(seen, START + 330)) == [(10, 30, 30)]


def test_a_long_pause_makes_two_incidents(alarm: Callable[..., Judgement]) -> None:
    assert spans(merge([alarm(0), alarm(310)], START + 9999)) == [(0, 320, 320)]
    assert spans(merge([alarm(0), alarm(320)], START + 9999)) == [(0, 10, 10), (320, 330, 330)]


@pytest.mark.parametrize(
    ("scores", "opens"), [([60], False), ([60, 60], True), ([75], True)], ids=str
)
def test_a_rule_about_a_server_wants_two_alarms(
    alarm: Callable[..., Judgement], scores: list[float], opens: bool
) -> None:
    seen = [alarm(10 * i, s, kind="error_surge", entity="") for i, s in enumerate(scores)]
    assert bool(merge(seen, START + 999)) is opens


def test_the_narrower_view_explains_the_wider(alarm: Callable[..., Judgement]) -> None:
    fleet, server = alarm(0, server="*"), alarm(10)
    assert [i.server for i in merge([fleet, server], START + 99)] == ["web1"]
    assert [i.server for i in merge([fleet], START + 99)] == ["*"]


def test_a_wider_view_that_was_long_there_stays(alarm: Callable[..., Judgement]) -> None:
    fleet = [alarm(s, server="*") for s in range(0, 200, 10)]
    assert {i.server for i in merge([*fleet, alarm(190)], START + 300)} == {"*", "web1"}
