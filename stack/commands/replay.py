"""`loglake replay`: old logs through Kafka."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stack.replay import replay
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

console = Console(highlight=False)


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--server", required=True, help="The server that wrote the logs.")
@click.option("--errors", is_flag=True, help="They are error logs.")
@click.pass_obj
def replay_command(settings: Settings, files: tuple[Path, ...], server: str, errors: bool) -> None:
    """Feed old logs (JSON, combined, gzip) through Kafka; repeating it stores nothing twice."""
    for path in files:
        if not path.is_file():
            raise StackError(f"{path}: no such file; nothing was sent")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for path in files:
            task = progress.add_task(path.name, total=path.stat().st_size)
            sent = replay(
                settings,
                path,
                server,
                errors=errors,
                advance=lambda size, task=task: progress.advance(task, size),  # type: ignore[misc]
            )
            doubtful = (
                f", {sent.doubtful} of them in no known format: see rejected_lines"
                if sent.doubtful
                else ""
            )
            progress.console.print(f"{path}: {sent.lines} lines sent{doubtful}")
