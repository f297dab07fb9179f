"""Sets of columns that are no table of their own: what a parser adds, what a reader needs."""

from typing import Final

from streaming.contracts import tables
from streaming.contracts.tables import Column, Columns


def _some(table: Columns, *names: str) -> Columns:
    return {name: table[name] for name in names}


VERDICT: Final[Columns] = {
    "reason": Column("string", "Why a line is rejected, null for one that is accepted."),
    "raw": Column("string", "The start of a rejected line."),
    "topic": Column("string", "Topic it came from."),
    "line_bytes": Column("bigint", "Length of the line without its line feed."),
}
"""What the parsers add to the columns of a log table."""

NARROW: Final[Columns] = _some(
    tables.ACCESS_LOGS,
    "event_time",
    "server_address",
    "client_address",
    "http_response_status_code",
    "http_response_body_size",
    "http_server_request_duration",
)
"""The columns that live metrics need."""

PROFILED: Final[Columns] = _some(
    tables.ACCESS_LOGS,
    "event_time",
    "server_address",
    "client_address",
    "url_path",
    "http_route",
    "http_response_status_code",
    "http_response_body_size",
    "http_server_request_duration",
    "http_request_referrer",
    "user_agent_original",
)
"""The columns that traffic profiles are made of."""

PROFILED_ERRORS: Final[Columns] = _some(
    tables.ERROR_LOGS,
    "event_time",
    "server_address",
    "severity",
    "category",
    "pattern_id",
    "pattern",
    "message",
)
"""The columns that error profiles are made of."""
