"""The generator against real nginx: its rate, its clients, its open loop; live attacks."""

import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from stack.demo import attack_plans
from stack.demo.attacks import attack, set_faults
from stack.demo.history import DAY_S
from stack.demo.profile import Profile
from stack.demo.publish import publish_history
from stack.demo.traffic import Meter, drive, plan, send_known
from stack.demo.visitors import Ask
from stack.demo.wire import Wire
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings
from tests.fixtures.stack import Stack
from tests.fixtures.web import Web

pytestmark = pytest.mark.stack

SEED = 11
MONDAY = 1_799_625_600


def generator(web: Web, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stack.demo.traffic", *options],
        env=web.settings.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def logged(web: Web, since: dict[str, int]) -> list[dict[str, object]]:
    return [line for s in web.settings.servers for line in web.access(s, since[s])]


def test_generator_keeps_its_rate_and_its_clients_are_distinct(web: Web) -> None:
    since = {server: web.sizes(server)[0] for server in web.settings.servers}
    process = generator(web, "--rate", "200", "--seconds", "15", "--flat", "--seed", str(SEED))
    output, _ = process.communicate(timeout=90)
    lines = logged(web, since)
    assert process.returncode == 0, output
    assert "dropped 0" in output.splitlines()[-1]
    assert len(lines) == pytest.approx(200 * 15, rel=0.1)
    assert len({line["remote_addr"] for line in lines}) > 150
    per_server = Counter(line["hostname"] for line in lines)
    assert min(per_server.values()) > 0.7 * max(per_server.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_generator_cleanly(web: Web, number: signal.Signals) -> None:
    process = generator(web, "--rate", "50", "--report-every", "0.5")
    assert process.stdout is not None
    assert "req/s" in process.stdout.readline()
    process.send_signal(number)
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 0, output
    assert output.splitlines()[-1].startswith("in all")
    assert "Traceback" not in output


def shop_asks(count: int, rate: float) -> list[tuple[str, Ask]]:
    start = time.time() + 0.1
    return [
        ("web1", Ask(start + i / rate, f"127.33.1.{1 + i % 200}", "GET", "/cart", "", "pytest"))
        for i in range(count)
    ]


def test_a_silent_server_does_not_hold_the_load_back(web: Web) -> None:
    set_faults(web.settings, "web1", 1.0, 30, status=504)
    meter = Meter(60.0)
    asks = shop_asks(200, 100.0)
    replies = []
    try:
        with Wire(web.settings.nginx_ports()) as wire:
            drive(wire, asks, replies.append, meter.sent)
            took = time.time() - asks[0][1].at
            under_way = len(wire)
            replies.extend(wire.drain(20))
    finally:
        set_faults(web.settings, "web1", 0.0, 0)
    assert (meter.total.sent, meter.total.dropped) == (200, 0)
    assert took < 3.0, "a closed loop would wait for the first answer, 3 s"
    assert under_way > 100
    assert min(reply.seconds for reply in replies) > 2.9
    assert {reply.status for reply in replies} == {504}


def test_requests_beyond_the_bound_are_dropped_and_counted(web: Web) -> None:
    set_faults(web.settings, "web1", 1.0, 30, status=504)
    meter = Meter(60.0)
    try:
        with Wire(web.settings.nginx_ports(), in_flight=10) as wire:
            drive(wire, shop_asks(50, 200.0), meter.reply, meter.sent)
            assert len(wire) == 10
    finally:
        set_faults(web.settings, "web1", 0.0, 0)
    assert (meter.total.sent, meter.total.dropped) == (10, 40)


def test_latency_counts_from_when_the_request_was_due(web: Web) -> None:
    late = Ask(time.time() - 2.0, "127.33.1.1", "GET", "/favicon.ico", "", "pytest")
    with Wire(web.settings.nginx_ports()) as wire:
        assert wire.send("web1", late)
        (reply,) = wire.drain(10)
    assert 2.0 < reply.seconds < 4.0
    assert time.time() - reply.sent_at < 2.0


def test_requests_too_late_to_matter_are_dropped(web: Web) -> None:
    meter = Meter(60.0)
    old = Ask(time.time() - 60.0, "127.33.1.1", "GET", "/favicon.ico", "", "pytest")
    with Wire(web.settings.nginx_ports()) as wire:
        drive(wire, [("web1", old)], meter.reply, meter.sent)
    assert (meter.total.sent, meter.total.dropped) == (0, 1)


def test_known_requests_without_a_server_are_an_error() -> None:
    nobody = Settings(nginx_port=1025)
    with pytest.raises(ConnectionError, match=r"5 of 5 requests .* see that every nginx runs"):
        send_known(nobody, 5)


def test_the_plan_is_the_same_for_the_same_seed() -> None:
    profile = Profile(50.0, ("web1", "web2"), flat=True)
    first, second, other = (list(plan(profile, MONDAY, MONDAY + 20, seed)) for seed in (1, 1, 2))
    assert first == second != other
    assert [ask.at for _, ask in first] == sorted(ask.at for _, ask in first)


def test_a_live_scan_is_60_distinct_missing_paths_of_one_client(web: Web) -> None:
    since, _ = web.sizes("web2")
    client = attack(web.settings, "scan", "web2", 5, Meter(60.0), count=60)
    time.sleep(0.2)
    scan = [line for line in web.access("web2", since) if line["remote_addr"] == client]
    assert len({line["request_uri"] for line in scan}) == 60
    assert {line["status"] for line in scan} == {403, 404}


def test_a_live_error_surge_is_real_and_mended_afterwards(web: Web) -> None:
    meter = Meter(60.0)
    _, since = web.sizes("web3")
    attack(web.settings, "errors", "web3", 5, meter, seconds=5.0, rate=30.0)
    failed = sum(n for status, n in meter.total.statuses.items() if status >= 500)
    share = failed / meter.total.statuses.total()
    assert share == pytest.approx(attack_plans.ERROR_SHARE, abs=0.2)
    assert any("upstream timed out" in line for line in web.errors("web3", since))
    after = Counter(reply.status >= 500 for reply in send_known(web.settings, 200, rate=200))
    assert after[True] < 10


def test_an_attack_on_an_unknown_server_names_the_known_ones(web: Web) -> None:
    with pytest.raises(StackError, match="no server is called web9; there are web1, web2, web3"):
        attack(web.settings, "scan", "web9", 1, Meter(60.0))


def test_more_history_than_the_lake_keeps_is_refused(settings: Settings) -> None:
    with pytest.raises(StackError, match="30 days of history were asked for; use 1 to 29"):
        publish_history(settings, 30, 1.0)


def test_published_history_is_whole_and_the_same_each_time(stack: Stack) -> None:
    settings = stack.settings.with_changes(servers=("web2",))
    since = {topic: stack.ends(topic) for topic in (names.TOPIC_ACCESS, names.TOPIC_ERRORS)}
    noon = MONDAY + DAY_S // 24
    first = publish_history(settings, 1, 0.05, now=noon)
    once = {topic: _records(stack, topic, since[topic]) for topic in since}
    since = {topic: stack.ends(topic) for topic in since}
    assert publish_history(settings, 1, 0.05, now=noon) == first
    assert {topic: _records(stack, topic, since[topic]) for topic in since} == once
    assert len(once[names.TOPIC_ACCESS]) == first.access > 17_000
    assert len(once[names.TOPIC_ERRORS]) == first.errors > 0


def _records(stack: Stack, topic: str, since: dict[int, int]) -> list[tuple[str, int, bytes]]:
    """File, byte offset and line of what came since, after a check that no byte is missing."""
    found = []
    for record in stack.consume(topic, since):
        headers = dict(record.headers)
        if headers["file"].startswith(b"history-"):
            assert (record.key, headers["server"]) == (b"web2", b"web2")
            found.append((headers["file"].decode(), int(headers["byteoffset"]), record.value))
    found.sort()
    end = {file: 0 for file, _, _ in found}
    for file, offset, line in found:
        assert offset == end[file]
        end[file] += len(line) + 1
    return found
