"""What a container runs: one native service, several under supervisord, or the set-up.

    python -m stack.docker.run nginx-web1                       that service, in the foreground
    python -m stack.docker.run --supervised dagster-daemon …    several, and what they start
    python -m stack.docker.run --secrets                        passwords that servers start with
    python -m stack.docker.run --set-up                         topics, buckets, tokens

Command and configuration are those of `loglake up`, so a container differs only in its settings.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from orchestration.desired import read_desired, wish
from orchestration.supervisor import PASSWORD, Supervisor
from stack import grafana, influx, kafka
from stack.secrets import ensure_secret, write_private
from stack.service import Service
from stack.services import PARTS, write_supervisord_conf
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, Settings

POSTGRES: Final = ("postgres", "5432", "dagster", "dagster")
"""Host, port, database and user of Dagster's storage, as compose.yaml has them."""


def chosen(settings: Settings, names: Sequence[str]) -> list[Service]:
    """The named services; an image need not have the programs of the others.

    Raises `StackError` for a name that no service has.
    """
    table: dict[str, Service] = {}
    reasons = []
    for part in PARTS:
        try:
            table |= {service.name: service for service in part(settings)}
        except StackError as error:
            reasons.append(str(error))
    unknown = [name for name in names if name not in table]
    if unknown or not names:
        raise StackError(f"this image runs {', '.join(table)}, not {unknown}; {'; '.join(reasons)}")
    return [table[name] for name in names]


def run(settings: Settings, name: str) -> NoReturn:
    """Become the service."""
    (service,) = chosen(settings, [name])
    service.prepare()
    command = [str(part) for part in service.command]
    os.execvpe(command[0], command, {**os.environ, **service.environment})  # noqa: S606


def supervise(settings: Settings, names: Sequence[str]) -> int:
    """Run the services under a supervisord until it ends; return its status.

    Services on demand are wished for: Dagster starts them.
    """
    table = chosen(settings, names)
    for directory in (settings.log_dir, settings.run_dir):
        directory.mkdir(parents=True, exist_ok=True)
    for service in table:
        if service.on_demand and read_desired(settings, service.name) is None:
            wish(settings, service.name, "running")
    conf = write_supervisord_conf(settings, table)
    program = str(Path(sys.executable).parent / "supervisord")
    process = subprocess.Popen([program, "--nodaemon", "-c", str(conf)])
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    supervisor = Supervisor(settings)
    while process.poll() is None and not supervisor.running():
        time.sleep(0.1)
    for service in table:
        if not service.on_demand:
            service.prepare()
            supervisor.start(service.name)
    return process.wait()


def make_secrets(settings: Settings) -> None:
    """Make the passwords that servers start with; most containers can only read them."""
    password = ensure_secret(settings, "postgres_password")
    write_private(settings.home / "secrets" / "pgpass", ":".join([*POSTGRES, password]) + "\n")
    for name in (PASSWORD, grafana.ADMIN_PASSWORD):
        ensure_secret(settings, name)


def set_up(settings: Settings) -> None:
    """Bring Kafka and InfluxDB to what is declared."""
    kafka.ensure_topics(settings)
    influx.set_up(settings)


def main() -> None:
    """Do what the arguments say."""
    settings, arguments = Settings(), sys.argv[1:]
    os.chdir(CHECKOUT)
    try:
        if arguments == ["--secrets"]:
            make_secrets(settings)
        elif arguments == ["--set-up"]:
            set_up(settings)
        elif arguments[:1] == ["--supervised"]:
            raise SystemExit(supervise(settings, arguments[1:]))
        else:
            run(settings, " ".join(arguments))
    except StackError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
