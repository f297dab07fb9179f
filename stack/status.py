"""What each service of the native stack does now."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from orchestration.supervisor import Program, Supervisor
from stack.launch import READY_SECONDS, is_ready
from stack.service import Service
from stack.services import services
from streaming.contracts import names
from streaming.contracts.progress import read_progress
from streaming.contracts.settings import Settings
from streaming.live import disk

HEARTBEAT_SECONDS: Final = 60
"""A stream that has not spoken for so long hangs."""

Health = Literal["healthy", "starting", "stopped", "down", "failed"]


class Status(BaseModel):
    """One service; `pid` and `port` are None where there is none, `uptime_s` is seconds.

    `health` is `healthy` when it runs and answers, `starting`, `stopped` when it is meant to be,
    `down` when it runs but does not answer or should run and does not, `failed` when it ended with
    an error.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    pid: int | None
    port: int | None
    uptime_s: float
    health: Health


def status(settings: Settings) -> list[Status]:
    """Every declared service, stopped ones too."""
    supervisor = Supervisor(settings)
    programs = supervisor.all() if supervisor.running() else {}
    return [
        _status(settings, service, programs.get(service.name)) for service in services(settings)
    ]


def disk_warning(settings: Settings) -> str | None:
    """Return a sentence when the disk of `settings.home` is nearly full."""
    if not settings.home.exists():
        return None
    used = disk.used_ratio(settings.home)
    if used <= names.DISK_FULL:
        return None
    return (
        f"The disk of {settings.home} is {used:.0%} full; "
        "docs/runbooks/disk-full.md says what may go."
    )


def _status(settings: Settings, service: Service, program: Program | None) -> Status:
    return Status(
        name=service.name,
        state=program.state if program else "STOPPED",
        pid=(program.pid or None) if program else None,
        port=service.port,
        uptime_s=round(program.uptime_s, 1) if program else 0.0,
        health=_health(settings, service, program),
    )


def _health(settings: Settings, service: Service, program: Program | None) -> Health:
    if program is None or not program.alive:
        failed = program is not None and (program.state == "FATAL" or _died(program))
        expected = program is not None and not service.on_demand
        return "failed" if failed else "down" if expected else "stopped"
    if service.name in names.STREAMS:
        return _stream_health(settings, service.name, program)
    if is_ready(service, program):
        return "healthy"
    return "starting" if program.state == "STARTING" else "down"


def _died(program: Program) -> bool:
    return program.state == "EXITED" and program.exit_status != 0


def _stream_health(settings: Settings, stream: str, program: Program) -> Health:
    progress = read_progress(settings, stream)
    if progress is not None and progress.pid == program.pid:
        return "healthy" if progress.age_s() < HEARTBEAT_SECONDS else "down"
    return "starting" if program.uptime_s < READY_SECONDS else "down"
