"""Lines that nginx writes reach Kafka once, whole, with their origin."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from stack.setup import java
from streaming import names
from tests.fixtures.stack import Stack, eventually

pytestmark = pytest.mark.stack

_ROTATED = re.compile(rb"/rotate-(\d+)\"")


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
    pid = int((log.parent / "nginx.pid").read_text())
    with httpx.Client() as client:
        for i in range(300):
            client.get(f"http://127.0.0.1:{port}/rotate-{i}")
            if i == 150:
                log.rename(log.with_name("access.log.1"))
                os.kill(pid, signal.SIGUSR1)

    def numbers() -> list[int]:
        found = (_ROTATED.search(r.value) for r in stack.consume(names.TOPIC_ACCESS, since))
        return sorted(int(match[1]) for match in found if match)

    eventually(lambda: len(numbers()) >= 300)
    assert numbers() == list(range(300))


def test_killed_agent_goes_on_where_it_was(stack: Stack) -> None:
    since = stack.ends(names.TOPIC_ACCESS)
    log = stack.settings.home / "nginx" / "web1" / "access.log"
    position = stack.settings.home / "flume" / "web1" / "position.json"
    with log.open("ab") as file:
        file.write(b"before the kill\n")
    eventually(
        lambda: (
            json.loads(position.read_text() or "[]")
            and _position(position, log) == log.stat().st_size
        )
    )
    eventually(lambda: position.with_name("position.json.good").read_text() == position.read_text())
    old = stack.supervisor.info("flume-web1").pid
    os.kill(old, signal.SIGKILL)
    # What a kill amid TAILDIR's truncate-then-write leaves behind.
    position.write_text("")
    with log.open("ab") as file:
        file.write(b"after the kill\n")

    def values() -> list[bytes]:
        return [record.value for record in stack.consume(names.TOPIC_ACCESS, since)]

    eventually(lambda: b"after the kill" in values())
    assert stack.supervisor.info("flume-web1").pid != old
    assert values() == [b"before the kill", b"after the kill"]
    assert "restored its verified copy" in stack.supervisor.info("flume-web1").log_file.read_text()


def _position(position: Path, log: Path) -> int:
    return next(e["pos"] for e in json.loads(position.read_text()) if e["file"] == str(log))
