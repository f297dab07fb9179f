"""Alert rules: what pages, from which number on, and when it is over.

A rule is a query A, reduced to its last value B, compared with a threshold C that has a lower
threshold for recovery.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from grafana.alert_queries import incident, latency, per_server, silence, stream
from streaming.contracts import names

FLOODS: Final = ("ip_spike", "server_flood")
SCANS: Final = ("path_scan",)
OPEN_FOR: Final = 300
"""Seconds back that an incident is looked for. It stays open so long without another window
(`DEFAULT_QUIET` in streaming/detection/incidents.py), and a busy machine may be so late."""


@dataclass(frozen=True)
class Rule:
    """One rule. `numbers` are further queries whose last values the summary may name.

    `panel` is the title of the panel on `board` that shows what the rule is about.
    """

    uid: str
    title: str
    severity: str
    query: str
    above: float
    recovers_below: float
    summary: str
    board: str
    panel: str
    seconds: int
    hold: str = "0s"
    no_data: str = "OK"
    labels: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)


def _verdict(unit: str) -> str:
    return (
        "{{ $labels.kind }} on {{ $labels.server }}"
        "{{ if $labels.entity }} by {{ $labels.entity }}{{ end }}: "
        f'{{{{ printf "%.4g" $values.observed.Value }}}}{unit}, '
        'expected {{ printf "%.4g" $values.expected.Value }}, '
        'threshold {{ printf "%.4g" $values.threshold.Value }}. '
        "Evidence: loglake explain {{ $labels.incident_id }}"
    )


def _figures(*kinds: str) -> dict[str, str]:
    return {name: incident(f"r.{name}", *kinds) for name in ("observed", "expected", "threshold")}


SECURITY: Final = (
    Rule(
        "critical-incident",
        "Critical incident open",
        "critical",
        incident("r.score"),
        above=75,
        recovers_below=50,
        seconds=OPEN_FOR,
        summary='Score {{ printf "%.0f" $values.B.Value }}: ' + _verdict(""),
        board="loglake-anomalies",
        panel="Score by kind",
        numbers=_figures(),
    ),
    Rule(
        "ddos",
        "Flood of requests",
        "critical",
        incident("r.observed / r.threshold", *FLOODS),
        above=2,
        recovers_below=1,
        seconds=OPEN_FOR,
        summary=_verdict(" requests"),
        board="loglake-anomalies",
        panel="IP spikes",
        numbers=_figures(*FLOODS),
    ),
    Rule(
        "scan",
        "Scan for paths that do not exist",
        "warning",
        incident("r.observed / r.threshold", *SCANS),
        above=1,
        recovers_below=0.7,
        seconds=OPEN_FOR,
        summary=_verdict(" missing paths"),
        board="loglake-anomalies",
        panel="Scans",
        numbers=_figures(*SCANS),
    ),
)

SERVICE: Final = (
    Rule(
        "error-surge",
        "5xx surge",
        "critical",
        per_server("float(v: r.status_5xx) / float(v: r.requests)", "status_5xx"),
        above=0.05,
        recovers_below=0.02,
        seconds=60,
        summary="{{ $labels.server }} answers {{ humanizePercentage $values.B.Value }} of "
        '{{ printf "%.0f" $values.requests.Value }} requests a minute with 5xx; from 5 % on '
        "users notice",
        board="loglake-http-performance",
        panel="Error rate by server",
        labels={"kind": "error_surge"},
        numbers={"requests": per_server("float(v: r.requests)")},
    ),
    Rule(
        "latency",
        "Slow responses",
        "warning",
        latency(),
        above=1,
        recovers_below=0.7,
        seconds=60,
        hold="30s",
        summary="{{ $labels.server }} answers one request in 20 later than after "
        "{{ humanizeDuration $values.B.Value }}; the limit is 1 s",
        board="loglake-http-performance",
        panel="p95 latency by server",
        labels={"kind": "latency_surge"},
    ),
    Rule(
        "server-silent",
        "No data from a server",
        "critical",
        silence("http_traffic", "requests", "server"),
        above=180,
        recovers_below=60,
        seconds=86_400,
        no_data="Alerting",
        summary="{{ if $labels.server }}{{ $labels.server }} has sent no request for "
        "{{ humanizeDuration $values.B.Value }}{{ else }}no server has sent a request for a day"
        "{{ end }}; three minutes are the limit",
        board="loglake-http-realtime",
        panel="Requests by server",
        labels={"kind": "server_silent"},
    ),
)

PIPELINE: Final = (
    Rule(
        "stream-lag",
        "Stream falls behind",
        "warning",
        stream("lag_rows", "max()"),
        above=50_000,
        recovers_below=10_000,
        seconds=60,
        hold="30s",
        summary="{{ $labels.stream }} {{ $labels.query }} has "
        '{{ printf "%.0f" $values.B.Value }} rows yet to read and shows events of '
        "{{ humanizeDuration $values.delay.Value }} ago; the limit is 50,000 rows",
        board="loglake-pipeline",
        panel="Lag",
        labels={"kind": "stream_lag", "server": "pipeline"},
        numbers={"delay": stream("event_time_delay_s", "max()")},
    ),
    Rule(
        "stream-silent",
        "Stream commits nothing",
        "critical",
        silence("pipeline", "batch_seconds", "stream"),
        above=120,
        recovers_below=60,
        seconds=86_400,
        no_data="Alerting",
        summary="{{ if $labels.stream }}{{ $labels.stream }} has committed nothing for "
        "{{ humanizeDuration $values.B.Value }}{{ else }}no stream has committed for a day"
        "{{ end }}; two minutes are the limit, and the other boards stand still",
        board="loglake-pipeline",
        panel="Batch time",
        labels={"kind": "stream_silent", "server": "pipeline"},
    ),
    Rule(
        "rejected-rising",
        "Rejected lines rise",
        "warning",
        stream("rejected", "increase()\n  |> last()\n  |> toFloat()"),
        above=100,
        recovers_below=20,
        seconds=300,
        summary="{{ $labels.stream }} put aside "
        '{{ printf "%.0f" $values.B.Value }} lines within 5 minutes; the limit is 100. The '
        "reasons are in the table rejected_lines",
        board="loglake-pipeline",
        panel="Rejected lines",
        labels={"kind": "rejected_lines", "server": "pipeline"},
    ),
    Rule(
        "disk",
        "Disk fills up",
        "critical",
        stream("disk_used_ratio", "last()"),
        above=names.DISK_FULL,
        recovers_below=0.85,
        seconds=300,
        hold="1m",
        summary="The disk of LOGLAKE_HOME is {{ humanizePercentage $values.B.Value }} full; the "
        "limit is 90 %",
        board="loglake-pipeline",
        panel="Disk used",
        labels={"kind": "disk", "server": "pipeline"},
    ),
)

GROUPS: Final = {"security": SECURITY, "service": SERVICE, "pipeline": PIPELINE}
