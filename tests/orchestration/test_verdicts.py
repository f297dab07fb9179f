"""Each statement about a stream holds up to its limit and fails beyond it."""

from datetime import UTC, datetime

import pytest

from orchestration.healing import DELAYS_SECONDS, Healing
from orchestration.health import Health
from orchestration.verdicts import batches_keep_up, lag_is_bounded, process_stays_up
from streaming.contracts.progress import QueryProgress, StreamProgress

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def progress(
    lag: int = 0, rate: float = 100, seconds: float = 1, trigger: float = 1
) -> StreamProgress:
    query = QueryProgress(
        batch_id=1,
        committed_at=NOW,
        input_rows=100,
        input_rows_per_s=rate,
        lag_rows=lag,
        batch_seconds=seconds,
        trigger_seconds=trigger,
    )
    return StreamProgress(
        stream="stream_access", pid=1, started_at=NOW, heartbeat_at=NOW, queries={"lake": query}
    )


@pytest.mark.parametrize(
    ("lag", "rate", "passed"),
    [
        pytest.param(6000, 100, True, id="a minute of reading"),
        pytest.param(6001, 100, False, id="more than a minute of reading"),
        pytest.param(1000, 0, True, id="a trickle"),
        pytest.param(1001, 0, False, id="a standstill"),
    ],
)
def test_lag_is_bounded(lag: int, rate: float, passed: bool) -> None:
    verdict = lag_is_bounded(progress(lag=lag, rate=rate))
    assert verdict.passed is passed
    assert passed or f"lake has {lag} lines left to read" in verdict.why


@pytest.mark.parametrize(
    ("seconds", "trigger", "passed"),
    [
        pytest.param(10, 1, True, id="a busy machine"),
        pytest.param(10.1, 1, False, id="longer than any trigger allows"),
        pytest.param(15, 5, True, id="three triggers"),
        pytest.param(15.1, 5, False, id="more than three triggers"),
    ],
)
def test_batches_keep_up(seconds: float, trigger: float, passed: bool) -> None:
    assert batches_keep_up(progress(seconds=seconds, trigger=trigger)).passed is passed


@pytest.mark.parametrize(
    ("wanted", "health", "attempts", "key"),
    [
        pytest.param(True, Health.HEALTHY, 0, "passed", id="healthy"),
        pytest.param(True, Health.STARTING, 1, "passed", id="starting"),
        pytest.param(False, Health.STOPPED, 0, "passed", id="stopped by a person"),
        pytest.param(True, Health.DEAD, 1, "WARN", id="dead"),
        pytest.param(True, Health.HUNG, 1, "WARN", id="hung"),
        pytest.param(True, Health.DEAD, len(DELAYS_SECONDS), "ERROR", id="given up"),
    ],
)
def test_process_stays_up(wanted: bool, health: Health, attempts: int, key: str) -> None:
    assert process_stays_up(wanted, health, "Why.", Healing(attempts=attempts)).key == key
