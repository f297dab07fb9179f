"""Which points differ from the lake, and why."""

import pytest

from batch.repair.influx_diff import compare
from streaming.contracts import names

ROW = {
    "window_start": 10_000,
    "server": "web1",
    "severity": "error",
    "category": "other",
    "count": 3,
    "pattern": "it <n>",
    "sample": "it 1",
}
KEY = (10_000, "web1", "error", "other")
POINT = {"count": 3, "pattern": "it <n>", "sample": "it 1"}


@pytest.mark.parametrize(
    ("held", "reasons"),
    [
        pytest.param({KEY: POINT}, {}, id="equal"),
        pytest.param({}, {"missing": 1}, id="no point"),
        pytest.param({KEY: {**POINT, "count": 2}}, {"fewer": 1}, id="late lines"),
        pytest.param({KEY: {**POINT, "count": 4}}, {"more": 1}, id="lines counted twice"),
        pytest.param({KEY: {**POINT, "sample": "it 2"}}, {"other": 1}, id="another field"),
        pytest.param(
            {KEY: POINT, (20_000, "web1", "error", "other"): POINT}, {"surplus": 1}, id="no rows"
        ),
    ],
)
def test_reason(held: dict, reasons: dict) -> None:
    assert compare(names.ERROR_EVENTS, [ROW], held).reasons == reasons


def traffic(**changes: float | None) -> dict:
    counts = {f"status_{n}xx": 0 for n in range(1, 6)}
    return {
        "window_start": 10_000,
        "server": "web1",
        "requests": 2,
        "rps": 0.2,
        "bytes": 10,
        "throughput_bps": 8.0,
        "latency_avg": 0.1 + 0.2,
        "latency_max": 0.2,
        "latency_p50": 0.1,
        "latency_p95": 0.2,
        "latency_p99": 0.2,
        "error_rate": 0.0,
        "clients": 2,
        **counts,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        pytest.param({"latency_avg": 0.3}, {}, id="order of a sum"),
        pytest.param({"latency_p95": 0.19, "clients": 3}, {}, id="order of a sketch"),
        pytest.param({"latency_p95": None}, {"other": 1}, id="quantile is absent"),
        pytest.param({"bytes": 11}, {"other": 1}, id="bytes"),
        pytest.param({"latency_max": None, "latency_avg": None}, {"other": 1}, id="latency absent"),
    ],
)
def test_sketches_and_sums_may_differ_by_the_order_of_rows(changes: dict, reasons: dict) -> None:
    held = {(10_000, "web1"): traffic(**changes)}
    assert compare(names.HTTP_TRAFFIC, [traffic()], held).reasons == reasons
