"""Spark's own reports, as recorded from a running stream, in the words of this project."""

from datetime import UTC, datetime

import pytest

from streaming.live.query_progress import query_progress

KAFKA = {
    "batchId": 7,
    "timestamp": "2026-11-23T10:00:00.000Z",
    "numInputRows": 1200,
    "durationMs": {"addBatch": 700, "triggerExecution": 800},
    "eventTime": {
        "max": "2026-11-23T09:59:59.500Z",
        "watermark": "2026-11-23T09:57:50.000Z",
    },
    "stateOperators": [{"numRowsTotal": 36}],
    "sources": [
        {
            "endOffset": {"web-logs": {"0": 100, "1": 50}},
            "latestOffset": {"web-logs": {"0": 130, "1": 50, "2": 5}},
        }
    ],
}


def test_a_batch_from_kafka() -> None:
    progress = query_progress(KAFKA, 1.0, {})
    assert (progress.batch_id, progress.input_rows, progress.input_rows_per_s) == (7, 1200, 1500)
    assert progress.lag_rows == 35
    assert progress.state_rows == 36
    assert progress.committed_at == datetime(2026, 11, 23, 10, 0, 0, 800_000, tzinfo=UTC)
    assert progress.event_time_delay_s == pytest.approx(1.3)
    assert progress.watermark == datetime(2026, 11, 23, 9, 57, 50, tzinfo=UTC)


def test_own_counts_stand_in_for_what_spark_cannot_see() -> None:
    counts = {"input": 400, "rejected": 3, "duplicates": 2, "late": 1}
    progress = query_progress({**KAFKA, "numInputRows": 0}, 5.0, counts)
    assert (progress.input_rows, progress.input_rows_per_s) == (400, 500)
    assert (progress.rejected_rows, progress.duplicate_rows, progress.late_rows) == (3, 2, 1)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"endOffset": None, "latestOffset": None}, id="before the first batch"),
        pytest.param({"endOffset": {"reservoirVersion": 3}, "latestOffset": None}, id="delta"),
    ],
)
def test_a_source_without_offsets_has_no_lag(source: dict[str, object]) -> None:
    assert query_progress({**KAFKA, "sources": [source]}, 1.0, {}).lag_rows == 0


def test_an_idle_query_has_no_delay_and_no_watermark() -> None:
    idle = {
        **KAFKA,
        "numInputRows": 0,
        "durationMs": {},
        "eventTime": {"watermark": "1970-01-01T00:00:00.000Z"},
    }
    progress = query_progress(idle, 1.0, {})
    assert (progress.event_time_delay_s, progress.watermark) == (None, None)
    assert progress.input_rows_per_s == 0


def test_an_idle_query_does_not_repeat_the_count_of_its_last_batch() -> None:
    idle = {**KAFKA, "numInputRows": 0, "durationMs": {"latestOffset": 13, "triggerExecution": 13}}
    progress = query_progress(idle, 10.0, {"input": 4187})
    assert (progress.input_rows, progress.input_rows_per_s) == (0, 0)
