"""Columns of the Delta tables: name, type and meaning, in one place for all. No Spark import.

`streaming.spark.schemas` makes Spark schemas of them, Dagster shows them. Names are those of the
OpenTelemetry semantic conventions with `_` for `.`, where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from streaming.contracts import names

Kind = Any
"""A Spark SQL type by name, `[kind]` for an array, a mapping of names to kinds for a struct."""


@dataclass(frozen=True)
class Column:
    """One column; times are UTC."""

    kind: Kind
    meaning: str


Columns = Mapping[str, Column]


def sql_type(kind: Kind) -> str:
    """Return a kind as Spark SQL writes it, such as `array<struct<path:string>>`."""
    if isinstance(kind, list):
        return f"array<{sql_type(kind[0])}>"
    if isinstance(kind, Mapping):
        return f"struct<{','.join(f'{name}:{sql_type(part)}' for name, part in kind.items())}>"
    return str(kind)


def _text(meaning: str) -> Column:
    return Column("string", meaning)


def _time(meaning: str) -> Column:
    return Column("timestamp", meaning)


def _count(meaning: str) -> Column:
    return Column("bigint", meaning)


def _real(meaning: str) -> Column:
    return Column("double", meaning)


_EVENT_DATE: Final = {"event_date": Column("date", "Day of the event, UTC; the partition.")}
_SERVER: Final = {"server_address": _text("Name of the nginx server.")}
_EVALUATED: Final = {"server_address": _text("Name of the nginx server, `*` for all together.")}
_WINDOW: Final = {"window_start": _time("Start of the 10-second window.")}
_CLASSES: Final = {f"status_{n}xx": "bigint" for n in range(1, 6)}

_ORIGIN: Final = {
    "log_file": _text("File that nginx wrote the line to."),
    "byte_offset": _count("Place of the line in that file; with the file it recognises a replay."),
    "kafka_partition": Column("int", "Partition of the record."),
    "kafka_offset": _count("Offset of the record in its partition."),
    "ingested_at": _time("When the stream read the record."),
}

RECORD: Final[Columns] = {
    "value": Column("binary", "The raw line."),
    "topic": _text("Topic of the record."),
    "kafka_partition": _ORIGIN["kafka_partition"],
    "kafka_offset": _ORIGIN["kafka_offset"],
    "ingested_at": _ORIGIN["ingested_at"],
    **_SERVER,
    "log_file": _ORIGIN["log_file"],
    "byte_offset": _ORIGIN["byte_offset"],
}

ACCESS_LOGS: Final[Columns] = {
    "event_id": _text("The request id where there is one, else a hash of origin and line."),
    "event_time": _time("When nginx ended the request."),
    **_EVENT_DATE,
    **_SERVER,
    "client_address": _text("Address of the client."),
    "http_request_method": _text("Method, as sent."),
    "url_scheme": _text("http or https."),
    "http_request_host": _text("Host header, as sent."),
    "url_path": _text("Path without query, as sent."),
    "url_query": _text("Query without `?`."),
    "http_route": _text("Path with ids, hashes and numbers masked; at most so many per server."),
    "network_protocol_version": _text("Version of HTTP."),
    "http_response_status_code": Column("int", "Status; 499 is a client that went away."),
    "http_response_body_size": _count("Bytes of the body sent."),
    "http_request_size": _count("Bytes of the request."),
    "http_server_request_duration": _real("Seconds from the first byte read to the last sent."),
    "upstream_response_duration": _real("Seconds that upstream servers took, all tries together."),
    "http_request_referrer": _text("Referer header, as sent."),
    "user_agent_original": _text("User-Agent header, as sent."),
    "request_id": _text("nginx's own id of the request."),
    **_ORIGIN,
}

ERROR_LOGS: Final[Columns] = {
    "event_id": _text("Hash of origin and line."),
    "event_time": _time("When nginx wrote the message."),
    **_EVENT_DATE,
    **_SERVER,
    "severity": _text("Level of nginx: debug to emerg."),
    "process_pid": _count("Process of nginx."),
    "thread_id": _count("Thread of nginx."),
    "connection_id": _count("Number of the connection."),
    "message": _text("The message with its continued lines, without the tail below."),
    "pattern": _text("The message with everything variable masked."),
    "pattern_id": _text("Stable id of the pattern."),
    "category": _text("Class of the message, such as upstream_timeout or limit_req."),
    "client_address": _text("Address of the client."),
    "server_name": _text("Server block that served it."),
    "request": _text("Request line."),
    "upstream": _text("Upstream URL."),
    "host": _text("Host header."),
    "referrer": _text("Referer header."),
    **_ORIGIN,
}

REJECTED_LINES: Final[Columns] = {
    "event_id": _text("Hash of origin and line."),
    "raw": _text("The line, cut if it is very long; bytes that are no UTF-8 replaced."),
    "reason": _text("Why it is no record: one of a closed set."),
    "topic": _text("Topic it came from."),
    **_SERVER,
    **_ORIGIN,
}

TRAFFIC_PROFILES: Final[Columns] = {
    **_WINDOW,
    **_EVENT_DATE,
    **_EVALUATED,
    "requests": _count("Requests."),
    "bytes": _count("Bytes of bodies sent."),
    **{
        name: Column(kind, f"Responses with status {name[7]}00 to {name[7]}99.")
        for name, kind in _CLASSES.items()
    },
    "clients": _count("Distinct clients."),
    "latency_us": _count("Request times in µs, summed over `timed` requests."),
    "timed": _count("Requests with a time."),
    "latency_counts": Column(["bigint"], "Histogram of request times; see `windows.histogram`."),
    "load": _count("Requests that are no parts of pages, summed over clients."),
    "missing_paths": _count("Distinct missing paths, summed over clients."),
    "top_clients": Column(
        [
            {
                "load": "bigint",
                "requests": "bigint",
                "client": "string",
                "status_5xx": "bigint",
                "top_paths": [{"requests": "bigint", "path": "string"}],
            }
        ],
        "Clients of the highest load.",
    ),
    "clients_with_404s": Column(
        [
            {
                "missing_paths": "bigint",
                "missed": "bigint",
                "client": "string",
                "requests": "bigint",
                "missing": ["string"],
            }
        ],
        "Clients that asked for the most missing paths.",
    ),
    "shared_paths": Column(
        [{"path": "string", "clients": "bigint", "voters": ["bigint"]}],
        "Missing paths that several clients asked for: broken links.",
    ),
    "routes": Column(
        [
            {
                "route": "string",
                "requests": "bigint",
                "bytes": "bigint",
                "latency_us": "bigint",
                "timed": "bigint",
                **_CLASSES,
            }
        ],
        "The busiest routes.",
    ),
}

ERROR_PROFILES: Final[Columns] = {
    **_WINDOW,
    **_EVENT_DATE,
    **_EVALUATED,
    "events": _count("Messages; severity notice and below left out."),
    "categories": Column([{"category": "string", "events": "bigint"}], "Messages by category."),
    "patterns": Column(
        [
            {
                "pattern_id": "string",
                "severity": "string",
                "category": "string",
                "events": "bigint",
                "pattern": "string",
                "sample": "string",
            }
        ],
        "Messages by pattern.",
    ),
}

BASELINES: Final[Columns] = {
    "version": _count("Number of the recompute; the streams use the newest."),
    "computed_at": _time("When it was published."),
    **_EVALUATED,
    "metric": _text("What is evaluated; see `streaming.detection.limits`."),
    "key": _text("Route or error category, '' for the whole server."),
    "hour_of_week": Column("int", "0 is Monday 00:00 in the configured zone, -1 is any hour."),
    "expected": _real("Centre, in the unit of the metric."),
    "variance": _real("Spread around it."),
    "lower": _real("Below it something is wrong; null where little is never wrong."),
    "upper": _real("Above it something is wrong."),
    "n": _count("Windows learnt from."),
    "state": _text("none, learning, provisional or ready; the first two evaluate by fixed limits."),
    "excluded_share": _real("Share of minutes left out as incidents, 0 to 1."),
}

INCIDENTS: Final[Columns] = {
    "incident_id": _text("For `loglake explain`."),
    "kind": _text("Rule that fired, such as ip_spike or path_scan."),
    **_EVALUATED,
    "entity": _text("Client, route or category, '' for the whole server."),
    "opened_at": _time("When the rule first fired."),
    "closed_at": _time("When it was over; null while it is open."),
    "last_seen_at": _time("End of the last window that kept it open."),
    "peak_at": _time("When its score was highest."),
    "peak_score": _real("0 to 100; bands at 25, 50 and 75."),
    "observed": _real("Value at the peak, in the unit of the kind."),
    "expected": _real("Value that was to be expected there."),
    "threshold": _real("Value from which the rule fires."),
    "baseline_version": _count("Version of the baselines it was evaluated by."),
    "basis": _text("`static` for fixed limits, `baseline` for learnt ones."),
    "evidence": Column(["string"], "Top paths or clients, sample lines, error patterns."),
}

RECONCILIATIONS: Final[Columns] = {
    "measurement": _text("Measurement of InfluxDB."),
    "settled_until": _time("Up to where it was compared with the lake."),
    "reconciled_at": _time("When."),
}

TABLES: Final[Mapping[str, Columns]] = {
    names.ACCESS_LOGS: ACCESS_LOGS,
    names.ERROR_LOGS: ERROR_LOGS,
    names.REJECTED_LINES: REJECTED_LINES,
    names.TRAFFIC_PROFILES: TRAFFIC_PROFILES,
    names.ERROR_PROFILES: ERROR_PROFILES,
    names.BASELINES: BASELINES,
    names.INCIDENTS: INCIDENTS,
    names.RECONCILIATIONS: RECONCILIATIONS,
}
