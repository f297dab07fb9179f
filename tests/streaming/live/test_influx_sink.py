"""Points on a real InfluxDB: what is written is read back, and nothing is dropped in silence."""

import time
from typing import Any

import pytest
from influxdb_client.rest import ApiException
from urllib3 import HTTPResponse

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live.influx_sink import InfluxSink, reason
from tests.fixtures.stack import Stack

NOW_MS = int(time.time()) * 1000


def event(**changes: Any) -> dict[str, Any]:
    return {
        "at": NOW_MS,
        "server": "sink-test",
        "severity": "error",
        "category": "other",
        "count": 1,
        "pattern": "p",
        "sample": "s",
    } | changes


def stored(stack: Stack, category: str) -> dict[str, Any]:
    rows = stack.flux(
        f"""from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1h)
          |> filter(fn: (r) => r.server == "sink-test" and r.category == "{category}")"""
    )
    return {row["_field"]: row["_value"] for row in rows}


def answer(body: bytes) -> HTTPResponse:
    return HTTPResponse(body=body, status=500)


@pytest.mark.stack
@pytest.mark.parametrize(
    "text",
    [
        pytest.param('a "quoted" \\ back\\\\slash', id="quotes and backslashes"),
        pytest.param("x\nerror_events,server=forged count=9i", id="a newline and a forged point"),
        pytest.param("a,b =c", id="commas, blanks, equals"),
        pytest.param("naïve ☃ \U0001f40d", id="beyond ASCII"),
    ],
)
def test_a_text_comes_back_as_it_was(stack: Stack, text: str) -> None:
    with InfluxSink(stack.settings) as sink:
        sink.write(names.ERROR_EVENTS, [event(sample=text, category="tls")], time_column="at")
    # InfluxDB answers in CSV, whose lines end in CR LF.
    assert stored(stack, "tls")["sample"].replace("\r\n", "\n") == text
    assert (
        stack.flux(
            f'from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1h)'
            ' |> filter(fn: (r) => r.server == "forged")'
        )
        == []
    )


@pytest.mark.stack
def test_a_second_write_replaces_the_point(stack: Stack) -> None:
    with InfluxSink(stack.settings) as sink:
        sink.write(names.ERROR_EVENTS, [event(count=1, category="auth")], time_column="at")
        sink.write(names.ERROR_EVENTS, [event(count=5, category="auth")], time_column="at")
    assert stored(stack, "auth")["count"] == 5


@pytest.mark.stack
def test_a_refused_point_fails_at_once(stack: Stack) -> None:
    rows = [event(category="config", at=-(2**63) + 1)]
    began = time.monotonic()
    with InfluxSink(stack.settings) as sink, pytest.raises(ValueError, match="refused"):
        sink.write(names.ERROR_EVENTS, rows, time_column="at")
    assert time.monotonic() - began < 5


def test_a_missing_field_is_named(settings: Settings) -> None:
    _token(settings)
    row = event()
    del row["pattern"]
    with InfluxSink(settings) as sink, pytest.raises(ValueError, match="pattern"):
        sink.write(names.ERROR_EVENTS, [row], time_column="at")


def test_an_unreachable_influxdb_is_named_after_the_retries(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.live.influx_sink.RETRY_SECONDS", (0.01, 0.01))
    _token(settings)
    nowhere = settings.with_changes(influx_url="http://127.0.0.1:1")
    with InfluxSink(nowhere) as sink, pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1 does"):
        sink.write(names.ERROR_EVENTS, [event()], time_column="at")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(OSError(28, "No space left"), "[Errno 28] No space left", id="of the way"),
        pytest.param(
            ApiException(http_resp=answer(b'{"code": "x", "message": "shard 2 is shut"}')),
            "shard 2 is shut",
            id="of InfluxDB",
        ),
        pytest.param(ApiException(http_resp=answer(b"<html>")), "(500)", id="of something else"),
    ],
)
def test_a_reason_is_one_line(error: Exception, line: str) -> None:
    assert reason(error) == line


def _token(settings: Settings) -> None:
    (settings.home / "secrets").mkdir()
    (settings.home / "secrets" / "influx_write_token").write_text("any")
