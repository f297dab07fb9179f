"""The model of visitors and the past written from it."""

import json
from collections import Counter
from itertools import islice, pairwise
from random import Random

import pytest

from stack.demo import attack_plans
from stack.demo.assets import ASSETS
from stack.demo.history import (
    DAY_S,
    OUTAGE,
    Incident,
    Record,
    attack_lines,
    history_lines,
    past_incidents,
    records,
    server_records,
)
from stack.demo.profile import Profile, timeline
from stack.demo.shop import MISSING, route_of
from stack.demo.visitors import MONITOR_CLIENT, PERSONAS, Ask, Persona

MONDAY = 1_799_625_600.0
SERVERS = ("web1", "web2", "web3")
PROFILE = Profile(9.0, SERVERS)


def test_the_curve_averages_to_one_over_a_week() -> None:
    levels = [PROFILE.level(MONDAY + minute * 60) for minute in range(7 * 24 * 60)]
    assert sum(levels) / len(levels) == pytest.approx(1.0, abs=1e-6)
    assert max(levels) > 4 * min(levels)


def test_weekends_are_quieter_and_nights_quieter_still() -> None:
    noon = 12 * 3600.0
    assert PROFILE.level(MONDAY + 5 * DAY_S + noon) < 0.9 * PROFILE.level(MONDAY + noon)
    assert PROFILE.level(MONDAY + 3 * 3600.0) < 0.25 * PROFILE.level(MONDAY + noon)


def test_speed_up_runs_a_day_in_minutes() -> None:
    fast = Profile(1.0, SERVERS, speed_up=1440.0, anchor=MONDAY)
    assert fast.level(MONDAY + 30.0) == pytest.approx(PROFILE.level(MONDAY + DAY_S / 2))


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.name)
def test_the_stated_length_of_a_visit_is_what_visits_have(persona: Persona) -> None:
    rng = Random(99)
    visits = 6000
    mean = sum(1 for _ in range(visits) for _ in persona.visit(rng, "", 0.0)) / visits
    assert mean == pytest.approx(persona.requests, rel=0.03)


def test_the_rate_is_kept_from_the_first_second_on() -> None:
    profile = Profile(600.0, SERVERS, flat=True)
    asks = list(timeline(profile, "web1", MONDAY, MONDAY + 120, 5))
    assert len(asks) == pytest.approx(200 * 120, rel=0.08)
    assert sum(ask.at < MONDAY + 30 for ask in asks) == pytest.approx(200 * 30, rel=0.15)


def test_asks_come_in_order_and_from_many_clients() -> None:
    asks = list(timeline(Profile(90.0, SERVERS, flat=True), "web1", MONDAY, MONDAY + 900, 1))
    times = [ask.at for ask in asks]
    assert times == sorted(times)
    assert len({ask.client for ask in asks}) > 500
    assert {ask.client for ask in asks if "UptimeRobot" in ask.agent} == {MONITOR_CLIENT}


def test_a_page_pulls_its_assets_within_a_second() -> None:
    last: dict[tuple[str, str], float] = {}
    pulled: Counter[tuple[str, str]] = Counter()
    for ask in timeline(Profile(60.0, SERVERS), "web1", MONDAY, MONDAY + 900, 1):
        page = (ask.client, ask.referer)
        if ask.path in ASSETS and page in last:
            assert ask.at - last[page] < 1.0
            pulled[page] += 1
        else:
            last[ask.client, ask.path] = ask.at
    assert 5 <= sum(pulled.values()) / len(pulled) <= 20


@pytest.mark.parametrize("seconds", [60.0, 1800.0])
def test_same_seed_same_lines_and_a_shorter_run_is_a_beginning(seconds: float) -> None:
    def lines(end: float, seed: int = 4) -> list[Record]:
        return list(records(PROFILE, MONDAY, end, seed))

    whole = lines(MONDAY + seconds)
    assert whole == lines(MONDAY + seconds)
    assert whole != lines(MONDAY + seconds, seed=5)
    short = lines(MONDAY + seconds / 2)
    assert short == whole[: len(short)]
    assert 0 < len(short) < len(whole)


def test_history_lines_parse_and_name_their_server() -> None:
    for server, line in history_lines(PROFILE, MONDAY, MONDAY + 300, 1):
        parsed = json.loads(line)
        assert parsed["hostname"] == server
        assert MONDAY <= parsed["msec"] < MONDAY + 310
        assert len(parsed["request_id"]) == 32


def test_no_request_id_twice() -> None:
    ids = [json.loads(line)["request_id"] for _, line in _ten_minutes()]
    assert len(ids) == len(set(ids)) > 2000


