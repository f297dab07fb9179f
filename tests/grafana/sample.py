"""Points as the pipeline writes them, typed by the one table of measurements."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS

from stack import influx
from streaming.contracts import names
from streaming.contracts.measurements import MEASUREMENTS
from streaming.contracts.settings import Settings

SERVERS = ("web1", "web2", "web3")
STEP = names.WINDOW_SECONDS
ROUTES = ("/", "/search", "/cart", "/api/items/{id}", "/slow", "/broken")
PATTERNS = {
    "open() <*> failed (2: No such file or directory)": ("error", "missing_file"),
    "connect() failed (111: Connection refused) while connecting to upstream": (
        "error",
        "upstream_refused",
    ),
    "signal process started": ("notice", "lifecycle"),
    "limiting requests, excess: <*> by zone <*>": ("warn", "limit_req"),
    "<*> worker_connections are not enough": ("crit", "resource"),
}
ATTACKED = "web2"
"""The server that every injected attack is aimed at."""


def point(measurement: str, at: int, tags: dict[str, str], fields: dict[str, object]) -> Point:
    """Build one point at epoch second `at`, refused unless tags and fields are the contract's."""
    spec = MEASUREMENTS[measurement]
    assert set(tags) == set(spec.tags)
    result = Point(measurement).time(at, WritePrecision.S)
    for tag, text in tags.items():
        result.tag(tag, text)
    for name, value in spec.typed(fields).items():
        result.field(name, value)
    return result


def clean(start: int, stop: int) -> Iterator[Point]:
    """Ordinary traffic from `start` to `stop`, epoch seconds."""
    for at in range(start - start % STEP, stop, STEP):
        for number, server in enumerate(SERVERS):
            yield traffic(
                at, server, requests=200 + 40 * number + int(30 * math.sin(at / 600)), failing=1
            )
            yield from top_urls(at, server)
            yield from baselines(at, server)
        if at % 60 == 0:
            yield from errors(at)
        yield from pipeline(at)


def traffic(
    at: int, server: str, *, requests: int, failing: int = 0, latency: float = 0.04
) -> Point:
    """One window of a server."""
    size = 5_000 * requests
    counts = dict.fromkeys((f"status_{n}xx" for n in range(1, 6)), 0)
    counts |= {"status_2xx": requests - failing - 6, "status_3xx": 4, "status_4xx": 2}
    counts["status_5xx"] = failing
    return point(
        names.HTTP_TRAFFIC,
        at,
        {"server": server},
        {
            "requests": requests,
            "rps": requests / STEP,
            "bytes": size,
            "throughput_bps": size * 8 / STEP,
            "latency_avg": latency,
            "latency_max": latency * 12,
            "latency_p50": latency * 0.7,
            "latency_p95": latency * 3,
            "latency_p99": latency * 5,
            **counts,
            "error_rate": failing / requests,
            "clients": 20,
        },
    )


def top_urls(at: int, server: str) -> Iterator[Point]:
    """The routes of one window of a server."""
    for rank, route in enumerate(ROUTES, start=1):
        requests = 100 // rank
        failing = requests // 2 if route == "/broken" else 0
        yield point(
            names.HTTP_TOP_URLS,
            at,
            {"server": server, "rank": str(rank)},
            {
                "url": route,
                "requests": requests,
                "bytes": 5_000 * requests,
                "latency_avg": 1.2 if route == "/slow" else 0.03,
                "status_1xx": 0,
                "status_2xx": requests - failing - 2,
                "status_3xx": 1,
                "status_4xx": 1,
                "status_5xx": failing,
            },
        )


def baselines(at: int, server: str) -> Iterator[Point]:
    """What each metric of a window is expected to be."""
    for metric, expected in {"rps": 22.0, "error_rate": 0.001, "latency_p95": 0.12}.items():
        yield point(
            names.BASELINE,
            at,
            {"server": server, "metric": metric},
            {"expected": expected, "lower": 0.5 * expected, "upper": 1.8 * expected},
        )


def errors(at: int) -> Iterator[Point]:
    """One window of error messages, each server and pattern."""
    for number, (pattern, (severity, category)) in enumerate(PATTERNS.items()):
        yield point(
            names.ERROR_EVENTS,
            at,
            {
                "server": SERVERS[number % len(SERVERS)],
                "severity": severity,
                "category": category,
            },
            {"count": number + 1, "pattern": pattern, "sample": pattern.replace("<*>", "12")},
        )


