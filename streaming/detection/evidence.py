"""Sample lines for incidents, from the access log itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from streaming.contracts import names
from streaming.detection.incidents import Incident
from streaming.detection.rows import utc

SAMPLES: Final = 3
SPAN: Final = 60
"""Samples come from this many seconds after an incident opened, and the window it opened in."""

MAX_INCIDENTS: Final = 200
MAX_TEXT: Final = 300
"""Characters of a path and its query in a sample."""

COLUMNS: Final = (
    "event_time",
    "event_id",
    "server_address",
    "client_address",
    "http_request_method",
    "url_path",
    "url_query",
    "http_response_status_code",
    "http_route",
)
"""What `samples` needs of `frames.ACCESS_LOGS`."""

_OF_CLIENTS: Final = ("ip_spike", "path_scan")
_KINDS: Final = (*_OF_CLIENTS, "server_flood", "error_surge", "latency_surge")


@dataclass(frozen=True)
class Wanted:
    """The lines that samples are chosen from: `start` ≤ event_time < `stop`, UTC.

    `clients` are None where lines of any client may be one.
    """

    start: datetime
    stop: datetime
    clients: frozenset[str] | None


def wanted(incidents: Sequence[Incident]) -> Wanted | None:
    """Return what `samples` has to see of the access log; None if nothing."""
    asked = _asked(incidents)
    if not asked:
        return None
    starts = [incident.opened_at for incident in asked]
    of_clients = all(incident.kind in _OF_CLIENTS for incident in asked)
    return Wanted(
        utc(min(starts)),
        utc(max(starts)) + timedelta(seconds=SPAN),
        frozenset(incident.entity for incident in asked) if of_clients else None,
    )


def samples(access_logs: pl.DataFrame, incidents: Sequence[Incident]) -> list[Incident]:
    """Return the incidents, the first `MAX_INCIDENTS` with up to `SAMPLES` lines as evidence.

    `access_logs` has `COLUMNS`, in any order of rows. A sample reads
    `2026-01-31T10:00:00Z web1 203.0.113.9 GET /wp-login.php 404`.
    """
    asked = _asked(incidents)
    if not asked:
        return list(incidents)
    found = {
        incident.incident_id: tuple(lines.select(_text()).to_series())
        for incident, lines in zip(asked, _first(access_logs, asked), strict=True)
    }
    return [i.with_samples(found.get(i.incident_id, ())) for i in incidents]


def candidates(access_logs: pl.DataFrame, incidents: Sequence[Incident]) -> pl.DataFrame:
    """Return the lines of a part of the log that `samples` of the whole may choose.

    So each part of a large log can be reduced where it lies.
    """
    chosen = list(_first(access_logs, _asked(incidents)))
    return pl.concat([access_logs.select(COLUMNS).clear(), *chosen]).unique()


def _first(access_logs: pl.DataFrame, asked: Sequence[Incident]) -> Iterator[pl.DataFrame]:
    """Yield the earliest `SAMPLES` lines of each incident."""
    lines = access_logs.select(COLUMNS).sort("event_time", "event_id")
    seconds = lines["event_time"].dt.epoch("s")
    for incident in asked:
        first, last = (
            seconds.search_sorted(second, side="left")
            for second in (incident.opened_at, incident.opened_at + SPAN)
        )
        yield lines[first:last].lazy().filter(_belongs(incident)).head(SAMPLES).collect()


def _asked(incidents: Sequence[Incident]) -> list[Incident]:
    return [i for i in incidents if i.kind in _KINDS][:MAX_INCIDENTS]


def _belongs(incident: Incident) -> pl.Expr:
    status = pl.col("http_response_status_code")
    conditions = [pl.lit(True)]
    if incident.server != names.FLEET:
        conditions.append(pl.col("server_address") == incident.server)
    if incident.kind in _OF_CLIENTS:
        conditions.append(pl.col("client_address") == incident.entity)
    if incident.kind == "path_scan":
        conditions.append(status.is_between(400, 499))
    if incident.kind == "error_surge":
        conditions.append(status >= 500)
        if incident.entity:
            conditions.append(pl.col("http_route") == incident.entity)
    return pl.all_horizontal(conditions)


def _text() -> pl.Expr:
    query = pl.concat_str(pl.lit("?"), "url_query").fill_null("")
    path = pl.concat_str(pl.col("url_path").fill_null(""), query)
    return pl.concat_str(
        pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "server_address",
        "client_address",
        "http_request_method",
        path.str.slice(0, MAX_TEXT),
        pl.col("http_response_status_code").cast(pl.String),
        separator=" ",
        ignore_nulls=True,
    )
