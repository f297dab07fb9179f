"""`loglake reconcile`: make InfluxDB equal to the lake."""

from datetime import datetime

import click
from rich.console import Console

from stack.batch import period, spoken
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

console = Console(highlight=False)


@click.command("reconcile")
@period
@click.pass_obj
def reconcile_command(settings: Settings, start: datetime | None, stop: datetime | None) -> None:
    """Overwrite points that differ from the lake: what changed since the last run, or a period."""
    from batch.jobs.reconcile import run  # Spark takes seconds to import

    if (start is None) != (stop is None):
        raise StackError("--from and --to go together; give both, or neither")
    with spoken(), console.status("comparing InfluxDB with the lake"):
        outcome = run(settings, start, stop)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(outcome.reasons.items()))
    console.print(
        f"{outcome.windows} windows compared: {outcome.written} points written, "
        f"{outcome.removed} removed, {outcome.duplicates} duplicate events removed"
        + (f" ({why})." if why else ".")
    )
    for stream in outcome.waiting:
        console.print(f"{stream} has a backlog; its newest windows are compared once it is read.")
