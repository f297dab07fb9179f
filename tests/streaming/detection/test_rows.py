"""Frames of profiles as the rules see them, and incidents as rows and back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from streaming.contracts import frames
from streaming.detection import rows
from streaming.detection.incidents import Incident
from streaming.detection.model import (
    ClientWith404s,
    ErrorProfile,
    Evaluation,
    Pattern,
    Route,
    Shared,
    TopClient,
    TrafficProfile,
)
from streaming.detection.rows import (
    error_profiles_of,
    incident_row,
    session_of,
    traffic_profiles_of,
    utc,
)
from streaming.windows.histogram import LATENCY_BUCKETS

pytestmark = pytest.mark.unit

START = 1_767_600_000


def row(second: int = START, server: str = "web1", **values: Any) -> dict[str, Any]:
    """A row of `frames.TRAFFIC_PROFILES`: one request, nothing more known of it."""
    counts = {"requests": 1, "status_5xx": 0, "clients": 1, "load": 1}
    return {"window_start": utc(second), "server_address": server, **counts, **values}


def traffic(*some: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(some, schema=dict(frames.TRAFFIC_PROFILES))


def histogram(**counts: int) -> list[int]:
    return [counts.get(f"b{bucket}", 0) for bucket in range(LATENCY_BUCKETS)]


def top(client: str, load: int, **paths: int) -> dict[str, Any]:
    top_paths = [{"requests": n, "path": f"/{name}"} for name, n in paths.items()]
    return {"client": client, "load": load, "requests": load + 1, "top_paths": top_paths}


@pytest.mark.parametrize(
    ("values", "field", "decoded"),
    [
        pytest.param({"latency_counts": None}, "latencies", (), id="no request timed"),
        pytest.param({"latency_counts": []}, "latencies", (), id="an empty histogram"),
        pytest.param(
            {"latency_counts": histogram(b0=2, b17=1, b63=5)},
            "latencies",
            ((0, 2), (17, 1), (63, 5)),
            id="buckets with requests",
        ),
        pytest.param({"top_clients": None}, "top_clients", (), id="no clients"),
        pytest.param(
            {"top_clients": [top("a", 9, x=5, y=4), top("b", 3), top("c", 2, z=2)]},
            "top_clients",
            (TopClient("a", 9, 10, ("5 × /x", "4 × /y")), TopClient("b", 3, 4, ())),
            id="clients with a load that counts",
        ),
        pytest.param(
            {
                "clients_with_404s": [
                    {
                        "client": "a",
                        "missing_paths": 70,
                        "missed": 80,
                        "requests": 90,
                        "missing": ["/x", "/y"],
                    },
                    {
                        "client": "b",
                        "missing_paths": 1,
                        "missed": 1,
                        "requests": 2,
                        "missing": ["/z"],
                    },
                ]
            },
            "clients_with_404s",
            (
                ClientWith404s("a", 80, 90, ("/x", "/y"), 68),
                ClientWith404s("b", 1, 2, ("/z",), 0),
            ),
            id="missing paths beyond those that are kept",
        ),
        pytest.param(
            {"shared_paths": [{"path": "/x", "clients": 9, "voters": [-3, 7]}]},
            "shared",
            (Shared("/x", 9, (-3, 7)),),
            id="shared paths",
        ),
        pytest.param(
            {
                "routes": [
                    {
                        "route": "/a",
                        "requests": 5,
                        "status_5xx": 2,
                        "latency_us": None,
                        "timed": 0,
                    },
                    {"route": "/b", "requests": 1, "status_5xx": 0, "latency_us": 77, "timed": 1},
                ]
            },
            "routes",
            (Route("/a", 5, 2, 0, 0), Route("/b", 1, 0, 77, 1)),
            id="a route without a time",
        ),
    ],
)
def test_lists_of_a_profile(values: dict[str, Any], field: str, decoded: tuple[Any, ...]) -> None:
    bare = row(START + 10)
    found = list(traffic_profiles_of(traffic(row(**values), bare)))
    plain = TrafficProfile(START, "web1", requests=1, clients=1, load=1)
    assert found == [plain._replace(**{field: decoded}), plain._replace(second=START + 10)]


@pytest.mark.parametrize("size", [1, 8 << 20], ids=["row by row", "at once"])
def test_profiles_come_in_ascending_order_of_time_and_server(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "SLICE_BYTES", size)
    some = [
        row(START + 10 * n, server, latency_counts=histogram(b3=n + 1), top_clients=[top("a", n)])
        for n in (2, 0, 4, 1, 3)
        for server in ("web2", "*", "web1")
    ]
    found = [
        (p.second, p.server, p.latencies, sum(c.load for c in p.top_clients))
        for p in traffic_profiles_of(traffic(*some))
    ]
    assert found == [
        (START + 10 * n, server, ((3, n + 1),), n if n >= 3 else 0)
        for n in range(5)
        for server in ("*", "web1", "web2")
    ]


def test_no_rows_are_no_profiles() -> None:
    assert list(traffic_profiles_of(traffic())) == []
    assert list(error_profiles_of(pl.DataFrame(schema=dict(frames.ERROR_PROFILES)))) == []


def test_error_profiles() -> None:
    pattern = Pattern("p1", "error", "tls", 3, "SSL <*>", "SSL handshake")
    some = [
        {
            "window_start": utc(START + 10),
            "server_address": "web1",
            "categories": [{"category": "other", "events": 1}, {"category": "tls", "events": 3}],
            "patterns": [pattern._asdict()],
        },
        {
            "window_start": utc(START),
            "server_address": "web2",
            "categories": [{"category": "other", "events": 2}],
            "patterns": [],
        },
    ]
    found = list(error_profiles_of(pl.DataFrame(some, schema=dict(frames.ERROR_PROFILES))))
    assert found == [
        ErrorProfile(START, "web2", (("other", 2),), ()),
        ErrorProfile(START + 10, "web1", (("other", 1), ("tls", 3)), (pattern,)),
    ]


def incident(closed: int | None) -> Incident:
    evaluation = Evaluation(
        "ip_spike",
        "web1",
        "192.0.2.1",
        START + 20,
        20,
        60.0,
        3.0,
        40.0,
        77.0,
        "baseline",
        4,
        ("x",),
    )
    return Incident("0a", START, START + 60, closed, evaluation, ("line", "x"))


@pytest.mark.parametrize("closed", [None, START + 60], ids=["open", "closed"])
def test_an_incident_is_a_row_of_its_table(closed: int | None) -> None:
    found = incident_row(incident(closed))
    assert found.keys() == frames.TABLES["incidents"].keys()
    assert found["closed_at"] == (closed and datetime.fromtimestamp(closed, UTC))
    assert found["last_seen_at"] - found["opened_at"] == timedelta(seconds=60)
    assert found["evidence"] == ["x", "line"]


def test_a_stored_incident_goes_on_as_a_session() -> None:
    stored = incident_row(incident(None))
    times = {name: round(v.timestamp()) for name, v in stored.items() if isinstance(v, datetime)}
    session = session_of({**stored, **times})
    assert (session.opened_at, session.last, session.alarms) == (START, START + 50, 2)
    assert session.peak == incident(None).peak._replace(horizon_s=0, evidence=("x", "line"))
