"""`loglake detect`: incidents in any log files, no stack needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streaming.contracts.errors import StackError
from streaming.contracts.settings import Settings

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

TABLE_WIDTH = 190
"""Characters in which every column of the table shows."""


@click.command("detect")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--baselines",
    default="learn",
    show_default=True,
    help="`learn` from these files, `none` for fixed floors, or the path of a Delta table.",
)
@click.option("--server", help="Server of lines that name none; default: the file's name.")
@click.option(
    "--allow",
    multiple=True,
    metavar="CLIENT",
    help="Address or network that is never evaluated.",
)
@click.pass_obj
def detect_command(
    settings: Settings,
    files: tuple[Path, ...],
    as_json: bool,
    baselines: str,
    server: str | None,
    allow: tuple[str, ...],
) -> None:
    """Find incidents in access and error logs: JSON, combined, common, .gz, in any order."""
    # Spark takes seconds to import; `loglake --help` need not wait for it.
    from batch.cli import detect_files

    try:
        with errors.status("Starting Spark …") as status:
            rows = detect_files(settings, files, baselines, server, allow, _teller(status.update))
    except ValueError as error:
        raise StackError(str(error)) from error
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        # Narrower, as a pipe is, the table would drop whole columns: better let the lines wrap.
        wide = Console(highlight=False, width=max(console.width, TABLE_WIDTH))
        wide.print(_table(rows) if rows else "No incidents.")


def _teller(update: Callable[[str], None]) -> Callable[[str], None]:
    def tell(text: str) -> None:
        errors.print(text)
        update(f"{text} …")

    return tell


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in ("score", "kind", "server", "entity", "opened", "closed", "observed"):
        justify: Any = "right" if name in ("score", "observed") else "left"
        table.add_column(name, justify=justify, no_wrap=True)
    table.add_column("expected / threshold", justify="right", no_wrap=True)
    # What may wrap gives way first: the evidence, not the verdict.
    table.add_column("evidence", overflow="fold")
    for row in rows:
        table.add_row(
            f"{row['peak_score']:.0f}",
            row["kind"],
            row["server"],
            row["entity"],
            row["opened_at"],
            row["closed_at"] or "still open",
            f"{row['observed']:g}",
            f"{row['expected']:g} / {row['threshold']:g} ({row['basis']})",
            "; ".join(row["evidence"]),
        )
    return table


COMMANDS = (detect_command,)
