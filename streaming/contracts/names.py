"""Names that the streams, the batch jobs, Dagster and the stack share. No Spark import."""

from typing import Final

TOPIC_ACCESS: Final = "web-logs"
TOPIC_ERRORS: Final = "web-errors"

STREAM_ACCESS: Final = "stream_access"
STREAM_ERRORS: Final = "stream_errors"
STREAMS: Final = (STREAM_ACCESS, STREAM_ERRORS)

ACCESS_LOGS: Final = "access_logs"
ERROR_LOGS: Final = "error_logs"
REJECTED_LINES: Final = "rejected_lines"
TRAFFIC_PROFILES: Final = "traffic_profiles"
ERROR_PROFILES: Final = "error_profiles"
BASELINES: Final = "baselines"
INCIDENTS: Final = "incidents"
RECONCILIATIONS: Final = "reconciliations"

BUCKET_METRICS: Final = "metrics"
BUCKET_METRICS_1H: Final = "metrics_1h"

HTTP_TRAFFIC: Final = "http_traffic"
HTTP_TOP_URLS: Final = "http_top_urls"
ERROR_EVENTS: Final = "error_events"
ANOMALIES: Final = "anomalies"
BASELINE: Final = "baseline"
PIPELINE: Final = "pipeline"

WINDOW_SECONDS: Final = 10
METRICS_SECONDS: Final = 7 * 86_400
"""How long the bucket `metrics` keeps a point; InfluxDB refuses older ones."""
WRITABLE_SECONDS: Final = METRICS_SECONDS - 3600
"""Age up to which points are written: clear of that edge, which moves while they are."""

WATERMARK_SECONDS: Final = 120
FUTURE_SECONDS: Final = 60
"""An event time further ahead than this is refused before it can move the watermark."""

DISK_FULL: Final = 0.9
"""Share of the disk in use from which somebody must act; leaves time to."""

MAX_LINE_BYTES: Final = 1 << 20
"""A longer line is refused; with 8 KiB header buffers nginx writes at most some 150 KiB."""

FLEET: Final = "*"
"""The server name under which the whole fleet is evaluated."""

SEVERITIES: Final = ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")

CATEGORIES: Final = (
    "missing_file",
    "upstream_refused",
    "upstream_timeout",
    "limit_req",
    "limit_conn",
    "auth",
    "forbidden",
    "tls",
    "client_closed",
    "resource",
    "config",
    "lifecycle",
    "script",
    "other",
)
"""Classes of nginx error messages."""

TRAFFIC_INCIDENTS: Final = (
    "ip_spike",
    "server_flood",
    "path_scan",
    "error_surge",
    "traffic_drop",
    "latency_surge",
)
ERROR_INCIDENTS: Final = ("error_log_burst", "new_error_pattern")
INCIDENT_KINDS: Final = (*TRAFFIC_INCIDENTS, *ERROR_INCIDENTS)

REJECT_REASONS: Final = (
    "empty",
    "invalid_json",
    "invalid_utf8",
    "unknown_format",
    "oversized",
    "invalid_time",
    "time_out_of_range",
    "invalid_status",
    "invalid_client",
    "missing_field",
    "continuation",
)
"""Why a line is in `rejected_lines`; the only values of its `reason`."""

REFUSAL: Final = "refusal"
"""Key of the message by which a batch job tells Dagster why it cannot run: another attempt would
end the same way."""
