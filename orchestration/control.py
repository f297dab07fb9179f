"""Start and stop a stream through supervisord, and wait until it is so."""

import time
from dataclasses import dataclass
from pathlib import Path

from orchestration.health import Health, diagnose, utc_now
from orchestration.supervisor import Program, Supervisor
from streaming.contracts.exceptions import StackError
from streaming.contracts.progress import StreamProgress, read_progress
from streaming.contracts.settings import Settings

IDLE_SECONDS = 20
"""A stream that speaks but commits nothing for so long has no new lines to read: it runs."""
POLL_SECONDS = 0.5
STOP_SECONDS = 120
"""Longer than supervisord's own patience with a stream, after which it kills it."""


class StreamFailedError(StackError):
    """A stream did not come up, or did not go down."""


@dataclass(frozen=True)
class StreamControl:
    """One stream application as a supervised process."""

    settings: Settings
    name: str

    @property
    def _supervisor(self) -> Supervisor:
        return Supervisor(self.settings)

    def program(self) -> Program:
        """State of the process; raises `SupervisorDownError` if supervisord does not answer."""
        return self._supervisor.info(self.name)

    def progress(self) -> StreamProgress | None:
        """What the stream last said."""
        return read_progress(self.settings, self.name)

    def health(self) -> tuple[Health, str]:
        """Verdict on the stream, and why."""
        return diagnose(self.program(), self.progress(), utc_now())

    def ensure_running(self, timeout_seconds: float = 180) -> StreamProgress:
        """Start the stream unless it is healthy and wait for its first committed batch.

        Raises `StackError` if it dies or stays silent; the text names the log file.
        """
        health, _ = self.health()
        if health in (Health.HUNG, Health.STOPPING):
            self.stop()
            health, _ = self.health()
        if health.needs_start:
            self._supervisor.start(self.name)
        return self._wait_for_batch(timeout_seconds)

    def stop(self) -> None:
        """Ask the stream to finish its batch and end; supervisord kills it if it does not."""
        self._supervisor.stop(self.name)
        deadline = time.monotonic() + STOP_SECONDS
        # Supervisord does not wait for a process that somebody else has asked to stop.
        while (program := self.program()).state == "STOPPING" and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if program.alive:
            raise StreamFailedError(
                f"{self.name}: process {program.pid} is still {program.state}; "
                f"see {program.log_file}"
            )

    def _wait_for_batch(self, timeout_seconds: float) -> StreamProgress:
        deadline = time.monotonic() + timeout_seconds
        idle_since: float | None = None
        while time.monotonic() < deadline:
            program, progress = self.program(), self.progress()
            health, why = diagnose(program, progress, utc_now())
            if health in (Health.DEAD, Health.STOPPED):
                raise StreamFailedError(f"{self.name}: {why} See {program.log_file}")
            if health is Health.HEALTHY and progress:
                if any(query.input_rows for query in progress.queries.values()):
                    return progress
                idle_since = idle_since or time.monotonic()
                if time.monotonic() - idle_since > IDLE_SECONDS:
                    return progress
            time.sleep(POLL_SECONDS)
        raise StreamFailedError(
            f"{self.name}: no sign of life within {timeout_seconds:.0f} s; "
            f"see {self.program().log_file}"
        )


def log_tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log file, empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""
