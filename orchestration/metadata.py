"""Dagster metadata of what a stream says of itself."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from streaming.contracts.progress import QueryProgress, StreamProgress
from streaming.contracts.settings import Settings


def of_query(name: str, query: QueryProgress) -> Mapping[str, dg.MetadataValue]:
    """Figures of one query, plotted by Dagster over time; keys start with the query's name."""
    values: dict[str, Any] = {
        "rows_per_s": dg.MetadataValue.float(query.input_rows_per_s),
        "lag_rows": dg.MetadataValue.int(query.lag_rows),
        "batch_s": dg.MetadataValue.float(query.batch_seconds),
        "state_rows": dg.MetadataValue.int(query.state_rows),
        "rejected": dg.MetadataValue.int(query.rejected_rows),
        "replayed": dg.MetadataValue.int(query.duplicate_rows),
        "late": dg.MetadataValue.int(query.late_rows),
        "batch_id": dg.MetadataValue.int(query.batch_id),
    }
    if query.event_time_delay_s is not None:
        values["event_time_delay_s"] = dg.MetadataValue.float(query.event_time_delay_s)
    if query.watermark is not None:
        delay = (query.committed_at - query.watermark).total_seconds()
        values["watermark_delay_s"] = dg.MetadataValue.float(delay)
    if query.delta_version is not None:
        values["delta_version"] = dg.MetadataValue.int(query.delta_version)
    return {f"{name}/{key}": value for key, value in values.items()}


def of_stream(settings: Settings, progress: StreamProgress) -> dict[str, Any]:
    """Everything about a stream: process, links, every query."""
    metadata: dict[str, Any] = {
        "pid": dg.MetadataValue.int(progress.pid),
        "started": dg.MetadataValue.timestamp(progress.started_at),
        "heartbeat": dg.MetadataValue.timestamp(progress.heartbeat_at),
        **links(settings, progress.stream),
    }
    for name, query in sorted(progress.queries.items()):
        metadata.update(of_query(name, query))
    return metadata


def links(settings: Settings, stream: str) -> dict[str, dg.MetadataValue]:
    """Where else to look."""
    port = settings.spark_ui_ports()[stream]
    return {
        "spark_ui": dg.MetadataValue.url(f"http://127.0.0.1:{port}"),
        "grafana": dg.MetadataValue.url(f"http://127.0.0.1:{settings.grafana_port}"),
        "log_file": dg.MetadataValue.path(str(settings.log_dir / f"{stream}.log")),
    }
