"""A real supervisord with programs that behave like streams, and Dagster without its daemon."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.definitions.sensor_definition import SensorExecutionData

from orchestration import keys
from orchestration.definitions import defs
from orchestration.resources import Loglake
from orchestration.supervisor import PASSWORD, USER, Supervisor, socket_path
from stack.secrets import ensure_secret
from streaming.contracts import names
from streaming.contracts.settings import Settings

CONFIGURATION = """
[unix_http_server]
file = {socket}
username = {user}
password = {password}

[supervisord]
pidfile = {run}/supervisord.pid
logfile = {logs}/supervisord.log
childlogdir = {logs}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{name}]
command = {python} {program} {name}
environment = LOGLAKE_HOME="{home}",PYTHONPATH="{root}"
autostart = false
autorestart = false
startsecs = 0
stopwaitsecs = 10
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {logs}/{name}.log
"""
DEFINITIONS = defs()
ROOT = Path(__file__).parents[2]


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition; fails if it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {true}"
        time.sleep(0.05)


@dataclass
class World:
    """A home with a running supervisord, and Dagster objects that use it."""

    settings: Settings
    instance: dg.DagsterInstance
    cursors: dict[str, str | None]

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.settings)

    def mood(self, mood: str) -> None:
        """Tell the programs how to behave."""
        (self.settings.run_dir / "mood").write_text(mood)

    def kill(self, stream: str) -> None:
        """Kill -9 a stream, as a machine short of memory would."""
        psutil.Process(self.supervisor.info(stream).pid).kill()
        until(lambda: not self.supervisor.info(stream).alive)

    def run(self, job: str, expect: bool = True, **config: object) -> dg.ExecuteInProcessResult:
        """Run a job as a person does from the UI."""
        ops = {"ops": {name: {"config": value} for name, value in config.items()}}
        result = DEFINITIONS.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=ops, raise_on_error=False
        )
        assert result.success is expect, result
        return result

    def start(self, stream: str) -> None:
        """Materialise the asset of one stream."""
        self.obey([dg.RunRequest(asset_selection=[keys.stream(stream)])])
        assert self.supervisor.info(stream).alive

    def tick(self, stream: str) -> SensorExecutionData:
        """Let the sensor look once and store what it says, as the daemon would."""
        sensor = DEFINITIONS.resolve_sensor_def(f"watch_{stream}")
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(stream),
            resources={"loglake": Loglake()},
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[stream] = data.cursor
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        return data

    def obey(self, requests: Sequence[dg.RunRequest]) -> None:
        """Launch what a sensor asked for, as the daemon would."""
        for request in requests:
            dg.materialize(
                [DEFINITIONS.resolve_assets_def(key) for key in request.asset_selection],
                instance=self.instance,
                tags=request.tags,
                raise_on_error=False,
            )


@contextlib.contextmanager
def supervised(settings: Settings) -> Iterator[Supervisor]:
    """Run supervisord with the two programs, stopped at first, under a home."""
    for folder in (settings.run_dir, settings.log_dir):
        folder.mkdir(parents=True)
    values = {
        "socket": socket_path(settings),
        "user": USER,
        "password": ensure_secret(settings, PASSWORD),
        "run": settings.run_dir,
        "logs": settings.log_dir,
        "home": settings.home,
        "python": sys.executable,
        "program": Path(__file__).with_name("fake_stream.py"),
        "root": ROOT,
    }
    text = CONFIGURATION.format(**values)
    text += "".join(PROGRAM.format(name=name, **values) for name in names.STREAMS)
    path = settings.run_dir / "supervisord.conf"
    path.write_text(text)
    daemon = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        supervisor = Supervisor(settings)
        until(supervisor.running)
        yield supervisor
    finally:
        daemon.terminate()
        daemon.wait(30)
