"""Work in several processes: results in order, errors as they are, nothing left running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Final

import psutil
import pytest

from batch.files.workers import AHEAD, Workers

pytestmark = pytest.mark.unit


def slowest_first(number: int) -> tuple[int, int]:
    time.sleep(0.2 if number == 0 else 0)
    return number, os.getpid()


def threads(_: int) -> str | None:
    return os.environ.get("POLARS_MAX_THREADS")


def fail(number: int) -> int:
    if number == 2:
        raise OSError("the disk is full")
    return number


def killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write(path: Path, number: int) -> None:
    for line in range(20):
        time.sleep(0.01)
        (path / f"{number}-{line}").touch()


@pytest.fixture(scope="module", params=[1, 2], ids=["1 process", "2 processes"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with Workers(request.param) as running:
        yield running


def test_results_come_in_the_order_of_the_tasks(workers: Workers) -> None:
    found = list(workers.map(slowest_first, range(12)))
    assert [number for number, _ in found] == list(range(12))


def test_no_task_is_no_result(workers: Workers) -> None:
    assert list(workers.map(slowest_first, [])) == []


def test_an_error_comes_out_as_it_is(workers: Workers) -> None:
    results = workers.map(fail, range(100))
    assert list(islice(results, 2)) == [0, 1]
    with pytest.raises(OSError, match=r"^the disk is full$"):
        next(results)
    assert next(workers.map(slowest_first, [7]))[0] == 7


def test_few_tasks_are_taken_ahead(workers: Workers) -> None:
    taken = count()
    with closing(workers.map(slowest_first, (next(taken) for _ in range(100)))) as results:
        next(results)
        assert next(taken) <= 2 * AHEAD + 1


def test_no_task_runs_after_the_iteration(workers: Workers, tmp_path: Path) -> None:
    with closing(workers.map(partial(write, tmp_path), range(20))) as results:
        next(results)
    before = len(list(tmp_path.iterdir()))
    time.sleep(0.1)
    assert len(list(tmp_path.iterdir())) == before < 20 * 20


def test_both_processes_work_with_one_thread_each() -> None:
    with Workers(2) as workers:
        found = list(workers.map(slowest_first, range(8)))
        pids = {pid for _, pid in found}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert set(workers.map(threads, range(8))) == {"1"}
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_killed_process_is_one_sentence() -> None:
    with (
        Workers(2) as workers,
        pytest.raises(ChildProcessError, match="a worker process was killed"),
    ):
        list(workers.map(killed, range(4)))


def test_a_signal_of_the_terminal_ends_no_process() -> None:
    """Ctrl-C goes to all of them; the first one ends the others in order."""
    with Workers(2) as workers:
        before = {pid for _, pid in workers.map(slowest_first, range(8))}
        for pid in before:
            os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
        assert {pid for _, pid in workers.map(slowest_first, range(8))} <= before


KILLED: Final = """
import os, signal
import psutil
from batch.files.workers import Workers
workers = Workers(2)
list(workers.map(abs, range(8)))
print(*(child.pid for child in psutil.Process().children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    # A pipe would be open as long as they live.
    with out.open("wb") as stream:
        command = [sys.executable, "-c", KILLED]
        subprocess.run(command, stdout=stream, stderr=subprocess.DEVNULL, check=False)
    children = [
        psutil.Process(int(pid)) for pid in out.read_text().split() if psutil.pid_exists(int(pid))
    ]
    _, alive = psutil.wait_procs(children, timeout=10)
    for child in alive:
        child.kill()
    assert not alive
