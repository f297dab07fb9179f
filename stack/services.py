"""The services of the native stack in one table, and their supervisord.conf."""

import os
import pwd
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from orchestration.instance import dagster_home, write_instance
from orchestration.supervisor import PASSWORD, USER, socket_path
from stack import flume, grafana, influx, kafka
from stack.nginx.config import nginx_command, server_dir, write_config
from stack.render import render
from stack.secrets import ensure_secret, write_private
from stack.service import Service
from streaming.contracts import names
from streaming.contracts.settings import CHECKOUT, Settings

_PRIORITY: Final = {names.STREAM_ERRORS: ("nice", "-n", "3")}
"""A hundredth of the lines cost the errors' stream as much as it costs the other to compile and to
plan. Where both fill the cores, as in the first minutes, live traffic goes first."""


def services(settings: Settings) -> list[Service]:
    """Every service of this stack, dependencies first."""
    return [service for part in PARTS for service in part(settings)]


def _storage(settings: Settings) -> list[Service]:
    native: list[Service] = []
    if not settings.kafka_bootstrap_servers:
        native.append(
            Service(
                "kafka",
                kafka.broker_command(settings),
                ports={
                    "kafka_port": settings.kafka_port,
                    "kafka_controller_port": settings.kafka_controller_port,
                },
                prepare=partial(kafka.prepare_broker, settings),
                complete=partial(kafka.ensure_topics, settings),
                stop_seconds=60,
            )
        )
    if not settings.influx_url:
        native.append(
            Service(
                "influxd",
                influx.influxd_command(settings),
                ports={"influx_port": settings.influx_port},
                health_path="/health",
                complete=partial(influx.set_up, settings),
            )
        )
    return native


def _web(settings: Settings) -> list[Service]:
    upstream = Service(
        "upstream",
        (sys.executable, "-m", "stack.demo.upstream"),
        ports={"upstream_port": settings.upstream_port},
        environment=settings.environment(),
    )
    servers = [
        Service(
            f"nginx-{server}",
            nginx_command(settings, server),
            ports={"nginx_port": port},
            prepare=partial(write_config, settings, server),
        )
        for server, port in settings.nginx_ports().items()
    ]
    traffic = Service(
        "traffic",
        (sys.executable, "-m", "stack.demo.traffic"),
        depends_on=(upstream.name, *(server.name for server in servers)),
        environment=settings.environment(),
        on_demand=True,
    )
    return [upstream, *servers, traffic]


def _flume(settings: Settings) -> list[Service]:
    collector = Service(
        "flume-collector",
        flume.collector_command(settings),
        ports={"flume_port": settings.flume_port},
        depends_on=("kafka",) if not settings.kafka_bootstrap_servers else (),
        prepare=partial(flume.write_collector, settings),
        stop_seconds=40,
    )
    agents = [
        Service(
            f"flume-{server}",
            flume.agent_command(settings, server),
            depends_on=("flume-collector",),
            prepare=partial(flume.write_agent, settings, server),
            start_seconds=2,
            stop_seconds=40,
        )
        for server in settings.servers
    ]
    return [collector, *agents]


def _streams(settings: Settings) -> list[Service]:
    return [
        Service(
            stream,
            (*_PRIORITY.get(stream, ()), sys.executable, "-m", f"streaming.live.{stream}"),
            # The Spark UI listens on every address unless told otherwise.
            environment={**settings.environment(), "SPARK_LOCAL_IP": "127.0.0.1"},
            depends_on=tuple(s.name for s in _storage(settings)),
            on_demand=True,
            # Its Dagster sensor is what starts it again: with pauses, and with an end.
            restart="false",
            start_retries=0,
            start_seconds=5,
            # It finishes its batch and stops its own JVM, which must not hear of the stop first.
            stop_group=False,
            stop_seconds=90,
        )
        for stream in names.STREAMS
    ]


def _dagster(settings: Settings) -> list[Service]:
    home = dagster_home(settings)
    environment = {**settings.environment(), "DAGSTER_HOME": str(home)}
    programs = Path(sys.executable).parent
    module = ("-m", "orchestration.definitions")
    webserver = Service(
        "dagster-webserver",
        (
            str(programs / "dagster-webserver"),
            *("-h", settings.bind_address, "-p", str(settings.dagster_port), *module),
        ),
        ports={"dagster_port": settings.dagster_port},
        health_path="/server_info",
        prepare=partial(write_instance, settings),
        environment=environment,
    )
    daemon = Service(
        "dagster-daemon",
        (str(programs / "dagster-daemon"), "run", *module),
        depends_on=("dagster-webserver",),
        # Its sensors would start a stopped stream again.
        stops_before=names.STREAMS,
        environment=environment,
        start_seconds=3,
        # It ends the code server and its running ticks first: 21 s on a busy machine.
        stop_seconds=40,
    )
    return [webserver, daemon]


PARTS: Final = (_storage, _web, _flume, _streams, _dagster, grafana.services)
"""Makers of services; each may need programs that the others do without."""


def write_supervisord_conf(settings: Settings, table: Sequence[Service]) -> Path:
    """Render HOME/run/supervisord.conf, which holds a password: mode 0600."""
    text = render(
        "stack/supervisord.conf.j2",
        services=table,
        socket=socket_path(settings),
        user=USER,
        password=ensure_secret(settings, PASSWORD),
        owner=pwd.getpwuid(os.geteuid()).pw_name,
        directory=CHECKOUT,
        run=settings.run_dir,
        logs=settings.log_dir,
    )
    path = settings.run_dir / "supervisord.conf"
    write_private(path, text)
    return path


def directories(settings: Settings) -> list[Path]:
    """Directories that must exist before any service starts."""
    servers = [server_dir(settings, server) for server in settings.servers]
    return [settings.log_dir, settings.run_dir, settings.home / "influxdb", *servers]
