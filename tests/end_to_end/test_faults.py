"""`kill -9` of each part under load: nothing lost, nothing twice, and the metrics end up right."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from stack.demo.traffic import send_known
from stack.streams import start_streams
from streaming.contracts import names
from streaming.contracts.settings import CHECKOUT
from tests.end_to_end import claims
from tests.fixtures.stack import Stack, eventually

pytestmark = pytest.mark.stack

RATE, REQUESTS = 60, 4200
VICTIMS = ("flume-web1", "flume-collector", "kafka", *names.STREAMS, "flume-web2", "influxd")
PAUSE_SECONDS = 8
HEALED_SECONDS = 60


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Iterator[Stack]:
    """The stack with both streams, started and watched by Dagster."""
    stack.start("dagster-daemon")
    start_streams(stack.settings, lambda _name, _state: None)
    yield stack
    for name in ("dagster-daemon", "dagster-webserver", *names.STREAMS):
        stack.supervisor.stop(name)


def test_killing_every_part_under_load_loses_and_repeats_nothing(
    watched: Stack, spark: SparkSession
) -> None:
    healed: dict[str, float] = {}
    killer = threading.Thread(target=_kill_all, args=(watched, healed))
    killer.start()
    replies = send_known(watched.settings, REQUESTS, rate=RATE)
    killer.join()
    assert healed.keys() == set(VICTIMS)
    assert max(healed.values()) < HEALED_SECONDS, healed

    claims.assert_lake_holds_each_once(watched, spark, {reply.request_id for reply in replies})
    watched.supervisor.stop("dagster-daemon")
    time.sleep(names.WATERMARK_SECONDS)
    _loglake(watched, "reconcile")
    claims.assert_windows_match(watched)
    claims.assert_error_lines_match(watched, spark)
    found = json.loads(_loglake(watched, "verify", "--every-window", "--json"))
    assert found["ok"], found
    assert found["topics"][names.TOPIC_ACCESS]["lost"] == 0


def _kill_all(stack: Stack, healed: dict[str, float]) -> None:
    """Kill one part after another; note how many seconds each took to be alive again."""
    for victim in VICTIMS:
        time.sleep(PAUSE_SECONDS)
        pid = stack.supervisor.info(victim).pid
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        eventually(
            lambda victim=victim, pid=pid: stack.supervisor.info(victim).pid not in (0, pid),
            120,
        )
        healed[victim] = time.monotonic() - killed


def _loglake(stack: Stack, *arguments: str) -> str:
    """Output of a command that must succeed; a job that Dagster runs just now is waited for."""
    program = str(Path(sys.executable).parent / "loglake")
    environment = {**os.environ, **stack.settings.environment()}

    def done() -> subprocess.CompletedProcess[str] | None:
        run = subprocess.run(
            [program, *arguments], env=environment, cwd=CHECKOUT, capture_output=True, text=True
        )
        return None if "already runs" in run.stderr else run

    run: subprocess.CompletedProcess[str] = eventually(done, claims.PATIENCE, 5)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