def _ten_minutes() -> list[tuple[str, str]]:
    return list(history_lines(PROFILE, MONDAY, MONDAY + 600, 1))


def test_natural_traffic_has_some_of_every_ordinary_trouble() -> None:
    statuses = Counter(
        json.loads(line)["status"]
        for _, line in history_lines(Profile(40.0, SERVERS), MONDAY, MONDAY + 7200, 1)
    )
    assert {301, 302, 401, 403, 404, 499, 500, 502, 504} <= statuses.keys()
    assert statuses[200] / statuses.total() > 0.93
    assert sum(n for status, n in statuses.items() if status >= 500) / statuses.total() < 0.005


def test_a_day_has_one_incident_that_depends_on_seed_and_date_alone() -> None:
    week = past_incidents(SERVERS, MONDAY, MONDAY + 7 * DAY_S, 1)
    assert len(week) == 7
    assert week[2:4] == past_incidents(SERVERS, MONDAY + 2 * DAY_S, MONDAY + 4 * DAY_S, 1)
    assert {incident.kind for incident in week} == {*attack_plans.KINDS, OUTAGE}


def _during(kind: str, **options: float | bool) -> list[Record]:
    incident = Incident(kind, "web2", MONDAY + 300, MONDAY + 420, 7, options)
    rows = server_records(PROFILE, "web2", MONDAY, MONDAY + 720, 1, [incident])
    return [row for row in rows if not row.error]


def test_a_scan_is_one_client_with_many_distinct_missing_paths() -> None:
    scan = [json.loads(row.line) for row in _during("scan", count=80) if row.label == "scan"]
    assert len({line["remote_addr"] for line in scan}) == 1
    assert len({line["request_uri"] for line in scan}) == 80
    assert {line["status"] for line in scan} == {403, 404}


def test_a_slow_scan_stays_below_one_path_in_two_seconds() -> None:
    asks = list(attack_plans.scan(MONDAY, 3, count=240, slow=True))
    gaps = [after.at - before.at for before, after in pairwise(asks)]
    assert min(gaps) >= 2.0
    assert asks[-1].at - MONDAY > 900


@pytest.mark.parametrize(("distributed", "least", "most"), [(False, 1, 1), (True, 200, 400)])
def test_a_flood_comes_from_one_client_or_from_many(
    distributed: bool, least: int, most: int
) -> None:
    asks = list(attack_plans.flood(MONDAY, 3, seconds=20, rate=100, distributed=distributed))
    assert len(asks) == pytest.approx(2000, rel=0.1)
    assert least <= len({ask.client for ask in asks}) <= most


def test_an_error_surge_fails_for_a_while_only() -> None:
    rows = _during("errors", seconds=120.0, rate=3.0)

    def share(start: float, end: float) -> float:
        shop = [
            json.loads(row.line)
            for row in rows
            if MONDAY + start <= row.at < MONDAY + end
            and '"upstream_response_time":""' not in row.line
        ]
        return sum(line["status"] >= 500 for line in shop) / len(shop)

    assert share(300, 420) == pytest.approx(attack_plans.ERROR_SHARE, abs=0.12)
    assert share(0, 300) < 0.05
    assert share(420, 720) < 0.05


def test_an_outage_leaves_a_hole() -> None:
    times = [row.at for row in _during(OUTAGE)]
    assert not any(MONDAY + 300 <= at < MONDAY + 420 for at in times)
    assert any(at >= MONDAY + 420 for at in times)


def test_no_scanned_path_exists() -> None:
    paths = attack_plans.scan_paths(1)
    assert len(paths) == len(set(paths)) >= 260
    assert all(route_of(path) is MISSING or "/." in path for path in paths)


def test_an_unknown_attack_is_named() -> None:
    with pytest.raises(ValueError, match="'ddos' is unknown; use one of scan, flood, errors"):
        list(attack_lines("ddos", "web1", MONDAY, 1))


def test_attack_lines_are_of_the_attack_alone() -> None:
    lines = [json.loads(line) for _, line in attack_lines("flood", "web3", MONDAY, 1, rate=50.0)]
    assert len({line["remote_addr"] for line in lines}) == 1
    assert {line["hostname"] for line in lines} == {"web3"}


def test_visitors_wait_between_pages() -> None:
    visit: list[Ask] = list(islice(PERSONAS[0].visit(Random(3), "127.10.1.1", MONDAY), 200))
    pages = [ask.at for ask in visit if not ask.referer or route_of(ask.path).served_by == "shop"]
    assert max(after - before for before, after in pairwise(pages)) > 0.5
