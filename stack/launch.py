"""Bring the native stack up and down."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import httpx
import psutil

from orchestration.supervisor import Program, Supervisor, socket_path
from stack.service import Service
from stack.services import directories, services, write_supervisord_conf
from stack.setup import check
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, Settings

READY_SECONDS: Final = 120
"""How long one service may take to become ready."""
POLL_SECONDS: Final = 0.2

Report = Callable[[str, str], None]
"""Told the name of a service and what it does now: `starting`, `ready`."""


def up(
    settings: Settings,
    report: Report,
    names: Iterable[str] | None = None,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Start the named services, by default all that are not on demand, and call `then`.

    What already runs is left alone. On any failure, of `then` or by an interrupt too, all that
    runs since this call is stopped again. Raises `StackError`.
    """
    check(settings)
    table = {service.name: service for service in services(settings)}
    wanted = _with_dependencies(table, names)
    supervisor = Supervisor(settings)
    fresh = not supervisor.running()
    if fresh and processes(settings):
        raise StackError(
            f"processes of an earlier stack under {settings.home} are left; "
            "stop them with `loglake down`"
        )
    alive = set() if fresh else _alive(supervisor)
    missing = [service for service in wanted if service.name not in alive]
    _check_ports(missing)
    for directory in directories(settings):
        directory.mkdir(parents=True, exist_ok=True)
    conf = write_supervisord_conf(settings, list(table.values()))
    try:
        if fresh:
            _start_supervisord(conf, supervisor)
        else:
            changed = supervisor.reload()
            missing = [s for s in wanted if s.name not in alive or s.name in changed]
        _start_in_order(supervisor, wanted, missing, report)
        then()
    except BaseException:
        if fresh:
            down(settings)
        else:
            for name in _alive(supervisor) - alive:
                supervisor.stop(name)
        raise


def down(settings: Settings) -> int:
    """Stop every service and the supervisor; return how many left-over processes were killed.

    Raises `StackError` when a process survives.
    """
    supervisor = Supervisor(settings)
    if supervisor.running():
        _stop_in_order(supervisor, services(settings))
        supervisor.shutdown()
    left = processes(settings)
    for process in left:
        process.kill()
    _, alive = psutil.wait_procs(left, timeout=10)
    if alive:
        pids = ", ".join(str(process.pid) for process in alive)
        raise StackError(f"processes {pids} of {settings.home} survive SIGKILL; see `ps`")
    return len(left)


def processes(settings: Settings) -> list[psutil.Process]:
    """Every process that the supervisor of this home started, found by what it inherited."""
    url = f"unix://{socket_path(settings)}"
    return [process for process in psutil.process_iter() if _belongs(process, url, settings.home)]


def _belongs(process: psutil.Process, url: str, home: Path) -> bool:
    try:
        if process.environ().get("SUPERVISOR_SERVER_URL") == url:
            return process.pid != os.getpid()
        # nginx writes its title over its environment, and a worker's title names no path.
        logs = f"{home.resolve()}/nginx/"
        return process.name() == "nginx" and any(
            file.path.startswith(logs) for file in process.open_files()
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def is_ready(service: Service, program: Program) -> bool:
    """Whether the program runs and answers where it should."""
    if program.state not in ("STARTING", "RUNNING"):
        return False
    if service.port is None:
        return program.state == "RUNNING"
    if service.health_path is None:
        return port_open(service.port)
    try:
        url = f"http://127.0.0.1:{service.port}{service.health_path}"
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def port_open(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def _stop_in_order(supervisor: Supervisor, table: Iterable[Service]) -> None:
    """Stop users before what they use, and side by side what does not use each other."""
    users: dict[str, set[str]] = {}
    for service in table:
        for used in (*service.depends_on, *service.stops_before):
            users.setdefault(used, set()).add(service.name)
    asked: set[str] = set()
    while alive := _alive(supervisor):
        for name in alive - asked:
            if not users.get(name, set()) & alive:
                supervisor.stop(name, wait=False)
                asked.add(name)
        time.sleep(POLL_SECONDS)


def _alive(supervisor: Supervisor) -> set[str]:
    return {program.name for program in supervisor.all().values() if program.alive}


def _with_dependencies(table: Mapping[str, Service], names: Iterable[str] | None) -> list[Service]:
    wanted: set[str] = set()
    pending = list(names or (s.name for s in table.values() if not s.on_demand))
    while pending:
        name = pending.pop()
        if name not in table:
            raise StackError(f"no service is called {name}; there are {', '.join(table)}")
        if name not in wanted:
            wanted.add(name)
            pending.extend(table[name].depends_on)
    return [service for service in table.values() if service.name in wanted]


def _check_ports(missing: Iterable[Service]) -> None:
    for service in missing:
        for setting, port in service.ports.items():
            with socket.socket() as server:
                # Ports of closed connections are free again; nginx and Java ask for that too.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    server.bind(("127.0.0.1", port))
                except OSError:
                    raise StackError(
                        f"port {port} of {service.name} is taken by another process; stop that, "
                        f"or set LOGLAKE_{setting.upper()} to a free port"
                    ) from None


def _start_supervisord(conf: Path, supervisor: Supervisor) -> None:
    program = Path(sys.executable).parent / "supervisord"
    done = subprocess.run(
        [program, "-c", conf], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise StackError(f"supervisord does not start: {' '.join(reason)}; see {conf}")
    deadline = time.monotonic() + 20
    while not supervisor.running():
        if time.monotonic() > deadline:
            raise StackError(f"supervisord does not answer; see {conf}")
        time.sleep(0.05)


def _start_in_order(
    supervisor: Supervisor, wanted: list[Service], missing: list[Service], report: Report
) -> None:
    waiting = {service.name: service for service in wanted}
    fresh = {service.name for service in missing}
    started: dict[str, float] = {}
    while waiting:
        for service in list(waiting.values()):
            if any(name in waiting for name in service.depends_on):
                continue
            if service.name not in started:
                report(service.name, "starting")
                if service.name in fresh:
                    service.prepare()
                    supervisor.start(service.name, wait=False)
                started[service.name] = time.monotonic()
            program = supervisor.info(service.name)
            if is_ready(service, program):
                service.complete()
                report(service.name, "ready")
                del waiting[service.name]
            else:
                _check_alive(service, program, started[service.name])
        time.sleep(POLL_SECONDS if waiting else 0)


def _check_alive(service: Service, program: Program, since: float) -> None:
    if program.state in ("FATAL", "BACKOFF", "EXITED"):
        raise StackError(
            f"{service.name} does not stay up ({last_words(program.log_file)}); "
            f"see {program.log_file}"
        )
    if time.monotonic() - since > READY_SECONDS:
        raise StackError(
            f"{service.name} is not ready after {READY_SECONDS} s; see {program.log_file}"
        )


def last_words(log_file: Path) -> str:
    """The last line of a log that is not empty, shortened."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, log_file.stat().st_size - 4096))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line]
    except OSError:
        return "no output"
    return lines[-1].strip()[:200] if lines else "no output"
