"""`loglake explain`: why an incident fired, or why none did."""

import json
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from stack.incident_table import cell
from stack.plain_text import plain
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@click.command("explain")
@click.argument("incident_id", required=False)
@click.option("--server", help="Server that is asked about; `*` is the fleet.")
@click.option("--entity", default="", help="Client, route or category; default: all.")
@click.option("--at", help="Time in ISO 8601, UTC unless it names a zone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def explain_command(
    settings: Settings,
    incident_id: str | None,
    server: str | None,
    entity: str,
    at: str | None,
    as_json: bool,
) -> None:
    """Say why an incident fired, or what was thought of an entity at some time.

    Without arguments the newest incidents are listed.
    """
    from batch.jobs.explain import explain
    from batch.jobs.job import JobError

    moment = _moment(at)
    if moment and incident_id:
        raise StackError("name either an incident or a time, not both")
    try:
        with errors.status("Starting Spark …"):
            found = explain(settings, incident_id, server or names.FLEET, entity, moment)
    except JobError as error:
        raise StackError(plain(str(error))) from error
    if as_json:
        click.echo(json.dumps(found))
        return
    if "sentence" in found:
        console.print(cell(found["sentence"]))
        for line in found["incident"]["evidence"]:
            console.print(cell(f"  {line}"))
    rows = found.get("evaluations") or found.get("incidents") or []
    console.print(_table(rows) if rows else "Nothing to tell of that time.")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise StackError(f"{text}: no time in ISO 8601, such as 2026-01-31T14:03") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold")
    skipped = ("evidence", "horizon_s", "last_seen_at", "peak_at")
    columns = [name for name in rows[0] if name not in skipped]
    for name in columns:
        table.add_column(name)
    for row in rows:
        table.add_row(*(cell(row[name]) for name in columns))
    return table
