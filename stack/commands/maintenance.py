"""`loglake maintenance`: tidy the tables up."""

import click
from rich.console import Console

from stack.batch import spoken
from streaming.contracts.settings import Settings

console = Console(highlight=False)


@click.command("maintenance")
@click.pass_obj
def maintenance_command(settings: Settings) -> None:
    """Join small files, drop old days, delete unneeded files, check the hourly roll-up."""
    from batch.jobs.maintenance import run  # Spark takes seconds to import

    with spoken(), console.status("tidying the tables up"):
        done = run(settings)
    console.print(
        f"{sum(done.files_joined.values())} files joined, "
        f"{sum(done.rows_dropped.values())} rows dropped, "
        f"{sum(done.files_deleted.values())} files deleted."
    )
    for hour in done.rollup_hours_wrong:
        console.print(f"[red]The roll-up of {hour} UTC differs from its points.[/red]")
