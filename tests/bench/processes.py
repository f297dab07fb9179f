"""Time and memory of a whole command, its children included."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

import psutil

SAMPLE_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 0.2
"""How often new processes are looked for, and pss is read, which costs more than rss."""


@dataclass(frozen=True)
class Run:
    """One process and its children: seconds of time and of CPU, peak bytes."""

    wall_s: float
    cpu_s: float
    rss: int
    pss: int


class Sampler:
    """Peak memory of a process and its descendants, until `done`."""

    def __init__(self, pid: int) -> None:
        self.rss = self.pss = 0
        self.done = threading.Event()
        self._root = psutil.Process(pid)
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def join(self) -> None:
        """Stop."""
        self.done.set()
        self._thread.join()

    def _sample(self) -> None:
        looked = 0.0
        family: list[psutil.Process] = []
        while not self.done.wait(SAMPLE_SECONDS):
            try:
                if monotonic() - looked > LOOK_SECONDS:
                    looked = monotonic()
                    family = [self._root, *self._root.children(recursive=True)]
                    self.pss = max(self.pss, sum(_bytes(p, "pss") for p in family))
                self.rss = max(self.rss, sum(_bytes(p, "rss") for p in family))
            except psutil.NoSuchProcess:
                return


def _bytes(process: psutil.Process, kind: str) -> int:
    try:
        if kind == "pss":
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0


def measured(command: Sequence[str]) -> Run:
    """Run a command to its end; raises `RuntimeError` unless that is status 0."""
    with tempfile.TemporaryFile() as errors:
        began = monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        sampler = Sampler(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        wall = monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.join()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{command[0]}: {errors.read().decode(errors='replace')}")
    return Run(wall, used.ru_utime + used.ru_stime, sampler.rss, sampler.pss)
