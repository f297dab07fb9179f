"""Lines that come in pieces tell the same as all of them at once, and as soon as can be."""

import secrets
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final

import pytest

from batch.files.detect import Found, detect
from batch.files.follow import Follower, News
from batch.files.log_files import Chunk, LogFile, chunks, log_file
from batch.files.past import Past
from batch.files.workers import Workers
from stack.demo.history import Record
from streaming.detection.incidents import Incident
from streaming.detection.limits import Limits, Rules
from tests.batch.files.shop_lines import START, facts, learned, shop_lines, write_logs

pytestmark = pytest.mark.unit

RULES: Final = Rules()
UTC_LOGS: Final = {"*": "UTC"}
NOTHING: Final = Found([], [], 0, 0)
SCANNER: Final = "203.0.113.9"


def found_in(paths: Iterable[Path], limits: Limits, follower: Follower | None = None) -> Found:
    parts = (chunks(log_file(p, p.name.split(".")[0])) for p in paths if p.stat().st_size)
    with Workers(1) as workers:
        return detect(
            chain.from_iterable(parts),
            UTC_LOGS,
            RULES,
            lambda _profiles, _run: limits,
            workers,
            then=follower.begin if follower else lambda *_: None,
        )


class Told:
    """What a person knows who hears all news."""

    def __init__(self, incidents: Iterable[Incident] = ()) -> None:
        self.known = {incident.incident_id: incident for incident in incidents}

    def hear(self, news: News) -> None:
        for incident_id in news.retracted:
            self.known.pop(incident_id, None)
        self.known.update((incident.incident_id, incident) for incident in news.changed)


def chunk(records: list[Record], server: str, error: bool) -> Chunk | None:
    lines = "\n".join(r.line for r in records if r.server == server and r.error == error)
    file = LogFile(Path(f"/{server}"), server, error)
    return Chunk(file, 0, lines.encode()) if lines else None


def pieces(some: list[Record], dice: Random, count: int) -> Iterable[list[Record]]:
    """Cut lines at random, with some access lines that are late, one of them 90 s."""
    late = [
        (record.at + (0 if record.error else dice.choice((1, 1, 1, 5, 90))), number)
        for number, record in enumerate(some)
    ]
    arrivals = [some[number] for _, number in sorted(late)]
    cuts = sorted(dice.sample(range(1, len(arrivals)), count - 1))
    return (arrivals[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True))


@pytest.mark.parametrize(
    ("limits", "share", "count"),
    [
        pytest.param(Limits(), 0.0, 2, id="static, no past, two pieces"),
        pytest.param(learned(), 0.0, 30, id="learned, no past, many pieces"),
        pytest.param(Limits(), 0.3, 30, id="static, a past, many pieces"),
        pytest.param(learned(), 0.6, 4, id="learned, a long past, some pieces"),
    ],
)
def test_pieces_tell_the_same_as_the_whole(
    tmp_path: Path, limits: Limits, share: float, count: int
) -> None:
    seed = secrets.randbelow(1_000_000)
    every, dice = shop_lines(seed, rate=3.0), Random(seed)
    whole = found_in(write_logs(tmp_path, every), limits)
    assert {i.kind for i in whole.incidents} >= {"path_scan", "error_log_burst"}, f"seed {seed}"

    now = [float(START)]
    follower = Follower(RULES, UTC_LOGS, lambda: now[0])
    before = every[: int(len(every) * share)]
    past = found_in(write_logs(tmp_path, before), limits, follower)
    told = Told(past.incidents)
    for piece in pieces(every[len(before) :], dice, count):
        now[0] = max(now[0], *(record.at + 1 for record in piece))
        parts = (chunk(piece, s, e) for s in ("web1", "web2") for e in (False, True))
        told.hear(follower.take(part for part in parts if part is not None))
    assert facts(told.known.values()) == facts(whole.incidents), f"seed {seed}"


def line(second: float, client: str, path: str, status: int = 200, server: str = "web1") -> Record:
    text = (
        f'{{"msec":{second:.3f},"hostname":"{server}","remote_addr":"{client}",'
        f'"request_uri":"{path}","request_method":"GET","server_protocol":"HTTP/1.1",'
        f'"status":{status},"body_bytes_sent":5,"http_user_agent":"x"}}'
    )
    return Record(second, server, False, text, "")


def following(now: list[float], limits: Limits | None = None) -> Follower:
    follower = Follower(RULES, UTC_LOGS, lambda: now[0])
    follower.begin(Past(), limits or Limits(), NOTHING)
    return follower


def take(follower: Follower, *records: Record) -> set[tuple[str, str]]:
    lines = "\n".join(record.line for record in records)
    part = Chunk(LogFile(Path("/some"), "some", errors=False), 0, lines.encode())
    news = follower.take([part] if lines else [])
    return {(incident.kind, incident.entity) for incident in news.changed}


def missed(second: int, count: int, first: int = 0) -> list[Record]:
    return [line(second, SCANNER, f"/x{number}.php", 404) for number in range(first, first + count)]


def test_an_incident_is_told_with_the_line_that_makes_it_certain() -> None:
    follower = following([START + 5.0])
    assert take(follower, *missed(START, 10)) == set()
    assert take(follower) == set()
    assert take(follower, *missed(START, 1, first=10)) == {("path_scan", SCANNER)}
    assert take(follower) == set()


