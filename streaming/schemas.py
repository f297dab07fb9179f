"""Names and schemas of everything that crosses a border: topics, Delta tables, measurements.

Columns carry the OpenTelemetry semantic-convention names with `_` for `.`.
"""

from typing import Final

from pyspark.sql import types as T

from streaming import names
from streaming.detection.schemas import (
    BASELINES,
    ERROR_PANES,
    INCIDENTS,
    TRAFFIC_PANES,
)

RECORD: Final = T.StructType(
    [
        T.StructField("value", T.BinaryType()),
        T.StructField("topic", T.StringType()),
        T.StructField("kafka_partition", T.IntegerType()),
        T.StructField("kafka_offset", T.LongType()),
        T.StructField("ingested_at", T.TimestampType()),
        T.StructField("server_address", T.StringType()),
        T.StructField("log_file", T.StringType()),
        T.StructField("byte_offset", T.LongType()),
    ]
)
"""One Kafka record as the parsers take it: the raw line and where it came from."""

_ORIGIN = [
    T.StructField("log_file", T.StringType()),
    T.StructField("byte_offset", T.LongType()),
    T.StructField("kafka_partition", T.IntegerType()),
    T.StructField("kafka_offset", T.LongType()),
    T.StructField("ingested_at", T.TimestampType()),
]

ACCESS_LOGS: Final = T.StructType(
    [
        T.StructField("event_id", T.StringType()),
        T.StructField("event_time", T.TimestampType()),
        T.StructField("event_date", T.DateType()),
        T.StructField("server_address", T.StringType()),
        T.StructField("client_address", T.StringType()),
        T.StructField("http_request_method", T.StringType()),
        T.StructField("url_scheme", T.StringType()),
        T.StructField("http_request_host", T.StringType()),
        T.StructField("url_path", T.StringType()),
        T.StructField("url_query", T.StringType()),
        T.StructField("http_route", T.StringType()),
        T.StructField("network_protocol_version", T.StringType()),
        T.StructField("http_response_status_code", T.IntegerType()),
        T.StructField("http_response_body_size", T.LongType()),
        T.StructField("http_request_size", T.LongType()),
        T.StructField("http_server_request_duration", T.DoubleType()),
        T.StructField("upstream_response_duration", T.DoubleType()),
        T.StructField("http_request_referrer", T.StringType()),
        T.StructField("user_agent_original", T.StringType()),
        T.StructField("request_id", T.StringType()),
        *_ORIGIN,
    ]
)

ERROR_LOGS: Final = T.StructType(
    [
        T.StructField("event_id", T.StringType()),
        T.StructField("event_time", T.TimestampType()),
        T.StructField("event_date", T.DateType()),
        T.StructField("server_address", T.StringType()),
        T.StructField("severity", T.StringType()),
        T.StructField("process_pid", T.LongType()),
        T.StructField("thread_id", T.LongType()),
        T.StructField("connection_id", T.LongType()),
        T.StructField("message", T.StringType()),
        T.StructField("pattern", T.StringType()),
        T.StructField("pattern_id", T.StringType()),
        T.StructField("category", T.StringType()),
        T.StructField("client_address", T.StringType()),
        T.StructField("server_name", T.StringType()),
        T.StructField("request", T.StringType()),
        T.StructField("upstream", T.StringType()),
        T.StructField("host", T.StringType()),
        T.StructField("referrer", T.StringType()),
        *_ORIGIN,
    ]
)

REJECTED_LINES: Final = T.StructType(
    [
        T.StructField("event_id", T.StringType()),
        T.StructField("raw", T.StringType()),
        T.StructField("reason", T.StringType()),
        T.StructField("topic", T.StringType()),
        T.StructField("server_address", T.StringType()),
        *_ORIGIN,
    ]
)

RECONCILIATIONS: Final = T.StructType(
    [
        T.StructField("measurement", T.StringType()),
        T.StructField("settled_until", T.TimestampType()),
        T.StructField("reconciled_at", T.TimestampType()),
    ]
)
"""Up to where the reconcile job compared a measurement with the lake, one row per run."""

TABLES: Final = {
    names.ACCESS_LOGS: ACCESS_LOGS,
    names.ERROR_LOGS: ERROR_LOGS,
    names.REJECTED_LINES: REJECTED_LINES,
    names.TRAFFIC_PANES: TRAFFIC_PANES,
    names.ERROR_PANES: ERROR_PANES,
    names.BASELINES: BASELINES,
    names.INCIDENTS: INCIDENTS,
    names.RECONCILIATIONS: RECONCILIATIONS,
}
