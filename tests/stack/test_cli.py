"""What a person gets from `loglake` when something is wrong: one sentence, exit status 1."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack.launch import processes
from streaming.contracts.settings import CHECKOUT, Settings
from tests.fixtures.ports import free_port_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "h", **free_port_settings())  # type: ignore[arg-type]


def loglake(
    settings: Settings, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", **settings.environment(), **variables}
    return subprocess.run(
        [str(Path(sys.executable).parent / "loglake"), *arguments],
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOGLAKE_KAFKA_PORT", "seven"),
        ("LOGLAKE_KAFKA_PORT", "80"),
        ("LOGLAKE_SERVERS", "web1,web1"),
        ("LOGLAKE_SERVERS", "we/b1"),
        ("LOGLAKE_SHUFFLE_PARTITIONS", "0"),
        ("LOGLAKE_TIME_ZONE", "Berlin"),
        ("LOGLAKE_ERROR_LOG_TIME_ZONES", '{"web1":"+02:00"}'),
    ],
)
def test_wrong_setting_is_named(settings: Settings, variable: str, value: str) -> None:
    done = loglake(settings, "status", **{variable: value})
    assert done.returncode == 1
    assert variable in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_taken_port_is_named_and_nothing_is_started(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.kafka_port)):
        done = loglake(settings, "up", "kafka")
    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert f"port {settings.kafka_port} of kafka is taken" in sentence
    assert "LOGLAKE_KAFKA_PORT" in sentence
    assert processes(settings) == []
    assert not (settings.home / "run").exists()


def test_status_json_of_a_stopped_stack(settings: Settings) -> None:
    done = loglake(settings, "status", "--json")
    assert done.returncode == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["kafka"] == {
        "name": "kafka",
        "state": "STOPPED",
        "pid": None,
        "port": settings.kafka_port,
        "uptime_s": 0.0,
        "health": "stopped",
    }
    assert {"stream_access", "nginx-web3", "flume-web2", "dagster-daemon"} <= rows.keys()


def test_unknown_service_lists_the_known_ones(settings: Settings) -> None:
    for command in (("up", "kafak"), ("logs", "kafak")):
        done = loglake(settings, *command)
        assert done.returncode == 1
        assert "no service is called kafak; there are kafka, influxd" in done.stderr


def test_log_of_a_service_that_never_ran(settings: Settings) -> None:
    done = loglake(settings, "logs", "kafka")
    assert done.returncode == 1
    assert "it never started there" in done.stderr


def test_replay_without_kafka(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("{}\n")
    done = loglake(settings, "replay", str(log), "--server", "web1")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("Error: Kafka at 127.0.0.1:")


def test_replay_of_a_missing_file(settings: Settings, tmp_path: Path) -> None:
    done = loglake(settings, "replay", str(tmp_path / "no.log"), "--server", "web1")
    assert done.returncode == 1
    assert "no.log: no such file; nothing was sent" in done.stderr


def test_down_of_nothing_is_fine(settings: Settings) -> None:
    done = loglake(settings, "down")
    assert done.returncode == 0, done.stderr
