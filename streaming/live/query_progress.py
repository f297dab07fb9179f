"""Spark's progress report of a micro-batch → `QueryProgress`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from streaming.contracts.progress import QueryProgress


def query_progress(
    report: Mapping[str, Any], trigger_seconds: float, counts: Mapping[str, int]
) -> QueryProgress:
    """Translate a `StreamingQueryProgress` in its JSON form.

    `counts` are what the query itself counted: `input` rows of this batch, and since its start
    `rejected`, `duplicates` and `late`.
    """
    durations = report.get("durationMs", {})
    seconds = durations.get("triggerExecution", 0) / 1000
    committed_at = _time(report["timestamp"]) + timedelta(seconds=seconds)
    event_time = report.get("eventTime", {})
    newest = event_time.get("max")
    watermark = event_time.get("watermark")
    # Spark also reports that there was nothing to do.
    rows = counts.get("input", report["numInputRows"]) if "addBatch" in durations else 0
    # Before the first event Spark reports the epoch.
    seen = watermark is not None and not watermark.startswith("1970-")
    return QueryProgress(
        batch_id=report["batchId"],
        committed_at=committed_at,
        input_rows=rows,
        input_rows_per_s=rows / seconds if seconds else 0.0,
        lag_rows=sum(_lag(source) for source in report["sources"]),
        batch_seconds=seconds,
        trigger_seconds=trigger_seconds,
        state_rows=sum(operator["numRowsTotal"] for operator in report["stateOperators"]),
        rejected_rows=counts.get("rejected", 0),
        duplicate_rows=counts.get("duplicates", 0),
        late_rows=counts.get("late", 0),
        watermark=_time(watermark) if seen else None,
        event_time_delay_s=(committed_at - _time(newest)).total_seconds() if newest else None,
    )


def _lag(source: Mapping[str, Any]) -> int:
    """Records of a Kafka source not yet read, over all partitions, when the batch was planned."""
    end, latest = source.get("endOffset"), source.get("latestOffset")
    if not isinstance(end, Mapping) or not isinstance(latest, Mapping):
        return 0
    return sum(
        max(0, newest - end.get(topic, {}).get(partition, 0))
        for topic, partitions in latest.items()
        if isinstance(partitions, Mapping)
        for partition, newest in partitions.items()
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
