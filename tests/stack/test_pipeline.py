"""Lines that nginx writes reach Kafka once, whole, with their origin."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from stack.setup import java
from streaming.contracts import names
from tests.fixtures.stack import Stack, eventually

pytestmark = pytest.mark.stack

_ROTATED = re.compile(rb"/rotate-(\d+)\b")


def test_request_arrives_in_kafka_with_its_origin(stack: Stack) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    for server, port in stack.settings.nginx_ports().items():
        httpx.get(f"http://127.0.0.1:{port}/probe-{server}")
    records = eventually(lambda: len(r := stack.consume(names.TOPIC_ACCESS, since)) >= 3 and r)
    for server in stack.settings.servers:
        (record,) = [r for r in records if f"/probe-{server}".encode() in r.value]
        log = stack.settings.home / "nginx" / server / "access.log"
        headers = dict(record.headers)
        offset = int(headers.pop("byteoffset"))
        assert headers == {"server": server.encode(), "file": str(log).encode()}
        assert record.key == server.encode()
        assert log.read_bytes()[offset:].split(b"\n")[0] == record.value


def test_hostile_lines_arrive_untouched_and_an_oversized_one_is_cut(stack: Stack) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    oversized = b"A" * 5_000_000
    lines = [
        b"\xff\xfe\x00\x01",
        b"",
        b"  spaces \t",
        '{"a":"ü\u2028"}'.encode(),
        oversized,
        b"after",
    ]
    with (stack.settings.home / "nginx" / "web2" / "access.log").open("ab") as log:
        log.write(b"\n".join(lines) + b"\n")
    records = eventually(lambda: len(r := stack.consume(names.TOPIC_ACCESS, since)) >= 6 and r)
    values = [record.value for record in records]
    assert values == [*lines[:4], oversized[: names.MAX_LINE_BYTES + 1], b"after"]


def test_topic_header_of_a_foreign_agent_is_not_obeyed(stack: Stack, tmp_path: Path) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    (tmp_path / "headers").write_text(f"log = access\ntopic = {names.TOPIC_ERRORS}\n")
    (tmp_path / "lines").write_text("sent with a topic header\n")
    client = ("org.apache.flume.client.avro.AvroCLIClient", "-H", "127.0.0.1")
    port = ("-p", str(stack.settings.flume_port))
    files = ("-F", str(tmp_path / "lines"), "-R", str(tmp_path / "headers"))
    classpath = ("-cp", f"{stack.settings.jars('flume')}/*")
    subprocess.run([java(), *classpath, *client, *port, *files], check=True, capture_output=True)
    (record,) = eventually(lambda: stack.consume(names.TOPIC_ACCESS, since))
    assert record.value == b"sent with a topic header"


def test_rotation_loses_nothing_and_repeats_nothing(stack: Stack) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    log = stack.settings.home / "nginx" / "web3" / "access.log"
    port = stack.settings.nginx_ports()["web3"]
    with httpx.Client() as client:
        for i in range(300):
            client.get(f"http://127.0.0.1:{port}/rotate-{i}")
            if i == 150:
                rotate(log)
    eventually(lambda: len(numbers(stack, since)) >= 300)
    assert numbers(stack, since) == list(range(300))


@pytest.mark.parametrize("lines", [pytest.param(3, id="few"), pytest.param(25_000, id="many")])
def test_lines_not_yet_read_at_a_rotation_still_come(stack: Stack, lines: int) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    log = stack.settings.home / "nginx" / "web2" / "access.log"
    agent = stack.supervisor.info("flume-web2").pid
    with held(agent):
        write(log, range(lines))
        rotate(log)
    eventually(lambda: numbers(stack, since) == list(range(lines)))


def test_rotations_while_the_agent_is_away_lose_nothing(stack: Stack) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    log = stack.settings.home / "nginx" / "web2" / "access.log"
    write(log, range(10))
    eventually(lambda: len(numbers(stack, since)) == 10)
    eventually(lambda: saved_position(stack, log) == log.stat().st_size)
    stack.supervisor.stop("flume-web2")
    write(log, range(10, 20))
    rotate(log)
    write(log, range(20, 30))
    rotate(log)
    write(log, range(30, 40))
    stack.supervisor.start("flume-web2")
    eventually(lambda: len(numbers(stack, since)) >= 40)
    assert numbers(stack, since) == list(range(40))


def test_killed_agent_goes_on_where_it_was(stack: Stack) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    log = stack.settings.home / "nginx" / "web1" / "access.log"
    with log.open("ab") as file:
        file.write(b"before the kill\n")
    eventually(lambda: saved_position(stack, log) == log.stat().st_size)
    old = stack.supervisor.info("flume-web1").pid
    os.kill(old, signal.SIGKILL)
    # What a kill amid TAILDIR's truncate-then-write leaves behind.
    (stack.settings.home / "flume" / "web1" / "position.json").write_text("")
    with log.open("ab") as file:
        file.write(b"after the kill\n")

    def values() -> list[bytes]:
        return [record.value for record in stack.consume(names.TOPIC_ACCESS, since)]

    eventually(lambda: b"after the kill" in values())
    assert stack.supervisor.info("flume-web1").pid != old
    assert values() == [b"before the kill", b"after the kill"]


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Keep a process from doing anything meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def write(log: Path, which: Iterable[int]) -> None:
    with log.open("a") as file:
        file.writelines(f'"GET /rotate-{i}"\n' for i in which)


def rotate(log: Path) -> None:
    """As logrotate does, keeping all old files."""
    old = sorted(log.parent.glob(f"{log.name}.*"), key=lambda path: int(path.suffix[1:]))
    for path in reversed(old):
        path.rename(path.with_suffix(f".{int(path.suffix[1:]) + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))
    os.kill(int((log.parent / "nginx.pid").read_text()), signal.SIGUSR1)
    eventually(log.exists)


def numbers(stack: Stack, since: dict[int, int]) -> list[int]:
    found = (_ROTATED.search(r.value) for r in stack.consume(names.TOPIC_ACCESS, since))
    return sorted(int(match[1]) for match in found if match)


def saved_position(stack: Stack, log: Path) -> int:
    """How far the agent had read a log when it last noted it."""
    saved = stack.settings.home / "flume" / log.parent.name / "position.json.good"
    inode = log.stat().st_ino
    entries = json.loads(saved.read_text()) if saved.exists() else []
    return next((entry["pos"] for entry in entries if entry["inode"] == inode), 0)
