"""`loglake demo`: the stack, real traffic, and a live table until Ctrl-C."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from urllib3.exceptions import HTTPError

from orchestration.supervisor import Supervisor
from stack import influx, launch
from stack.commands.services import bring_up, places
from stack.demo.publish import publish_history
from stack.status import status
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

HISTORY_LINES: Final = 2_000_000
"""Without --rate, history is this long: about a minute of writing on two free cores."""

REFRESH_S: Final = 2.0
PRINT_S: Final = 60.0
"""How often the tables are printed where no terminal can redraw them."""

console = Console(highlight=False)


@click.command("demo")
@click.option("--rate", type=click.FloatRange(0.1, 5000), help="Mean requests/s of the traffic.")
@click.option("--history", metavar="DAYS", help="First write this past, such as 14d, into Kafka.")
@click.pass_obj
def demo_command(settings: Settings, rate: float | None, history: str | None) -> None:
    """Start the stack with real traffic and show it; Ctrl-C stops all of it.

    History is as busy as the traffic, so that it is a baseline for it: without --rate, both are
    slow enough for two million lines of history.
    """
    days = _days(history)
    if days and rate is None:
        rate = min(settings.demo_rate, HISTORY_LINES / (days * 86_400))
    settings = settings.with_changes(demo_rate=rate or settings.demo_rate)
    bring_up(settings, streams=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if days:
            _write_history(settings, days)
        launch.up(settings, lambda name, state: None, ["traffic"])
        _watch(settings)
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        launch.down(settings)
    console.print(f"Stopped; the data stays under {settings.home}.")


def _days(history: str | None) -> int:
    if history is None:
        return 0
    found = re.fullmatch(r"([1-9]\d{0,3})d?", history)
    if found is None:
        raise StackError(f"--history {history!r} is no number of days; write it as 14d")
    return int(found[1])


def _write_history(settings: Settings, days: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{days} days of history into Kafka", total=1.0)

        def advance(share: float, lines: int) -> None:
            progress.update(task, completed=share, description=f"history: {lines:,} lines")

        done = publish_history(settings, days, settings.demo_rate, advance=advance)
    told = ", ".join(sorted({incident.kind for incident in done.incidents}))
    console.print(
        f"{done.access:,} access and {done.errors:,} error lines with"
        f" {len(done.incidents)} incidents in them ({told})"
    )


def _watch(settings: Settings) -> None:
    with (
        InfluxDBClient(
            settings.influx,
            token=settings.secret(influx.READ_TOKEN),
            org=settings.influx_org,
            timeout=5_000,
        ) as client,
        _screen() as show,
    ):
        # Another terminal may say `loglake down`.
        supervisor = Supervisor(settings)
        while supervisor.running():
            table = _traffic(settings, client)
            show(Group(_services(settings), table, places(settings)))
            time.sleep(REFRESH_S)


@contextmanager
def _screen() -> Iterator[Callable[[Group], None]]:
    if console.is_terminal:
        with Live(console=console, refresh_per_second=1) as live:
            yield live.update
        return
    due = 0.0

    def show(tables: Group) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + PRINT_S
            console.print(tables)

    yield show


def _services(settings: Settings) -> Table:
    table = Table.grid(padding=(0, 2))
    health: dict[str, list[str]] = {}
    for row in status(settings):
        health.setdefault(row.health, []).append(row.name)
    for state, members in sorted(health.items(), key=lambda item: item[0] != "healthy"):
        table.add_row(state, " ".join(members))
    return table


def _traffic(settings: Settings, client: InfluxDBClient) -> Table:
    table = Table("server", "requests/s", "5xx", "p95", "clients", box=None, title_justify="left")
    try:
        rows = _newest(settings, client)
    except (ApiException, HTTPError) as error:
        table.add_row(f"InfluxDB does not answer: {type(error).__name__}")
        return table
    for server in settings.servers:
        row = rows.get(server, {})
        p95 = row.get("latency_p95")
        table.add_row(
            server,
            f"{row['rps']:.1f}" if "rps" in row else "none yet",
            str(row.get("status_5xx", "")),
            "" if p95 is None else f"{p95 * 1000:.0f} ms",
            str(row.get("clients", "")),
        )
    total = sum(row.get("rps", 0.0) for row in rows.values())
    table.add_row("all", f"{total:.1f}", f"of {settings.demo_rate:g} on an average day")
    return table


def _newest(settings: Settings, client: InfluxDBClient) -> dict[str, dict[str, Any]]:
    """Return the fields of the newest window of each server that is over."""
    over = names.WINDOW_SECONDS
    query = f"""
        from(bucket: "{names.BUCKET_METRICS}")
          |> range(start: -2m, stop: -{over}s)
          |> filter(fn: (r) => r._measurement == "{names.HTTP_TRAFFIC}")
          |> filter(fn: (r) => contains(value: r._field,
               set: ["rps", "status_5xx", "latency_p95", "clients"]))
          |> last()
          |> keep(columns: ["server", "_field", "_value"])
    """
    rows: dict[str, dict[str, Any]] = {}
    for table in client.query_api().query(query):
        for record in table.records:
            rows.setdefault(record["server"], {})[record["_field"]] = record.get_value()
    return rows
