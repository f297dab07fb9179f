"""Incidents as commands show them: a table or a line for a person, an object for a program."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stack.plain_text import plain

if TYPE_CHECKING:
    from streaming.detection.incidents import Incident

TABLE_WIDTH: Final = 190
"""Characters in which every column of the table shows."""


def plain_incident(incident: "Incident") -> dict[str, Any]:
    """Return an incident as one JSON object; `closed_at` is null while it is open."""
    from streaming.detection.rows import utc

    peak = incident.peak
    return {
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "server": incident.server,
        "entity": incident.entity,
        "opened_at": utc(incident.opened_at).isoformat(),
        "closed_at": None if incident.closed_at is None else utc(incident.closed_at).isoformat(),
        "peak_score": peak.score,
        "observed": peak.observed,
        "expected": peak.expected,
        "threshold": peak.threshold,
        "basis": peak.basis,
        "baseline_version": peak.version,
        "evidence": list(incident.evidence),
    }


def incident_line(row: dict[str, Any]) -> str:
    """Return an incident, as `plain_incident` has it, in one line."""
    closed = row["closed_at"]
    when = f"over at {_time(closed)}" if closed else f"since {_time(row['opened_at'])}"
    entity = f" {row['entity']}" if row["entity"] else ""
    return plain(
        f"{row['kind']} on {row['server']}{entity}, {when}: {row['observed']:g} observed, "
        f"{row['expected']:g} expected, threshold {row['threshold']:g}, "
        f"score {row['peak_score']:.0f}"
    )


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def wide_console() -> Console:
    """Return a console in which the table keeps its columns: in a pipe its lines wrap instead."""
    console = Console(highlight=False)
    return Console(highlight=False, width=max(console.width, TABLE_WIDTH))


def cell(value: object) -> Text:
    """Return a value as text that is no markup."""
    return Text("" if value is None else plain(str(value)))


def incident_table(rows: list[dict[str, Any]]) -> Table:
    """Return a table of incidents, each as `plain_incident` has it."""
    table = Table(box=None, header_style="bold")
    for name in ("score", "kind", "server", "entity", "opened", "closed", "observed"):
        justify: Any = "right" if name in ("score", "observed") else "left"
        table.add_column(name, justify=justify, no_wrap=True)
    table.add_column("expected / threshold", justify="right", no_wrap=True)
    # What may wrap gives way first: the evidence, not the verdict.
    table.add_column("evidence", overflow="fold")
    for row in rows:
        values = (
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
        table.add_row(*map(cell, values))
    return table
