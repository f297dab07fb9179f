"""Every InfluxDB measurement: its tags, its typed fields, their units. No Spark import.

The one place where field names live: the writers coerce their values with `Measurement.typed`,
the dashboard tests write and expect exactly these columns, docs/dashboards.md lists them.
The time of a point is the start of its window, except `pipeline`: the commit of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from streaming.contracts import names

FieldValue = int | float | str

TOP_URLS: Final = 10
"""Most ranks per server and window in `http_top_urls`."""

TOP_ANOMALIES: Final = 5
"""Most ranks per kind, server and window in `anomalies`."""

BASELINE_METRICS: Final = ("rps", "error_rate", "latency_p95")
"""Values of the tag `metric`: fields of `http_traffic`, in the same units."""

INCIDENT_STATES: Final = ("open", "closed")


@dataclass(frozen=True)
class Field:
    """One field: `kind` is the InfluxDB type, which may never change once written."""

    kind: type[int] | type[float] | type[str]
    unit: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Measurement:
    """A measurement; tags come only from closed sets, so the series count is bounded."""

    name: str
    tags: tuple[str, ...]
    fields: Mapping[str, Field]

    def typed(self, values: Mapping[str, Any]) -> dict[str, FieldValue]:
        """Return the full field set in the types of the contract; a nullable null is left out.

        Raises `ValueError` naming the fields that are missing or unknown.
        """
        present = {name for name, value in values.items() if value is not None}
        missing = [n for n, field in self.fields.items() if n not in present and not field.nullable]
        unknown = sorted(values.keys() - self.fields.keys())
        if missing or unknown:
            raise ValueError(f"{self.name}: missing fields {missing}, unknown fields {unknown}")
        return {n: field.kind(values[n]) for n, field in self.fields.items() if n in present}


def _count(meaning: str) -> Field:
    return Field(int, "short", meaning)


def _seconds(meaning: str) -> Field:
    return Field(float, "s", meaning)


def _latency(meaning: str) -> Field:
    # Text formats such as `combined` carry no request time.
    return Field(float, "s", meaning, nullable=True)


def _text(meaning: str) -> Field:
    return Field(str, "string", meaning)


_STATUS: Final = {
    f"status_{n}xx": _count(f"Responses with a status of {n}00 to {n}99.") for n in range(1, 6)
}

_VERDICT: Final = "in the unit of the kind: requests, paths, share, seconds, messages"

MEASUREMENTS: Final = {
    names.HTTP_TRAFFIC: Measurement(
        names.HTTP_TRAFFIC,
        ("server",),
        {
            "requests": _count("Requests in the 10-second window."),
            "rps": Field(float, "reqps", "Requests per second."),
            "bytes": Field(int, "bytes", "Body bytes sent."),
            "throughput_bps": Field(float, "bps", "Body bits sent per second."),
            "latency_avg": _latency("Mean request time."),
            "latency_max": _latency("Longest request time."),
            "latency_p50": _latency("Median request time."),
            "latency_p95": _latency("95th percentile of the request time."),
            "latency_p99": _latency("99th percentile of the request time."),
            **_STATUS,
            "error_rate": Field(float, "percentunit", "5xx responses over requests, 0 to 1."),
            "clients": _count("Distinct client addresses, approximately."),
        },
    ),
    names.HTTP_TOP_URLS: Measurement(
        names.HTTP_TOP_URLS,
        ("server", "rank"),
        {
            "url": _text("Route; each at most once per server and window."),
            "requests": _count("Requests to the route in the window."),
            "bytes": Field(int, "bytes", "Body bytes sent."),
            "latency_avg": _latency("Mean request time."),
            **_STATUS,
        },
    ),
    names.ERROR_EVENTS: Measurement(
        names.ERROR_EVENTS,
        ("server", "severity", "category"),
        {
            "count": _count("Messages in the 10-second window."),
            "pattern": _text("The most frequent masked message of the window."),
            "sample": _text("One message of that pattern, as nginx wrote it, cut short."),
        },
    ),
    names.ANOMALIES: Measurement(
        names.ANOMALIES,
        ("kind", "server", "rank"),
        {
            "score": Field(float, "short", "0 to 100; 50 is the threshold, from 75 it pages."),
            "observed": Field(float, "short", f"What was seen, {_VERDICT}."),
            "expected": Field(float, "short", f"What the baseline expects, {_VERDICT}."),
            "threshold": Field(float, "short", f"Where the verdict turns, {_VERDICT}."),
            "entity": _text("Client, route or pattern that stands out; empty for a server."),
            "incident_id": _text("Key of the row in the Delta table `incidents`."),
            "basis": _text("`static` or `baseline`: where the threshold comes from."),
            "state": _text("`open`; the last point of an incident says `closed`."),
            "opened_at": Field(int, "dateTimeAsIso", "Epoch milliseconds of the first window."),
            "closed_at": Field(int, "dateTimeAsIso", "Epoch milliseconds; 0 while open."),
        },
    ),
    names.BASELINE: Measurement(
        names.BASELINE,
        ("server", "metric"),
        {
            "expected": Field(float, "short", "Centre, in the unit of the metric."),
            "lower": Field(float, "short", "Below this a window is unusual."),
            "upper": Field(float, "short", "Above this a window is unusual."),
        },
    ),
    names.PIPELINE: Measurement(
        names.PIPELINE,
        ("stream", "query"),
        {
            "input_rows_per_s": Field(float, "rowsps", "Rows per second of the last batch."),
            "lag_rows": _count("Source rows not yet read."),
            "batch_seconds": _seconds("How long the last batch took."),
            "trigger_seconds": _seconds("How often a batch is due."),
            "rejected": _count("Lines rejected since the process started: a counter."),
            "late": _count("Rows too late for live metrics since the start: a counter."),
            "event_time_delay_s": Field(
                float, "s", "Commit time less the newest event time.", nullable=True
            ),
            "disk_used_ratio": Field(
                float, "percentunit", "Used share of the disk that holds LOGLAKE_HOME, 0 to 1."
            ),
        },
    ),
}
"""By name. `http_top_urls` holds, per server and window, the union of the most requested, the
slowest and the most failing routes, ranked by requests from 1. `anomalies` has one point per window
and open incident, ranked by score from 1, then one last point with state `closed`. `baseline` has
one point per evaluated window. `pipeline` has one per committed batch, at least every 10 s."""
