"""The real daemon and webserver: launching, healing, and runs that die."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import psutil
import pytest

from orchestration.instance import write_instance
from orchestration.launch import LaunchError, launch
from streaming import names
from tests.fixtures.ports import free_port_settings
from tests.orchestration.world import ROOT, World, until

pytestmark = pytest.mark.stack

STREAM = names.STREAM_ACCESS


@contextlib.contextmanager
def program(name: str, *arguments: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of Dagster's until the block ends; nothing of it is left."""
    command = [str(Path(sys.executable).parent / name), *arguments]
    with (home / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-m", "orchestration.definitions"],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes"},
        )
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        process.wait(30)


@pytest.fixture
def dagster(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose instance has a webserver and a daemon."""
    port = free_port_settings()["dagster_port"]
    monkeypatch.setenv("LOGLAKE_DAGSTER_PORT", str(port))
    home = write_instance(world.settings)
    settings = world.settings.with_changes(dagster_port=port)
    with (
        program("dagster-webserver", "-h", "127.0.0.1", "-p", str(port), home=home),
        program("dagster-daemon", "run", home=home),
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        until(lambda: answers(f"http://127.0.0.1:{port}/server_info"), 120)
        yield World(settings, instance, {})


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_launch_waits_for_success_and_a_crash_is_healed_within_a_minute(dagster: World) -> None:
    url = launch(dagster.settings, "start_streams", timeout_seconds=240)
    assert httpx.get(url, timeout=20).status_code == httpx.codes.OK
    pids = {name: dagster.supervisor.info(name).pid for name in names.STREAMS}
    assert all(pids.values())

    crashed = time.monotonic()
    dagster.kill(STREAM)
    until(lambda: dagster.supervisor.info(STREAM).alive, 60)
    assert time.monotonic() - crashed < 60
    assert dagster.supervisor.info(names.STREAM_ERRORS).pid == pids[names.STREAM_ERRORS]

    launch(dagster.settings, "stop_streams", timeout_seconds=120)
    time.sleep(25)
    assert not dagster.supervisor.info(STREAM).alive


def test_launch_tells_what_is_wrong(world: World) -> None:
    settings = world.settings.with_changes(dagster_port=free_port_settings()["dagster_port"])
    with pytest.raises(LaunchError, match="start_streams"):
        launch(settings, "start_streams", timeout_seconds=5)
