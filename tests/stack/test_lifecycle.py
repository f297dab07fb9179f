"""Up, down, failures and interrupts of real services: nothing is left half-started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestration.supervisor import Supervisor
from stack.launch import down, port_open, processes
from streaming.contracts.settings import CHECKOUT, Settings
from tests.fixtures.ports import free_port_settings
from tests.fixtures.stack import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "h", **free_port_settings())  # type: ignore[arg-type]
    yield settings
    down(settings)


def start(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "loglake"), *arguments],
        env={**os.environ, **settings.environment()},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    process = start(settings, *arguments)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def pids(settings: Settings) -> dict[str, int]:
    return {p.name: p.pid for p in Supervisor(settings).all().values() if p.alive}


def test_up_again_leaves_what_runs_alone_and_down_leaves_nothing(settings: Settings) -> None:
    assert run(settings, "up", "nginx-web1", "upstream")[0] == 0
    first = pids(settings)
    assert first.keys() == {"nginx-web1", "upstream"}
    assert run(settings, "up", "nginx-web1", "upstream")[0] == 0
    assert pids(settings) == first
    rows = {row["name"]: row for row in json.loads(run(settings, "status", "--json")[1])}
    assert rows["upstream"]["health"] == "healthy"
    assert rows["upstream"]["pid"] == first["upstream"]
    assert rows["upstream"]["uptime_s"] > 0
    assert rows["kafka"]["health"] == "down"
    assert httpx.get(f"http://127.0.0.1:{settings.nginx_port}/").status_code == 200
    assert "Stopped" in run(settings, "down")[1]
    assert processes(settings) == []
    assert not port_open(settings.nginx_port)
    assert not port_open(settings.upstream_port)


def test_killed_service_comes_back(settings: Settings) -> None:
    assert run(settings, "up", "upstream")[0] == 0
    old = pids(settings)["upstream"]
    os.kill(old, signal.SIGKILL)
    eventually(lambda: pids(settings).get("upstream", old) != old)
    eventually(lambda: port_open(settings.upstream_port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_start_stops_what_it_started(settings: Settings, number: int) -> None:
    process = start(settings, "up", "--no-streams")
    eventually(lambda: processes(settings))
    time.sleep(1)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert processes(settings) == []


def test_service_that_cannot_start_is_told_and_the_rest_is_taken_back(settings: Settings) -> None:
    (settings.home / "influxdb" / "influxd.bolt").mkdir(parents=True)
    code, _, errors = run(settings, "up", "influxd", "upstream")
    assert code == 1
    (sentence,) = [line for line in errors.splitlines() if line.startswith("Error")]
    assert "influxd does not stay up" in sentence
    assert str(settings.log_dir / "influxd.log") in sentence
    assert "Traceback" not in errors
    assert processes(settings) == []


def test_failure_leaves_what_ran_before(settings: Settings) -> None:
    assert run(settings, "up", "upstream")[0] == 0
    before = pids(settings)
    (settings.home / "influxdb" / "influxd.bolt").mkdir(parents=True)
    assert run(settings, "up", "influxd")[0] == 1
    assert pids(settings) == before


def test_supervisor_killed_leaves_no_orphan_after_down(settings: Settings) -> None:
    assert run(settings, "up", "upstream", "nginx-web1")[0] == 0
    os.kill(int((settings.run_dir / "supervisord.pid").read_text()), signal.SIGKILL)
    eventually(lambda: not Supervisor(settings).running())
    assert processes(settings)
    assert "stop them with `loglake down`" in run(settings, "up", "upstream")[2]
    assert "had to be killed" in run(settings, "down")[1]
    assert processes(settings) == []
    # A worker of nginx that outlives its master would still hold the port.
    assert not port_open(settings.nginx_port)
