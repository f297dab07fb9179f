"""Client of the supervisord of this home: its XML-RPC over a unix socket. No Dagster import."""

import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

USER: Final = "loglake"
PASSWORD: Final = "supervisor_password"  # noqa: S105 (the name of the secret)
RUNNING: Final = frozenset({"STARTING", "RUNNING", "STOPPING", "BACKOFF"})
# Linux keeps 108 bytes for the path of a unix socket; supervisord binds "<path>.<pid>" first.
_SOCKET_BYTES: Final = 97


class SupervisorDownError(StackError):
    """No supervisord answers for this home."""


@dataclass(frozen=True)
class Program:
    """One supervised program; `pid` is 0 and `started_at` is None while it is not alive."""

    name: str
    state: str
    pid: int
    started_at: datetime | None
    exit_status: int
    spawn_error: str
    log_file: Path

    @property
    def alive(self) -> bool:
        """Whether a process runs, or is about to."""
        return self.state in RUNNING

    @property
    def uptime_s(self) -> float:
        """Seconds since the process started, 0 without one."""
        if self.started_at is None:
            return 0.0
        return max(0.0, (datetime.now(UTC) - self.started_at).total_seconds())


def socket_path(settings: Settings) -> Path:
    """The unix socket of the supervisor.

    Raises `StackError` when the path is longer than a socket's may be.
    """
    path = settings.run_dir / "supervisor.sock"
    if len(str(path).encode()) > _SOCKET_BYTES:
        raise StackError(
            f"LOGLAKE_HOME {settings.home} is too long a path for the unix socket in it; "
            f"choose one of at most {_SOCKET_BYTES - len('/run/supervisor.sock')} bytes"
        )
    return path


class Supervisor:
    """Start, stop and ask for programs; each method raises `SupervisorDownError` without one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = socket_path(settings)

    def running(self) -> bool:
        """Whether a supervisord answers."""
        try:
            self._call("getState")
        except SupervisorDownError:
            return False
        return True

    def all(self) -> dict[str, Program]:
        """Every declared program by name."""
        return {info["name"]: _program(info) for info in self._call("getAllProcessInfo")}

    def info(self, name: str) -> Program:
        """One program; raises `StackError` for a name that is not declared."""
        return _program(self._call("getProcessInfo", name))

    def start(self, name: str, wait: bool = True) -> None:
        """Start a program; no effect if it runs. With `wait`, until it has stayed up.

        Raises `StackError` naming the log file when it cannot start or exits at once.
        """
        try:
            self._call("startProcess", name, wait, ignore=Faults.ALREADY_STARTED)
        except _RefusedError as error:
            if error.code not in (Faults.SPAWN_ERROR, Faults.ABNORMAL_TERMINATION):
                raise
            raise StackError(f"{name} does not stay up; see {self.info(name).log_file}") from error

    def stop(self, name: str, wait: bool = True) -> None:
        """Stop a program; no effect if it does not run. With `wait`, until it is gone."""
        self._call("stopProcess", name, wait, ignore=Faults.NOT_RUNNING)

    def restart(self, name: str) -> None:
        """Stop and start a program."""
        self.stop(name)
        self.start(name)

    def reload(self) -> list[str]:
        """Take over a changed configuration; return the programs that were stopped for it."""
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*changed, *removed):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)
        return [*changed, *removed]

    def shutdown(self, timeout_seconds: float = 150) -> None:
        """Stop every program, then supervisord itself; returns when its process is gone.

        Raises `StackError` if it is still there after the timeout.
        """
        process = psutil.Process(self._call("getPID"))
        self._call("shutdown", ignore=Faults.SHUTDOWN_STATE)
        try:
            process.wait(timeout_seconds)
        except psutil.TimeoutExpired:
            raise StackError(
                f"supervisord still runs after {timeout_seconds:.0f} s; "
                f"see {self._settings.log_dir / 'supervisord.log'}"
            ) from None

    def _call(self, method: str, *arguments: object, ignore: int | None = None) -> Any:
        transport = SupervisorTransport(USER, self._password(), f"unix://{self._socket}")
        try:
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            function: Callable[..., Any] = getattr(proxy.supervisor, method)
            return function(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ignore:
                return None
            raise _RefusedError(method, arguments, fault) from fault
        except (OSError, xmlrpc.client.ProtocolError) as error:
            raise self._down(str(error)) from error
        finally:
            transport.close()

    def _password(self) -> str:
        try:
            return self._settings.secret(PASSWORD)
        except FileNotFoundError as error:
            raise self._down("it was never started") from error

    def _down(self, reason: str) -> SupervisorDownError:
        return SupervisorDownError(
            f"no stack runs under {self._settings.home} ({reason}); start it with `loglake up`"
        )


class _RefusedError(StackError):
    def __init__(
        self, method: str, arguments: tuple[object, ...], fault: xmlrpc.client.Fault
    ) -> None:
        self.code = fault.faultCode
        name = str(arguments[0]) if arguments else "the stack"
        if self.code == Faults.BAD_NAME:
            super().__init__(f"no service is called {name}; `loglake status` lists them")
        else:
            super().__init__(f"supervisord refuses {method} of {name}: {fault.faultString}")


def _program(info: dict[str, Any]) -> Program:
    alive = info["pid"] != 0
    return Program(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"],
        started_at=datetime.fromtimestamp(info["start"], UTC) if alive else None,
        exit_status=info["exitstatus"],
        spawn_error=info["spawnerr"],
        log_file=Path(info["stdout_logfile"]),
    )
