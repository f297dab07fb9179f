"""Known requests through the whole system: each line once in the lake, each window right."""

import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from orchestration.control import log_tail
from stack.demo.traffic import send_known
from stack.demo.wire import Reply
from streaming.contracts import names
from streaming.contracts.progress import read_progress
from tests.bench.latency import COUNT, latencies, visible
from tests.end_to_end import claims, oracle
from tests.fixtures.stack import Stack, eventually
from tests.grafana.claims import assert_queries_answer

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def pipeline(stack: Stack) -> Iterator[Stack]:
    """The stack with both streams, each of which has committed a batch."""
    stack.start(*names.STREAMS)
    for stream in names.STREAMS:
        eventually(lambda stream=stream: _committed(stack, stream), claims.PATIENCE)
    yield stack
    for stream in names.STREAMS:
        stack.supervisor.stop(stream)


def _committed(stack: Stack, stream: str) -> bool:
    program = stack.supervisor.info(stream)
    assert program.alive, f"{stream} ended:\n{log_tail(program.log_file)}"
    progress = read_progress(stack.settings, stream)
    return progress is not None and "lake" in progress.queries


def test_every_request_is_in_the_lake_once_and_every_window_is_right(
    pipeline: Stack, spark: SparkSession
) -> None:
    replies = send_known(pipeline.settings, 3000, rate=300)
    sent = {reply.request_id for reply in replies}
    assert len(sent) == 3000
    claims.assert_lake_holds_each_once(pipeline, spark, sent)
    claims.assert_windows_match(pipeline)
    claims.assert_error_lines_match(pipeline, spark)


def test_a_rotation_under_load_loses_and_repeats_nothing(
    pipeline: Stack, spark: SparkSession
) -> None:
    rotations = [threading.Timer(delay, _rotate, (pipeline, delay)) for delay in (2, 5)]
    for rotation in rotations:
        rotation.start()
    replies = send_known(pipeline.settings, 3000, rate=300)
    for rotation in rotations:
        rotation.join()
    claims.assert_lake_holds_each_once(pipeline, spark, {reply.request_id for reply in replies})
    claims.assert_windows_match(pipeline)
    claims.assert_error_lines_match(pipeline, spark)


def test_a_line_is_a_point_before_the_lake_is_due(pipeline: Stack) -> None:
    """A guard, far above the promise of 3 s: metrics read through the lake would take longer."""
    before = int(pipeline.flux(COUNT)[0]["_value"])
    replies: list[Reply] = []
    sender = threading.Thread(
        target=lambda: replies.extend(send_known(pipeline.settings, 1500, rate=50))
    )
    sender.start()
    seen = visible(pipeline, time.time() + 45)
    sender.join()
    sent = {reply.request_id for reply in replies}
    written = [
        float(line["msec"])
        for server in pipeline.settings.servers
        for line in oracle.access_lines(pipeline.settings.home, server)
        if line["request_id"] in sent
    ]
    found = latencies(written, [(at, count - before) for at, count in seen])
    assert len(found) == 1500
    p95 = statistics.quantiles([seconds for _, seconds in found], n=20)[18]
    assert p95 < pipeline.settings.lake_trigger_seconds


def test_every_board_and_rule_can_read_what_the_streams_wrote(pipeline: Stack) -> None:
    assert_queries_answer(pipeline)


def _rotate(stack: Stack, number: int) -> None:
    """What logrotate does: rename, then tell nginx to open its logs anew."""
    for server in stack.settings.servers:
        home = stack.settings.home / "nginx" / server
        for name in ("access.log", "error.log"):
            (home / name).rename(home / f"{name}.{number}")
        os.kill(int((home / "nginx.pid").read_text()), signal.SIGUSR1)
