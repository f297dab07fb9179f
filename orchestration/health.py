"""How a stream is: its supervised process and what it last said of itself, as one verdict."""

from datetime import UTC, datetime
from enum import StrEnum

from orchestration.supervisor import Program
from streaming.contracts.progress import StreamProgress

HEARTBEAT_SECONDS = 60
"""A stream that has been silent for longer hangs; it speaks at least every few seconds."""
START_SECONDS = 180
"""So long may the first word take after a start; a JVM on a busy machine is slow."""


class Health(StrEnum):
    """State of a stream, whatever anybody wants it to be."""

    STOPPED = "stopped"
    STARTING = "starting"
    STOPPING = "stopping"
    HEALTHY = "healthy"
    DEAD = "dead"
    HUNG = "hung"

    @property
    def needs_start(self) -> bool:
        """Whether a stream that should run has to be started (again)."""
        return self in (Health.STOPPED, Health.DEAD, Health.HUNG)


def diagnose(
    program: Program, progress: StreamProgress | None, now: datetime
) -> tuple[Health, str]:
    """Evaluate a stream; the text says why in one sentence."""
    if not program.alive:
        if program.state == "STOPPED":
            return Health.STOPPED, "It is stopped."
        error = progress.error if progress and progress.error else program.spawn_error
        error = error or f"Exit status {program.exit_status}."
        return Health.DEAD, f"The process is gone: {error}"
    if program.state == "STOPPING":
        return Health.STOPPING, f"Process {program.pid} finishes its running batches."
    running = program.uptime_s
    spoken = progress is not None and progress.pid == program.pid
    silent = progress.age_s(now) if progress and spoken else running
    patience = HEARTBEAT_SECONDS if progress and spoken and progress.queries else START_SECONDS
    if silent > patience:
        return Health.HUNG, f"Process {program.pid} has said nothing for {silent:.0f} s."
    if not spoken:
        return Health.STARTING, f"Process {program.pid} started {running:.0f} s ago."
    return Health.HEALTHY, f"Process {program.pid} spoke {silent:.0f} s ago."


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)