@pytest.mark.parametrize("age", [0, 3600, 400 * 86_400], ids=["now", "an hour old", "a year old"])
def test_time_is_that_of_the_log(age: int) -> None:
    """Lines may be of any age; a scan is over half an hour after its last line is read."""
    now = [float(START + age)]
    follower = following(now)
    assert take(follower, *missed(START, 12)) == {("path_scan", SCANNER)}
    now[0] += 1700
    assert take(follower) == set()
    now[0] += 200
    part = follower.take([])
    assert [(i.kind, i.closed_at) for i in part.changed] == [("path_scan", START + 10)]


def test_silence_is_told_when_it_is_certain() -> None:
    now = [float(START)]
    follower = following(now, learned())
    for second in range(START, START + 600, 10):
        now[0] = second + 9
        usual = [line(second + n / 3, f"192.0.2.{n}", "/") for n in range(27)]
        assert take(follower, *usual) == set()
    told: list[tuple[int, set[tuple[str, str]]]] = []
    for second in range(START + 600, START + 900, 10):
        now[0] = float(second)
        found = take(follower)
        if found:
            told.append((second - START - 600, found))
    assert told[0][1] == {("traffic_drop", "")}
    assert 60 < told[0][0] < 150


@pytest.mark.parametrize("age", [5, 400 * 86_400], ids=["log of now", "old log"])
def test_a_line_from_the_future_stops_nothing(age: int) -> None:
    follower = following([float(START + age)])
    assert take(follower, line(START + 800 * 86_400, "192.0.2.1", "/")) == set()
    assert take(follower, *missed(START, 12)) == {("path_scan", SCANNER)}


def test_a_line_half_an_hour_late_is_left_out() -> None:
    """Its window is no longer known whole; what would be left of it is less than what is known."""
    follower = following([START + 7200.0])
    assert take(follower, *missed(START + 90, 9), *missed(START + 200, 9, first=9)) == set()
    assert take(follower, line(START + 1900, "192.0.2.1", "/")) == set()
    assert take(follower, *missed(START + 90, 1)) == set()
    assert take(follower, *missed(START + 1880, 9, first=18)) == {("path_scan", SCANNER)}


def test_a_long_pause_between_lines_is_caught_up_with() -> None:
    follower = following([START + 400 * 86_400.0])
    hours = [line(START + hour * 3600, "192.0.2.1", "/") for hour in range(24 * 30)]
    scans = [
        line(START + day * 86_400, f"203.0.113.{day}", f"/x{number}", 404)
        for day in (3, 200)
        for number in range(12)
    ]
    assert take(follower, *hours, *scans) == {
        ("path_scan", "203.0.113.3"),
        ("path_scan", "203.0.113.200"),
    }


def loads(server: str, second: int) -> list[Record]:
    """A load that is too much for a fleet within 20 s, though not for one server."""
    return [line(second, SCANNER, f"/{n}", server=server) for n in range(30)]


def test_a_second_server_that_is_late_makes_a_fleet_of_earlier_windows() -> None:
    follower = following([START + 60.0])
    assert take(follower, line(START, "192.0.2.1", "/"), *loads("web1", START + 20)) == set()
    second = line(START, "192.0.2.1", "/", server="web2")
    assert take(follower, second, *loads("web2", START + 30)) == {("ip_spike", SCANNER)}


def test_a_fleet_of_the_past_is_a_fleet_still(tmp_path: Path) -> None:
    path = tmp_path / "some.log"
    lines = [line(START + s, "192.0.2.1", "/", server=f"web{n}") for n in (1, 2) for s in (0, 60)]
    path.write_text("\n".join(record.line for record in lines), encoding="utf-8")
    follower = Follower(RULES, UTC_LOGS, lambda: START + 120.0)
    assert found_in([path], Limits(), follower).incidents == []
    assert take(follower, *loads("web1", START + 80)) == set()
    assert take(follower, *loads("web2", START + 90)) == {("ip_spike", SCANNER)}


def test_what_was_told_before_is_not_told_again(tmp_path: Path) -> None:
    path = tmp_path / "web1.log"
    path.write_text("\n".join(r.line for r in missed(START, 12)), encoding="utf-8")
    now = [START + 5.0]
    follower = Follower(RULES, UTC_LOGS, lambda: now[0])
    assert [i.kind for i in found_in([path], Limits(), follower).incidents] == ["path_scan"]
    assert take(follower) == set()
    # Further paths raise its score, so it is told again, under the same id.
    assert take(follower, *missed(START, 12, first=12)) == {("path_scan", SCANNER)}


def test_one_alarm_of_the_past_is_not_counted_twice(tmp_path: Path) -> None:
    """A burst opens on two alarms; the one of the past must not confirm itself."""
    lines = [
        f"2026/01/05 08:00:0{n % 5} [error] 7#7: *{n} connect() failed (111: Connection refused)"
        for n in range(65)
    ]
    path = tmp_path / "web1.error.log"
    path.write_text("\n".join(lines), encoding="utf-8")
    now = [START + 5.0]
    follower = Follower(RULES, UTC_LOGS, lambda: now[0])
    found = found_in([path], Limits(), follower)
    assert [e.score >= 50 for e in found.evaluations] == [True]
    assert found.incidents == []
    for _ in range(20):
        now[0] += 10
        assert follower.take([]).changed == []
