"""`loglake setup`, `up`, `down`, `status`, `logs`: the native services."""

import json
import os
from functools import partial
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stack import launch
from stack.services import services
from stack.setup import setup
from stack.status import Status, disk_warning, status
from stack.streams import start_streams
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

console = Console(highlight=False)


@click.command("setup")
@click.pass_obj
def setup_command(settings: Settings) -> None:
    """Get whatever this machine lacks: JARs, InfluxDB, nginx."""
    setup(settings, console)
    console.print("Everything that the stack needs is there.")


@click.command("up")
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option("--no-streams", is_flag=True, help="Leave the two Spark streams stopped.")
@click.pass_obj
def up_command(settings: Settings, names: tuple[str, ...], no_streams: bool) -> None:
    """Start the stack, or only the named services and what they need."""
    bring_up(settings, names or None, streams=not names and not no_streams)
    console.print(places(settings))


@click.command("down")
@click.pass_obj
def down_command(settings: Settings) -> None:
    """Stop every service; no process is left behind."""
    with console.status("stopping every service"):
        left = launch.down(settings)
    killed = f"; {left} left-over processes had to be killed" if left else ""
    console.print(f"Stopped{killed}.")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.pass_obj
def status_command(settings: Settings, as_json: bool) -> None:
    """Show each service; the exit status is 1 when one that should run is not healthy."""
    rows = status(settings)
    if as_json:
        click.echo(json.dumps([row.model_dump() for row in rows], indent=2))
    else:
        console.print(_status_table(rows))
        if warning := disk_warning(settings):
            console.print(warning)
    if any(row.health in ("down", "failed") for row in rows):
        raise click.exceptions.Exit(1)


@click.command("logs")
@click.argument("service")
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows.")
@click.option("-n", "--lines", default=50, show_default=True, help="Lines from the end.")
@click.pass_obj
def logs_command(settings: Settings, service: str, follow: bool, lines: int) -> None:
    """Show the log of a service."""
    known = [declared.name for declared in services(settings)]
    path = settings.log_dir / f"{service}.log"
    if service not in known:
        raise StackError(f"no service is called {service}; there are {', '.join(known)}")
    if not path.exists():
        raise StackError(f"{service} has no log under {settings.log_dir}; it never started there")
    options = ["-F"] if follow else []
    os.execvp("tail", ["tail", *options, "-n", str(lines), str(path)])  # noqa: S606


def bring_up(settings: Settings, names: tuple[str, ...] | None = None, *, streams: bool) -> None:
    """Start services with visible progress; with `streams`, also both Spark streams.

    Raises `StackError`; whatever this call started is stopped again then.
    """
    setup(settings, console)
    columns = (SpinnerColumn(), TextColumn("{task.fields[name]:<18} {task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        tasks: dict[str, Any] = {}

        def report(name: str, state: str) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(state, name=name, total=1)
            progress.update(tasks[name], description=state, completed=int(state == "ready"))

        then = partial(start_streams, settings, report) if streams else lambda: None
        launch.up(settings, report, names, then)


def places(settings: Settings) -> Table:
    """Where to look."""
    table = Table.grid(padding=(0, 2))
    for name, port in settings.nginx_ports().items():
        table.add_row(name, f"http://127.0.0.1:{port}/")
    table.add_row("Dagster", f"http://127.0.0.1:{settings.dagster_port}")
    if launch.port_open(settings.grafana_port):
        table.add_row("Grafana", f"http://127.0.0.1:{settings.grafana_port}")
    table.add_row("logs", str(settings.log_dir))
    return table


_COLOURS: Final = {"healthy": "green", "stopped": "dim", "starting": "yellow"}


def _status_table(rows: list[Status]) -> Table:
    table = Table("service", "health", "state", "pid", "port", "uptime", box=None)
    for row in rows:
        colour = _COLOURS.get(row.health, "red")
        uptime = f"{row.uptime_s:.0f} s" if row.pid else ""
        health = f"[{colour}]{row.health}[/]"
        table.add_row(row.name, health, row.state, str(row.pid or ""), str(row.port or ""), uptime)
    return table
