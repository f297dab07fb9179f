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

from orchestration import keys
from orchestration.instance import write_instance
from orchestration.launch import LaunchError, launch
from streaming.contracts import names
from streaming.contracts.settings import Settings
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


@contextlib.contextmanager
def webserver_and_daemon(settings: Settings) -> Iterator[None]:
    """Run both until the block ends, which kills them with -9 and all their children."""
    home, port = write_instance(settings), settings.dagster_port
    with (
        program("dagster-webserver", "-h", "127.0.0.1", "-p", str(port), home=home),
        program("dagster-daemon", "run", home=home),
    ):
        until(lambda: answers(f"http://127.0.0.1:{port}/server_info"), 120)
        yield


@pytest.fixture
def idle(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose instance is written; neither webserver nor daemon run yet."""
    port = free_port_settings()["dagster_port"]
    monkeypatch.setenv("LOGLAKE_DAGSTER_PORT", str(port))
    settings = world.settings.with_changes(dagster_port=port)
    with dg.DagsterInstance.from_config(str(write_instance(settings))) as instance:
        yield World(settings, instance, {})


@pytest.fixture
def dagster(idle: World) -> Iterator[World]:
    """A world whose instance has a webserver and a daemon."""
    with webserver_and_daemon(idle.settings):
        yield idle


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


def test_streams_outlive_a_reload_of_the_code_and_a_restart_of_dagster(idle: World) -> None:
    def pids() -> dict[str, int]:
        return {name: idle.supervisor.info(name).pid for name in names.STREAMS}

    def observations() -> int:
        asset = keys.stream(STREAM)
        return len(idle.instance.fetch_observations(asset, limit=100).records)

    with webserver_and_daemon(idle.settings):
        launch(idle.settings, "start_streams", timeout_seconds=240)
        started = pids()
        assert all(started.values())
        reload_code(idle.settings)
        until(lambda: observations() > 0, 90)
        assert pids() == started
    assert pids() == started

    before = observations()
    with webserver_and_daemon(idle.settings):
        # The sensor of the new daemon goes on where the old one was, at most once a minute.
        until(lambda: observations() > before, 150)
        assert pids() == started


def reload_code(settings: Settings) -> None:
    """Press *Reload* on the code location, as a person does from the UI."""
    mutation = """
        mutation ($name: String!) {
          reloadRepositoryLocation(repositoryLocationName: $name) {
            __typename ... on WorkspaceLocationEntry { loadStatus }
          }
        }"""
    answer = httpx.post(
        f"http://127.0.0.1:{settings.dagster_port}/graphql",
        json={"query": mutation, "variables": {"name": "orchestration.definitions"}},
        timeout=120,
    ).json()
    entry = answer["data"]["reloadRepositoryLocation"]
    assert entry == {"__typename": "WorkspaceLocationEntry", "loadStatus": "LOADED"}, answer


def test_launch_tells_what_is_wrong(world: World) -> None:
    settings = world.settings.with_changes(dagster_port=free_port_settings()["dagster_port"])
    with pytest.raises(LaunchError, match="start_streams"):
        launch(settings, "start_streams", timeout_seconds=5)
