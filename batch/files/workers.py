"""Work on several cores, or in this process where starting others would take longer."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")

AHEAD: Final = 1
"""Tasks of each process that wait beside the one that runs: they bound the memory."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


class Workers(AbstractContextManager["Workers"]):
    """Processes that run functions of importable modules; none with `processes` below 2."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[A], B], tasks: Iterable[A]) -> Generator[B, None, None]:
        """Yield the results in the order of `tasks`, which are taken a few ahead.

        When the iteration ends early no task runs any more. Raises `ChildProcessError` when a
        process was killed.
        """
        if self._processes < 2:
            yield from map(function, tasks)
            return
        waiting: deque[Future[B]] = deque()
        try:
            for task in tasks:
                waiting.append(self._submitted(function, task))
                if len(waiting) > AHEAD * self._processes:
                    yield waiting[0].result()
                    waiting.popleft()
            while waiting:
                yield waiting[0].result()
                waiting.popleft()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker process was killed; perhaps the memory was full"
            ) from error
        finally:
            wait([future for future in waiting if not future.cancel()])

    def _submitted(self, function: Callable[[A], B], task: A) -> Future[B]:
        if self._pool is None:
            # Not forked: the threads of Polars would not come along.
            self._pool = ProcessPoolExecutor(
                self._processes, mp_context=get_context("spawn"), initializer=_begin
            )
        # A process that starts keeps the mask: Ctrl-C is for this one, which ends the others.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(function, task)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    # Read when Polars is imported, by the first task: each process has a core of its own.
    os.environ["POLARS_MAX_THREADS"] = "1"
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
