"""Real nginx: what it logs, how it fails, and that written history looks the same."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from stack.demo.assets import ASSETS, DOCUMENTS
from stack.demo.attacks import set_faults
from stack.demo.lines import SITE, access_line, error_line
from stack.demo.shop import ERROR_PAGE_BYTES, answer, broken
from stack.demo.traffic import send_known
from stack.demo.visitors import Ask
from stack.demo.wire import Reply, Wire
from stack.nginx.config import nginx_command, write_config
from streaming.contracts.settings import Settings
from tests.fixtures.web import Web

pytestmark = pytest.mark.stack

KEYS = [
    *("msec", "request_id", "hostname", "remote_addr", "request_method", "request_uri"),
    *("server_protocol", "status", "body_bytes_sent", "request_time", "upstream_response_time"),
    *("http_referer", "http_user_agent", "http_host", "scheme", "request_length"),
]
NUMBERS = {"msec", "status", "body_bytes_sent", "request_time", "request_length"}
CLIENT = "127.77.3.9"

FAILURES = [
    pytest.param("/no-such-page.php", 404, "open() ", id="missing file"),
    pytest.param("/.env", 403, "access forbidden by rule", id="dot file"),
    pytest.param("/private/export.csv", 403, "access forbidden by rule", id="forbidden"),
    pytest.param("/admin/orders", 401, "no user/password was provided", id="no password"),
    pytest.param("/api/stock/7", 502, "connect() failed (111", id="upstream refused"),
    pytest.param("/api/cart?silent", 504, "upstream timed out (110", id="upstream silent"),
]


def ask(path: str, *, client: str = CLIENT, patience: float = 20.0, method: str = "GET") -> Ask:
    return Ask(time.time(), client, method, path, "", "pytest", patience)


def send(web: Web, server: str, *asks: Ask) -> list[Reply]:
    """Send everything at once."""
    with Wire(web.settings.nginx_ports(), headers=True) as wire:
        assert all(wire.send(server, one) for one in asks)
        return list(wire.drain(30))


def raw(web: Web, server: str, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", web.settings.nginx_ports()[server]), 5) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.fixture
def silent_shop(web: Web) -> Iterator[None]:
    set_faults(web.settings, "web1", 1.0, 60, status=504)
    yield
    set_faults(web.settings, "web1", 0.0, 0)


def test_access_line_has_the_agreed_keys_and_types(web: Web) -> None:
    send(web, "web1", ask("/api/status?keys"))
    line = web.find("web1", "/api/status?keys")
    assert list(line) == KEYS
    assert {key for key in KEYS if isinstance(line[key], int | float)} == NUMBERS
    assert line["hostname"] == "web1"
    assert line["remote_addr"] == CLIENT
    assert line["http_host"] == "web1"
    assert float(line["upstream_response_time"]) >= 0
    assert abs(line["msec"] - time.time()) < 5


@pytest.mark.parametrize(("path", "status", "message"), FAILURES)
def test_failures_are_real_and_leave_an_error_line(
    web: Web, silent_shop: None, path: str, status: int, message: str
) -> None:
    _, since = web.sizes("web1")
    (reply,) = send(web, "web1", ask(path))
    assert reply.status == status
    assert reply.size == ERROR_PAGE_BYTES[status]
    (line,) = [line for line in web.errors("web1", since) if f'"GET {path} HTTP/1.1"' in line]
    assert message in line
    assert f"client: {CLIENT}, server: web1, request:" in line


@pytest.mark.parametrize(
    ("path", "times", "message"),
    [
        pytest.param("/login", 12, "limiting requests, excess: ", id="limit_req"),
        pytest.param("/download/catalogue.pdf", 4, "limiting connections", id="limit_conn"),
    ],
)
def test_limited_routes_answer_429(web: Web, path: str, times: int, message: str) -> None:
    _, since = web.sizes("web1")
    replies = send(web, "web1", *[ask(path, client="127.78.1.1")] * times)
    assert Counter(reply.status == 429 for reply in replies)[True] >= 2
    assert any(message in line for line in web.errors("web1", since))


def test_a_client_that_leaves_is_499(web: Web, silent_shop: None) -> None:
    _, since = web.sizes("web1")
    (reply,) = send(web, "web1", ask("/cart?leaving", patience=0.3))
    assert reply.error
    line = web.find("web1", "/cart?leaving")
    assert (line["status"], line["body_bytes_sent"]) == (499, 0)
    assert any("client prematurely closed connection" in e for e in web.errors("web1", since))


def test_hostile_user_agent_stays_one_valid_json_line(web: Web) -> None:
    since, _ = web.sizes("web3")
    agent = b'"},{"status":200}\\\x01\x7f\xff\xfe\t\xe2\x80\xa8%0A\\u0000'
    raw(web, "web3", b"GET /hostile HTTP/1.0\r\nUser-Agent: " + agent + b"\r\n\r\n")
    web.find("web3", "/hostile")
    (line,) = web.access("web3", since)
    assert list(line) == KEYS
    assert line["status"] == 404
    assert line["http_user_agent"].startswith('"},{"status":200}\\\x01')


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, id="TLS hello"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", 505, id="unknown version"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, id="long address"),
        pytest.param(b"GET /x HTTP/1.1\r\nA: " + b"b" * 9000 + b"\r\n\r\n", 400, id="long header"),
    ],
)
def test_malformed_requests_are_logged_as_json(web: Web, request_bytes: bytes, status: int) -> None:
    since, _ = web.sizes("web3")
    assert f" {status} ".encode() in raw(web, "web3", request_bytes)
    time.sleep(0.1)
    (line,) = web.access("web3", since)
    assert list(line) == KEYS
    assert line["status"] == status


def test_health_checks_are_not_logged(web: Web) -> None:
    since = web.sizes("web3")
    (reply,) = send(web, "web3", ask("/healthz"))
    time.sleep(0.2)
    assert reply.status == 200
    assert web.access("web3", since[0]) == []


def test_a_line_is_on_disk_at_once(web: Web) -> None:
    delays = []
    for number in range(20):
        send(web, "web1", ask(f"/favicon.ico?{number}"))
        done = time.monotonic()
        web.find("web1", f"/favicon.ico?{number}")
        delays.append(time.monotonic() - done)
    assert sorted(delays)[10] < 0.05


@pytest.mark.parametrize(("server", "zone"), [("web1", "UTC"), ("web2", "Asia/Tokyo")])
def test_error_log_time_is_in_the_zone_of_the_server(web: Web, server: str, zone: str) -> None:
    send(web, server, ask("/zone-probe"))
    line = next(line for line in reversed(web.errors(server)) if "zone-probe" in line)
    written = datetime.strptime(line[:19], "%Y/%m/%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone))
    assert abs((datetime.now(UTC) - written).total_seconds()) < 10


def test_static_files_have_their_declared_sizes(web: Web) -> None:
    files = ASSETS | {path: size for path, size in DOCUMENTS.items() if "download" not in path}
    replies = send(web, "web2", *(ask(path) for path in files))
    assert {reply.ask.path: reply.size for reply in replies} == files


def test_known_requests_are_logged_once_each_across_a_rotation(web: Web) -> None:
    log = web.log("web1", "access.log")

    def rotate() -> None:
        log.rename(f"{log}.1")
        os.kill(int((log.parent / "nginx.pid").read_text()), signal.SIGUSR1)

    timer = threading.Timer(0.5, rotate)
    timer.start()
    replies = send_known(web.settings, 400, rate=400, seed=3)
    timer.join()
    time.sleep(0.3)
    lines = [line for server in web.settings.servers for line in web.access(server)]
    lines += web.access("web1", name="access.log.1")
    times = Counter(line["request_id"] for line in lines)
    by_id = {line["request_id"]: line for line in lines}
    assert len(replies) == len({reply.request_id for reply in replies}) == 400
    assert web.access("web1"), "the rotation came too late to be under load"
    for reply in replies:
        line = by_id[reply.request_id]
        assert times[reply.request_id] == 1
        assert line["hostname"] == reply.server
        assert (line["status"], line["body_bytes_sent"]) == (reply.status, reply.size)
        assert (line["request_uri"], line["remote_addr"]) == (reply.ask.path, reply.ask.client)


@pytest.mark.parametrize(("path", "status", "message"), FAILURES)
def test_written_history_looks_like_what_nginx_wrote(
    web: Web, silent_shop: None, path: str, status: int, message: str
) -> None:
    _, since = web.sizes("web1")
    asked = ask(path)
    send(web, "web1", asked)
    drawn = answer(path, Random(1))
    if status == 504:
        drawn = broken(drawn, Random(1), 504)
    assert list(json.loads(access_line("web1", asked, drawn, 1))) == KEYS
    (real,) = [line for line in web.errors("web1", since) if f'"GET {path} HTTP/1.1"' in line]
    written = error_line("web1", asked, drawn, 1)
    assert written is not None
    site = str(web.settings.home / "nginx" / "site")
    assert _shape(written) == _shape(real.replace(site, SITE))


def _shape(line: str) -> str:
    """An error line without what differs from one request to the next."""
    return re.sub(r"\d+", "0", line)


def test_configuration_is_valid_where_the_path_has_spaces(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "a home", servers=("web4",))
    write_config(settings, "web4")
    subprocess.run([*nginx_command(settings, "web4"), "-t"], check=True, capture_output=True)


def test_a_server_without_a_setting_is_refused(settings: Settings) -> None:
    with pytest.raises(KeyError, match="web9"):
        write_config(settings, "web9")
