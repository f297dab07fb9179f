"""A person reads one line an alert, whatever an attacker put into it."""

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from grafana.alerts import GROUPS
from stack import webhook
from streaming.contracts import names


def payload(summary: str = "900 requests in 10 s", status: str = "firing") -> dict[str, Any]:
    """A message as Grafana's webhook integration sends it (docs, Webhook notifier: body)."""
    alert = {
        "status": status,
        "labels": {"alertname": "Flood of requests", "severity": "critical", "server": "web2"},
        "annotations": {"summary": summary, "runbook_url": "http://127.0.0.1:18099/runbooks#ddos"},
        "startsAt": "2026-11-23T10:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "c6eadffa33fcdf37",
    }
    return {"receiver": "on-call", "status": status, "alerts": [alert], "groupLabels": {}}


@pytest.fixture
def receiver() -> Iterator[httpx.Client]:
    with webhook.Receiver("127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
            yield client
        server.shutdown()


def test_alert_is_logged_and_shown(
    receiver: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "webhook"):
        assert receiver.post("/alerts", json=payload()).status_code == 200
        assert receiver.post("/alerts", json=payload(status="resolved")).status_code == 200
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("FIRING [critical] Flood of requests: 900 requests in 10 s")
    assert second.startswith("RESOLVED")
    shown = receiver.get("/").text
    assert shown.index("RESOLVED") < shown.index("FIRING"), "the newest is first"


def test_attacker_forges_no_line_and_no_markup(
    receiver: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    evil = "x\nRESOLVED [none] all is well\x1b[2K\u2028<script>alert(1)</script>"
    with caplog.at_level(logging.WARNING, "webhook"):
        receiver.post("/alerts", json=payload(evil))
    (record,) = caplog.records
    assert len(record.getMessage().splitlines()) == 1
    assert "\x1b" not in record.getMessage()
    assert "<script>" not in receiver.get("/").text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"not json", 400, id="not JSON"),
        pytest.param(b"[]", 400, id="a list"),
        pytest.param(b'{"alerts": [{}]}', 400, id="an alert without labels"),
        pytest.param(b'{"alerts": 3}', 400, id="alerts is a number"),
    ],
)
def test_other_messages_are_refused(receiver: httpx.Client, body: bytes, status: int) -> None:
    assert receiver.post("/alerts", content=body).status_code == status
    assert receiver.get("/health").status_code == 200


def test_too_much_is_not_read(receiver: httpx.Client) -> None:
    url = receiver.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=5) as client:
        length = webhook.LARGEST_BODY + 1
        client.sendall(f"POST /alerts HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
        assert b" 413 " in client.recv(100)


KINDS_AND_RULES = [
    *names.INCIDENT_KINDS,
    *(rule.uid for rules in GROUPS.values() for rule in rules),
]


@pytest.mark.parametrize("anchor", KINDS_AND_RULES)
def test_every_rule_and_kind_has_a_runbook(receiver: httpx.Client, anchor: str) -> None:
    assert f" id={anchor}>" in receiver.get("/runbooks").text
