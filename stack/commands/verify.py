"""`loglake verify`: stream = batch = what was sent."""

import json
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from stack.batch import period, spoken
from streaming.contracts.settings import Settings

console = Console(highlight=False)


@click.command("verify")
@period
@click.option("--every-window", is_flag=True, help="Compare all windows instead of 120.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def verify_command(
    context: click.Context,
    start: datetime | None,
    stop: datetime | None,
    every_window: bool,
    as_json: bool,
) -> None:
    """Compare Kafka, lake and InfluxDB, by default over the last hour; status 1 if they differ."""
    from batch.jobs.verify import SAMPLE, run  # Spark takes seconds to import

    settings: Settings = context.obj
    sample = 1_000_000 if every_window else SAMPLE
    with spoken(), console.status("comparing Kafka, the lake and InfluxDB"):
        found = run(settings, start, stop, sample)
    if as_json:
        click.echo(json.dumps(found.summary(), indent=2))
    else:
        console.print(f"{found.start:%Y-%m-%d %H:%M:%S} to {found.stop:%Y-%m-%d %H:%M:%S} UTC")
        console.print(_topics(found.summary()))
        console.print(_points(found.summary()))
        console.print("They agree." if found.ok else "[red]They differ.[/red]")
    context.exit(0 if found.ok else 1)


def _topics(summary: dict) -> Table:
    table = Table("topic", "records", "rows", "rejected", "sent again", "lost", box=None)
    for name, account in summary["topics"].items():
        values = ("records", "rows", "rejected", "sent_again", "lost")
        table.add_row(name, *(str(account[value]) for value in values))
    for name, copies in summary["duplicates"].items():
        table.add_row(name, "", f"{copies} twice", "", "", "")
    return table


def _points(summary: dict) -> Table:
    table = Table("measurement", "windows", "differences", box=None)
    for name, count in summary["windows"].items():
        reasons = summary["differences"][name]
        text = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        table.add_row(name, str(count), text or "none")
    return table