def pipeline(
    at: int,
    *,
    lag: int = 40,
    rejected: int = 3,
    disk: float = 0.4,
    streams: tuple[str, ...] = names.STREAMS,
) -> Iterator[Point]:
    """One committed batch of each query."""
    queries = {names.STREAM_ACCESS: ("lake", "metrics", "detection")}
    for stream in streams:
        for query in queries.get(stream, ("lake", "metrics")):
            yield point(
                names.PIPELINE,
                at,
                {"stream": stream, "query": query},
                {
                    "input_rows_per_s": 66.0,
                    "lag_rows": lag,
                    "batch_seconds": 0.6,
                    "trigger_seconds": 1.0 if query == "metrics" else 5.0,
                    "rejected": rejected,
                    "late": 1,
                    "event_time_delay_s": 1.7,
                    "disk_used_ratio": disk,
                },
            )


def anomaly(
    at: int,
    kind: str,
    *,
    observed: float,
    expected: float,
    threshold: float,
    entity: str = "",
    score: float = 100.0,
    opened_at: int | None = None,
    closed: bool = False,
) -> Point:
    """One window of an incident on the attacked server."""
    opened = at if opened_at is None else opened_at
    return point(
        names.ANOMALIES,
        at,
        {"kind": kind, "server": ATTACKED, "rank": "1"},
        {
            "score": score,
            "observed": observed,
            "expected": expected,
            "threshold": threshold,
            "entity": entity,
            "incident_id": f"{kind}-{opened}",
            "basis": "static" if kind == "path_scan" else "baseline",
            "state": "closed" if closed else "open",
            "opened_at": opened * 1000,
            "closed_at": at * 1000 if closed else 0,
        },
    )


def incidents(start: int, windows: int = 6, *, close: bool = True) -> Iterator[Point]:
    """One incident of every kind from `start` on."""
    entities = {
        "ip_spike": "198.51.100.7",
        "path_scan": "198.51.100.8",
        "new_error_pattern": "upstream prematurely closed connection",
        "error_surge": "/broken",
    }
    for number, kind in enumerate(names.INCIDENT_KINDS):
        for window in range(windows + close):
            yield anomaly(
                start + window * STEP,
                kind,
                observed=400.0 + number,
                expected=4.0,
                threshold=50.0,
                entity=entities.get(kind, ""),
                score=86.0 + 2 * number,
                opened_at=start,
                closed=window == windows,
            )


def attacked(start: int, stop: int) -> Iterator[Point]:
    """Everything goes wrong at once: what each alert rule must notice.

    web2 is flooded, fails and is slow; web3 sends nothing; stream_access lags and rejects;
    stream_errors commits nothing; the disk is nearly full.
    """
    for at in range(start, stop, STEP):
        yield traffic(at, "web1", requests=200)
        yield traffic(at, ATTACKED, requests=900, failing=450, latency=2.0)
        rejected = 3 + 10 * (at - start)
        yield from pipeline(
            at, lag=80_000, rejected=rejected, disk=0.95, streams=(names.STREAM_ACCESS,)
        )
    yield from incidents(start, windows=(stop - start) // STEP, close=False)


@contextmanager
def writer(settings: Settings) -> Iterator[Callable[[Iterable[Point]], None]]:
    """Yield a function that writes points with the write token, and fails aloud."""
    with (
        InfluxDBClient(
            settings.influx,
            token=settings.secret(influx.WRITE_TOKEN),
            org=settings.influx_org,
            timeout=60_000,
        ) as client,
        client.write_api(write_options=SYNCHRONOUS) as api,
    ):

        def write(points: Iterable[Point], bucket: str = names.BUCKET_METRICS) -> None:
            lines = [item.to_line_protocol() for item in points]
            for begin in range(0, len(lines), 20_000):
                # Lines carry seconds; by default they would be read as nanoseconds.
                api.write(bucket, record=lines[begin : begin + 20_000], write_precision="s")

        yield write


def demo(start: int, stop: int) -> Iterator[Point]:
    """Clean traffic, one closed incident of every kind, and one of every kind still open."""
    return chain(
        clean(start, stop),
        incidents(stop - 2_400),
        incidents(stop - 120, windows=12, close=False),
    )


def now() -> int:
    """Return the start of the window that just closed, epoch seconds."""
    seconds = int(datetime.now(UTC).timestamp())
    return seconds - seconds % STEP - STEP
